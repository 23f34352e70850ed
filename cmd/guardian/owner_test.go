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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
)

const (
	crashOwners    = 8
	identitiesEach = 4
	maxCrashShare  = 64 << 10
)

// owner works on identities of its own, one operation at a time, so that it
// knows what must be there.
type owner struct {
	random  *rand.Rand
	size    func(*rand.Rand) int // of the next share
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
	o := &owner{
		random: rand.New(rand.NewPCG(uint64(n), rand.Uint64())),
		size:   func(r *rand.Rand) int { return 1 + r.IntN(maxCrashShare) },
	}
	for i := range identitiesEach {
		o.records = append(o.records, &known{identity: fmt.Sprintf("%064x", n*identitiesEach+i)})
	}
	return o
}

// outcome is what became of one operation.
type outcome int

const (
	acknowledged outcome = iota
	unavailable          // as the storage cannot be used, or is too slow
	cutOff
)

// work carries out one operation, or one again that was not acknowledged.
func (o *owner) work(t *testing.T, client *crashClient) outcome {
	r := o.records[o.random.IntN(len(o.records))]
	again := client.patient || r.pending != nil
	if r.pending == nil {
		next := o.next(r)
		r.pending = &next
	}
	status, body, err := client.send(r.identity, *r.pending)
	switch {
	case err != nil:
		return cutOff
	case isUnavailable(status, body):
		return unavailable
	case again:
		r.answered(t, status, body)
	case status == http.StatusOK:
		r.acked, r.pending = *r.pending, nil
	default:
		t.Errorf("%s of version %d answered %d %s", verb(*r.pending), r.pending.version, status, body)
	}
	return acknowledged
}

func isUnavailable(status int, body []byte) bool {
	return status == http.StatusServiceUnavailable && bytes.Contains(body, []byte(`"storage_unavailable"`))
}

func (o *owner) next(r *known) state {
	if r.acked.live && o.random.IntN(5) == 0 {
		return state{version: r.acked.version}
	}
	share := make([]byte, o.size(o.random))
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

// check pulls and compares.
func (r *known) check(t *testing.T, client *crashClient) {
	t.Helper()
	found, err := client.pull(r.identity)
	if err != nil {
		t.Errorf("%s: %v", r.identity, err)
		return
	}
	r.compare(t, found)
}

// compare wants what was found to be what was acknowledged last, or what was cut
// off after it.
func (r *known) compare(t *testing.T, found state) {
	t.Helper()
	if found.sameShare(r.acked) || r.pending != nil && found.sameShare(*r.pending) {
		return
	}
	pending := state{}
	if r.pending != nil {
		pending = *r.pending
	}
	t.Errorf("%s holds %v; acknowledged was %v, cut off was %v", r.identity, found, r.acked, pending)
}

// String leaves out the bytes, of which there are too many to read.
func (s state) String() string {
	return fmt.Sprintf("version %d (live %v, %d bytes)", s.version, s.live, len(s.share))
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
	if err != nil {
		t.Errorf("sending again: %v", err)
		return
	}
	r.answered(t, status, body)
}

// answered takes in the answer to what is pending, which may have been carried
// out before.
func (r *known) answered(t *testing.T, status int, body []byte) {
	t.Helper()
	var failure api.ErrorResponse
	_ = json.Unmarshal(body, &failure) // an answer of another shape matches nothing below
	conflict, _ := errors.AsType[*api.VersionConflictError](failure.Err())
	switch {
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
	// deaf takes answers that come from now on for lost.
	deaf atomic.Bool
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
	if err != nil {
		return state{}, err
	}
	return pulled(status, body)
}

// pulled is what the answer to a pull says that there is.
func pulled(status int, body []byte) (state, error) {
	if status == http.StatusNotFound {
		return state{}, nil
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
	again := false
	for deadline := time.Now().Add(patience); ; again = true {
		status, answer, err = c.postOnce(route, body)
		switch {
		case c.patient && isUnavailable(status, answer) && time.Now().Before(deadline):
			time.Sleep(5 * time.Millisecond)
			continue
		case again && bytes.Contains(answer, []byte(`"stored":true`)): // by the attempt before
			return http.StatusOK, answer, nil
		}
		return status, answer, err
	}
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
	if c.deaf.Load() {
		return 0, nil, errors.New("the answer came too late")
	}
	return response.StatusCode, answer, err
}
