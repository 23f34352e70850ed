package main

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// TestClockJumpsInMidPush puts a clock forward by more than a day between the
// objects of a push and its commit, and has a scrub run by that clock: what is
// acknowledged must be there although its objects seem to have been left behind
// long ago.
func TestClockJumpsInMidPush(t *testing.T) {
	t.Parallel()
	binary, server := buildWithClock(t), s3test.Versity(t)
	for name, another := range map[string]bool{"the guardian that pushes": false, "another replica": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 3 { // on a busy machine the scrub may take longer than the push is given
				if jumpInMidPush(t, binary, server, another) {
					return
				}
			}
			t.Error("no push was acknowledged")
		})
	}
}

// jumpInMidPush reports whether the push was acknowledged.
func jumpInMidPush(t *testing.T, binary string, server *s3test.Server, another bool) bool {
	t.Helper()
	proxy, clock := s3test.NewProxy(t, server), newClock(t)
	environ := slices.Concat(bucketEnviron(proxy, server.NewBucket(t)), []string{"GUARDIAN_ADMIN_BIND=127.0.0.1:0", "GUARDIAN_SCRUB_INTERVAL=0"})
	jumps := launchOpen(t, binary, append(environ, clock.environ())...)
	pushes := jumps
	if another {
		pushes = launchOpen(t, binary, environ...)
	}
	client := newCrashClient(pushes)
	defer client.close()

	committing, scrubbed := holdCommit(proxy)
	share := known{identity: strings.Repeat("a", 64), pending: &state{version: 1, live: true, share: []byte("share")}}
	type answer struct {
		status int
		body   []byte
		err    error
	}
	answered := make(chan answer)
	go func() {
		status, body, err := client.send(share.identity, *share.pending)
		answered <- answer{status, body, err}
	}()
	<-committing
	clock.set(t, 25*time.Hour)
	scrub(t, jumps)
	close(scrubbed)
	switch got := <-answered; {
	case got.err == nil && got.status == http.StatusServiceUnavailable:
		return false
	case got.err != nil || got.status != http.StatusOK:
		t.Fatalf("the push answered %d %s, %v", got.status, got.body, got.err)
	}
	share.acked, share.pending = *share.pending, nil
	share.check(t, client)
	return true
}

func launchOpen(t *testing.T, binary string, environ ...string) *process {
	t.Helper()
	p, err := launch(binary, t.TempDir(), bareEnvironment(environ...), "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	eventually(t, "it says where its admin plane is", func() bool { return p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") != "" })
	return p
}

// holdCommit holds the next write of a `version` object back from when committing
// is closed until goOn is closed.
func holdCommit(proxy *s3test.Proxy) (committing, goOn chan struct{}) {
	committing, goOn = make(chan struct{}), make(chan struct{})
	var once sync.Once
	proxy.Inject(func(r s3test.Request) s3test.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.Key, "/version") {
			once.Do(func() { close(committing); <-goOn })
		}
		return s3test.Fault{}
	})
	return committing, goOn
}

// scrub has a guardian read all that it stores, which is one identity.
func scrub(t *testing.T, p *process) {
	t.Helper()
	url := startScrub(t, p)
	eventually(t, "it has scrubbed", func() bool {
		progress := fetch(url)
		return strings.Contains(progress, `"scrubbed":1`) && strings.Contains(progress, `"running":false`)
	})
}

// startScrub returns where to ask how it gets on.
func startScrub(t *testing.T, p *process) (url string) {
	t.Helper()
	url = "http://" + p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") + "/admin/scrub"
	response, err := http.Post(url, "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return url
}
