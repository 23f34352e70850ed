package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/envelope"
)

var testAdmission = ed25519.NewKeyFromSeed([]byte("the admission key of these tests"))

// realCluster is guardians that share a registry, processes of the real program.
type realCluster struct {
	dir     string
	running map[string]*realGuardian
}

type realGuardian struct {
	cmd *exec.Cmd
	url string
}

// newRealCluster starts g1 to gn, one after the other, so that gi has index i.
func newRealCluster(t testing.TB, n int, environ ...string) *realCluster {
	t.Helper()
	c := &realCluster{t.TempDir(), map[string]*realGuardian{}}
	t.Cleanup(func() {
		for _, g := range c.running {
			_ = g.cmd.Process.Kill()
			_ = g.cmd.Wait()
		}
	})
	for i := 1; i <= n; i++ {
		c.start(t, fmt.Sprintf("g%d", i), environ...)
	}
	return c
}

func (c *realCluster) start(t testing.TB, id string, environ ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "guardian"))
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir,
		"GUARDIAN_NODE_ID=" + id, "GUARDIAN_STORAGE=" + filepath.Join(c.dir, id), "GUARDIAN_REGISTRY=" + filepath.Join(c.dir, "registry"),
		"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_PEER_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0", "GUARDIAN_UNAUTHENTICATED=true",
		"GUARDIAN_HEARTBEAT_INTERVAL=200ms", "GUARDIAN_HEARTBEAT_SUSPECT_AFTER=1s", "GUARDIAN_HEARTBEAT_DEAD_AFTER=2500ms",
	}, environ...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), listenPrefix); ok {
			c.running[id] = &realGuardian{cmd, "http://" + address}
			go func() {
				for lines.Scan() {
				}
			}()
			c.await(t, id, func() bool { return c.status(id).Index != 0 || slices.ContainsFunc(environ, isAdmission) })
			return
		}
	}
	t.Fatalf("%s did not start", id)
}

func isAdmission(entry string) bool { return strings.HasPrefix(entry, "GUARDIAN_ADMISSION_KEY=") }

func (c *realCluster) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: not within a minute", what)
		}
	}
}

// said is the zero answer where there is none.
func said[T any](url string) (answer T) {
	asking := &http.Client{Timeout: 2 * time.Second}
	response, err := asking.Get(url)
	if err != nil {
		return answer
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return answer
}

func (c *realCluster) status(id string) api.StatusResponse {
	return said[api.StatusResponse](c.running[id].url + api.RouteStatus)
}

// allSee waits until all but the stopped see a member in a state, or everybody
// alive for "".
func (c *realCluster) allSee(t testing.TB, n int, which, state string) {
	t.Helper()
	for id, g := range c.running {
		if id == which && state != "alive" {
			continue
		}
		c.await(t, fmt.Sprintf("%s to see %s %s", id, which, state), func() bool {
			list := said[api.GuardiansResponse](g.url + api.RouteGuardians).Guardians
			return len(list) == n && !slices.ContainsFunc(list, func(info api.GuardianInfo) bool {
				want := "alive"
				if info.NodeID == which {
					want = state
				}
				return info.State != want
			})
		})
	}
}

// putRoster signs a roster of the nodes, in order of their indices, and waits
// until all of these have it.
func (c *realCluster) putRoster(t testing.TB, serial uint64, ids ...string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := fs.Open(filepath.Join(c.dir, "registry"))
	if err != nil {
		t.Fatal(err)
	}
	registry := cluster.NewBucket(store, log)
	defer registry.Close()
	_, rev, err := registry.Load(t.Context(), cluster.RosterKey)
	if err != nil && !errors.Is(err, cluster.ErrNoRecord) {
		t.Fatal(err)
	}
	if _, err := registry.Swap(t.Context(), cluster.RosterKey, c.sign(t, testAdmission, serial, ids...), rev); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		c.await(t, id+" to have the roster", func() bool { return c.status(id).RosterSerial == serial })
	}
}

// sign gives gi the index 10i.
func (c *realCluster) sign(t testing.TB, key ed25519.PrivateKey, serial uint64, ids ...string) []byte {
	t.Helper()
	roster := cluster.Roster{Serial: serial}
	for _, id := range ids {
		number, err := strconv.Atoi(id[1:])
		if err != nil {
			t.Fatal(err)
		}
		nodeKey, err := hex.DecodeString(c.status(id).NodeKey)
		if err != nil {
			t.Fatal(err)
		}
		roster.Entries = append(roster.Entries, cluster.Entry{NodeID: id, Index: 10 * number, Key: nodeKey})
	}
	signed, err := roster.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// liar stands before a guardian and changes what that says, once told to.
type liar struct {
	*httptest.Server
	list   atomic.Pointer[func(*api.GuardiansResponse)]
	roster atomic.Pointer[[]byte]
	silent atomic.Bool
}

func newLiar(t testing.TB, before string) *liar {
	t.Helper()
	target, err := url.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{}
	own := httputil.NewSingleHostReverseProxy(target)
	own.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.silent.Load() {
			panic(http.ErrAbortHandler)
		}
		change, roster := l.list.Load(), l.roster.Load()
		switch {
		case r.URL.Path == api.RouteGuardians && change != nil:
			answer := said[api.GuardiansResponse](before + api.RouteGuardians)
			(*change)(&answer)
			_ = json.NewEncoder(w).Encode(answer)
		case r.URL.Path == api.RouteRoster && roster != nil:
			_ = json.NewEncoder(w).Encode(api.RosterResponse{Roster: base64.StdEncoding.EncodeToString(*roster)})
		default:
			own.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *liar) lie(change func(*api.GuardiansResponse)) { l.list.Store(&change) }

// lies are what a list becomes.
var lies = map[string]func(*api.GuardiansResponse){
	"nothing": func(*api.GuardiansResponse) {},
	"shrink":  func(l *api.GuardiansResponse) { l.Guardians = l.Guardians[:3] },
	"replace": func(l *api.GuardiansResponse) { l.Guardians[4].URL = "http://127.0.0.1:1" },
	"reorder": func(l *api.GuardiansResponse) {
		l.Guardians[0].Index, l.Guardians[1].Index = l.Guardians[1].Index, l.Guardians[0].Index
	},
	"key": func(l *api.GuardiansResponse) { l.Guardians[1].NodeKey = strings.Repeat("00", 32) },
	"grow": func(l *api.GuardiansResponse) {
		l.Guardians = append(l.Guardians, api.GuardianInfo{NodeID: "mallory", Index: 66, URL: "http://127.0.0.1:6", NodeKey: strings.Repeat("66", 32)})
	},
	"move": func(l *api.GuardiansResponse) {
		for i := range l.Guardians {
			l.Guardians[i].URL = fmt.Sprintf("http://127.0.0.1:%d", i+1)
		}
	},
	"total":      func(l *api.GuardiansResponse) { l.Total = -5 },
	"forget-url": func(l *api.GuardiansResponse) { l.Guardians[4].URL = "" },
	"twice":      func(l *api.GuardiansResponse) { l.Guardians[4].URL = l.Guardians[0].URL },
	"index-256":  func(l *api.GuardiansResponse) { l.Guardians[4].Index = 256 },
	"control":    func(l *api.GuardiansResponse) { l.Guardians[4].NodeID = "g\x1b[2J" },
	"password":   func(l *api.GuardiansResponse) { l.Guardians[4].URL = "http://me:hunter2@127.0.0.1:1" },
	"disagree":   func(l *api.GuardiansResponse) { l.Guardians[1].State = "dead" },
}

// TestGuardiansScripts: `guardians N [admission]` starts real guardians, of which
// $G1 is the URL of the first, and $LIAR stands before that; `lie KIND` and
// `silence on|off` are about the latter. `stop gI`, `cont gI` and `see gI STATE` are
// about one guardian, `add gI` starts one more; `roster SERIAL gI...` puts a roster in
// force, and `old-roster SERIAL gI...` and `forged-roster SERIAL gI...` have $LIAR
// show one. `exits CODE COMMAND...` is as status in the other scripts.
func TestGuardiansScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/guardians",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Values["t"], env.Values["stage"] = env.T().(testing.TB), &played{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exitsWith,
			"guardians": startGuardians,
			"add":       inCluster(func(t testing.TB, c *realCluster, _ *liar, args []string) { c.start(t, args[0]) }),
			"lie":       inCluster(func(_ testing.TB, _ *realCluster, l *liar, args []string) { l.lie(lies[args[0]]) }),
			"silence":   inCluster(func(_ testing.TB, _ *realCluster, l *liar, args []string) { l.silent.Store(args[0] == "on") }),
			"stop":      inCluster(signalTo(syscall.SIGSTOP)),
			"cont":      inCluster(signalTo(syscall.SIGCONT)),
			"see": inCluster(func(t testing.TB, c *realCluster, _ *liar, args []string) {
				c.allSee(t, len(c.running), args[0], args[1])
			}),
			"roster": withRoster(func(t testing.TB, c *realCluster, _ *liar, serial uint64, ids []string) {
				c.putRoster(t, serial, ids...)
			}),
			"old-roster":    withRoster(showRoster(testAdmission)),
			"forged-roster": withRoster(showRoster(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))),
		},
	})
}

func startGuardians(script *testscript.TestScript, _ bool, args []string) {
	t := script.Value("t").(testing.TB)
	n, err := strconv.Atoi(args[0])
	script.Check(err)
	var environ []string
	admission := hex.EncodeToString(testAdmission.Public().(ed25519.PublicKey))
	if len(args) > 1 {
		environ = append(environ, "GUARDIAN_ADMISSION_KEY="+admission)
	}
	c := newRealCluster(t, n, environ...)
	if len(args) == 1 {
		c.allSee(t, n, "", "")
	}
	l := newLiar(t, c.running["g1"].url)
	script.Setenv("ADMISSION", admission)
	script.Setenv("G1", c.running["g1"].url)
	script.Setenv("LIAR", l.URL)
	*script.Value("stage").(*played) = played{c, l}
}

// played is what a script plays on.
type played struct {
	cluster *realCluster
	liar    *liar
}

func inCluster(do func(testing.TB, *realCluster, *liar, []string)) func(*testscript.TestScript, bool, []string) {
	return func(script *testscript.TestScript, _ bool, args []string) {
		t := script.Value("t").(testing.TB)
		on := script.Value("stage").(*played)
		do(t, on.cluster, on.liar, args)
	}
}

func signalTo(signal syscall.Signal) func(testing.TB, *realCluster, *liar, []string) {
	return func(t testing.TB, c *realCluster, _ *liar, args []string) {
		if err := c.running[args[0]].cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
}

func withRoster(do func(testing.TB, *realCluster, *liar, uint64, []string)) func(*testscript.TestScript, bool, []string) {
	return inCluster(func(t testing.TB, c *realCluster, l *liar, args []string) {
		serial, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		do(t, c, l, serial, args[1:])
	})
}

func showRoster(key ed25519.PrivateKey) func(testing.TB, *realCluster, *liar, uint64, []string) {
	return func(t testing.TB, c *realCluster, l *liar, serial uint64, ids []string) {
		signed := c.sign(t, key, serial, ids...)
		l.roster.Store(&signed)
	}
}

// TestWatch: it goes on whatever the guardians do, and Ctrl-C is its end.
func TestWatch(t *testing.T) {
	t.Parallel()
	c := newRealCluster(t, 3)
	c.allSee(t, 3, "", "")
	var urls []string
	for _, id := range []string{"g1", "g2", "g3"} {
		urls = append(urls, c.running[id].url)
	}
	watching := exec.Command(filepath.Join(binaries, "guardianctl"), "status", "--cluster", "--watch=100ms", "--timeout", "1s", "--guardians", strings.Join(urls, ","))
	piped, err := watching.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watching.Process.Kill() })
	lines := bufio.NewScanner(piped)
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), "\x1b") {
				t.Fatalf("a pipe gets %q", lines.Text())
			}
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("it ended before it showed %q", text)
	}
	until("3 of 3")
	until("3 of 3")
	for _, id := range []string{"g2", "g3"} {
		if err := c.running[id].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	until("too few guardians answer")
	until("dead")
	if err := watching.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := watching.Wait(); err != nil {
		t.Errorf("Ctrl-C ends it with %v", err)
	}
}

// TestRecoverWithWordsAlone: on an empty home directory.
func TestRecoverWithWordsAlone(t *testing.T) {
	t.Parallel()
	c := newRealCluster(t, 4)
	c.allSee(t, 4, "", "")
	words, err := envelope.NewMnemonic()
	if err != nil {
		t.Fatal(err)
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		t.Fatal(err)
	}
	list := said[api.GuardiansResponse](c.running["g2"].url + api.RouteGuardians)
	members, err := client.MembersOf(list.Guardians)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := client.NewVault(urlsOf(members), nil, 0, client.WithRoot(root), client.WithMembers(members))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Store(context.Background(), root.Identity(), []byte("kept for years")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	recovering := exec.Command(filepath.Join(binaries, "guardianctl"), "recover", "--mnemonic-file", "-", "--guardians-from", c.running["g2"].url, "--trust-on-first-use")
	recovering.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	recovering.Stdin = strings.NewReader(words)
	var out, errs bytes.Buffer
	recovering.Stdout, recovering.Stderr = &out, &errs
	if err := recovering.Run(); err != nil || out.String() != "kept for years" {
		t.Fatalf("%v: %q\n%s", err, &out, &errs)
	}
	if info, err := os.Stat(filepath.Join(home, ".config/guardian/guardians.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the list is kept as %v, %v", info, err)
	}
}
