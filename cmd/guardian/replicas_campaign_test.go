package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/vault-guardian/guardian/api"
)

// size is how much a campaign does.
type size struct{ clients, identities, calls, kills int }

// campaign is many clients who work on a few identities through the replicas
// of one node, and what they were answered.
type campaign struct {
	size
	fleet    *fleet
	subjects []*subject
	start    time.Time
	left     atomic.Int64 // calls to be made
	done     atomic.Int64
	ids      atomic.Int64 // given out to clients
	killDue  chan struct{}

	mu         sync.Mutex
	history    []porcupine.Operation
	unknown    int
	unexpected []string
}

// newCampaign makes a campaign whose identities no other of another number
// has.
func newCampaign(t *testing.T, f *fleet, s size, number int) *campaign {
	c := &campaign{size: s, fleet: f, start: time.Now(), killDue: make(chan struct{}, s.kills+1)}
	for i := range s.identities {
		c.subjects = append(c.subjects, &subject{identity: fmt.Sprintf("%032x%032x", number, i)})
	}
	c.left.Store(int64(s.calls))
	t.Cleanup(func() { c.left.Store(0) }) // if the test ends before its clients
	return c
}

// run lets all clients work, and kills and replaces replicas meanwhile.
func (c *campaign) run(t *testing.T) {
	t.Helper()
	var working sync.WaitGroup
	for turn := range c.clients {
		working.Go(func() { c.work(turn) })
	}
	for n := range c.kills {
		<-c.killDue
		i := n % len(c.fleet.replicas)
		c.fleet.stop(t, i)
		c.fleet.start(t, i)
		c.fleet.node.proxy.Reset() // which would remember every request
	}
	working.Wait()
}

// work is one client. It goes on as another one after a call that was not
// answered, as that call may still be under way.
func (c *campaign) work(turn int) {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	id := c.newClient()
	for ; c.left.Add(-1) >= 0; turn++ {
		s := c.choose(random)
		if r := c.issue(id, turn, s, s.draw(random)); r.verdict == verdictUnknown {
			id = c.newClient()
		}
		if c.kills > 0 && c.done.Add(1)%int64(c.calls/(c.kills+1)) == 0 {
			c.killDue <- struct{}{}
		}
	}
}

func (c *campaign) newClient() int { return int(c.ids.Add(1)) - 1 }

// choose prefers the first few identities, so that clients meet there.
func (c *campaign) choose(random *rand.Rand) *subject {
	const popular = 8
	if n := min(popular, len(c.subjects)); random.IntN(4) == 0 {
		return c.subjects[random.IntN(n)]
	}
	return c.subjects[random.IntN(len(c.subjects))]
}

// issue makes a call and takes down what became of it.
func (c *campaign) issue(client, turn int, s *subject, what call) reply {
	called := time.Since(c.start)
	r, err := c.ask(turn, what)
	answered := time.Since(c.start)
	s.learn(what, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.unexpected = append(c.unexpected, fmt.Sprintf("%s of %s: %v", what, what.identity, err))
	}
	if r.verdict == verdictUnknown {
		c.unknown++
		if what.kind == kindPull { // without an effect
			return r
		}
	}
	c.history = append(c.history, porcupine.Operation{
		ClientId: client, Input: what, Call: int64(called), Output: r, Return: int64(answered),
	})
	return r
}

func (c *campaign) ask(turn int, what call) (reply, error) {
	switch what.kind {
	case kindPush:
		return understand(c.fleet.ask(turn, api.RoutePush, api.PushRequest{
			Identity: what.identity, Version: &what.version, Share: what.share, Threshold: what.threshold,
		}))
	case kindDelete:
		return understand(c.fleet.ask(turn, api.RouteDelete, api.DeleteRequest{Identity: what.identity, Version: &what.version}))
	}
	return understand(c.fleet.ask(turn, api.RoutePull, api.PullRequest{Identity: what.identity}))
}

// understand returns an error for an answer that nobody should get, whose
// outcome is then as unknown as that of none.
func understand(status int, body []byte, err error) (reply, error) {
	if err != nil { // of the connection
		return reply{verdict: verdictUnknown}, nil
	}
	if status == http.StatusOK {
		var got api.PullResponse // of which other answers have the version at most
		err := json.Unmarshal(body, &got)
		return reply{version: got.Version, share: got.Share, threshold: got.Threshold}, err
	}
	var failure api.ErrorResponse
	if err := json.Unmarshal(body, &failure); err != nil {
		return reply{verdict: verdictUnknown}, err
	}
	err = failure.Err()
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok {
		return reply{verdict: verdictConflict, current: conflict.Current, stored: conflict.Stored}, nil
	}
	switch {
	case errors.Is(err, api.ErrNotFound):
		return reply{verdict: verdictNotFound}, nil
	case errors.Is(err, api.ErrStorageUnavailable):
		return reply{verdict: verdictUnknown}, nil
	}
	return reply{verdict: verdictUnknown}, fmt.Errorf("answered %d %s", status, body)
}

// subject is an identity, and what the clients together know of it.
type subject struct {
	identity string

	mu   sync.Mutex
	seen uint64 // the highest version that an answer told of
	last call   // the latest push
}

func (s *subject) learn(what call, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = max(s.seen, r.version, r.current)
	if what.kind == kindPush && r.verdict == verdictOK {
		s.seen = max(s.seen, what.version)
	}
}

// draw chooses a call: pulls, pushes around the version seen last, and a few
// deletes.
func (s *subject) draw(random *rand.Rand) call {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := random.IntN(100)
	switch {
	case n < 40:
		return call{kind: kindPull, identity: s.identity}
	case n < 45:
		return call{kind: kindDelete, identity: s.identity, version: s.seen}
	case n < 47:
		return call{kind: kindDelete, identity: s.identity, version: s.seen + 1}
	case n < 60 && s.last.identity != "":
		return s.last // the same bytes again
	}
	version := s.seen + 1
	switch {
	case n < 68:
		version = s.seen
	case n < 74:
		version = s.seen - min(s.seen, 1)
	case n < 78:
		version = s.seen + 2
	}
	s.last = s.push(random, version)
	return s.last
}

func (s *subject) push(random *rand.Rand, version uint64) call {
	const maxShare = 64
	share := make([]byte, 1+random.IntN(maxShare))
	for i := range share {
		share[i] = byte(random.Uint32())
	}
	thresholds := []int{0, api.MinThreshold, api.MaxThreshold}
	return call{
		kind: kindPush, identity: s.identity, version: version,
		share: base64.StdEncoding.EncodeToString(share), threshold: thresholds[random.IntN(len(thresholds))],
	}
}
