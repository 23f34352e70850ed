package cluster

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

const singleNode = `msg="failed to fetch node list from RQLite, running in single-node mode"`

func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{
			Self:   Member{NodeID: "local", ClientURL: "http://local:7500"},
			Shares: func() int64 { return 12 }, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c.Run(ctx)
		v := c.View()
		if len(v.Members) != 1 || v.Alive != 1 || v.Threshold != 3 || v.WriteQuorum != 1 || v.Registry || v.Reached || v.Index != 0 {
			t.Errorf("it sees %+v", v)
		}
		if m := v.Members[0]; m.NodeID != "local" || !m.Self || m.State != Alive || m.Shares != 12 || m.ClientURL != "http://local:7500" {
			t.Errorf("of itself it sees %+v", m)
		}
		if _, known := c.KeyOf("local"); known {
			t.Error("it has a key")
		}
		if _, known := c.NodeOf(nil); known {
			t.Error("no key is somebody's")
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no logger":            func(c *Config) { c.Logger = nil },
		"no caller":            func(c *Config) { c.Caller = nil },
		"node id":              func(c *Config) { c.Self.NodeID = "G1" },
		"node id, no registry": func(c *Config) { c.Self.NodeID, c.Registry = "", nil },
		"key":                  func(c *Config) { c.Self.PublicKey = nil },
		"peer URL":             func(c *Config) { c.Self.PeerURL = "http://a:1" },
		"admission key":        func(c *Config) { c.Admission = ed25519.PublicKey{} },
		"poll":                 func(c *Config) { c.Poll = -1 },
		"heartbeat":            func(c *Config) { c.Heartbeat = time.Millisecond },
		"suspect too soon":     func(c *Config) { c.Heartbeat, c.SuspectAfter = time.Second, time.Second },
		"dead too soon":        func(c *Config) { c.SuspectAfter, c.DeadAfter = time.Minute, time.Minute },
	} {
		cfg := Config{Self: memberOf(0, "g1"), Registry: &registryOf{}, Caller: caller{}, Logger: slog.New(slog.DiscardHandler)}
		change(&cfg)
		if c, err := New(cfg); err == nil || c != nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Every guardian lists every other within one poll, and says so once.
func TestJoin(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := []string{"g1", "g2", "g3", "g4", "g5"}
		all := w.startAll(nodes...)
		pass(6 * time.Second)
		indices := map[int]bool{}
		for _, p := range all {
			v := p.View()
			if len(v.Members) != 5 || v.Alive != 5 || v.Threshold != 3 || v.WriteQuorum != 4 || !v.Registry || !v.Reached {
				t.Errorf("%s sees %+v", p.cfg.Self.NodeID, v)
			}
			indices[v.Index] = true
			if v.ListEpoch != all[0].View().ListEpoch {
				t.Error("the same list has two epochs")
			}
			for i, m := range v.Members {
				if m.Index != i+1 || m.State != Alive || !m.Heard || m.Silent > 6*time.Second || m.Shares != 2 || m.Self != (m.Index == v.Index) {
					t.Errorf("%s sees %+v", p.cfg.Self.NodeID, m)
				}
				if key, known := p.KeyOf(m.NodeID); !known || !key.Equal(publicOf(m.NodeID)) {
					t.Errorf("the key of %s is %x", m.NodeID, key)
				}
				if node, known := p.NodeOf(publicOf(m.NodeID)); !known || node != m.NodeID {
					t.Errorf("the key of %s is that of %q", m.NodeID, node)
				}
			}
		}
		if len(indices) != 5 || indices[0] {
			t.Errorf("indices are %v", indices)
		}
		pass(time.Hour)
		for _, p := range all {
			for _, node := range nodes {
				if node != p.cfg.Self.NodeID {
					p.wantLogged(1, `msg="guardian joined"`, "node_id="+node+" ")
				}
			}
			p.wantLogged(4, `msg="guardian joined"`)
			p.wantLogged(1, `msg="fetched the list of guardians"`)
			p.wantLogged(5, "msg=") // and nothing else in an hour
		}
	})
}

func TestKAndWByAliveCount(t *testing.T) {
	for alive, want := range map[int][2]int{1: {3, 1}, 2: {3, 2}, 3: {3, 2}, 4: {3, 3}, 5: {3, 4}, 14: {4, 10}, 50: {16, 34}, 100: {33, 67}} {
		inWorld(t, func(t *testing.T, w *world) {
			p := w.start("self")
			for i := range alive - 1 {
				w.enlist(fmt.Sprintf("g%d", i))
			}
			w.enlist("dead")
			pass(70 * time.Second)
			for i := range alive - 1 {
				node := fmt.Sprintf("g%d", i)
				if _, err := p.Receive(node, Heartbeat{NodeID: node}); err != nil {
					t.Fatal(err)
				}
			}
			v := p.View()
			if v.Alive != alive || v.Threshold != want[0] || v.WriteQuorum != want[1] || len(v.Members) != alive+1 {
				t.Errorf("%d alive: %d alive of %d, K %d, W %d; want %v", alive, v.Alive, len(v.Members), v.Threshold, v.WriteQuorum, want)
			}
		})
	}
}

// One that stops without a word is suspect after 15 s and dead after 60, alive
// as soon as it goes on, and each of it is logged once.
func TestSilenceAndReturn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3")
		pass(10 * time.Second)
		quiet := all[2]
		w.lose(func(from, to string) bool { return from == "g3" || to == "g3" })
		pass(9 * time.Second)
		all[0].wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
		pass(8 * time.Second)
		all[0].wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect")
		all[1].wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect")
		quiet.wantStates("g1:1:suspect", "g2:2:suspect", "g3:3:alive")
		pass(45 * time.Second)
		all[0].wantStates("g1:1:alive", "g2:2:alive", "g3:3:dead")
		if v := all[0].View(); v.Alive != 2 || v.WriteQuorum != 2 {
			t.Errorf("it sees %+v", v)
		}
		if v := quiet.View(); v.Alive != 1 || v.WriteQuorum != 1 || v.Threshold != 3 {
			t.Errorf("it sees %+v", v)
		}
		pass(time.Hour)
		w.lose(func(string, string) bool { return false })
		pass(11 * time.Second)
		for _, p := range all {
			p.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
		}
		for _, p := range all[:2] {
			p.wantLogged(1, "level=WARN", `msg="guardian is suspect" node_id=g3`, "alive=2", "threshold=3", "write_quorum=2")
			p.wantLogged(1, "level=WARN", `msg="guardian is dead" node_id=g3 was=suspect`)
			p.wantLogged(1, "level=INFO", `msg="guardian is alive" node_id=g3 was=dead`)
			p.wantLogged(3, `msg="guardian is`)
		}
		quiet.wantLogged(6, `msg="guardian is`)
	})
}

// Where only one of two can call the other, both hear of each other.
func TestOneWay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cut = func(from, _ string) bool { return from == "g2" }
		all := w.startAll("g1", "g2")
		pass(time.Hour)
		for _, p := range all {
			p.wantStates("g1:1:alive", "g2:2:alive")
			p.wantLogged(0, `msg="guardian is`)
		}
	})
}

// Who does not answer delays nobody else's heartbeat.
func TestHungPeer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3", "g4")
		pass(10 * time.Second)
		all[3].paused.Store(true)
		w.lose(func(from, _ string) bool { return from == "g4" }) // it is stopped
		before := w.calls.Load()
		pass(100 * time.Second)
		if rounds := float64(w.calls.Load()-before) / (4 * 3); rounds < 18 || rounds > 23 {
			t.Errorf("%.1f rounds in 100 s", rounds)
		}
		all[0].wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive", "g4:4:dead")
	})
}

// A heartbeat has less time than there is between two, and the rounds are not
// at the same moments for ever.
func TestTimeoutAndJitter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		probe := &probe{}
		w.enlist("g2")
		w.start("g1", func(cfg *Config) { cfg.Caller = probe })
		pass(10 * time.Minute)
		if len(probe.at) < 100 || len(probe.at) > 140 {
			t.Errorf("%d heartbeats in 10 minutes", len(probe.at))
		}
		gaps := map[time.Duration]bool{}
		for i := 2; i < len(probe.at); i++ { // the first two are for who joins, and of the round
			gap := probe.at[i].Sub(probe.at[i-1])
			if gap < 4500*time.Millisecond || gap > 5500*time.Millisecond {
				t.Errorf("%v between two heartbeats", gap)
			}
			gaps[gap] = true
		}
		if len(gaps) < 50 {
			t.Errorf("only %d different gaps", len(gaps))
		}
		for _, left := range probe.left {
			if left <= 0 || left >= 4500*time.Millisecond {
				t.Errorf("a heartbeat had %v", left)
			}
		}
	})
}

// probe is a Caller that notes when it is called, and fails.
type probe struct {
	at   []time.Time
	left []time.Duration
}

func (p *probe) Heartbeat(ctx context.Context, _ Member, _ Heartbeat) (Heartbeat, error) {
	p.at = append(p.at, time.Now())
	if deadline, ok := ctx.Deadline(); ok {
		p.left = append(p.left, time.Until(deadline))
	} else {
		p.left = append(p.left, -1)
	}
	return Heartbeat{}, errors.New("refused")
}

// The same node on another port, with or without a pause, is the same node.
func TestRestartElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(10 * time.Second)
		was := g1.View().Members[1]
		g2 = g2.again()
		pass(6 * time.Second)
		is := g1.View().Members[1]
		if is.PeerURL == was.PeerURL || is.Index != was.Index || is.State != Alive {
			t.Errorf("%+v became %+v", was, is)
		}
		g1.wantLogged(1, `msg="guardian moved" node_id=g2`, "peer_url="+is.PeerURL)
		g1.wantLogged(1, `msg="guardian joined"`)
		g2.end()
		pass(20 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:suspect")
		g2.again()
		pass(10 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:alive")
		g1.wantLogged(2, `msg="guardian is`)
		g1.wantLogged(0, `msg="guardian left"`)
	})
}

// What comes back elsewhere is not alive before it is heard.
func TestMovingIsNoHeartbeat(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(10 * time.Second)
		g2.end()
		pass(70 * time.Second)
		moved := g2.cfg.Self
		moved.PeerURL = "https://10.9.9.9:1"
		if _, err := NewBucket(w.store, nil).Register(t.Context(), moved); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:dead")
		g1.wantLogged(1, `msg="guardian moved"`)
	})
}

func TestRegistryDownAtStart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g2 := w.start("g2")
		pass(time.Second)
		registry := &registryOf{Registry: NewBucket(w.store, nil), down: errors.New("no route to host")}
		g1 := w.startWith("g1", &keeper{}, registry)
		pass(time.Hour)
		g1.wantStates("g1:0:alive")
		if v := g1.View(); v.Alive != 1 || v.Threshold != 3 || v.WriteQuorum != 1 || !v.Registry || v.Reached {
			t.Errorf("it sees %+v", v)
		}
		g1.wantLogged(1, "level=WARN", singleNode, `error="registering: no route to host"`)
		g1.wantLogged(1, "msg=")
		if registry.calls < 100 || registry.calls > 200 {
			t.Errorf("tried %d times in an hour", registry.calls)
		}

		registry.fails(nil)
		pass(45 * time.Second)
		g1.wantStates("g2:1:alive", "g1:2:alive")
		g2.wantStates("g2:1:alive", "g1:2:alive")
		g1.wantLogged(1, singleNode)
		g1.wantLogged(1, `msg="the registry answers again"`)
	})
}

// A list that is not to be had is as bad as a registry that is not.
func TestOnlyRegistering(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		registry := &registryOf{Registry: NewBucket(w.store, nil), roster: func() ([]byte, error) { return nil, errors.New("cut off") }}
		g1 := w.startWith("g1", &keeper{}, registry, withRoster)
		pass(time.Minute)
		g1.wantLogged(1, singleNode, "fetching the roster: cut off")
		g1.wantStates("g1:0:alive")
	})
}

func TestRegistryDownAfterwards(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3")
		pass(10 * time.Second)
		for _, p := range all {
			p.registry.fails(errors.New("no route to host"))
		}
		pass(time.Hour)
		for _, p := range all {
			p.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
			p.wantLogged(1, "level=WARN", `msg="the registry is out of reach, going on with the last list"`, "no route to host")
			p.wantLogged(0, "single-node")
			p.wantLogged(4, "msg=")
		}
		all[2].end() // and who stops is still found out
		pass(70 * time.Second)
		all[0].wantStates("g1:1:alive", "g2:2:alive", "g3:3:dead")
		for _, p := range all {
			p.registry.fails(nil)
		}
		g4 := w.start("g4")
		pass(45 * time.Second)
		all[0].wantStates("g1:1:alive", "g2:2:alive", "g3:3:dead", "g4:4:alive")
		g4.wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect", "g4:4:alive")
		all[0].wantLogged(1, `msg="the registry answers again"`)
	})
}

// A registry that hangs holds up nothing but itself.
func TestRegistryHangs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		hung := &hungRegistry{Registry: NewBucket(w.store, nil)}
		g1 := w.start("g1", func(cfg *Config) { cfg.Registry = hung })
		g2 := w.start("g2")
		pass(10 * time.Second)
		hung.hangs.Store(true)
		pass(time.Hour)
		g1.wantStates("g1:1:alive", "g2:2:alive")
		g2.wantStates("g1:1:alive", "g2:2:alive")
		g1.wantLogged(1, `msg="the registry is out of reach, going on with the last list"`, "deadline exceeded")
		g2.end()
		pass(70 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:dead")
	})
}

type hungRegistry struct {
	Registry
	hangs atomic.Bool
}

func (r *hungRegistry) List(ctx context.Context) ([]Member, error) {
	if r.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return r.Registry.List(ctx)
}

// One whose record was removed while it runs puts itself back, and keeps what it
// is.
func TestRecordRemoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2")
		pass(10 * time.Second)
		forget(w, "g2")
		pass(15 * time.Second)
		for _, p := range all {
			p.wantStates("g1:1:alive", "g2:2:alive")
			p.wantLogged(0, `msg="guardian left"`)
		}
		list, err := NewBucket(w.store, nil).List(t.Context())
		if err != nil || len(list) != 2 {
			t.Errorf("the registry has %v, %v", list, err)
		}
	})
}

// forget removes the record of a node, as an operator does.
func forget(w *world, node string) {
	w.t.Helper()
	if err := w.store.Delete(w.t.Context(), "guardians/"+node, backend.AnyRevision); err != nil {
		w.t.Fatal(err)
	}
}

// One that stopped and was removed leaves, once it is no longer alive.
func TestLeave(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2, g3 := w.start("g1"), w.start("g2"), w.start("g3")
		pass(10 * time.Second)
		g2.end()
		forget(w, "g2")
		pass(6 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
		pass(20 * time.Second)
		for _, p := range []*process{g1, g3} {
			p.wantStates("g1:1:alive", "g3:3:alive")
			p.wantLogged(1, `msg="guardian left" node_id=g2 index=2`)
			if _, known := p.KeyOf("g2"); known {
				t.Error("it is still known")
			}
			if _, known := p.NodeOf(publicOf("g2")); known {
				t.Error("its key is still known")
			}
			if _, err := p.Receive("g2", Heartbeat{NodeID: "g2"}); !errors.Is(err, ErrNotMember) {
				t.Errorf("it is still heard: %v", err)
			}
		}
	})
}

func TestReceive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1 := w.start("g1", func(cfg *Config) { cfg.Shares = func() int64 { return 42 } })
		w.enlist("g2")
		w.enlist("g3")
		pass(25 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:suspect", "g3:3:suspect")
		for _, refused := range []struct {
			from, named string
			want        error
		}{
			{"g2", "g3", ErrWrongNode},
			{"g2", "", ErrWrongNode},
			{"g2", "g1", ErrWrongNode},
			{"g4", "g4", ErrNotMember},
			{"g4", "g2", ErrNotMember},
			{"g1", "g1", ErrNotMember},
			{"", "", ErrNotMember},
		} {
			answer, err := g1.Receive(refused.from, Heartbeat{NodeID: refused.named, Shares: 1})
			if !errors.Is(err, refused.want) || answer != (Heartbeat{}) {
				t.Errorf("%+v: %+v, %v", refused, answer, err)
			}
		}
		g1.wantStates("g1:1:alive", "g2:2:suspect", "g3:3:suspect")

		answer, err := g1.Receive("g2", Heartbeat{NodeID: "g2", Shares: -7, ListEpoch: 9})
		want := Heartbeat{NodeID: "g1", Shares: 42, ListEpoch: g1.View().ListEpoch, TimeNS: time.Now().UnixNano()}
		if err != nil || answer != want {
			t.Errorf("answered %+v, %v; want %+v", answer, err, want)
		}
		g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect")
		if m := g1.View().Members[1]; m.Shares != 0 || m.ListEpoch != 9 || !m.Heard || m.Silent != 0 {
			t.Errorf("it is seen as %+v", m)
		}
	})
}

// Who answers for another is not heard.
func TestAnswerOfAnother(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.enlist("g2")
		g1 := w.start("g1", func(cfg *Config) { cfg.Caller = liar{} })
		pass(20 * time.Second)
		g1.wantStates("g2:1:suspect", "g1:2:alive")
	})
}

type liar struct{}

func (liar) Heartbeat(context.Context, Member, Heartbeat) (Heartbeat, error) {
	return Heartbeat{NodeID: "g3"}, nil
}

func TestImpostor(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2")
		pass(10 * time.Second)
		impostor := w.start("g2", func(cfg *Config) { cfg.Self.PublicKey = publicOf("impostor") })
		pass(10 * time.Minute)
		impostor.wantLogged(1, "level=ERROR", "the registry refuses this guardian, running in single-node mode", ErrImpostor.Error())
		impostor.wantLogged(1, "msg=")
		impostor.wantStates("g2:0:alive")
		for _, p := range all {
			p.wantStates("g1:1:alive", "g2:2:alive")
			if _, known := p.NodeOf(publicOf("impostor")); known {
				t.Error("its key is a member's")
			}
		}
	})
}

// A clock that is set makes nobody suspect.
func TestClockIsSet(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var offset atomic.Int64
		g1 := w.start("g1", func(cfg *Config) {
			cfg.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())).Round(0) }
		})
		g2 := w.start("g2")
		pass(10 * time.Second)
		for _, to := range []time.Duration{time.Hour, -time.Hour, 1000 * time.Hour, 0} {
			offset.Store(int64(to))
			pass(3 * time.Second)
			g1.wantStates("g1:1:alive", "g2:2:alive")
			pass(time.Minute)
		}
		g1.wantLogged(0, `msg="guardian is`)
		g2.wantLogged(0, `msg="guardian is`)
		offset.Store(int64(-time.Hour))
		g2.end()
		pass(17 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:suspect")
		pass(45 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:dead")
	})
}

// Two processes of one node are one node to the others, wherever each of them
// is.
func TestReplicas(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pins := &keeper{}
		registry := &registryOf{Registry: NewBucket(w.store, nil)}
		first, second := w.startWith("g1", pins, registry), w.startWith("g1", pins, registry)
		g2 := w.start("g2")
		pass(time.Hour)
		for _, p := range []*process{first, second, g2} {
			p.wantStates("g1:1:alive", "g2:2:alive")
			p.wantLogged(0, `msg="guardian is`)
		}
		// Each waits twice as long as before until it puts itself back.
		if moves := len(g2.log.with(`msg="guardian moved"`)); moves < 2 || moves > 10 {
			t.Errorf("it moved %d times in an hour", moves)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3")
		for _, p := range all {
			for range 3 {
				go func() {
					for range 200 {
						time.Sleep(100 * time.Millisecond)
						p.View()
						p.KeyOf("g1")
						p.NodeOf(publicOf("g2"))
						_, _ = p.Receive("g3", Heartbeat{NodeID: "g3"})
					}
				}()
			}
		}
		pass(time.Minute)
		for _, p := range all {
			p.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
		}
	})
}
