package client_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/guardiantest"
	chains "github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// round is a redistribution between real guardians, of which the shares are dealt
// by one who knows the payload.
type round struct {
	*line
	chain  []byte // that of the record in force
	next   *chains.Record
	shares map[byte][]byte
	sealed []byte // its chain, certified
}

func nodeKey(i int) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", i)) }

// memberOf is guardian i, whose index is i+1.
func memberOf(c *guardiantest.Cluster, i int) client.Member {
	return client.Member{NodeID: fmt.Sprintf("node-%d", i), Index: i + 1, URL: c.URLs()[i], Key: memberKey(i)}
}

// roundsOn stores longSecret with n of more guardians, by a policy that lets the
// others join.
func roundsOn(t *testing.T, n, all int) *round {
	t.Helper()
	cluster := guardiantest.New(t, all)
	l := &line{t: t, cluster: cluster}
	l.vault = l.vaultOver(n, client.WithPolicy(client.Policy{MaxHolders: all, FirstAdmission: memberKey(99)}))
	storeEverywhere(t, l.vault, longSecret)
	l.read([]client.Option{client.WithRoot(owner)})
	l.vault = l.vaultOver(all)
	return &round{line: l, chain: decoded(t, l.stored.Manifest)}
}

func (l *line) vaultOver(n int, with ...client.Option) *client.Vault {
	l.t.Helper()
	var members []client.Member
	for i := range n {
		members = append(members, memberOf(l.cluster, i))
	}
	vault, err := client.NewVault(l.cluster.URLs()[:n], nil, 0, append(with, client.WithRoot(owner), client.WithMembers(members))...)
	if err != nil {
		l.t.Fatal(err)
	}
	return vault
}

// prepare deals to these guardians with a threshold, and has them prepare.
func (r *round) prepare(k int, to ...int) {
	r.t.Helper()
	base, err := chains.Parse(r.chain)
	if err != nil {
		r.t.Fatal(err)
	}
	p := chains.Proposal{Threshold: k}
	var points []byte
	for _, i := range to {
		points = append(points, byte(i+1))
		p.Holders = append(p.Holders, chains.Target{X: byte(i + 1), Node: memberOf(r.cluster, i).NodeID, Key: memberKey(i)})
	}
	var c chains.Certificate
	rand.Read(c.Seed[:])
	next, body, err := chains.Next(base, p, c.Seed)
	if err != nil {
		r.t.Fatal(err)
	}
	shares, err := shamir.Split(r.payload, k, points)
	if err != nil {
		r.t.Fatal(err)
	}
	draft, err := chains.Draft(r.chain, body, c.Seed)
	if err != nil {
		r.t.Fatal(err)
	}
	r.next, r.shares = next, map[byte][]byte{}
	for j, i := range to {
		r.shares[points[j]] = shares[j]
		if err := r.cluster.Node(i).Prepare(r.t.Context(), guardian.Slot{Identity: owned}, r.share(i, draft)); err != nil {
			r.t.Fatalf("guardian %d: %v", i, err)
		}
	}
	r.certify(base, body, c)
}

// certify has all old and new holders vote.
func (r *round) certify(base *chains.Record, body []byte, c chains.Certificate) {
	r.t.Helper()
	for _, h := range base.Holders {
		signed := ed25519.Sign(nodeKey(int(h.X-1)), chains.AgreedMessage(r.next.Hash, c.Seed, h.X))
		c.Agreed = append(c.Agreed, chains.Vote{X: h.X, Signature: signed})
	}
	for _, h := range r.next.Holders {
		hash := sha256.Sum256(r.shares[h.X])
		signed := ed25519.Sign(nodeKey(int(h.X-1)), chains.PreparedMessage(r.next.Hash, c.Seed, h.X, hash))
		c.Prepared = append(c.Prepared, chains.Vote{X: h.X, Share: hash, Signature: signed})
	}
	var err error
	if r.sealed, err = chains.Extend(r.chain, body, c); err != nil {
		r.t.Fatal(err)
	}
}

func (r *round) share(i int, chain []byte) guardian.Share {
	return guardian.Share{
		Data: r.shares[byte(i+1)], Version: r.next.Version, Epoch: r.next.Epoch,
		Manifest: decoded(r.t, r.stored.Manifest), Chain: chain,
	}
}

// obey makes guardians do what the certificate says.
func (r *round) obey(guardians ...int) {
	r.t.Helper()
	slot := guardian.Slot{Identity: owned}
	for _, i := range guardians {
		var err error
		if _, named := r.next.Of(memberKey(i)); named {
			err = r.cluster.Node(i).Mend(r.t.Context(), slot, r.share(i, r.sealed))
		} else {
			err = r.cluster.Node(i).Release(r.t.Context(), slot, r.sealed)
		}
		if err != nil {
			r.t.Fatalf("guardian %d: %v", i, err)
		}
	}
}

// Four guardians hold a secret; a fifth and a sixth join, one leaves, K rises, and
// then falls again. It comes back at every moment, at the same version, and a new
// version goes over all that.
func TestRedistributionBetweenGuardians(t *testing.T) {
	t.Parallel()
	r := roundsOn(t, 4, 6)
	missing := map[int]client.State{4: client.StateMissing, 5: client.StateMissing}
	r.wantPulled("before", pulled{0, 3, 4, false, missing})
	saved, err := guardianOf(t, r.cluster, 1, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned})
	if err != nil {
		t.Fatal(err)
	}

	r.prepare(4, 1, 2, 3, 4, 5)
	r.wantPulled("prepared", pulled{0, 3, 4, false, missing})
	r.obey(1)
	r.wantPulled("one has it", pulled{0, 3, 3, false, map[int]client.State{1: client.StateAhead, 4: client.StateMissing, 5: client.StateMissing}})
	r.obey(0, 2)
	r.wantPulled("three have obeyed", pulled{1, 4, 5, false, map[int]client.State{0: client.StateMissing}})
	report, err := r.vault.Verify(inTime(t), owned)
	if err != nil || report.Epoch != 1 || report.Threshold != 4 || report.Good != 5 {
		t.Errorf("Verify: %+v, %v", report, err)
	}
	r.obey(3, 4, 5)
	r.wantPulled("all have", pulled{1, 4, 5, false, map[int]client.State{0: client.StateMissing}})

	r.chain = r.sealed
	r.prepare(3, 0, 2, 4, 5)
	r.obey(4)
	r.obey(1) // it leaves
	r.wantPulled("in the midst of the next", pulled{2, 3, 4, false, map[int]client.State{1: client.StateMissing, 3: client.StateStale}})
	r.obey(0, 2, 3, 5)
	r.wantPulled("after two", pulled{2, 3, 4, false, map[int]client.State{1: client.StateMissing, 3: client.StateMissing}})
	r.wantUseless(saved)
	for _, h := range r.histories() {
		if h.Err == nil && (h.Versions[0].Version != 1 || h.Versions[0].Epoch != 2) {
			t.Errorf("%s retains %+v", h.Guardian, h.Versions)
		}
	}

	stored := mustStore(inTime(t), t, r.vault, "another")
	if stored.Version != 2 || stored.Got < 5 || stored.Policy.MaxHolders != 6 || stored.Policy.Admission == nil {
		t.Errorf("Store: %+v", stored)
	}
	if pulled := wantPulled(inTime(t), t, r.vault, "another", 2); pulled.Epoch != 0 {
		t.Errorf("Pull: %+v", pulled)
	}
}

// wantUseless wants a share of epoch 0 to be of no use beside those of now.
func (r *round) wantUseless(saved api.PullResponse) {
	r.t.Helper()
	now := [][]byte{decoded(r.t, saved.Share)}
	for _, x := range slices.Sorted(func(yield func(byte) bool) {
		for x := range r.shares {
			if x != saved.Share[0] && !yield(x) {
				return
			}
		}
	}) {
		if now = append(now, r.shares[x]); len(now) == r.next.Threshold {
			break
		}
	}
	if payload, err := shamir.Combine(now); err == nil && string(payload) == string(r.payload) {
		r.t.Error("a share of epoch 0 still rebuilds it")
	}
	if base64.StdEncoding.EncodeToString(r.shares[3]) == saved.Share {
		r.t.Error("the share is as it was")
	}
}

func (r *round) histories() []client.GuardianHistory {
	r.t.Helper()
	all, err := r.vault.History(inTime(r.t), owned)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// A redistribution of what a later push retains: the newer version comes back, and
// the older one where that is gone.
func TestRedistributionBelowAPush(t *testing.T) {
	t.Parallel()
	r := roundsOn(t, 5, 5)
	r.prepare(3, 0, 1, 2, 3, 4)
	r.obey(0, 1, 2, 3, 4)
	reach(t, r.cluster, 2, "cut short", 0, 1)
	report := wantPulled(inTime(t), t, r.vault, longSecret, 1)
	if report.Epoch != 1 || !report.Fallback || report.Newest != 2 {
		t.Errorf("Pull: %+v", report)
	}
	r.cluster.Stop(2)
	r.cluster.Stop(3)
	report = wantPulled(soon(t), t, r.vault, longSecret, 1)
	if report.Epoch != 1 || report.Used != 3 {
		t.Errorf("Pull with what is retained: %+v", report)
	}
	r.cluster.Start(2)
	r.cluster.Start(3)
	if stored := mustStore(inTime(t), t, r.vault, "next"); stored.Version != 3 {
		t.Errorf("Store: %+v", stored)
	}
}
