package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/guardiantest"
)

// examined runs doctor on guardians and returns what it found.
func examined(t *testing.T, code int, urls []string, args ...string) diagnosis {
	t.Helper()
	out, _ := guardianctl(t, code, append([]string{"doctor", "--json", "--guardians", strings.Join(urls, ",")}, args...)...)
	var d diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return d
}

// finds wants a line that begins so, about a guardian or file, with this advice.
func (d diagnosis) finds(t *testing.T, as verdict, check, about, found, next string) {
	t.Helper()
	if !slices.ContainsFunc(d.Findings, func(f finding) bool {
		return f.Verdict == as && f.Check == check && strings.Contains(f.About, about) && strings.Contains(f.Found, found) && strings.Contains(f.Next, next)
	}) {
		t.Errorf("no %s of %s about %q with %q and next %q in %+v", as, check, about, found, next, d.Findings)
	}
}

func TestDoctorOfTheHealthy(t *testing.T) {
	t.Parallel()
	urls := guardiantest.New(t, 5).URLs()
	store := backendtest.NewMemory()
	plane := realPlane(t, store)
	if err := last.Put(t.Context(), store, planeSealer(t), last.Backup{ID: "an-id", Kind: "full", FinishedNS: time.Now().UnixNano()}); err != nil {
		t.Fatal(err)
	}
	guardianctl(t, exitOK, "scrub", "--admin", plane)
	token := secretIn(t, 0o600)
	out, errs := guardianctl(t, exitOK, "doctor", "--guardians", strings.Join(urls, ","), "--admin", plane, "--token-file", token, "--storage", storageWith(t, soundID))
	for _, check := range []string{"reachable", "clock", "certificate", "storage", "quarantine", "repair", "quorum", "versions", "members", "shares", "keys", "scrub", "backup age", "files"} {
		wantText(t, out, "ok    "+check)
	}
	wantText(t, out, "5 of 5 guardians answer", "16 ok, 0 warn, 0 fail", "integrity.key: only its owner may read it", token+": only its owner")
	if strings.Contains(out, "next") || errs != "" {
		t.Errorf("there is something to do: %s%s", out, errs)
	}
}

// says stands before a guardian and changes what it says of itself.
func says(c *guardiantest.Cluster, i int, change func(*api.StatusResponse)) {
	c.Front(i, func(own http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RouteStatus {
				own.ServeHTTP(w, r)
				return
			}
			recorded := httptest.NewRecorder()
			own.ServeHTTP(recorded, r)
			var status api.StatusResponse
			_ = json.Unmarshal(recorded.Body.Bytes(), &status)
			change(&status)
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(status)
		})
	})
}

// clockOff stands before a guardian whose clock is wrong.
func clockOff(c *guardiantest.Cluster, i int, by time.Duration) {
	c.Front(i, func(own http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
			own.ServeHTTP(w, r)
		})
	})
}

func pushOnly(t *testing.T, c *guardiantest.Cluster, i int) {
	t.Helper()
	share := guardian.Share{Data: []byte("a secret share"), Version: 7, Threshold: 3}
	if err := c.Node(i).Push(t.Context(), guardian.Slot{Identity: damagedID}, share, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
}

// TestDoctorOfTheIll plants one trouble at a time.
func TestDoctorOfTheIll(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code  int
		plant func(*testing.T, *guardiantest.Cluster)
		// The line that must be found; sick is the index of whom it is about.
		as                 verdict
		check, found, next string
		sick               int
	}{
		"dead": {
			exitVerification, func(_ *testing.T, c *guardiantest.Cluster) { c.Stop(1) },
			verdictFail, "reachable", "", "start it", 1,
		},
		"margin": {
			exitVerification, func(_ *testing.T, c *guardiantest.Cluster) { c.Stop(1) },
			verdictWarn, "quorum", "only 1 more may be lost", "bring guardians back", nobodySick,
		},
		"no stores": {
			exitVerification, func(_ *testing.T, c *guardiantest.Cluster) { c.Stop(1); c.Stop(2) },
			verdictFail, "quorum", "nothing can be stored", "bring guardians back", nobodySick,
		},
		"no recovery": {
			exitVerification, func(_ *testing.T, c *guardiantest.Cluster) { c.Stop(1); c.Stop(2); c.Stop(3) },
			verdictFail, "quorum", "nothing can be recovered", "bring guardians back", nobodySick,
		},
		"clock fast": {
			exitVerification, func(_ *testing.T, c *guardiantest.Cluster) { clockOff(c, 2, 5*time.Minute) },
			verdictFail, "clock", " ahead, by this machine's", "NTP", 2,
		},
		"clock slow": {
			exitOK, func(_ *testing.T, c *guardiantest.Cluster) { clockOff(c, 2, -30*time.Second) },
			verdictWarn, "clock", " behind, by this machine's", "NTP", 2,
		},
		"own clock": {exitVerification, func(_ *testing.T, c *guardiantest.Cluster) {
			for i := range 5 {
				clockOff(c, i, time.Duration(i+5)*time.Minute)
			}
		}, verdictFail, "clock", "behind, by all guardians'", "set this machine's clock", nobodySick},
		"not ready": {
			exitVerification, func(_ *testing.T, c *guardiantest.Cluster) { c.Front(4, unready) },
			verdictFail, "storage", "not ready: the disk is on fire", "look into its log", 4,
		},
		"degraded": {exitVerification, func(_ *testing.T, c *guardiantest.Cluster) {
			says(c, 4, func(s *api.StatusResponse) { s.Status = "degraded" })
		}, verdictFail, "storage", "degraded", "bring the guardians that are gone back", 4},
		"unhealthy": {exitVerification, func(_ *testing.T, c *guardiantest.Cluster) {
			says(c, 4, func(s *api.StatusResponse) { s.Status = "unhealthy" })
		}, verdictFail, "storage", "its status is unhealthy", "errors of the storage", 4},
		"damaged": {exitVerification, func(t *testing.T, c *guardiantest.Cluster) {
			pushOnly(t, c, 0)
			c.Corrupt(0, damagedID)
			asked, err := client.New(c.URLs()[0], "")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = asked.Pull(t.Context(), api.PullRequest{Identity: damagedID}) // finds it
		}, verdictFail, "quarantine", "1 identities are damaged", "guardianctl quarantine list", 0},
		"to be repaired": {exitOK, func(_ *testing.T, c *guardiantest.Cluster) {
			says(c, 3, func(s *api.StatusResponse) { s.RepairQueue = 12 })
		}, verdictWarn, "repair", "12 wait", "guardianctl repair status", 3},
		"other version": {exitOK, func(_ *testing.T, c *guardiantest.Cluster) {
			says(c, 3, func(s *api.StatusResponse) { s.Version = "9.9.9" })
		}, verdictWarn, "versions", "9.9.9: node-3", "end the upgrade", nobodySick},
		"fewer shares": {
			exitOK, func(t *testing.T, c *guardiantest.Cluster) { pushOnly(t, c, 2) },
			verdictWarn, "shares", "1: node-2", "guardianctl scrub", nobodySick,
		},
		"one key for two": {exitVerification, func(_ *testing.T, c *guardiantest.Cluster) {
			for i := range 2 {
				says(c, i, func(s *api.StatusResponse) { s.NodeKey = strings.Repeat("ab", 32) })
			}
		}, verdictFail, "keys", "is that of node-0 and node-1", "a node key of its own", nobodySick},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := guardiantest.New(t, 5)
			test.plant(t, c)
			about := ""
			if test.sick != nobodySick {
				about = c.URLs()[test.sick]
			}
			examined(t, test.code, c.URLs()).finds(t, test.as, test.check, about, test.found, test.next)
		})
	}
}

const nobodySick = -1

func unready(own http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != api.RouteReadyz {
			own.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":"not ready","code":"not_ready","reason":"the disk is on fire"}`)
	})
}

// Who does not answer makes no check of what was not seen ok.
func TestDoctorOfNobody(t *testing.T) {
	t.Parallel()
	urls := []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}
	d := examined(t, exitVerification, urls)
	if d.OK != 0 || d.Failed != 4 {
		t.Errorf("found %+v", d)
	}
	urls = guardiantest.New(t, 5).URLs()
	urls[1] += "/v1"
	examined(t, exitVerification, urls).finds(t, verdictFail, "reachable", urls[1], "", "without a path")
}

// behindCertificate is a proxy to a guardian with a certificate of its own, and the
// file of who is to be trusted for it.
func behindCertificate(t *testing.T, plain string, begins, ends time.Time, names ...string) (secured, caFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: begins, NotAfter: ends, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: names,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse(plain)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{made}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), 0o600); err != nil {
		t.Fatal(err)
	}
	return server.URL, caFile
}

func TestDoctorOfCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		code        int
		begins, end time.Duration
		as          verdict
		found, next string
	}{
		"sound":           {exitOK, -day, 300 * day, verdictOK, "the first one to expire does so on ", ""},
		"near its end":    {exitOK, -350 * day, 15 * day, verdictWarn, "in 14 days", "renew it"},
		"almost over":     {exitVerification, -350 * day, day, verdictFail, "in 0 days", "renew it"},
		"over":            {exitVerification, -350 * day, -day, verdictFail, "expired", "renew it where GUARDIAN_TLS_CERT_FILE points to"},
		"short, and well": {exitOK, -day, 5 * day, verdictOK, "the first one to expire", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			urls := guardiantest.New(t, 5).URLs()
			secured, caFile := behindCertificate(t, urls[3], now.Add(test.begins), now.Add(test.end))
			urls[3] = secured
			d := examined(t, test.code, urls, "--ca-file", caFile)
			about := secured
			if test.as == verdictOK {
				about = ""
			}
			d.finds(t, test.as, "certificate", about, test.found, test.next)
		})
	}
	urls := guardiantest.New(t, 5).URLs()
	urls[0], _ = behindCertificate(t, urls[0], now, now.Add(day))
	examined(t, exitVerification, urls).finds(t, verdictFail, "certificate", urls[0], "unknown authority", "--ca-file")
	for guardian, want := range map[string]verdict{"http://localhost:7500": verdictOK, "http://[::1]:7500": verdictOK, "http://g1.example": verdictWarn, "http://10.0.0.1:7500": verdictWarn} {
		if f := encrypted(guardian); f.Verdict != want {
			t.Errorf("%s: %+v", guardian, f)
		}
	}
}

func TestDoctorOfMembers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		views []client.GuardianView
		as    verdict
		found string
	}{
		"all well":     {[]client.GuardianView{viewFrom(1, "alive", "alive"), viewFrom(2, "alive", "alive")}, verdictOK, "all see the same 2, alive"},
		"one dead":     {[]client.GuardianView{viewFrom(1, "alive", "alive", "dead"), viewFrom(2, "alive", "alive", "dead")}, verdictFail, "g3 is dead to 2 of 2"},
		"one not seen": {[]client.GuardianView{viewFrom(1, "alive", "alive"), viewFrom(2, "", "alive")}, verdictWarn, "state of g1, and who says so"},
		"one not asked": {
			[]client.GuardianView{viewFrom(1, "alive", "alive", "alive"), viewFrom(2, "alive", "alive", "alive")},
			verdictWarn, "g3 is a member and was not asked (https://g3.example)",
		},
	} {
		var visits []visited
		for i := range test.views {
			test.views[i].Status.PeerPort = 7501
			visits = append(visits, visited{view: test.views[i]})
		}
		if f := membership(compare(test.views, nil), visits); f.Verdict != test.as || !strings.Contains(f.Found, test.found) || (f.Next == "") != (test.as == verdictOK) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDoctorOfAnAdminPlane(t *testing.T) {
	t.Parallel()
	urls, store := guardiantest.New(t, 5).URLs(), backendtest.NewMemory()
	plane := realPlane(t, store)
	for key, data := range store.Objects() {
		if strings.HasPrefix(key, "shares/"+damagedID) && strings.HasSuffix(key, "share.bin") {
			data[0] ^= 1
			if _, err := store.Put(t.Context(), key, data, backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		}
	}
	guardianctl(t, exitVerification, "scrub", "--admin", plane)
	guardianctl(t, exitFailure, "repair", "run", "--admin", plane)
	d := examined(t, exitVerification, urls, "--admin", plane)
	d.finds(t, verdictFail, "scrub", plane, "1 are not as they should be", "guardianctl repair status")
	d.finds(t, verdictFail, "repair", plane, "1 could not be repaired yet", "guardianctl repair status")
	d.finds(t, verdictWarn, "backup age", plane, "there never was a backup", "guardianctl backup full")
	examined(t, exitVerification, urls, "--admin", "http://127.0.0.1:1").finds(t, verdictFail, "admin", "127.0.0.1:1", "asking the guardian", "start the guardian")
}

func TestDoctorOfBackups(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 8, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) last.State {
		return last.State{Backup: last.Backup{ID: "an-id", Kind: "full", FinishedNS: now.Add(-d).UnixNano()}}
	}
	for name, test := range map[string]struct {
		state       last.State
		as          verdict
		found, next string
	}{
		"recent":       {ago(time.Hour), verdictOK, "an-id, ended on 2026-03-08T11:00:00Z", ""},
		"just recent":  {ago(26 * time.Hour), verdictOK, "an-id", ""},
		"old":          {ago(26*time.Hour + time.Minute), verdictWarn, "an-id", "guardianctl backup incremental"},
		"very old":     {ago(50*time.Hour + time.Minute), verdictFail, "an-id", "guardianctl backup incremental"},
		"never":        {last.State{}, verdictWarn, "there never was a backup", "guardianctl backup full"},
		"not believed": {last.State{Problem: "is not believed: why"}, verdictFail, "is not believed: why", "find out who writes to the storage"},
	} {
		if f := backupAge("g1", test.state, now); f.Check != "backup age" || f.Verdict != test.as || !strings.Contains(f.Found, test.found) || !strings.Contains(f.Next, test.next) || (f.Next == "") != (test.as == verdictOK) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func secretIn(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("a-token-of-a-test"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDoctorOfFiles(t *testing.T) {
	t.Parallel()
	urls, dir, now := guardiantest.New(t, 5).URLs(), storageWith(t, soundID), time.Now()
	key, readable, gone := filepath.Join(dir, "integrity.key"), secretIn(t, 0o640), filepath.Join(dir, "gone")
	if err := os.Chtimes(key, now, now.Add(-400*day)); err != nil {
		t.Fatal(err)
	}
	d := examined(t, exitVerification, urls, "--token-file", readable, "--secret-file", gone, "--secret-file", dir, "--storage", dir)
	d.finds(t, verdictFail, "files", readable, "others may use it (mode 0640)", "chmod 600 "+readable)
	d.finds(t, verdictFail, "files", gone, "not there", "put it back")
	d.finds(t, verdictFail, "files", dir, "not a regular file", "")
	d.finds(t, verdictWarn, "files", key, "as it was 400 days ago", "guardianctl rekey")
	guardianctl(t, exitFailure, "doctor", "--guardians", strings.Join(urls, ","), "--storage", gone)
}

func TestSkew(t *testing.T) {
	t.Parallel()
	from := time.Unix(1000, 900_000_000)
	until := from.Add(3 * time.Second)
	for date, want := range map[int64]time.Duration{1000: 0, 1003: 0, 1010: 6100 * time.Millisecond, 990: -9900 * time.Millisecond} {
		if got := skewOf(time.Unix(date, 0), from, until); got != want {
			t.Errorf("%d: %v, want %v", date, got, want)
		}
	}
}
