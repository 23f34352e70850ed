package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/quorum"
	"github.com/vault-guardian/guardian/shamir"
)

// secret is what one owner keeps in one slot, and what is known of it. All of it
// is the scheduler's.
type secret struct {
	world *world
	slot  guardian.Slot
	owner ed25519.PrivateKey
	// versions are all that were ever pushed, in order; two of one number are
	// twins, of two devices that pushed at the same time.
	versions []*version
	// acked is the latest that was acknowledged, nil before the first and once
	// a delete of it was begun.
	acked *version
	// deleting is the version up to which a delete was begun; deleted, whether
	// the latest was acknowledged.
	deleting uint64
	deleted  bool
	// busy is how many operations go on.
	busy int
}

// version is one dealing of a secret.
type version struct {
	number   uint64
	split    string
	k        int
	payload  []byte
	to       []*host  // whom its manifest names
	shares   [][]byte // by host; nil of others
	manifest []byte
	acked    bool
	// op is the latest attempt to push it, nil before the first.
	op *pushing
}

// owners are made once for all runs.
var owners = func() []ed25519.PrivateKey {
	var all []ed25519.PrivateKey
	for i := range 3 {
		all = append(all, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize)))
	}
	return all
}()

func identityOf(owner ed25519.PrivateKey) string {
	sum := sha256.Sum256(owner.Public().(ed25519.PublicKey))
	return hex.EncodeToString(sum[:])
}

// caller is an owner who has proved to be it.
var caller = guardian.Caller{Proof: 1}

func (s *secret) newest() *version {
	if len(s.versions) == 0 {
		return nil
	}
	return s.versions[len(s.versions)-1]
}

// deal makes a version and its shares.
func (s *secret) deal(number uint64) *version {
	w := s.world
	v := &version{number: number, k: w.k, payload: make([]byte, w.payloadSize()), to: w.holdersOf(number)}
	rand.Read(v.payload)
	split := make([]byte, api.SplitSize)
	rand.Read(split)
	v.split = hex.EncodeToString(split)
	points := make([]byte, len(v.to))
	for i, h := range v.to {
		points[i] = h.point()
	}
	shares, err := shamir.Split(v.payload, v.k, points)
	if err != nil {
		panic(err)
	}
	v.shares = make([][]byte, len(w.hosts))
	for i, h := range v.to {
		v.shares[h.index] = shares[i]
	}
	v.manifest = s.sign(v)
	s.versions = append(s.versions, v)
	w.leaks.learn(v)
	return v
}

func (s *secret) sign(v *version) []byte {
	m := manifest.Manifest{
		Identity: s.slot.Identity, Name: s.slot.Name, Version: v.number, Threshold: v.k, Split: v.split,
		PayloadSize: len(v.payload), PayloadSHA256: sha256.Sum256(v.payload),
		Policy: s.world.policy(v),
	}
	for _, h := range v.to {
		m.Holders = append(m.Holders, manifest.Holder{
			X: h.point(), Node: h.id, Key: h.keys.node.PublicKey(), SHA256: sha256.Sum256(v.shares[h.index]),
		})
	}
	signed, err := m.Sign(s.owner)
	if err != nil {
		panic(err)
	}
	return signed
}

// pushNext is an owner that stores something new, or goes on with a version that
// was not acknowledged. As package client's Store sees to it, that which was
// acknowledged last is not pushed out of what guardians retain by others that
// are not.
func (s *secret) pushNext(patience time.Duration) {
	if s.busy > 0 {
		return
	}
	newest, open := s.newest(), s.open()
	if newest != nil && !newest.acked && s.deleting < newest.number && (open >= s.world.retain-1 || s.world.rng.IntN(2) == 0) {
		s.push(newest, patience)
		return
	}
	next := uint64(1)
	if newest != nil {
		next = newest.number + 1 + uint64(s.world.rng.IntN(2))
	}
	s.push(s.deal(next), patience)
	twins := s.world.twins && s.world.rng.IntN(3) == 0 && open+2 < s.world.retain
	if twins || s.world.plant.ignoresRevisions {
		s.push(s.deal(next), patience)
	}
}

// open counts the versions above the acknowledged one that are not.
func (s *secret) open() int {
	count := 0
	for _, v := range s.versions {
		if !v.acked && (s.acked == nil || v.number > s.acked.number) && v.number > s.deleting {
			count++
		}
	}
	return count
}

// need is how many must acknowledge it.
func (v *version) need() int { return quorum.Acks(len(v.to), v.k) }

// pushing is one attempt of an owner to store a version.
type pushing struct {
	of     *version
	until  time.Time
	going  bool
	asking int
	acks   map[int]bool
	// hits is how many that may have acknowledged were damaged since.
	hits int
}

// push sends a version to all until enough have acknowledged it or the owner
// gives up.
func (s *secret) push(v *version, patience time.Duration) {
	s.busy++
	s.world.count.Pushes++
	op := &pushing{of: v, until: time.Now().Add(patience), going: true, asking: len(v.to), acks: map[int]bool{}}
	v.op = op
	for _, h := range v.to {
		s.pushTo(op, h)
	}
}

func (s *secret) pushTo(op *pushing, h *host) {
	w, v := s.world, op.of
	share := guardian.Share{
		Data: v.shares[h.index], Version: v.number, Threshold: v.k, Split: v.split, Manifest: v.manifest,
	}
	w.send(&message{
		key: fmt.Sprintf("owner>%s push %s%s %d %s", h.id, s.slot.Identity, s.slot.Name, v.number, v.split), from: outside, to: h,
		handle: func(ctx context.Context, p *process) ([]byte, error) {
			return nil, acknowledged(p.ready.Load().node.Push(ctx, s.slot, share, caller))
		},
		then: func(_ []byte, err error) {
			w.note("%s answers the push of %d: %v", h.id, v.number, err)
			s.pushAnswered(op, h, err)
		},
	})
}

func (s *secret) pushAnswered(op *pushing, h *host, err error) {
	switch {
	case !op.going:
		return
	case err == nil:
		op.acks[h.index] = true
	case !refused(err) && time.Now().Before(op.until):
		s.world.sched.after(time.Second, func() {
			if op.going {
				s.pushTo(op, h)
			}
		})
		return
	}
	op.asking--
	enough := len(op.acks) >= op.of.need()
	if !enough && op.asking > 0 {
		return
	}
	op.going = false
	s.busy--
	if enough {
		s.acknowledge(op.of)
	}
}

func (s *secret) acknowledge(v *version) {
	for _, other := range s.versions {
		if other != v && other.number == v.number && other.acked {
			s.world.broken("two dealings of version %d of %s are acknowledged", v.number, s.slot.Short())
		}
	}
	v.acked = true
	s.world.count.Acknowledged++
	if v.number > s.deleting && (s.acked == nil || v.number > s.acked.number) {
		s.acked = v
	}
}

// acknowledged takes a refusal of what is stored already for what it is.
func acknowledged(err error) error {
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && conflict.Stored {
		return nil
	}
	return err
}

// refused tells that asking again is of no use.
func refused(err error) bool {
	return errors.Is(err, api.ErrVersionConflict) || errors.Is(err, api.ErrInvalidManifest)
}

// remove is an owner that deletes what there is.
func (s *secret) remove(patience time.Duration) {
	if s.busy > 0 || s.newest() == nil {
		return
	}
	s.busy++
	s.world.count.Deletes++
	s.acked, s.deleting, s.deleted = nil, s.newest().number, false
	done, asking := 0, len(s.world.hosts)
	for _, h := range s.world.hosts {
		s.removeFrom(h, s.deleting, time.Now().Add(patience), func(ok bool) {
			asking--
			if ok {
				done++
			}
			if asking == 0 {
				s.busy--
				n, k := len(s.world.hosts), s.newest().k
				s.deleted = done >= max(quorum.WriteQuorum(n), n-k+1)
			}
		})
	}
}

func (s *secret) removeFrom(h *host, upTo uint64, until time.Time, ended func(ok bool)) {
	w := s.world
	w.send(&message{
		key: fmt.Sprintf("owner>%s delete %s %d", h.id, s.slot.Identity+s.slot.Name, upTo), from: outside, to: h,
		handle: func(ctx context.Context, p *process) ([]byte, error) {
			return nil, deleteUpTo(ctx, p.ready.Load().node, s.slot, upTo)
		},
		then: func(_ []byte, err error) {
			w.note("%s answers the delete: %v", h.id, err)
			if err == nil || errors.Is(err, api.ErrNotFound) {
				ended(true)
			} else if time.Now().Before(until) {
				w.sched.after(time.Second, func() { s.removeFrom(h, upTo, until, ended) })
			} else {
				ended(false)
			}
		},
	})
}

// deleteUpTo deletes whatever the guardian has, as package client does, if that
// is no later version than the owner knew of.
func deleteUpTo(ctx context.Context, node *guardian.Node, slot guardian.Slot, upTo uint64) error {
	err := node.Delete(ctx, slot, upTo, caller)
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok && conflict.Current < upTo {
		return node.Delete(ctx, slot, conflict.Current, caller)
	}
	return err
}
