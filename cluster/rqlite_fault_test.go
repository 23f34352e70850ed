package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// openRqlite opens a registry until the end of the test.
func openRqlite(t *testing.T, url string, options ...cluster.RqliteOption) cluster.Registry {
	t.Helper()
	r, err := cluster.OpenRqlite(url, nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestRqliteFaults fails each request of each step in every way. As there is
// nothing else wrong, no caller is to notice.
func TestRqliteFaults(t *testing.T) {
	kinds := map[string]rqlitetest.Fault{
		"no leader": rqlitetest.NoLeader, "cut": rqlitetest.Cut, "answer lost": rqlitetest.AnswerLost,
		"twice": rqlitetest.Twice, "leadership lost": rqlitetest.LeadershipLost, "leadership lost late": rqlitetest.LeadershipLostLate,
		"not leader": rqlitetest.NotLeader, "not JSON": rqlitetest.NotJSON, "short": rqlitetest.Short,
	}
	for _, s := range steps {
		calls := s.runRqlite(t, nil)
		if calls < 2 {
			t.Fatalf("%s makes %d calls", s.name, calls)
		}
		for kind, fault := range kinds {
			for n := 1; n <= calls; n++ {
				t.Run(fmt.Sprintf("%s/%s/call %d", s.name, kind, n), func(t *testing.T) {
					t.Parallel()
					s.runRqlite(t, func(i int) rqlitetest.Fault {
						if i == n {
							return fault
						}
						return rqlitetest.None
					})
				})
			}
		}
	}
}

// runRqlite runs the step on a cluster of its own and returns how many requests
// it made. inject gets the number of the request within the step.
func (s step) runRqlite(t *testing.T, inject func(n int) rqlitetest.Fault) int {
	t.Helper()
	c := rqlitetest.New(t, 1, rqlitetest.Options{})
	var before, after atomic.Int64 // the requests that are the step's
	after.Store(1 << 32)
	c.Inject = func(call rqlitetest.Call) rqlitetest.Fault {
		n := int64(call.N)
		if inject == nil || before.Load() < 0 || n <= before.Load() || n > after.Load() {
			return rqlitetest.None
		}
		return inject(int(n - before.Load()))
	}
	before.Store(-1)
	rev := s.before(t, openRqlite(t, c.URL()))
	before.Store(int64(len(c.Calls())))
	if err := s.call(t.Context(), openRqlite(t, c.URL()), rev); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
	after.Store(int64(len(c.Calls())))
	s.after(t, openRqlite(t, c.URL()), nil)
	return int(after.Load() - before.Load())
}

// TestRqliteSwapInDoubt has other writers act between the first sending of a
// swap, of which nothing is heard, and the second.
func TestRqliteSwapInDoubt(t *testing.T) {
	for _, test := range []struct {
		name    string
		fault   rqlitetest.Fault
		writers int // that follow
		want    error
	}{
		{"took effect", rqlitetest.AnswerLost, 0, nil},
		{"took effect, and was followed", rqlitetest.LeadershipLostLate, 1, nil},
		{"took effect, and was followed often", rqlitetest.AnswerLost, 15, nil},
		{"did not, and nobody wrote", rqlitetest.Cut, 0, nil},
		{"did not, and another won", rqlitetest.LeadershipLost, 1, cluster.ErrLost},
		{"did not, and others won", rqlitetest.NoLeader, 15, cluster.ErrLost},
		{"took effect, and was forgotten", rqlitetest.AnswerLost, 16, errUnknown},
		{"did not, and was forgotten", rqlitetest.NoLeader, 16, errUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := rqlitetest.New(t, 1, rqlitetest.Options{})
			database := standIn(c)
			other := database.Open(t, nil)
			var updates, hold atomic.Int64
			c.Inject = func(call rqlitetest.Call) rqlitetest.Fault {
				if hold.Load() == 0 || !strings.HasPrefix(call.SQL, "UPDATE") {
					return rqlitetest.None
				}
				switch updates.Add(1) {
				case 1:
					return test.fault
				case 2:
					hold.Store(0)
					follow(t, other, test.writers)
				}
				return rqlitetest.None
			}
			rev := wantSwap(t, other, cluster.Revision{})
			hold.Store(1)
			now, err := database.Open(t, nil).Swap(t.Context(), "key", []byte("new"), rev)
			if !errors.Is(err, test.want) && (!errors.Is(test.want, errUnknown) || err == nil || errors.Is(err, cluster.ErrLost)) {
				t.Fatalf("Swap = %v, want %v", err, test.want)
			}
			if !errors.Is(test.want, errUnknown) {
				wantUsable(t, other, now, test.want == nil && test.writers == 0)
			}
		})
	}
}

const secret = "s3cr3t&pass/word"

// TestRqliteHostile wants errors, at once or when patience ends, that hold no
// credential.
func TestRqliteHostile(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault rqlitetest.Fault
		quick bool // whether there is no use in trying again
		want  string
	}{
		{"no leader", rqlitetest.NoLeader, false, "leader not found"},
		{"silent", rqlitetest.Hang, false, "deadline exceeded"},
		{"cut", rqlitetest.Cut, false, "EOF"},
		{"not JSON", rqlitetest.NotJSON, false, "not its JSON"},
		{"short", rqlitetest.Short, false, "0 results"},
		{"endless", rqlitetest.Endless, false, "more than"},
		{"redirect", rqlitetest.Redirect, true, "301"},
		{"refused", rqlitetest.Refused, true, "401"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var visits atomic.Int64
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
			defer elsewhere.Close()
			c := rqlitetest.New(t, 2, rqlitetest.Options{User: "guardian", Password: secret})
			c.Elsewhere = elsewhere.URL
			c.Inject = func(rqlitetest.Call) rqlitetest.Fault { return test.fault }
			patience := 3 * time.Second
			if test.fault == rqlitetest.Endless {
				patience = 6 * time.Second // in a third of which a busy machine reads up to the bound
			}
			r := openRqlite(t, c.URL(), cluster.WithPatience(patience))
			start := time.Now()
			for name, err := range callAll(t.Context(), r) {
				wantHarmless(t, name, err, test.want)
			}
			if took := time.Since(start); test.quick && took > patience {
				t.Errorf("three calls took %v, though there was no use in trying again", took)
			}
			if n := visits.Load(); n != 0 {
				t.Errorf("%d requests went where a node led", n)
			}
		})
	}
}

// callAll calls every method and returns their errors.
func callAll(ctx context.Context, r cluster.Registry) map[string]error {
	_, registering := r.Register(ctx, guardianCalled("a"))
	_, listing := r.List(ctx)
	_, _, loading := r.Load(ctx, "key")
	_, swapping := r.Swap(ctx, "key", nil, cluster.Revision{})
	return map[string]error{"Register": registering, "List": listing, "Load": loading, "Swap": swapping}
}

// wantHarmless fails unless the error says what happened, in a few words and
// without the credentials.
func wantHarmless(t *testing.T, name string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s = %v, want %q in it", name, err, want)
		return
	}
	if errors.Is(err, cluster.ErrLost) || errors.Is(err, cluster.ErrNoRecord) || errors.Is(err, cluster.ErrFull) || errors.Is(err, cluster.ErrImpostor) {
		t.Errorf("%s = %v: it is said to be settled", name, err)
	}
	for _, piece := range []string{secret, "s3cr3t", "Z3VhcmRpYW46", "pass%2Fword"} {
		if strings.Contains(err.Error(), piece) {
			t.Errorf("%s quotes credentials: %v", name, err)
		}
	}
	if len(err.Error()) > 600 {
		t.Errorf("%s says %d bytes: %.700s", name, len(err.Error()), err)
	}
}

func TestRqliteWrongPassword(t *testing.T) {
	c := rqlitetest.New(t, 3, rqlitetest.Options{User: "guardian", Password: secret})
	start := time.Now()
	r := openRqlite(t, strings.Replace(c.URL(), "s3cr3t", "s3cr3t-not", 1))
	for name, err := range callAll(t.Context(), r) {
		wantHarmless(t, name, err, "401")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to give up", took)
	}
}

// TestRqliteNodesDown takes away one node after the other, in each order.
func TestRqliteNodesDown(t *testing.T) {
	for first := range 3 {
		for second := range 3 {
			if first == second {
				continue
			}
			t.Run(fmt.Sprintf("%d and %d", first, second), func(t *testing.T) {
				t.Parallel()
				c := rqlitetest.New(t, 3, rqlitetest.Options{})
				third := 3 - first - second
				r := openRqlite(t, c.URL(), cluster.WithPatience(3*time.Second))
				wantIndex(t, r, guardianCalled("a"), 1)
				c.Stop(first)
				c.Elect(second)
				wantIndex(t, r, guardianCalled("b"), 2)
				wantMembers(t, r, 2)
				c.Stop(second)
				if members, err := r.List(t.Context()); err == nil {
					t.Errorf("with one node of three left there is a list: %+v", members)
				}
				c.Start(t, first)
				c.Elect(third)
				wantIndex(t, r, guardianCalled("c"), 3)
				wantMembers(t, r, 3)
			})
		}
	}
}

// TestRqliteDownAtFirst opens a registry whose nodes come later.
func TestRqliteDownAtFirst(t *testing.T) {
	t.Parallel()
	c := rqlitetest.New(t, 1, rqlitetest.Options{User: "guardian", Password: secret})
	c.Stop(0)
	r := openRqlite(t, c.URL(), cluster.WithPatience(2*time.Second))
	for name, err := range callAll(t.Context(), r) {
		wantHarmless(t, name, err, "connection refused")
	}
	c.Start(t, 0)
	wantIndex(t, r, guardianCalled("a"), 1)
}

// TestRqliteSilentNode has the node that is asked first take requests and not
// answer.
func TestRqliteSilentNode(t *testing.T) {
	c := rqlitetest.New(t, 3, rqlitetest.Options{})
	c.Elect(1)
	c.Pause(0)
	r := openRqlite(t, c.URL(), cluster.WithPatience(3*time.Second))
	wantIndex(t, r, guardianCalled("a"), 1)
	asked := len(c.Calls())
	wantMembers(t, r, 1)
	if again := slices.ContainsFunc(c.Calls()[asked:], func(call rqlitetest.Call) bool { return call.Node == 0 }); again {
		t.Error("the silent node is asked again, though another answers")
	}
}

func TestRqliteEndedContext(t *testing.T) {
	c := rqlitetest.New(t, 1, rqlitetest.Options{})
	c.Pause(0)
	r := openRqlite(t, c.URL())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	for name, err := range callAll(ctx, r) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s = %v", name, err)
		}
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a context of 100 ms ended a call after %v", took)
	}
}

// TestRqliteReplaced has the database become another one, empty.
func TestRqliteReplaced(t *testing.T) {
	first, second := rqlitetest.New(t, 1, rqlitetest.Options{}), rqlitetest.New(t, 1, rqlitetest.Options{})
	second.Stop(0)
	r := openRqlite(t, "rqlite+http://"+first.Addresses()[0]+","+second.Addresses()[0], cluster.WithPatience(3*time.Second))
	wantIndex(t, r, guardianCalled("a"), 1)
	first.Stop(0)
	second.Start(t, 0)
	if _, err := r.Register(t.Context(), guardianCalled("a")); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("Register = %v", err)
	}
	wantIndex(t, r, guardianCalled("b"), 1)
}

// TestRqliteCorrupt plants what no guardian writes.
func TestRqliteCorrupt(t *testing.T) {
	const history = "0123456789abcdef0123456789abcdef"
	for name, record := range map[string][2]string{
		"no-history":   {"", "YQ=="},
		"bad-history":  {"zz", "YQ=="},
		"long-history": {strings.Repeat(history+",", 40) + history, "YQ=="},
		"not-base64":   {history, "*"},
		"unpadded":     {history, "YQ"},
		"too-large":    {history, strings.Repeat("AAAA", cluster.MaxRecordSize/3+1)},
	} {
		t.Run(name, func(t *testing.T) {
			c := rqlitetest.New(t, 1, rqlitetest.Options{})
			r := openRqlite(t, c.URL())
			wantMembers(t, r, 0)
			c.Execute(t, "INSERT INTO guardian_records (record_key, history, data) VALUES (?, ?, ?)", name, record[0], record[1])
			wantNoRecord(t, r, name)
		})
	}
}

// TestRqliteBlob refuses the one text that rqlite does not keep as it is.
func TestRqliteBlob(t *testing.T) {
	c := rqlitetest.New(t, 1, rqlitetest.Options{})
	r := openRqlite(t, c.URL())
	for _, domain := range []string{"x'6162'", " X'00'", "x'"} {
		m := guardianCalled("a")
		m.FailureDomain = domain
		if _, err := r.Register(t.Context(), m); !errors.Is(err, cluster.ErrInvalidMember) {
			t.Errorf("failure domain %q: %v", domain, err)
		}
	}
}

func TestRqliteTLS(t *testing.T) {
	t.Parallel()
	c := rqlitetest.New(t, 3, rqlitetest.Options{TLS: true, User: "guardian", Password: secret})
	authority := cluster.WithCAFile(c.CAFile(t))
	r := openRqlite(t, c.URL(), authority)
	wantIndex(t, r, guardianCalled("a"), 1)
	c.Stop(0)
	c.Elect(1)
	wantMembers(t, openRqlite(t, c.URL(), authority), 1)
	c.Start(t, 0)

	patience := cluster.WithPatience(2 * time.Second)
	for name, err := range callAll(t.Context(), openRqlite(t, c.URL(), patience)) {
		wantHarmless(t, name, err, "certificate")
	}
	plain := strings.Replace(c.URL(), "https", "http", 1)
	for name, err := range callAll(t.Context(), openRqlite(t, plain, patience)) {
		wantHarmless(t, name, err, "400")
	}
}

func TestRqliteCAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + "-absent", ""} {
		if _, err := cluster.OpenRqlite("rqlite+https://guardian:"+"x@h", nil, cluster.WithCAFile(path)); err == nil {
			t.Errorf("a certificate authority was read from %q", path)
		}
	}
}

func TestRqliteURL(t *testing.T) {
	for _, raw := range []string{
		"rqlite+http://h", "rqlite+http://h/", "rqlite+https://h:4001", "rqlite+http://[::1]:4001", "rqlite+http://[::1]",
		"rqlite+http://u@h", "rqlite+http://u:@h", "rqlite+http://u:p@h,i:1,[::1]:2", "rqlite+http://u:p:q@h", "rqlite+http://u%40x:p%2Fq@h:1",
	} {
		if _, err := cluster.OpenRqlite(raw, nil); err != nil {
			t.Errorf("OpenRqlite(%q) = %v", raw, err)
		}
	}
	for _, raw := range []string{
		"", "rqlite", "http://h", "rqlite+ftp://h", "rqlite+http:h", "rqlite+http:///", "rqlite+http://", "rqlite+http://,", "rqlite+http://h,",
		"rqlite+http://h,,i", "rqlite+http://h/path-s3cr3t", "rqlite+http://h?s3cr3t", "rqlite+http://h#s3cr3t", "rqlite+http://h:port", "rqlite+http://h:1:2",
		"rqlite+http://u:s3cr3t@", "rqlite+http://:s3cr3t@h", "rqlite+http://u:s3cr3t@h1,u:s3cr3t@h2", "rqlite+http://u:s3cr3t/x@h", "rqlite+http://u:s3cr3t%zz@h",
		"rqlite+http://u:s3cr3t?@h", "rqlite+http://u:s3cr3t@h i", "rqlite+http://u:s3cr3t@h\x00", "RQLITE+HTTP://u:s3cr3t@h", "rqlite+http://u:s3cr3t@h/x",
	} {
		r, err := cluster.OpenRqlite(raw, nil)
		if err == nil || r != nil {
			t.Errorf("OpenRqlite(%q) was accepted", raw)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error quotes a part of the URL: %v", err)
		}
	}
}

// TestRqliteRequests looks at what goes over the wire.
func TestRqliteRequests(t *testing.T) {
	var wrong atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok || user != "u@x" || password != secret || r.Header.Get("Content-Type") != "application/json" || r.URL.Query().Get("timeout") == "" {
			wrong.Store(fmt.Sprintf("%s with %v", r.URL, r.Header))
		}
		if body, err := io.ReadAll(r.Body); err != nil || strings.Contains(string(body), secret) {
			wrong.Store(fmt.Sprintf("%s with body %s", r.URL, body))
		}
		http.Error(w, "bad", http.StatusBadRequest)
	}))
	defer server.Close()
	r := openRqlite(t, "rqlite+http://u%40x:s3cr3t&pass%2Fword@"+strings.TrimPrefix(server.URL, "http://"))
	for name, err := range callAll(t.Context(), r) {
		wantHarmless(t, name, err, "400")
	}
	if text := wrong.Load(); text != nil {
		t.Error(text)
	}
}

// TestRqliteLevels wants no read that a new leader may answer from before writes
// that were acknowledged.
func TestRqliteLevels(t *testing.T) {
	c := rqlitetest.New(t, 1, rqlitetest.Options{})
	callAll(t.Context(), openRqlite(t, c.URL()))
	reads := map[string]int{}
	for _, call := range c.Calls() {
		if call.Path == "/db/query" {
			reads[call.Level]++
		}
	}
	if len(reads) != 2 || reads["strong"] == 0 || reads["linearizable"] == 0 {
		t.Errorf("reads by level are %v", reads)
	}
}
