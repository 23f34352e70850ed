package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
)

// whatever a hostile registry may make of a list.
var lies = map[string]func([]Member) []Member{
	"nobody":      func([]Member) []Member { return nil },
	"another key": func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.PublicKey = publicOf("thief") }) },
	"no key":      func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.PublicKey = nil }) },
	"a short key": func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.PublicKey = m.PublicKey[:31] }) },
	"keys swapped": func(l []Member) []Member {
		return swap(l, func(a, b *Member) { a.PublicKey, b.PublicKey = b.PublicKey, a.PublicKey })
	},
	"ids swapped": func(l []Member) []Member {
		return swap(l, func(a, b *Member) { a.NodeID, b.NodeID = b.NodeID, a.NodeID })
	},
	"indices swapped": func(l []Member) []Member {
		return swap(l, func(a, b *Member) { a.Index, b.Index = b.Index, a.Index })
	},
	"another index": func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.Index = 77 }) },
	"index 0":       func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.Index = 0 }) },
	"index 256":     func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.Index = 256 }) },
	"an index of another": func(l []Member) []Member {
		return of(l, "g2", func(m *Member) { m.Index = 3 })
	},
	"own index to another": func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.Index = 1 }) },
	"own record of a thief": func(l []Member) []Member {
		return of(l, "g1", func(m *Member) { m.PublicKey = publicOf("thief") })
	},
	"own index changed": func(l []Member) []Member { return of(l, "g1", func(m *Member) { m.Index = 99 }) },
	"own record gone": func(l []Member) []Member {
		return slices.DeleteFunc(l, func(m Member) bool { return m.NodeID == "g1" })
	},
	"everybody twice": func(l []Member) []Member { return append(l, l...) },
	"a twin with another key": func(l []Member) []Member {
		return append(of(slices.Clone(l), "g2", func(m *Member) { m.PublicKey, m.RegisteredNS = publicOf("thief"), 0 }), l...)
	},
	"backwards": func(l []Member) []Member { slices.Reverse(l); return l },
	"a thief at a taken index": func(l []Member) []Member {
		return append(l, thiefAt(2))
	},
	"a thief with a taken key": func(l []Member) []Member {
		thief := thiefAt(9)
		thief.PublicKey = publicOf("g2")
		return append(l, thief)
	},
	"a thief with this one's key": func(l []Member) []Member {
		thief := thiefAt(9)
		thief.PublicKey = publicOf("g1")
		return append(l, thief)
	},
	"urls with passwords": func(l []Member) []Member {
		return of(l, "g2", func(m *Member) { m.ClientURL = "http://root:hunter2@evil" })
	},
	"urls of scripts": func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.ClientURL = "javascript:hunter2" }) },
	"huge strings": func(l []Member) []Member {
		return of(l, "g2", func(m *Member) { m.NodeID = strings.Repeat("hunter2", 1<<16) })
	},
	"a flood of one key": func(l []Member) []Member { return append(l, floodOfOne()...) },
	"a flood of many keys": func(l []Member) []Member {
		return append(l, floodOfMany()...)
	},
	"zero members": func(l []Member) []Member { return append(l, make([]Member, 1000)...) },
}

// floods are more records than there can be guardians, some of them within
// bounds.
var (
	floodOfOne  = sync.OnceValue(func() []Member { return flood(func(int) string { return "thief" }) })
	floodOfMany = sync.OnceValue(func() []Member { return flood(func(i int) string { return fmt.Sprint(i % 300) }) })
)

func flood(keyOf func(int) string) []Member {
	var list []Member
	for i := range 1200 {
		m := memberOf(i%600-100, "g0")
		m.NodeID, m.PublicKey = fmt.Sprintf("flood-%d", i), publicOf(keyOf(i))
		list = append(list, m)
	}
	return list
}

func thiefAt(index int) Member { return memberOf(index, "thief") }

func of(list []Member, node string, change func(*Member)) []Member {
	for i := range list {
		if list[i].NodeID == node {
			change(&list[i])
		}
	}
	return list
}

func swap(list []Member, change func(a, b *Member)) []Member {
	by := func(node string) *Member {
		return &list[slices.IndexFunc(list, func(m Member) bool { return m.NodeID == node })]
	}
	change(by("g2"), by("g3"))
	return list
}

// whoIs wants three members with keys and indices as they were, and nobody else
// to be taken for one of them.
func whoIs(t *testing.T, p *process) {
	t.Helper()
	for i, node := range []string{"g1", "g2", "g3"} {
		if key, known := p.KeyOf(node); !known || !key.Equal(publicOf(node)) {
			t.Errorf("the key of %s is %x", node, key)
		}
		if id, known := p.NodeOf(publicOf(node)); !known || id != node {
			t.Errorf("the key of %s is that of %q", node, id)
		}
		at := slices.IndexFunc(p.View().Members, func(m MemberView) bool { return m.NodeID == node })
		if at < 0 {
			t.Errorf("%s is no member", node)
		} else if m := p.View().Members[at]; m.Index != i+1 || !m.PublicKey.Equal(publicOf(node)) || m.State != Alive {
			t.Errorf("%s is %+v", node, m)
		}
	}
	if id, known := p.NodeOf(publicOf("thief")); known && strings.HasPrefix(id, "g") {
		t.Errorf("the thief is %s", id)
	}
}

// Nothing that the registry says changes who a known guardian is, drives out
// one that is alive, or is repeated in the log for ever.
func TestHostileRegistry(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				all := w.startAll("g1", "g2", "g3")
				pass(10 * time.Second)
				g1 := all[0]
				quiet := len(g1.log.with())
				g1.registry.lies(lie)
				pass(2 * time.Minute)
				whoIs(t, g1)
				limit := 2 * maxLines
				if name == "a flood of many keys" {
					limit += 2 * MaxIndex // each is suspect and dead
				}
				if logged := g1.log.with()[quiet:]; len(logged) > limit || strings.Contains(strings.Join(logged, ""), "hunter2") {
					t.Errorf("it logged %d lines: %.2000s", len(logged), logged)
				}
				g1.registry.lies(nil)
				pass(2 * time.Minute)
				whoIs(t, g1)
				if v := g1.View(); !strings.Contains(name, "flood") && len(v.Members) != 3 {
					t.Errorf("it sees %q", g1.states())
				}
			})
		})
	}
}

// withFakes adds guardians that do not exist.
func withFakes(list []Member) []Member {
	for i := range 250 {
		list = append(list, memberOf(6+i, fmt.Sprintf("fake-%d", i)))
	}
	return list
}

// A dead guardian that is listed every other time is not revived by it.
func TestListedAgainAndAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1"), w.start("g2")
		pass(20 * time.Second)
		g2.end()
		began := time.Now()
		g1.registry.lies(func(l []Member) []Member {
			if int(time.Since(began)/(15*time.Second))%2 == 1 {
				return of(l, "g2", func(m *Member) { m.PublicKey = nil })
			}
			return l
		})
		alive := 0
		for range 600 {
			pass(time.Second)
			alive += g1.View().Alive - 1
		}
		if alive > 20 {
			t.Errorf("it is alive for %d of 600 s", alive)
		}
		g1.registry.lies(nil)
		pass(10 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:dead")
		g1.wantLogged(1, `msg="guardian is dead" node_id=g2`)
		g2.again()
		pass(10 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:alive")
	})
}

// Fakes that come and go count as alive once, and fill no log.
func TestFakesComeAndGo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1 := w.startAll("g1", "g2", "g3", "g4", "g5")[0]
		pass(20 * time.Second)
		polls := 0
		g1.registry.lies(func(l []Member) []Member {
			if polls++; polls%4 == 0 {
				return l
			}
			return withFakes(l)
		})
		raised := 0
		for range 300 {
			pass(time.Second)
			if g1.View().Threshold > 3 {
				raised++
			}
		}
		if raised > 20 {
			t.Errorf("K is raised for %d of 300 s", raised)
		}
		if lines := len(g1.log.with("guardians joined")) + len(g1.log.with("guardian joined")); lines > 21*20 {
			t.Errorf("%d lines about who joined", lines)
		}
	})
}

// A roster that is damaged in the registry leaves the one in force, and the
// list, as they are.
func TestRosterDamagedInRegistry(t *testing.T) {
	inWorld(t, func(_ *testing.T, w *world) {
		w.publish(rosterOf(1, "g1", "g2", "g3"))
		g1, g2 := w.start("g1", withRoster), w.start("g2", withRoster)
		pass(20 * time.Second)
		w.plant("records/roster", "garbage")
		pass(20 * time.Second)
		w.start("g3", withRoster).wantLogged(1, "level=WARN", "ignored the registry's roster")
		pass(25 * time.Second) // a poll comes by, and g3 is not heard of for SuspectAfter
		for range 2 {
			g1.wantLogged(1, "level=WARN", "ignored the registry's roster")
			g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect") // which knows no roster
			g2.wantStates("g1:1:alive", "g2:2:alive", "g3:3:suspect")
			g1 = g1.again(withRoster)
			pass(10 * time.Second)
			g1.wantLogged(0, "single-node")
			if g1.View().RosterSerial != 1 {
				break
			}
			pass(10 * time.Second)
		}
	})
}

// What is said to be in force is what is, and nobody leaves who never came.
func TestRosterOfAnotherReplica(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.publish(rosterOf(1, "g1", "g2"))
		g1 := w.start("g1", withRoster)
		pass(10 * time.Second)
		later := rosterOf(9, "g1", "g4")
		g1.pins.edit(t, func(k *Kept) { k.Roster = signRoster(t, later) })
		w.publish(rosterOf(2, "g1", "g3"))
		pass(2 * time.Minute)
		g1.wantStates("g1:1:alive", "g4:2:dead")
		g1.wantLogged(1, `msg="a roster is in force" serial=1 `)
		g1.wantLogged(1, `msg="a roster is in force" serial=9 `)
		g1.wantLogged(2, "a roster is in force")
		g1.wantLogged(0, "guardian left")
	})
}

// What was first seen outlives the process.
func TestHostileRegistryAtRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3")
		pass(10 * time.Second)
		g1 := all[0]
		g1.registry.lies(lies["another key"])
		g1 = g1.again()
		pass(time.Minute)
		whoIs(t, g1) // of g2 it does not know where it is, but hears it
		if _, known := g1.NodeOf(publicOf("thief")); known {
			t.Error("the thief is a member")
		}
		if at := g1.View().Members[1].PeerURL; at != "" {
			t.Errorf("g2 is at %s", at)
		}
		g1.wantLogged(1, "level=WARN", "with another key than the one first seen", "node_id=g2")
		g1.registry.lies(lies["indices swapped"])
		g1 = g1.again()
		pass(time.Minute)
		whoIs(t, g1)
		g1.wantLogged(1, "level=WARN", `"ignored index 3, which the registry gives this node: it keeps 2" node_id=g2`)
		g1.registry.lies(func(l []Member) []Member {
			return of(l, "g1", func(m *Member) { m.Index = 4 })
		})
		g1 = g1.again()
		pass(time.Minute)
		whoIs(t, g1)
	})
}

// A registry that was lost and begins anew gives indices in another order:
// guardians keep theirs.
func TestRegistryBeginsAnew(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3")
		pass(10 * time.Second)
		for _, p := range all {
			p.end()
		}
		w.store = backendtest.NewMemory()
		for i, p := range slices.Backward(all) {
			all[i] = w.startWith(p.cfg.Self.NodeID, p.pins, &registryOf{Registry: NewBucket(w.store, nil)})
		}
		pass(time.Minute)
		for _, p := range all {
			whoIs(t, p)
			p.wantLogged(2, "which the registry gives this node: it keeps")
		}
	})
}

// Members are those of the roster, with its keys and indices, whatever the
// registry says.
func TestRosterDecides(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// Registered in the other order, and with one who is not in the roster.
		w.publish(rosterOf(1, "g1", "g2", "g3"))
		all := map[string]*process{}
		for _, node := range []string{"g3", "stranger", "g2", "g1"} {
			all[node] = w.start(node, withRoster)
		}
		pass(10 * time.Second)
		for _, node := range []string{"g1", "g2", "g3"} {
			p := all[node]
			whoIs(t, p)
			p.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
			p.wantLogged(1, `msg="a roster is in force" serial=1 members=3`)
			p.wantLogged(1, "level=WARN", `msg="ignored a guardian that is not in the roster" node_id=stranger`)
			if v := p.View(); v.RosterSerial != 1 || v.Members[0].FailureDomain != "eu-1" {
				t.Errorf("it sees %+v", v)
			}
			if _, err := p.Receive("stranger", Heartbeat{NodeID: "stranger"}); !errors.Is(err, ErrNotMember) {
				t.Errorf("the stranger is heard: %v", err)
			}
		}
		all["stranger"].wantLogged(1, "this guardian is not in the roster with its node id and key")
		if v := all["stranger"].View(); v.Index != 0 || v.Alive != 1+3 { // for the first 15 s
			t.Errorf("the stranger sees %+v", v)
		}
		pass(time.Minute)
		if v := all["stranger"].View(); v.Alive != 1 {
			t.Errorf("the stranger sees %+v", v)
		}
	})
}

func TestHostileRegistryWithRoster(t *testing.T) {
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.publish(rosterOf(1, "g1", "g2", "g3"))
				var all []*process
				for _, node := range []string{"g1", "g2", "g3"} {
					all = append(all, w.start(node, withRoster))
				}
				pass(10 * time.Second)
				g1 := all[0]
				g1.registry.lies(lie)
				for range 2 {
					pass(2 * time.Minute)
					whoIs(t, g1)
					g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
					if logged := g1.log.with(); len(logged) > 10+maxLines || strings.Contains(strings.Join(logged, ""), "hunter2") {
						t.Errorf("it logged %d lines: %.2000s", len(logged), logged)
					}
					// Started anew it does not know where those are whom it is
					// not told of, and knows them as soon as they call.
					g1 = g1.again(withRoster)
				}
			})
		})
	}
}

// No roster but one with a higher serial, signed by the admission key, ever
// comes into force, before a restart or after.
func TestOlderRoster(t *testing.T) {
	first, second := rosterOf(4, "g1", "thief"), rosterOf(5, "g1", "g2", "g3")
	forged, err := rosterOf(9, "g1", "thief").Sign(keyOf("thief"))
	if err != nil {
		t.Fatal(err)
	}
	sameSerial := signRoster(t, rosterOf(5, "g1", "thief"))
	for name, test := range map[string]struct {
		roster func() ([]byte, error)
		logged string
	}{
		"older":         {saying(signRoster(t, first)), "ignored the registry's roster with serial 4: that in force has 5"},
		"same serial":   {saying(sameSerial), "ignored the registry's roster with serial 5: that in force has 5"},
		"forged":        {saying(forged), "ignored the registry's roster: roster not signed by the admission key"},
		"no roster":     {saying([]byte("hello")), "ignored the registry's roster: invalid roster"},
		"empty":         {saying(nil), "ignored the registry's roster: invalid roster"},
		"huge":          {saying(bytes.Repeat([]byte("guardian-roster-v1\n"), 1<<16)), "ignored the registry's roster: invalid roster"},
		"gone":          {func() ([]byte, error) { return nil, ErrNoRecord }, "the registry has lost the roster"},
		"far too large": {func() ([]byte, error) { return nil, ErrTooLarge }, "ignored the registry's roster: record too large"},
		"no record":     {func() ([]byte, error) { return nil, errNotRecord }, "ignored the registry's roster: what is stored is no record"},
		"forbidden":     {func() ([]byte, error) { return nil, errors.New("status 403") }, "cannot fetch the registry's roster: the one in force stays"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.publish(first)
				var all []*process
				for _, node := range []string{"g1", "g2", "g3"} {
					all = append(all, w.start(node, withRoster))
				}
				pass(10 * time.Second)
				w.publish(second)
				pass(10 * time.Second)
				g1 := all[0]
				for range 2 {
					whoIs(t, g1)
					g1.registry.set(func(r *registryOf) { r.roster = test.roster })
					pass(10 * time.Minute)
					whoIs(t, g1)
					if v := g1.View(); v.RosterSerial != 5 {
						t.Errorf("in force is %d", v.RosterSerial)
					}
					if _, known := g1.KeyOf("thief"); known {
						t.Error("the thief is a member")
					}
					g1.wantLogged(1, "level=WARN", test.logged)
					g1 = g1.again(withRoster)
					pass(10 * time.Second)
				}
			})
		})
	}
}

func saying(data []byte) func() ([]byte, error) {
	return func() ([]byte, error) { return data, nil }
}

// A new roster lets in, puts out, and gives another key.
func TestNewRoster(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.publish(rosterOf(1, "g1", "g2"))
		all := map[string]*process{}
		for _, node := range []string{"g1", "g2", "g3"} {
			all[node] = w.start(node, withRoster)
		}
		pass(10 * time.Second)
		all["g1"].wantStates("g1:1:alive", "g2:2:alive")
		w.publish(&Roster{Serial: 2, Entries: []Entry{entryOf(1, "g1"), entryOf(3, "g3"), entryOf(9, "g9")}})
		pass(10 * time.Second)
		for _, node := range []string{"g1", "g3"} {
			all[node].wantStates("g1:1:alive", "g3:3:alive", "g9:9:dead")
		}
		all["g1"].wantLogged(1, `msg="guardian left" node_id=g2`)
		all["g1"].wantLogged(1, `msg="guardian joined" node_id=g3`)
		all["g1"].wantLogged(0, "node_id=g9") // it has not registered
		if _, known := all["g1"].KeyOf("g2"); known {
			t.Error("g2 is a member")
		}
		if v := all["g1"].View(); v.Members[2].Heard || v.Members[2].PeerURL != "" || v.Alive != 2 {
			t.Errorf("it sees %+v", v)
		}
		other := entryOf(1, "g1")
		other.Key = publicOf("g1-new")
		w.publish(&Roster{Serial: 3, Entries: []Entry{other, entryOf(3, "g3")}})
		pass(10 * time.Second)
		if key, _ := all["g3"].KeyOf("g1"); !key.Equal(publicOf("g1-new")) {
			t.Errorf("the key of g1 is %x", key)
		}
		if _, known := all["g3"].NodeOf(publicOf("g1")); known {
			t.Error("the old key is a member's")
		}
		all["g1"].wantLogged(1, "this guardian is not in the roster with its node id and key")
	})
}

// With an admission key and no roster nobody is a member.
func TestNoRosterYet(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g1, g2 := w.start("g1", withRoster), w.start("g2", withRoster)
		pass(time.Hour)
		for _, p := range []*process{g1, g2} {
			if len(p.View().Members) != 1 {
				t.Errorf("it sees %q", p.states())
			}
			p.wantLogged(1, "level=WARN", "there is no roster yet: no other guardian is a member")
		}
		w.publish(rosterOf(1, "g1", "g2"))
		pass(10 * time.Second)
		g1.wantStates("g1:1:alive", "g2:2:alive")
		g2.wantStates("g1:1:alive", "g2:2:alive")
	})
}

// Where the roster decides, a registry that refuses to register somebody does
// not keep it out: it calls the others, and they know it.
func TestRegistryRefusesMember(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.publish(rosterOf(1, "g1", "g2", "g3"))
		g1, g3 := w.start("g1", withRoster), w.start("g3", withRoster)
		refusing := &registryOf{Registry: NewBucket(w.store, nil), refuses: fmt.Errorf("registering: %w", ErrImpostor)}
		g2 := w.startWith("g2", &keeper{}, refusing, withRoster)
		pass(time.Hour)
		for _, p := range []*process{g1, g2, g3} {
			whoIs(t, p)
		}
		g2.wantLogged(1, "level=WARN", "cannot register", ErrImpostor.Error())
	})
}

// Another admission key begins anew.
func TestAdmissionKeyChanged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.publish(rosterOf(9, "g1", "g2"))
		g1 := w.start("g1", withRoster)
		pass(10 * time.Second)
		g1 = g1.again(func(cfg *Config) { cfg.Admission = publicOf("another admission") })
		pass(10 * time.Second)
		if len(g1.View().Members) != 1 || g1.View().RosterSerial != 0 {
			t.Errorf("it sees %q", g1.states())
		}
		g1.wantLogged(1, "level=WARN", "the roster that was kept is not signed by the admission key")
		g1.wantLogged(1, "level=WARN", "ignored the registry's roster: roster not signed by the admission key")
		g1 = g1.again(withRoster)
		pass(10 * time.Second)
		if g1.View().RosterSerial != 9 {
			t.Errorf("in force is %d", g1.View().RosterSerial)
		}
	})
}

// Until it can read what it kept, a guardian believes nobody.
func TestMemoryCannotBeRead(t *testing.T) {
	for name, change := range map[string]func(*keeper){
		"storage is down": func(k *keeper) { k.failLoad = errors.New("bad sector") },
		"it is damaged":   func(k *keeper) { k.data = append([]byte("x"), k.data...) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				g1, g2 := w.start("g1"), w.start("g2")
				pass(10 * time.Second)
				kept := bytes.Clone(g1.pins.data)
				g1.pins.set(change)
				g1 = g1.again()
				pass(time.Hour)
				g1.wantStates("g1:0:alive")
				g1.wantLogged(1, "level=ERROR", `msg="cannot tell who the other guardians are"`)
				g1.wantLogged(1, "msg=")
				g1.pins.set(func(k *keeper) { k.failLoad, k.data = nil, kept })
				pass(time.Minute)
				g1.wantStates("g1:1:alive", "g2:2:alive")
				g2.wantStates("g1:1:alive", "g2:2:alive")
			})
		})
	}
}

// What cannot be kept is not believed yet; what was known stays.
func TestMemoryCannotBeWritten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2")
		pass(10 * time.Second)
		g1 := all[0]
		g1.pins.set(func(k *keeper) { k.fail = errors.New("disk full") })
		g3 := w.start("g3")
		pass(time.Minute)
		g1.wantStates("g1:1:alive", "g2:2:alive")
		all[1].wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
		g1.wantLogged(1, "level=ERROR", `msg="cannot tell who the other guardians are"`, "disk full")
		all[1] = all[1].again() // and what is known may still move
		pass(time.Minute)
		g1.wantLogged(1, `msg="guardian moved" node_id=g2`)
		g1.wantLogged(4, "msg=")
		g1.pins.set(func(k *keeper) { k.fail = nil })
		pass(time.Minute)
		g1.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
		g3.wantStates("g1:1:alive", "g2:2:alive", "g3:3:alive")
	})
}

// A roster that cannot be kept is not in force: a restart would forget it.
func TestRosterCannotBeWritten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.publish(rosterOf(1, "g1", "g2"))
		g1 := w.start("g1", withRoster)
		pass(10 * time.Second)
		g1.pins.set(func(k *keeper) { k.fail = errors.New("disk full") })
		w.publish(rosterOf(2, "g1", "g2", "g3"))
		pass(time.Minute)
		if v := g1.View(); v.RosterSerial != 1 || len(v.Members) != 2 {
			t.Errorf("it sees %+v", v)
		}
		g1.pins.set(func(k *keeper) { k.fail = nil })
		pass(time.Minute)
		if v := g1.View(); v.RosterSerial != 2 || len(v.Members) != 3 {
			t.Errorf("it sees %+v", v)
		}
	})
}

// What nothing new is learnt of is not written again.
func TestMemoryIsWrittenSeldom(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.startAll("g1", "g2", "g3")
		pass(time.Hour)
		for _, p := range all {
			if p.pins.saves > 3 {
				t.Errorf("%s wrote %d times", p.cfg.Self.NodeID, p.pins.saves)
			}
		}
	})
}

// What another replica learnt first, and kept, counts.
func TestReplicaLearntFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pins := &keeper{}
		honest := &registryOf{Registry: NewBucket(w.store, nil)}
		lied := &registryOf{Registry: NewBucket(w.store, nil)}
		lied.lies(lies["another key"])
		first := w.startWith("g1", pins, honest)
		second := w.startWith("g1", pins, lied)
		pass(10 * time.Second)
		w.enlist("g2")
		pass(10 * time.Second)
		kept, err := decodeMemory(pins.data, nil)
		if err != nil || kept.pins["g2"].NodeID == "" {
			t.Fatalf("kept is %+v, %v", kept, err)
		}
		members := 0
		for _, p := range []*process{first, second} {
			if key, known := p.KeyOf("g2"); known {
				members++
				if !key.Equal(kept.pins["g2"].Key) {
					t.Errorf("the key is %x, kept is %x", key, kept.pins["g2"].Key)
				}
			}
		}
		if members != 1 { // the other replica is told of a key that is not kept
			t.Errorf("it is a member to %d of two", members)
		}
	})
}

// A registry may answer anything to being registered with.
func TestHostileRegister(t *testing.T) {
	for name, change := range map[string]func(*Member){
		"another's record": func(m *Member) { m.NodeID = "g9" },
		"index 0":          func(m *Member) { m.Index = 0 },
		"index 256":        func(m *Member) { m.Index = 256 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(_ *testing.T, w *world) {
				g1 := w.start("g1", func(cfg *Config) { cfg.Registry = registerLiar{cfg.Registry, change} })
				pass(10 * time.Minute)
				g1.wantStates("g1:0:alive")
				g1.wantLogged(1, singleNode)
			})
		})
	}
	t.Run("another's index", func(t *testing.T) {
		inWorld(t, func(_ *testing.T, w *world) {
			g1, g2 := w.start("g1"), w.start("g2")
			pass(10 * time.Second)
			// g2 forgets who it was, but not who the others are.
			k, err := decodeMemory(g2.pins.data, nil)
			if err != nil {
				t.Fatal(err)
			}
			delete(k.pins, "g2")
			g2.pins.set(func(kept *keeper) { kept.data = k.encode() })
			g2.registry.lies(func(l []Member) []Member { return of(l, "g2", func(m *Member) { m.Index = 1 }) })
			g2 = g2.again(func(cfg *Config) {
				cfg.Registry = registerLiar{cfg.Registry, func(m *Member) { m.Index = 1 }}
			})
			pass(time.Minute)
			g2.wantStates("g2:0:alive", "g1:1:alive")
			g2.wantLogged(1, "level=WARN", "the index that the registry gives this guardian, or its key, is another's")
			g1.wantStates("g1:1:alive", "g2:2:alive")
		})
	})
}

type registerLiar struct {
	Registry
	change func(*Member)
}

func (r registerLiar) Register(ctx context.Context, m Member) (Member, error) {
	m, err := r.Registry.Register(ctx, m)
	r.change(&m)
	return m, err
}
