package repair_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
)

// tuned is a fleet whose guardians are not configured as those of others are.
type tuned struct {
	*fleet
	tune    func(*repair.Config)
	started []*member
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	// roster guards who is in the fleet.
	roster sync.RWMutex
}

// inTuned is inFleet with a change to the configuration of each guardian.
func inTuned(t *testing.T, n int, tune func(*repair.Config), f func(t *testing.T, w *tuned)) {
	synctest.Test(t, func(t *testing.T) {
		w := &tuned{fleet: &fleet{t: t, registry: cluster.NewBucket(backendtest.NewMemory(), nil)}, tune: tune}
		for i := range n {
			w.join(i)
		}
		w.ctx, w.stop = context.WithCancel(t.Context())
		for _, m := range w.all {
			w.start(m)
		}
		f(t, w)
		w.halt()
		for _, m := range w.started {
			if err := m.node.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func (w *tuned) halt() {
	w.stop()
	w.running.Wait()
}

// restartAfter has all guardians be shut down for so long.
func (w *tuned) restartAfter(d time.Duration) {
	w.halt()
	time.Sleep(d)
	w.ctx, w.stop = context.WithCancel(w.t.Context())
	for _, m := range w.started {
		w.running.Go(func() { m.Run(w.ctx) })
	}
}

func (w *tuned) start(m *member) {
	cfg := repair.Config{
		Node: m.node, Key: m.key, Peers: clocked{m, &w.roster}, FailureDomain: "zone-" + m.id,
		Logger: slog.New(slog.NewTextHandler(&m.log, nil)), Registry: w.registry, Admission: admissionKey,
	}
	w.tune(&cfg)
	m.Repairer = repair.New(cfg)
	w.started = append(w.started, m)
	w.running.Go(func() { m.Run(w.ctx) })
}

// setDown cuts a guardian off, or has it come back, while nobody looks.
func (m *member) setDown(down bool) {
	synctest.Wait()
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.down = down
}

// clocked has those who are down be silent for very long, and who changes the
// fleet be waited for.
type clocked struct {
	*member
	roster *sync.RWMutex
}

func (c clocked) Dial(key ed25519.PublicKey) (repair.Conn, error) {
	c.roster.RLock()
	defer c.roster.RUnlock()
	return c.member.Dial(key)
}

func (c clocked) Self() repair.Member {
	c.roster.RLock()
	defer c.roster.RUnlock()
	return c.member.Self()
}

func (c clocked) Members() []repair.Member {
	c.roster.RLock()
	defer c.roster.RUnlock()
	all := c.member.Members()
	for i := range all {
		if !all[i].Alive {
			all[i].Silent = 1000 * time.Hour
		}
	}
	return all
}

// comeBack puts a guardian with another key and an empty storage in the place of
// one, under its node id, as the roster of who signs it then says.
func (w *tuned) comeBack(place int) *member {
	w.t.Helper()
	old := w.all[place]
	old.setDown(true)
	key, err := integrity.ParseNodeKey([]byte(seedOf(50 + place)))
	if err != nil {
		w.t.Fatal(err)
	}
	m := &member{fleet: w.fleet, id: old.id, x: old.x, key: key, store: backendtest.NewMemory()}
	log := slog.New(slog.NewTextHandler(&m.log, nil))
	sealer, err := integrity.NewSealer(w.t.Context(), m.id, integrity.InlineSource{Text: seedOf(200 + place)}, log)
	if err == nil {
		m.node, err = guardian.Open(w.t.Context(), m.store, sealer, guardian.Config{
			Retain: 2, RequestTimeout: 30 * time.Second, Logger: log,
			Damaged: func(slot guardian.Slot) { m.Damaged(slot) },
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	w.roster.Lock()
	w.all[place] = m
	w.roster.Unlock()
	w.start(m)
	return m
}

// plain is no change.
func plain(*repair.Config) {}

func replacing(cfg *repair.Config) { cfg.ReplaceAfter = time.Hour }

// A holder that is gone for good is replaced by a member that holds nothing.
func TestReplaceWhoIsGone(t *testing.T) {
	inTuned(t, 6, replacing, func(t *testing.T, w *tuned) {
		s := w.keep(1, "", 7, 3, w.all[:5]...)
		w.all[4].setDown(true)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		s.wantMovedBut(t, w.fleet, w.all[4], 1, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
		w.all[4].setDown(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.wantMoved(t, w.fleet, 1, 3, w.all[0], w.all[1], w.all[2], w.all[3], w.all[5])
	})
}

// wantMovedBut is wantMoved while one who is not there has its old share yet.
func (s *kept) wantMovedBut(t *testing.T, w *fleet, away *member, epoch uint64, holders ...*member) {
	t.Helper()
	s.has(t, away)
	there := &fleet{t: t}
	for _, m := range w.all {
		if m != away {
			there.all = append(there.all, m)
		}
	}
	s.wantMoved(t, there, epoch, s.k, holders...)
}

// A guardian that has lost its key and its storage is known by its id, and holds
// nothing: it takes its own place.
func TestReplaceByWhoCameBack(t *testing.T) {
	for name, alsoGone := range map[string]bool{"all others are there": false, "somebody else is gone": true} {
		t.Run(name, func(t *testing.T) {
			inTuned(t, 6, replacing, func(t *testing.T, w *tuned) {
				s := w.keep(1, "", 7, 3, w.all[:5]...)
				w.all[5].setDown(alsoGone) // and holds nothing
				back := w.comeBack(4)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				s.wantMoved(t, w.fleet, 1, 3, w.all[:5]...)
				if !s.names(t, w.all[0], back.public()) {
					t.Error("its place was given to its old key")
				}
			})
		})
	}
}

// names tells whether the record that a guardian has of a secret names a key.
func (s *kept) names(t *testing.T, at *member, key ed25519.PublicKey) bool {
	t.Helper()
	share, err := s.at(t, at)
	if err != nil {
		t.Fatal(err)
	}
	of, err := at.node.ParseRecord(share.Record())
	if err != nil {
		t.Fatal(err)
	}
	_, named := of.Of(key)
	return named
}
