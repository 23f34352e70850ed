package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/limit"
)

func limited(t testing.TB, what string, got answer) {
	t.Helper()
	exactly(t, what, got, 429, `{"error":"rate limit exceeded","code":"rate_limited"}`)
	if seconds := got.header.Get("Retry-After"); seconds == "" || seconds == "0" || strings.Trim(seconds, "0123456789") != "" {
		t.Errorf("%s: Retry-After is %q", what, seconds)
	}
}

// Whoever watches a guardian takes nothing from those who use it.
func TestHealthUsesNoBudget(t *testing.T) {
	p := start(t, nil, withLimits(limit.Config{PerAddress: 3}))
	watch := func() {
		t.Helper()
		for _, route := range []string{
			api.RouteHealthz, api.RouteHealth, api.RouteReadyz, api.RouteReady,
			api.RouteV1Health, api.RouteStatus, api.RouteGuardians, api.RouteOpenAPI,
		} {
			if got := p.do(t, http.MethodGet, route, "", nil); got.status != 200 {
				t.Errorf("%s answered %d", route, got.status)
			}
		}
	}
	watch()
	wants(t, "challenge", p.post(t, api.RouteChallenge, pullBody(id)), 200, "")
	watch()
	wants(t, "pull", p.post(t, pullRoute, pullBody(id)), 404, "not_found")
	wants(t, "list", p.do(t, http.MethodGet, api.RouteSecrets, "", nil), 401, "token_required")
	limited(t, "one more", p.post(t, pullRoute, pullBody(id)))
	limited(t, "one more list", p.do(t, http.MethodGet, api.RouteSecrets, "", nil))
	watch()
}

// A wrong token, proof or body is charged like a good one.
func TestRefusalsAreCharged(t *testing.T) {
	p := start(t, nil, withTokens(t, map[string]string{"default": token}), withLimits(limit.Config{PerAddress: 2}))
	wrong := http.Header{"Authorization": {"Bearer wrong"}}
	for range 2 {
		wants(t, "wrong token", p.do(t, http.MethodPost, pullRoute, pullBody(id), wrong), 401, "token_invalid")
	}
	limited(t, "wrong token", p.do(t, http.MethodPost, pullRoute, pullBody(id), wrong))
}

func forwardedFor(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }

func TestForgedForwardedFor(t *testing.T) {
	p := start(t, nil, withLimits(limit.Config{PerAddress: 2}))
	pull := func(from string) answer {
		return p.do(t, http.MethodPost, pullRoute, pullBody(id), forwardedFor(from))
	}
	for i := range 2 {
		wants(t, "pull", pull(fmt.Sprintf("192.0.2.%d", i)), 404, "not_found")
	}
	limited(t, "another address", pull("192.0.2.9"))
	limited(t, "a chain", pull("192.0.2.10, 127.0.0.1"))
}

func TestClientsBehindATrustedProxy(t *testing.T) {
	p := start(t, nil, withLimits(limit.Config{PerAddress: 1}), withTrustedProxies("127.0.0.0/8"))
	pull := func(from string) answer {
		return p.do(t, http.MethodPost, pullRoute, pullBody(id), forwardedFor(from))
	}
	wants(t, "first client", pull("192.0.2.1"), 404, "not_found")
	wants(t, "second client", pull("192.0.2.2"), 404, "not_found")
	limited(t, "first client again", pull("192.0.2.1"))
	limited(t, "forged by the first client", pull("198.51.100.7, 192.0.2.1"))
}

func TestGatewaysAreExempt(t *testing.T) {
	tokens := withTokens(t, map[string]string{"gateway": token, "other": "second"})
	p := start(t, nil, tokens, withLimits(limit.Config{PerAddress: 1, NewIdentities: 1, GatewayActors: []string{"gateway"}}))
	as := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for range 3 {
		o := newOwner()
		wants(t, "gateway", o.v1(t, p, v1{verb: auth.Push, version: 1, share: "share", header: as(token)}), 200, "")
	}
	wants(t, "other", p.do(t, http.MethodPost, pullRoute, pullBody(id), as("second")), 404, "not_found")
	limited(t, "other", p.do(t, http.MethodPost, pullRoute, pullBody(id), as("second")))
}

func TestInFlightPerActor(t *testing.T) {
	held := newStuck(t, id)
	tokens := withTokens(t, map[string]string{"one": token, "two": "second"})
	p := start(t, held.inject, tokens, withLimits(limit.Config{InFlight: 1}))
	pull := func(token string) answer {
		return p.do(t, http.MethodPost, pullRoute, pullBody(id), http.Header{"Authorization": {"Bearer " + token}})
	}
	var calls sync.WaitGroup
	calls.Go(func() { wants(t, "the one in flight", pull(token), 404, "not_found") })
	<-held.entered
	limited(t, "a second of the actor", pull(token))
	calls.Go(func() { wants(t, "another actor", pull("second"), 404, "not_found") })
	<-held.entered
	held.free()
	calls.Wait()
	wants(t, "afterwards", pull(token), 404, "not_found")
}

// Reads and writes of an identity are counted once the proof is checked, so
// that nobody else can use them up.
func TestPerIdentity(t *testing.T) {
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			p := start(t, nil, withOwnership(modes[mode]), withLimits(limit.Config{Writes: 2, Reads: 1}))
			o, thief := newOwner(), newOwner()
			thief.id = o.id
			if mode != "off" {
				for range 3 {
					stolen := o.proof(t, 1, auth.Claim{Verb: auth.Pull})
					stolen.Pubkey = thief.pubkey
					got := p.send(t, pullRoute, api.PullRequest{Identity: o.id, Proof: stolen}, nil)
					wants(t, "pull with another's key", got, 401, "ownership_invalid")
				}
			}
			push := v1{verb: auth.Push, version: 1, share: "share", proof: 1}
			wants(t, "push", o.v1(t, p, push), 200, "")
			wants(t, "push", o.v1(t, p, push), 409, "version_conflict")
			limited(t, "third push", o.v1(t, p, push))
			limited(t, "delete", o.v1(t, p, v1{verb: auth.Delete, version: 1, proof: 1}))
			wants(t, "pull", o.v1(t, p, v1{verb: auth.Pull, proof: 1}), 200, "")
			limited(t, "history", o.v1(t, p, v1{verb: auth.Pull, history: true, proof: 1}))
			limited(t, "list", o.v2(t, p, v2{method: "GET", proof: 1, session: p.session(t, o.id)}))
			wants(t, "push of another", newOwner().v1(t, p, push), 200, "")
		})
	}
}

func TestBareCallsUseUpNothingOfTheOwner(t *testing.T) {
	p := start(t, nil, withLimits(limit.Config{Writes: 1, Reads: 1}))
	o := newOwner()
	wants(t, "push", o.v1(t, p, v1{verb: auth.Push, version: 1, share: "share", proof: 1}), 200, "")
	wants(t, "bare pull", o.v1(t, p, v1{verb: auth.Pull}), 401, "ownership_required")
	limited(t, "bare pull", o.v1(t, p, v1{verb: auth.Pull}))
	wants(t, "pull", o.v1(t, p, v1{verb: auth.Pull, proof: 1}), 200, "")
}

func TestNewIdentities(t *testing.T) {
	p := start(t, nil, withLimits(limit.Config{NewIdentities: 3}))
	first, second := newOwner(), newOwner()
	session := p.session(t, first.id)
	push := v1{verb: auth.Push, version: 1, share: "share", proof: 1}
	put := func(o owner, name string, version uint64) answer {
		return o.v2(t, p, v2{method: "PUT", name: name, version: version, share: "share", proof: 1, session: p.session(t, o.id)})
	}
	wants(t, "push", first.v1(t, p, push), 200, "")
	wants(t, "stale push", first.v1(t, p, push), 409, "version_conflict")
	wants(t, "first secret", put(first, "one", 1), 200, "")
	wants(t, "refused", newOwner().v1(t, p, v1{verb: auth.Push, version: 1, share: ""}), 400, "invalid_share")
	wants(t, "third", put(second, "one", 1), 200, "")
	limited(t, "fourth push", newOwner().v1(t, p, push))
	limited(t, "fourth put", put(newOwner(), "one", 1))
	// Those that are there go on, with more names too, and after a delete.
	push.version = 2
	wants(t, "update", first.v1(t, p, push), 200, "")
	wants(t, "second secret", put(second, "two", 1), 200, "")
	wants(t, "delete", first.v2(t, p, v2{method: "DELETE", name: "one", proof: 1, session: session}), 200, "")
	wants(t, "after the delete", put(first, "one", 2), 200, "")
	wants(t, "a third name", put(first, "three", 1), 200, "")
}

func TestThousandNames(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	fill(t, p, o, guardian.MaxNames)
	session := p.session(t, o.id)
	call := func(method, name string, version uint64) answer {
		return o.v2(t, p, v2{method: method, name: name, version: version, share: "share", proof: 1, session: session})
	}
	got := call("PUT", "one-more", 1)
	wants(t, "one more", got, 400, "quota_exceeded")
	if text := got.failure(t).Error; !strings.HasPrefix(text, "secret limit exceeded") {
		t.Errorf("the error is %q", text)
	}
	wants(t, "update", call("PUT", "name-7", 2), 200, "")
	wants(t, "delete", call("DELETE", "name-7", 0), 200, "")
	wants(t, "in its place", call("PUT", "one-more", 1), 200, "")
	wants(t, "the deleted one", call("PUT", "name-7", 3), 400, "quota_exceeded")
	wants(t, "the deleted version", call("PUT", "name-7", 2), 409, "version_conflict")
	var list api.SecretsResponse
	p.getInto(t, o, session, &list)
	if len(list.Secrets) != guardian.MaxNames {
		t.Errorf("%d are listed", len(list.Secrets))
	}
	wants(t, "another identity", newOwner().v1(t, p, v1{verb: auth.Push, version: 1, share: "share", proof: 1}), 200, "")
}

func fill(t *testing.T, p *plane, o owner, names int) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range names {
		group.Go(func() error {
			slot := guardian.Slot{Identity: o.id, Name: fmt.Sprintf("name-%d", i)}
			return p.node.Push(t.Context(), slot, guardian.Share{Data: []byte("share"), Version: 1}, guardian.Caller{Proof: 1})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (p *plane) getInto(t *testing.T, o owner, session string, into any) {
	t.Helper()
	header := headersOf(o.proof(t, 1, auth.Claim{Verb: auth.List}), auth.List)
	header.Set(api.HeaderSession, session)
	got := p.do(t, http.MethodGet, api.RouteSecrets, "", header)
	if err := json.Unmarshal(got.body, into); err != nil {
		t.Fatal(err)
	}
}

func TestByteQuota(t *testing.T) {
	p := startOver(t, setup{maxBytes: 10_000})
	o := newOwner()
	session := p.session(t, o.id)
	push := func(version uint64, size int, manifest string) answer {
		return o.v1(t, p, v1{verb: auth.Push, version: version, share: strings.Repeat("s", size), manifest: manifest, proof: 1})
	}
	put := func(name string, version uint64, size int) answer {
		return o.v2(t, p, v2{method: "PUT", name: name, version: version, share: strings.Repeat("s", size), proof: 1, session: session})
	}
	wants(t, "too large", push(1, 10_001, ""), 400, "quota_exceeded")
	wants(t, "too large with its manifest", push(1, 100, o.manifest(t, "", 1, strings.Repeat("s", 100), largest)), 400, "quota_exceeded")
	wants(t, "share", push(1, 3000, ""), 200, "")
	wants(t, "secret", put("name", 1, 3000), 200, "")
	wants(t, "another secret", put("other", 1, 3000), 400, "quota_exceeded")
	wants(t, "next version beside the first", push(2, 3000, ""), 400, "quota_exceeded")
	wants(t, "stale", push(1, 3000, ""), 409, "version_conflict")
	wants(t, "delete", o.v2(t, p, v2{method: "DELETE", name: "name", proof: 1, session: session}), 200, "")
	settle(t, p)
	wants(t, "after the delete", push(2, 3000, ""), 200, "")
	// The third replaces the first: two versions are retained.
	settle(t, p)
	wants(t, "third version", push(3, 3000, ""), 200, "")
	wants(t, "another identity", newOwner().v1(t, p, v1{verb: auth.Push, version: 1, share: strings.Repeat("s", 3000), proof: 1}), 200, "")
}

// settle waits until cleaning has dropped what is no longer named.
func settle(t *testing.T, p *plane) {
	t.Helper()
	if err := p.node.Walk(t.Context(), guardian.Slot{}, func(guardian.Examined) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
