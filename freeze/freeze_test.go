package freeze_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/freeze"
)

func open(t *testing.T, store backend.Backend) *freeze.Switch {
	t.Helper()
	s, err := freeze.Open(t.Context(), store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run looks again and again until the test ends.
func run(t *testing.T, s *freeze.Switch) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
}

// One replica freezes: the others know in time, and one that starts knows at
// once. Any of them thaws.
func TestReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		one, other := open(t, store), open(t, store)
		run(t, one)
		run(t, other)
		if state, err := one.Freeze(t.Context(), "admin-anna"); err != nil || !state.Frozen || state.By != "admin-anna" || state.SinceNS == 0 {
			t.Fatalf("%+v, %v", state, err)
		}
		if !one.Frozen() || !open(t, store).Frozen() {
			t.Error("who froze, or who starts then, takes writes")
		}
		time.Sleep(freeze.Within)
		if got := other.State(); !got.Frozen || got.By != "admin-anna" {
			t.Errorf("the other replica has %+v", got)
		}
		if state, err := other.Freeze(t.Context(), "admin-bert"); err != nil || state.By != "admin-anna" {
			t.Errorf("frozen twice: %+v, %v", state, err)
		}
		if state, err := other.Thaw(t.Context()); err != nil || state != (freeze.State{}) {
			t.Errorf("%+v, %v", state, err)
		}
		time.Sleep(freeze.Within)
		if one.Frozen() || open(t, store).Frozen() {
			t.Error("frozen for ever")
		}
		if _, err := one.Thaw(t.Context()); err != nil {
			t.Errorf("thawed twice: %v", err)
		}
	})
}

// While the storage cannot say, what it said last holds.
func TestStorageThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
		s := open(t, store)
		run(t, s)
		fails := func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied }
		for _, frozen := range []bool{false, true} {
			store.SetInject(nil)
			if frozen {
				if _, err := s.Freeze(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			}
			store.SetInject(fails)
			time.Sleep(time.Hour)
			if s.Frozen() != frozen {
				t.Errorf("it was %v and is %v", frozen, !frozen)
			}
			if _, err := s.Thaw(t.Context()); err == nil {
				t.Error("thawed without storage")
			}
		}
		if _, err := freeze.Open(t.Context(), store, slog.New(slog.DiscardHandler)); err == nil {
			t.Error("begun without knowing")
		}
	})
}

// A storage that hangs holds up nobody who wants to write.
func TestStorageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
		s := open(t, store)
		run(t, s)
		hang := make(chan struct{})
		store.SetInject(func(backendtest.Call) backendtest.Fault { <-hang; return backendtest.NotApplied })
		time.Sleep(time.Minute)
		began := time.Now()
		if s.Frozen() || time.Since(began) > 0 {
			t.Errorf("frozen is %v after %v", s.Frozen(), time.Since(began))
		}
		close(hang)
	})
}

// Of a change whose answer was lost, the outcome is read.
func TestAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	s := open(t, store)
	store.SetInject(func(c backendtest.Call) backendtest.Fault {
		if c.Op == backendtest.OpPut || c.Op == backendtest.OpDelete {
			return backendtest.AnswerLost
		}
		return backendtest.None
	})
	if _, err := s.Freeze(t.Context(), ""); err == nil || !s.Frozen() {
		t.Errorf("frozen is %v, %v", s.Frozen(), err)
	}
	if _, err := s.Thaw(t.Context()); err == nil || s.Frozen() {
		t.Errorf("frozen is %v, %v", s.Frozen(), err)
	}
}

// The marker is there, or not: what is in it decides nothing.
func TestMarkerThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"frozen":false}`, `{"by":7}`, strings.Repeat("x", 1<<20)} {
		store := backendtest.NewMemory()
		if _, err := store.Put(t.Context(), "frozen", []byte(text), backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
		s := open(t, store)
		if !s.Frozen() {
			t.Errorf("%.20q lets writes through", text)
		}
		if _, err := s.Thaw(t.Context()); err != nil || s.Frozen() {
			t.Errorf("%.20q cannot be thawed: %v", text, err)
		}
	}
}
