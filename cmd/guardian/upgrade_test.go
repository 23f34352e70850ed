package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// newerVersion is that of the build that takes the place of this one.
const newerVersion = "0.1.999"

// TestRollingUpgrade replaces five guardians one by one, as the operator guide says,
// while owners store and recover: each call succeeds, at the second attempt at the
// latest, and nothing is lost.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	newer := newerBuild(t)
	l := makeLeague(t, 5)
	var urls []string
	for _, n := range l.all { // they come back where they were
		address := addressFor(t)
		urls, n.environ = append(urls, "http://"+address), append(n.environ, "GUARDIAN_BIND="+address)
	}
	l.begin(t, 5)
	load := newUpgradeLoad(t, urls, 3)
	for i, n := range l.all {
		load.goOn(t)
		must(t, n.signal(syscall.SIGTERM))
		if code, err := n.wait(); code != 0 || err != nil {
			t.Fatalf("%s: exit code %d, %v:\n%s", n.id, code, err, n.stderr)
		}
		load.goOn(t) // without it
		n.program = newer
		if l.start(t, i); t.Failed() {
			return
		}
		eventually(t, n.id+" is ready", func() bool { return ready(n) })
		l.allSee(t, l.states(nobody, ""))
		for j, other := range l.all {
			want := api.Version
			if j <= i {
				want = newerVersion
			}
			if got := ask[api.StatusResponse](other, api.RouteStatus).Version; got != want {
				t.Errorf("%s is of version %q, want %q", other.id, got, want)
			}
		}
	}
	load.goOn(t)
	load.end(t)
	l.wantConsistent(t, everyone(5)...)
	l.wantCleanEnd(t)
}

// newerBuild is this program with another version.
func newerBuild(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../../api/api.go")
	must(t, err)
	text, err := os.ReadFile(source)
	must(t, err)
	changed := bytes.Replace(text, []byte(`const Version = "`+api.Version+`"`), []byte(`const Version = "`+newerVersion+`"`), 1)
	if bytes.Equal(changed, text) {
		t.Fatalf("%s does not say which version it is", source)
	}
	dir := t.TempDir()
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: filepath.Join(dir, "api.go")}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "api.go"), changed, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	newer := filepath.Join(dir, "guardian")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", newer, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return newer
}

// addressFor is where nobody listens, nor does anybody soon: connections go out from
// ports above.
func addressFor(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func ready(n *neighbour) bool {
	response, err := impatient.Get("http://" + n.address + api.RouteReadyz)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// upgradeLoad is owners who each store and recover a secret again and again.
type upgradeLoad struct {
	owners []*upgradeOwner
	over   chan struct{}
	work   sync.WaitGroup
}

type upgradeOwner struct {
	vault    *client.Vault
	identity string
	rounds   atomic.Int64
	failed   atomic.Pointer[error]
}

func newUpgradeLoad(t *testing.T, urls []string, owners int) *upgradeLoad {
	t.Helper()
	load := &upgradeLoad{over: make(chan struct{})}
	for i := range owners {
		root, err := envelope.FromKeyFile(bytes.Repeat([]byte{byte(100 + i)}, 32))
		must(t, err)
		vault, err := client.NewVault(urls, nil, 0, client.WithRoot(root), client.WithIndices([]int{11, 12, 13, 14, 15}))
		must(t, err)
		o := &upgradeOwner{vault: vault, identity: root.Identity()}
		load.owners = append(load.owners, o)
		load.work.Go(func() { o.work(load.over) })
	}
	t.Cleanup(func() { load.end(t) })
	return load
}

func (o *upgradeOwner) work(over chan struct{}) {
	for round := int64(1); ; round++ {
		select {
		case <-over:
			return
		case <-time.After(20 * time.Millisecond):
		}
		if err := o.round(fmt.Sprintf("secret %d", round)); err != nil {
			o.failed.Store(&err)
			return
		}
		o.rounds.Store(round)
	}
}

// round stores a secret, and recovers it.
func (o *upgradeOwner) round(secret string) error {
	err := twice(func(ctx context.Context) error {
		_, err := o.vault.Store(ctx, o.identity, []byte(secret))
		return err
	})
	if err != nil {
		return fmt.Errorf("storing: %w", err)
	}
	return twice(func(ctx context.Context) error {
		got, _, err := o.vault.Pull(ctx, o.identity)
		if err == nil && string(got) != secret {
			return fmt.Errorf("%q was stored, and %q recovered", secret, got)
		}
		return err
	})
}

// twice is how often a client tries.
func twice(do func(context.Context) error) error {
	var err error
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err = do(ctx)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
}

// goOn waits until every owner has begun and ended a round from now on.
func (l *upgradeLoad) goOn(t *testing.T) {
	t.Helper()
	for i, o := range l.owners {
		before := o.rounds.Load()
		for deadline := time.Now().Add(4 * patience); o.rounds.Load() < before+2; time.Sleep(5 * time.Millisecond) {
			if err := o.failed.Load(); err != nil {
				t.Fatalf("owner %d, after %d rounds: %v", i, o.rounds.Load(), *err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("owner %d does not get on after %d rounds", i, o.rounds.Load())
			}
		}
	}
}

func (l *upgradeLoad) end(t *testing.T) {
	t.Helper()
	select {
	case <-l.over:
		return
	default:
	}
	close(l.over)
	l.work.Wait()
	for i, o := range l.owners {
		if err := o.failed.Load(); err != nil {
			t.Errorf("owner %d: %v", i, *err)
		}
	}
}
