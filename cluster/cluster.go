package cluster

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/manifest"
)

// Config is what a Cluster needs to know.
type Config struct {
	// Self is this guardian. Its Index and RegisteredNS are ignored: the index
	// is what the registry, the roster or the pins say.
	Self Member
	// Registry holds the list of guardians. Without one (nil) this guardian is
	// alone, and of Self only NodeID and ClientURL are needed.
	Registry Registry
	// Caller sends heartbeats.
	Caller Caller
	// Admission is the public key that signs rosters. Without one (nil) members
	// are those that the registry lists, with key and index as first seen.
	Admission ed25519.PublicKey
	// Pins keeps what was first seen, and the roster. Without one (nil) it is
	// forgotten when the process ends.
	Pins Keeper
	// Shares is how many live shares this guardian keeps, for its heartbeats;
	// nil for none.
	Shares func() int64

	// Poll is how often the list is fetched, 5 s when 0; Heartbeat how often
	// every peer gets a heartbeat, 5 s when 0; both give or take a tenth.
	Poll, Heartbeat time.Duration
	// SuspectAfter and DeadAfter are those of the Detector; 15 s and 60 s when
	// 0. Heartbeat < SuspectAfter < DeadAfter.
	SuspectAfter, DeadAfter time.Duration

	// Now is the clock; time.Now when nil.
	Now    func() time.Time
	Logger *slog.Logger
}

// Cluster is what one guardian knows of the others. It is safe for concurrent
// use. Before Run, and for ever without a registry, it knows itself alone.
type Cluster struct {
	cfg        Config
	log        *slog.Logger
	metrics    *metrics
	background sync.WaitGroup // what Run started

	poller poller // used by the goroutine that polls, and by no other

	mu       sync.Mutex // guards what follows
	own      Member     // this guardian; its index is 0 while not known
	members  map[string]Member
	nodes    map[string]string // node id by public key
	latest   map[string]Heartbeat
	detector *Detector
	epoch    uint64
	serial   uint64 // of the roster
	signed   []byte // the roster in force; never changed, only replaced
	reached  bool
}

// New returns a cluster of this guardian alone. Errors tell what of cfg is out
// of bounds.
func New(cfg Config) (*Cluster, error) {
	cfg.fill()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Cluster{
		cfg: cfg, log: cfg.Logger,
		poller:   poller{known: &memory{}},
		members:  map[string]Member{},
		nodes:    map[string]string{},
		latest:   map[string]Heartbeat{},
		own:      cfg.Self,
		detector: NewDetector(cfg.SuspectAfter, cfg.DeadAfter),
	}
	c.metrics = newMetrics(c)
	c.epoch = epochOf(cfg.Self, nil)
	return c, nil
}

func (cfg *Config) fill() {
	cfg.Poll = cmp.Or(cfg.Poll, 5*time.Second)
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 5*time.Second)
	cfg.SuspectAfter = cmp.Or(cfg.SuspectAfter, 15*time.Second)
	cfg.DeadAfter = cmp.Or(cfg.DeadAfter, 60*time.Second)
	cfg.Self.Index, cfg.Self.RegisteredNS = 0, 0
	if cfg.Shares == nil {
		cfg.Shares = func() int64 { return 0 }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
}

// minInterval keeps timers from a busy loop.
const minInterval = 10 * time.Millisecond

func (cfg *Config) check() error {
	switch {
	case cfg.Logger == nil:
		return errors.New("a cluster needs a logger")
	case cfg.Registry == nil && !manifest.ValidNode(cfg.Self.NodeID):
		return errors.New("a node id is 1 to 63 of a-z, 0-9 and -")
	case cfg.Registry != nil && cfg.Caller == nil:
		return errors.New("a cluster with a registry needs a caller")
	case cfg.Admission != nil && len(cfg.Admission) != ed25519.PublicKeySize:
		return fmt.Errorf("the admission key has %d bytes, not %d", len(cfg.Admission), ed25519.PublicKeySize)
	case cfg.Poll < minInterval || cfg.Heartbeat < minInterval:
		return fmt.Errorf("an interval is below %v", minInterval)
	case cfg.SuspectAfter <= cfg.Heartbeat || cfg.DeadAfter <= cfg.SuspectAfter:
		return errors.New("a guardian is suspect after more than one heartbeat's interval, and dead after more than that")
	case cfg.Registry == nil:
		return nil
	}
	return cfg.Self.checkUnindexed()
}

// KeyOf returns the public key of a member, this guardian included: that of the
// roster, or the one first seen.
func (c *Cluster) KeyOf(nodeID string) (ed25519.PublicKey, bool) {
	if nodeID == c.cfg.Self.NodeID {
		return c.cfg.Self.PublicKey, c.cfg.Self.PublicKey != nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, known := c.members[nodeID]
	return m.PublicKey, known
}

// NodeOf returns the member that has a public key, this guardian included. Who
// is a member changes: ask for every call, not once for a connection.
func (c *Cluster) NodeOf(key ed25519.PublicKey) (nodeID string, ok bool) {
	if len(key) == ed25519.PublicKeySize && key.Equal(c.cfg.Self.PublicKey) {
		return c.cfg.Self.NodeID, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	nodeID, ok = c.nodes[string(key)]
	return nodeID, ok
}

// Receive notes a heartbeat and returns that of this guardian. The caller has
// proved, with its TLS certificate, to be the node from; a heartbeat cannot
// speak for another. Errors: ErrNotMember, ErrWrongNode.
func (c *Cluster) Receive(from string, beat Heartbeat) (Heartbeat, error) {
	if err := c.heard(from, beat); err != nil {
		return Heartbeat{}, err
	}
	c.metrics.received.Inc()
	return c.beat(), nil
}

// heard notes a heartbeat that from has sent or answered.
func (c *Cluster) heard(from string, beat Heartbeat) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.members[from]; !known {
		return ErrNotMember
	}
	if beat.NodeID != from {
		return ErrWrongNode
	}
	beat.Shares = max(beat.Shares, 0)
	c.latest[from] = beat
	c.detector.Heard(from, c.cfg.Now())
	return nil
}

// beat is this guardian's heartbeat.
func (c *Cluster) beat() Heartbeat {
	shares := c.cfg.Shares()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Heartbeat{NodeID: c.cfg.Self.NodeID, Shares: shares, ListEpoch: c.epoch, TimeNS: c.cfg.Now().UnixNano()}
}
