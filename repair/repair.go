// Package repair keeps the shares of a node whole: it scrubs what is stored,
// compares with other guardians what each should hold, keeps a queue of what is
// wrong, and has lost or damaged shares computed anew by their holders, of whom
// none learns anything (docs/PROTOCOLS.md). Repair keeps the version of a secret
// and never raises it above what its owner signed.
package repair

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/recovery"
	"github.com/vault-guardian/guardian/repair/round"
)

// Peers reaches other guardians by the keys that records name. It is safe for
// concurrent use.
type Peers interface {
	// Dial returns a way to whoever holds the key, or ErrUnknownPeer. It does not
	// wait: whether anybody answers, the first call tells.
	Dial(key ed25519.PublicKey) (Conn, error)
	// Members are the other guardians of the cluster, and Self is this one.
	Members() []Member
	Self() Member
}

// Member is one guardian, as the cluster knows it.
type Member struct {
	Key    ed25519.PublicKey
	NodeID string
	// Index is the share index, 0 while not known.
	Index         int
	FailureDomain string
	Alive         bool
	// Silent is how long nothing was heard of it.
	Silent time.Duration
}

// Conn is one connection to one replica of one guardian, whose key was proved
// by the handshake. It is for one goroutine.
type Conn interface {
	// Call sends a request and returns the answer. A refusal of the other side
	// is a *RefusedError.
	Call(ctx context.Context, route string, body []byte) ([]byte, error)
	// Close gives the connection back.
	Close()
}

// ErrUnknownPeer reports a key that no member has.
var ErrUnknownPeer = errors.New("no member of the cluster has this key")

// RefusedError is what one guardian refuses to another, and why. It quotes
// nothing of a share.
type RefusedError struct {
	// Code is one of the Code constants.
	Code string
	Text string
}

func (e *RefusedError) Error() string { return e.Text }

// Config is what a Repairer needs.
type Config struct {
	Node *guardian.Node
	// Key is the node key; nil without a registry: then nothing is recovered.
	Key *integrity.NodeKey
	// Peers reaches the others; nil without a registry.
	Peers Peers
	// FailureDomain is this node's own label, for reports.
	FailureDomain string
	// ScrubInterval is the time from the start of one scrub to that of the next;
	// 0 scrubs only when asked.
	ScrubInterval time.Duration
	// Poll is how often the queue and its inbox are looked at when nothing
	// wakes it; 0 is 10 s.
	Poll time.Duration
	// Workers bounds how many slots are repaired at once; 0 is 4.
	Workers int
	// BytesPerSecond bounds the shares that repair sends and receives; 0 is
	// 4 MiB a second.
	BytesPerSecond int
	// Registry puts rounds in order; without one (nil) no share is moved.
	Registry round.Registry
	// Admission is the key that signed the roster that Peers go by; nil without a
	// roster: then nobody new becomes a holder.
	Admission ed25519.PublicKey
	// RefreshInterval is how often all shares are dealt anew that this node leads
	// the rounds of; 0 never.
	RefreshInterval time.Duration
	// ReplaceAfter is how long a holder must be silent for another member to take
	// its place where the owner permits it; 0 never.
	ReplaceAfter time.Duration
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Logger hears what an operator should know; nobody does when nil.
	Logger *slog.Logger
}

// Repairer keeps one node's shares whole. It is safe for concurrent use.
type Repairer struct {
	cfg      Config
	log      *slog.Logger
	queue    *queue
	scrubber *scrubber
	// helper and checks are nil without a node key.
	helper     *recovery.Helper
	checks     *check.Holder
	bandwidth  *bandwidth
	acquainted *acquainted
	noticed    *noticed
	// alarms are those of the last hour, given to this node's own log.
	alarms *noticed
	audits audits
	// order and ballots are nil without a registry.
	order   *round.Rounds
	ballots *round.Ballots
	rounds  *rounds
	// replaced is when holders that are gone were last looked for, by the loop
	// that does so.
	replaced time.Time
	// resting are rounds that are not through, by where they lie, for the loop that
	// goes on with them.
	resting map[string]rest
	// certifying has a place for each request with certificates that is judged.
	certifying chan struct{}
	forks      atomic.Int64
	// auditAsked has what the next audit is about.
	auditAsked chan []guardian.Slot
	routes     map[string]answerer
}

// New returns a Repairer that does nothing by itself before Run.
func New(cfg Config) *Repairer {
	cfg.fill()
	r := &Repairer{cfg: cfg, log: cfg.Logger, bandwidth: newBandwidth(cfg.BytesPerSecond), acquainted: newAcquainted(), noticed: newNoticed(), alarms: newNoticed(), auditAsked: make(chan []guardian.Slot, 1), rounds: newRounds(), resting: map[string]rest{}, certifying: make(chan struct{}, certificatesAtOnce)}
	store := cfg.Node.Queue()
	r.queue = newQueue(cfg, store, r.heal, r.namesOf)
	r.scrubber = newScrubber(cfg, r.queue.add)
	r.scrubber.told = r.acquainted.note
	if cfg.Key != nil {
		r.helper = recovery.NewHelper(cfg.Key, cfg.Now)
		r.checks = check.NewHolder(cfg.Key, check.Config{Source: r.checked, Permit: r.permitRound, Vote: r.vote, Store: r.prepare}, cfg.Now)
	}
	if cfg.Key != nil && cfg.Registry != nil {
		r.order = round.New(cfg.Registry, cfg.Node.NodeID(), cfg.Now)
		r.ballots = round.NewBallots(store, cfg.Node.Sealer(), r.order, cfg.Now)
		r.scrubber.linger = r.dropLingering
	}
	r.routes = r.answerers()
	return r
}

func (cfg *Config) fill() {
	cfg.Poll = cmp.Or(cfg.Poll, 10*time.Second)
	cfg.Workers = cmp.Or(cfg.Workers, 4)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
}

// Run scrubs, compares with the others and works the queue until ctx ends, and
// returns when all that has stopped. What is left undone, the next Run does.
func (r *Repairer) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { r.scrubber.run(ctx) })
	running.Go(func() { r.queue.run(ctx) })
	running.Go(func() { r.runAudits(ctx) })
	running.Go(func() { r.runRounds(ctx) })
	running.Go(func() { r.resumeRounds(ctx) })
	running.Go(func() { r.triggerRounds(ctx) })
	running.Go(func() { r.forget(ctx) })
	running.Wait()
}

// forgetEvery is how often secrets of protocols that were not gone on with are
// dropped; each lives a minute.
const forgetEvery = 10 * time.Second

// forget drops what the two protocols keep in memory when its time is over.
func (r *Repairer) forget(ctx context.Context) {
	if r.cfg.Key == nil {
		return
	}
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			r.helper.Expire()
			r.checks.Sweep()
		}
	}
}

// Damaged queues a slot that was found damaged. It does not block.
func (r *Repairer) Damaged(slot guardian.Slot) { r.queue.noteDamaged(slot) }

// namesOf are the named secrets that this node knows of an identity.
func (r *Repairer) namesOf(ctx context.Context, identity string) ([]string, error) {
	return r.cfg.Node.Names(ctx, identity)
}
