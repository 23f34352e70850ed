package last_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/integrity"
)

// keyring has the first key as its primary one.
func keyring(ids ...string) integrity.KeySource {
	var keys []string
	for _, id := range ids {
		keys = append(keys, fmt.Sprintf("%q:%q", id, strings.Repeat(id, integrity.KeySize)))
	}
	return integrity.InlineSource{Text: fmt.Sprintf(`{"primary":%q,"keys":{%s}}`, ids[0], strings.Join(keys, ","))}
}

func sealerOf(t *testing.T, nodeID string, keys integrity.KeySource) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), nodeID, keys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func finishedAgo(d time.Duration) last.Backup {
	return last.Backup{ID: "20260308T020000.123Z-5be0f2", Kind: "full", FinishedNS: time.Now().Add(-d).UnixNano()}
}

func mustPut(t *testing.T, store backend.Backend, sealer *integrity.Sealer, b last.Backup) {
	t.Helper()
	if err := last.Put(t.Context(), store, sealer, b); err != nil {
		t.Fatal(err)
	}
}

// What was put is read, the newest put last; where nothing was, there was no backup.
func TestPutAndGet(t *testing.T) {
	t.Parallel()
	store, sealer := backendtest.NewMemory(), sealerOf(t, "g1", keyring("0a"))
	if b, err := last.Get(t.Context(), store, sealer); err != nil || b != (last.Backup{}) || !b.Finished().IsZero() {
		t.Errorf("of none there is %+v, %v", b, err)
	}
	for _, want := range []last.Backup{finishedAgo(48 * time.Hour), finishedAgo(time.Hour), finishedAgo(-30 * time.Second)} {
		mustPut(t, store, sealer, want)
		if b, err := last.Get(t.Context(), store, sealer); err != nil || b != want {
			t.Errorf("read %+v, not %+v: %v", b, want, err)
		}
	}
}

// The bytes are those of docs/FORMATS.md, and stay.
func TestBytesAsDocumented(t *testing.T) {
	t.Parallel()
	store, sealer := backendtest.NewMemory(), sealerOf(t, "g1", keyring("0a"))
	mustPut(t, store, sealer, last.Backup{ID: "20260308T020000.123Z-5be0f2", Kind: "full", FinishedNS: 1772935209000000000})
	const want = "hmac 0a 1c9601cc49ae22febdbc55a318f2d57d7f10cec97955d3890a73beb46284081e\n" +
		`{"id":"20260308T020000.123Z-5be0f2","kind":"full","finished_ns":1772935209000000000}`
	if got := string(store.Objects()[last.Key]); got != want {
		t.Errorf("it is %q, not %q", got, want)
	}
}

// Nothing is believed that this guardian's keyring has not sealed, nor a time that
// is still to come.
func TestForgeries(t *testing.T) {
	t.Parallel()
	own := sealerOf(t, "g1", keyring("0a"))
	store := backendtest.NewMemory()
	mustPut(t, store, own, finishedAgo(time.Hour))
	sound := string(store.Objects()[last.Key])
	seal, data, _ := strings.Cut(sound, "\n")
	text := func(s string) func(*testing.T) []byte { return func(*testing.T) []byte { return []byte(s) } }
	sealed := func(sealer *integrity.Sealer, b last.Backup) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			store := backendtest.NewMemory()
			mustPut(t, store, sealer, b)
			return store.Objects()[last.Key]
		}
	}
	elsewhere := func(label, key string) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			keyID, tag, err := own.Seal(label, []byte(key), []byte(data))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Appendf(nil, "hmac %s %x\n%s", keyID, tag, data)
		}
	}
	for name, object := range map[string]func(*testing.T) []byte{
		"empty":               text(""),
		"not sealed":          text(data),
		"no data":             text(seal),
		"another time":        text(strings.Replace(sound, `"finished_ns":1`, `"finished_ns":2`, 1)),
		"another kind":        text(strings.Replace(sound, "full", "null", 1)),
		"another key id":      text(strings.Replace(sound, "hmac 0a ", "hmac 0b ", 1)),
		"no seal":             text("hmac 0a \n" + data),
		"seal that is no hex": text("hmac 0a zz\n" + data),
		"longer":              text(sound + " "),
		"another key":         sealed(sealerOf(t, "g1", keyring("0b")), finishedAgo(time.Hour)),
		"another guardian":    sealed(sealerOf(t, "g2", keyring("0a")), finishedAgo(time.Hour)),
		"much longer":         sealed(own, last.Backup{ID: strings.Repeat("x", 5000), FinishedNS: 1}),
		"to come":             sealed(own, finishedAgo(-time.Hour)),
		"no time":             sealed(own, last.Backup{ID: "x"}),
		"another purpose":     elsewhere("scrub", last.Key),
		"another object":      elsewhere(last.Key, "another"),
	} {
		if _, err := store.Put(t.Context(), last.Key, object(t), backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
		if b, err := last.Get(t.Context(), store, own); !errors.Is(err, last.ErrNotBelieved) || b != (last.Backup{}) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
	if _, err := store.Put(t.Context(), last.Key, []byte(sound), backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Get(t.Context(), store, own); err != nil {
		t.Errorf("what is sound is not believed: %v", err)
	}
}

// Who cannot write to the storage has the guardian do so, with what the keyring has
// sealed and nothing else.
func TestKeep(t *testing.T) {
	t.Parallel()
	store, sealer := &backendtest.Faulty{Backend: backendtest.NewMemory()}, sealerOf(t, "g1", keyring("0a"))
	w := last.NewWatch(store, sealer, slog.New(slog.DiscardHandler))
	sealed := func(sealer *integrity.Sealer, b last.Backup) []byte {
		object, err := last.Seal(sealer, b)
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	b := finishedAgo(time.Hour)
	for range 2 {
		if state, err := w.Keep(t.Context(), sealed(sealer, b)); err != nil || state != (last.State{Backup: b}) || w.State() != state {
			t.Errorf("kept %+v, %v", state, err)
		}
		for name, object := range map[string][]byte{
			"nothing": nil, "another's": sealed(sealerOf(t, "g2", keyring("0a")), finishedAgo(0)), "to come": sealed(sealer, finishedAgo(-time.Hour)),
			"longer": append(sealed(sealer, finishedAgo(0)), ' '),
		} {
			if state, err := w.Keep(t.Context(), object); !errors.Is(err, last.ErrNotBelieved) || state != (last.State{}) {
				t.Errorf("%s: %+v, %v", name, state, err)
			}
		}
	}
	if got, err := last.Get(t.Context(), store, sealer); err != nil || got != b {
		t.Errorf("there is %+v, %v", got, err)
	}
	store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	if state, err := w.Keep(t.Context(), sealed(sealer, finishedAgo(0))); err == nil || errors.Is(err, last.ErrNotBelieved) || w.State().Backup != b {
		t.Errorf("without storage: %+v, %v", state, err)
	}
}

// A rotation takes it along, and what is not believed keeps no key in use.
func TestRekey(t *testing.T) {
	t.Parallel()
	store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
	old, both, renewed := sealerOf(t, "g1", keyring("0a")), sealerOf(t, "g1", keyring("0b", "0a")), sealerOf(t, "g1", keyring("0b"))
	rekey := func(want bool) {
		t.Helper()
		if done, err := last.Rekey(t.Context(), store, both); done != want || err != nil {
			t.Errorf("re-sealed %v, %v", done, err)
		}
	}
	rekey(false)
	b := finishedAgo(time.Hour)
	mustPut(t, store, old, b)
	rekey(true)
	rekey(false)
	if got, err := last.Get(t.Context(), store, renewed); err != nil || got != b {
		t.Errorf("under the new key alone: %+v, %v", got, err)
	}
	mustPut(t, store, sealerOf(t, "g1", keyring("0c")), b)
	rekey(false)

	mustPut(t, store, old, b)
	store.SetInject(func(c backendtest.Call) backendtest.Fault {
		if c.Op == backendtest.OpPut {
			return backendtest.NotApplied
		}
		return backendtest.None
	})
	if done, err := last.Rekey(t.Context(), store, both); done || err == nil {
		t.Errorf("re-sealed %v without storage, %v", done, err)
	}
}

// Every replica comes to know of a backup. While the storage cannot say, what it
// said last holds; what is not believed replaces it.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
		sealer := sealerOf(t, "g1", keyring("0a"))
		var log strings.Builder
		w := last.NewWatch(store, sealer, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		defer func() { stop(); <-done }()
		known := func(want last.State) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			if got := w.State(); got != want {
				t.Errorf("known is %+v, not %+v", got, want)
			}
		}
		known(last.State{})
		b := finishedAgo(time.Hour)
		mustPut(t, store, sealer, b)
		known(last.State{Backup: b})
		store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
		known(last.State{Backup: b})
		if state, err := w.Look(t.Context()); err == nil || state.Backup != b {
			t.Errorf("%+v, %v", state, err)
		}
		store.SetInject(nil)
		mustPut(t, store, sealerOf(t, "g2", keyring("0a")), b)
		time.Sleep(time.Hour)
		if got := w.State(); got.Backup != (last.Backup{}) || got.Problem == "" {
			t.Errorf("known is %+v", got)
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "cannot be read") || !strings.Contains(text, "not believed") {
			t.Errorf("logged %s", text)
		}
		mustPut(t, store, sealer, b)
		known(last.State{Backup: b})
	})
}
