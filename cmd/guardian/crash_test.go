package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
)

const (
	crashRounds     = 20
	crashRoundsLong = 300
	crashOwners     = 8
	identitiesEach  = 4
	maxCrashShare   = 64 << 10
)

// TestCrash kills the real program at random moments under load. After each
// restart everything that was acknowledged is there, nothing is torn, every
// share verifies, and what was not acknowledged can be sent again as it was.
func TestCrash(t *testing.T) {
	rounds := crashRounds
	if os.Getenv("GUARDIAN_TEST_LONG") == "1" {
		rounds = crashRoundsLong
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "guardian")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	owners := make([]*owner, crashOwners)
	for i := range owners {
		owners[i] = newOwner(i)
	}
	acknowledged, unanswered := 0, 0
	for round := range rounds {
		acks := crashOnce(t, binary, dir, owners)
		acknowledged += acks
		unanswered += settle(t, binary, dir, owners)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d operations acknowledged, %d cut off", rounds, acknowledged, unanswered)
	if acknowledged == 0 || unanswered == 0 {
		t.Errorf("%d acknowledged and %d cut off: that was no test", acknowledged, unanswered)
	}
}

func launchForCrash(t *testing.T, binary, dir string) *process {
	t.Helper()
	// With GUARDIAN_REQUIRE_ALL_SHARES a share that does not verify is a
	// start that fails.
	p, err := launch(binary, dir, bareEnvironment("GUARDIAN_REQUIRE_ALL_SHARES=1", "GUARDIAN_LOG_LEVEL=warn"),
		"--storage", "storage", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// crashOnce lets all owners work until the process is killed, at a number of
// acknowledgements drawn at random and a little later.
func crashOnce(t *testing.T, binary, dir string, owners []*owner) int {
	t.Helper()
	p := launchForCrash(t, binary, dir)
	client := newCrashClient(p)
	defer client.close()
	var acks atomic.Int64
	until := int64(rand.IntN(60))
	reached := make(chan struct{})
	var working sync.WaitGroup
	for _, o := range owners {
		working.Go(func() {
			for o.work(t, client) {
				if acks.Add(1) == until+1 {
					close(reached)
				}
			}
		})
	}
	select {
	case <-reached:
	case <-time.After(patience):
		t.Errorf("only %d operations acknowledged", acks.Load())
	}
	time.Sleep(rand.N(10 * time.Millisecond)) // the random moment itself
	p.kill()
	working.Wait()
	return int(acks.Load())
}

// settle starts again, checks every identity, sends again what was cut off,
// and returns how much that was.
func settle(t *testing.T, binary, dir string, owners []*owner) (unanswered int) {
	t.Helper()
	p := launchForCrash(t, binary, dir)
	client := newCrashClient(p)
	defer client.close()
	for _, o := range owners {
		for _, r := range o.records {
			r.check(t, client)
			if r.pending != nil {
				unanswered++
				r.sendAgain(t, client)
				r.check(t, client)
			}
		}
	}
	p.kill()
	return unanswered
}

// owner works on identities of its own, one operation at a time, so that it
// knows what must be there.
type owner struct {
	random  *rand.Rand
	records []*known
}

// known is what an owner knows of one identity.
type known struct {
	identity string
	acked    state
	pending  *state // sent, and cut off
}

// state is what one operation leaves behind; the zero state is "never pushed".
type state struct {
	version uint64
	live    bool
	share   []byte
}

func newOwner(n int) *owner {
	o := &owner{random: rand.New(rand.NewPCG(uint64(n), rand.Uint64()))}
	for i := range identitiesEach {
		o.records = append(o.records, &known{identity: fmt.Sprintf("%064x", n*identitiesEach+i)})
	}
	return o
}

// work carries out one operation; false when it was cut off.
func (o *owner) work(t *testing.T, client *crashClient) bool {
	r := o.records[o.random.IntN(len(o.records))]
	next := o.next(r)
	r.pending = &next
	status, body, err := client.send(r.identity, next)
	if err != nil {
		return false
	}
	if status != http.StatusOK {
		t.Errorf("%s of version %d answered %d %s", verb(next), next.version, status, body)
		return false
	}
	r.acked, r.pending = next, nil
	return true
}

func (o *owner) next(r *known) state {
	if r.acked.live && o.random.IntN(5) == 0 {
		return state{version: r.acked.version}
	}
	share := make([]byte, 1+o.random.IntN(maxCrashShare))
	for i := range share {
		share[i] = byte(o.random.Uint32())
	}
	return state{version: r.acked.version + 1, live: true, share: share}
}

func verb(s state) string {
	if s.live {
		return "push"
	}
	return "delete"
}

// check pulls: what is there must be what was acknowledged last, or what was
// cut off after it.
func (r *known) check(t *testing.T, client *crashClient) {
	t.Helper()
	found, err := client.pull(r.identity)
	if err != nil {
		t.Errorf("%s: %v", r.identity, err)
		return
	}
	if found.sameShare(r.acked) || r.pending != nil && found.sameShare(*r.pending) {
		return
	}
	t.Errorf("%s holds version %d (live %v, %d bytes); acknowledged was %d (live %v, %d bytes), cut off %+v",
		r.identity, found.version, found.live, len(found.share), r.acked.version, r.acked.live, len(r.acked.share), r.pending)
}

// sameShare tells whether a pull cannot tell the states apart.
func (s state) sameShare(other state) bool {
	if !s.live || !other.live {
		return s.live == other.live
	}
	return s.version == other.version && bytes.Equal(s.share, other.share)
}

// sendAgain sends just what was cut off. It succeeds, or turns out to have
// been carried out.
func (r *known) sendAgain(t *testing.T, client *crashClient) {
	t.Helper()
	status, body, err := client.send(r.identity, *r.pending)
	var failure api.ErrorResponse
	_ = json.Unmarshal(body, &failure) // an answer of another shape matches nothing below
	conflict, _ := errors.AsType[*api.VersionConflictError](failure.Err())
	switch {
	case err != nil:
		t.Errorf("sending again: %v", err)
	case status == http.StatusOK,
		r.pending.live && conflict != nil && conflict.Stored,
		!r.pending.live && status == http.StatusNotFound:
		r.acked, r.pending = *r.pending, nil
	default:
		t.Errorf("%s of version %d of %s, sent again, answered %d %s", verb(*r.pending), r.pending.version, r.identity, status, body)
	}
}

type crashClient struct {
	base string
	http *http.Client
	// patient asks again when the storage was too slow for an answer, as it is
	// on a machine that does much else.
	patient bool
}

func newCrashClient(p *process) *crashClient {
	return &crashClient{base: "http://" + p.address, http: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: crashOwners},
	}}
}

func (c *crashClient) close() { c.http.CloseIdleConnections() }

func (c *crashClient) send(identity string, s state) (int, []byte, error) {
	if !s.live {
		return c.post(api.RouteDelete, api.DeleteRequest{Identity: identity, Version: &s.version})
	}
	return c.post(api.RoutePush, api.PushRequest{
		Identity: identity, Version: &s.version, Share: base64.StdEncoding.EncodeToString(s.share),
	})
}

func (c *crashClient) pull(identity string) (state, error) {
	status, body, err := c.post(api.RoutePull, api.PullRequest{Identity: identity})
	if err != nil || status == http.StatusNotFound {
		return state{}, err
	}
	if status != http.StatusOK {
		return state{}, fmt.Errorf("pull answered %d %s", status, body)
	}
	var answer api.PullResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		return state{}, err
	}
	share, err := base64.StdEncoding.DecodeString(answer.Share)
	return state{answer.Version, true, share}, err
}

func (c *crashClient) post(route string, body any) (status int, answer []byte, err error) {
	const attempts = 5
	for attempt := range attempts {
		status, answer, err = c.postOnce(route, body)
		switch {
		case c.patient && status == http.StatusServiceUnavailable && bytes.Contains(answer, []byte(`"storage_unavailable"`)):
			continue
		case attempt > 0 && bytes.Contains(answer, []byte(`"stored":true`)): // by the attempt before
			return http.StatusOK, answer, nil
		}
		return status, answer, err
	}
	return status, answer, err
}

func (c *crashClient) postOnce(route string, body any) (int, []byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.base+route, strings.NewReader(string(text)))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}
