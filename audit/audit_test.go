package audit

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/integrity"
)

func TestOpenRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no mode":               {},
		"unknown mode":          {Mode: "both"},
		"required, but off":     {Mode: Off, Required: true},
		"required, but to log":  {Mode: ToLog, Required: true},
		"a mode of upper case":  {Mode: "STORE"},
		"required without mode": {Required: true},
	} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestOff(t *testing.T) {
	l, err := Open(Config{Mode: Off})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), pushOf("1")); err != nil {
		t.Error(err)
	}
	if err := l.Close(t.Context()); err != nil || l.Stats() != (Stats{}) {
		t.Error(err, l.Stats())
	}
}

func TestToLog(t *testing.T) {
	sealer, journal := newSealer(t, nodeID, "k1"), &journal{}
	l, err := Open(Config{Mode: ToLog, Sealer: sealer, Logger: journal.logger()})
	if err != nil {
		t.Fatal(err)
	}
	event := pushOf("r1")
	event.Name = "wallet"
	for _, event := range []Event{event, {Action: List, Status: 401, Code: "token_required"}} {
		if err := l.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := journal.text.String()
	_, who, _ := IdentityDigest(sealer, identity)
	_, what, _ := digestOf(sealer, labelName, []byte(identity), []byte("wallet"))
	first, second, _ := strings.Cut(strings.TrimSpace(text), "\n")
	wantJSON(t, first, `{"level":"INFO","msg":"audit","request_id":"r1","actor":"default","action":"push","identity":"`+who+
		`","name":"`+what+`","digest_key":"k1","code":"ok","remote":"192.0.2.7","version":7,"status":200}`)
	wantJSON(t, second, `{"level":"INFO","msg":"audit","action":"list","code":"token_required","status":401}`)
	if strings.Contains(text, identity[:8]) || strings.Contains(text, "wallet") {
		t.Error("an identity or a name is in the log")
	}
}

// wantJSON compares objects, but for the time.
func wantJSON(t *testing.T, got, want string) {
	t.Helper()
	var objects [2]map[string]any
	for i, text := range []string{got, want} {
		if err := json.Unmarshal([]byte(text), &objects[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		delete(objects[i], "time")
	}
	a, _ := json.Marshal(objects[0])
	b, _ := json.Marshal(objects[1])
	if string(a) != string(b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestLines(t *testing.T) {
	store := &memory{}
	l := openStore(t, store, true)
	event := pushOf("r1")
	event.Name, event.Remote = "wallet", strings.Repeat("\x00", 1<<20)
	zero := uint64(0)
	for _, event := range []Event{event, {Action: Pull, Version: &zero}, {Action: Challenge, RequestID: "a\n\"}\xff</b>"}} {
		if err := l.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	l.mustClose(t)
	var lines []Line
	for _, segment := range store.stored() {
		if strings.Contains(string(segment.Data), identity[:8]) || strings.Contains(string(segment.Data), "wallet") {
			t.Error("an identity or a name is in the store")
		}
		for line, err := range Lines(segment.Data) {
			if err != nil {
				t.Fatal(err)
			}
			if line.Time.IsZero() || line.Time.Location().String() != "UTC" || line.Key != "k1" {
				t.Errorf("%+v", line)
			}
			lines = append(lines, line)
		}
	}
	chain := wantSound(t, l.sealer, store)
	if !chain.Closed || chain.Lines != 5 || len(lines) != 5 || chain.Node != nodeID || chain.Program != program {
		t.Fatalf("%+v", chain)
	}
	if first := lines[0]; first.Kind != Start || first.Chain != chain.Name || !first.Time.Equal(chain.From) {
		t.Errorf("%+v", first)
	}
	if got := lines[1]; got.Version == nil || *got.Version != 7 || len(got.Remote) != maxFieldSize || got.Status != 200 || got.Action != Push {
		t.Errorf("%+v", got)
	}
	if got := lines[2]; got.Version == nil || *got.Version != 0 || got.Identity != "" || got.DigestKey != "" {
		t.Errorf("version 0 came back as %+v", got)
	}
	if got := lines[3]; got.Version != nil || got.RequestID != "a\n\"}\ufffd</b>" {
		t.Errorf("%+v", got)
	}
	if last := lines[4]; last.Kind != End || !last.Time.Equal(chain.To) {
		t.Errorf("%+v", last)
	}
}

func TestDigests(t *testing.T) {
	sealer, other := newSealer(t, nodeID, "k1"), newSealer(t, "g2", "k1")
	digest := func(sealer Sealer, identity, name string) Entry {
		entry, err := newEntry(sealer, Event{Identity: identity, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return entry
	}
	one := digest(sealer, identity, "wallet")
	if len(one.Identity) != 16 || len(one.Name) != 16 || one.DigestKey != "k1" {
		t.Fatalf("%+v", one)
	}
	if same := digest(sealer, identity, "wallet"); same.Identity != one.Identity || same.Name != one.Name {
		t.Error("digests of equal things differ")
	}
	if keyID, who, err := IdentityDigest(sealer, identity); err != nil || keyID != "k1" || who != one.Identity {
		t.Error(keyID, who, err)
	}
	if elsewhere := digest(other, identity, "wallet"); elsewhere.Identity == one.Identity || elsewhere.Name == one.Name {
		t.Error("another node's digests are the same")
	}
	if another := digest(sealer, identity+"0", "wallet"); another.Identity == one.Identity || another.Name == one.Name {
		t.Error("the digest of a name tells who else has it")
	}
	if bare := digest(sealer, identity, ""); bare.Name != "" || bare.Identity != one.Identity {
		t.Errorf("without a name: %+v", bare)
	}
}

// rotating is a Sealer that is rotated between the first call and the second.
type rotating struct {
	*integrity.Sealer
	calls int
	turn  func()
}

func (r *rotating) Seal(label string, parts ...[]byte) (string, []byte, error) {
	if r.calls++; r.calls == 2 {
		r.turn()
	}
	return r.Sealer.Seal(label, parts...)
}

func TestDigestsOfOneLineAreUnderOneKey(t *testing.T) {
	source := &keys{primary: "k1", ids: []string{"k1"}}
	sealer := sealerOf(t, nodeID, source)
	entry, err := newEntry(&rotating{Sealer: sealer, turn: func() {
		source.rotate("k2")
		if err := sealer.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}}, Event{Identity: identity, Name: "wallet"})
	if err != nil {
		t.Fatal(err)
	}
	keyID, who, _ := IdentityDigest(sealer, identity)
	if entry.DigestKey != "k2" || keyID != "k2" || entry.Identity != who {
		t.Errorf("%+v", entry)
	}
}

// unable is a Sealer that fails while it is told to.
type unable struct {
	*integrity.Sealer
	label string
}

func (u *unable) Seal(label string, parts ...[]byte) (string, []byte, error) {
	if label == u.label {
		return "", nil, errInjected
	}
	return u.Sealer.Seal(label, parts...)
}

// TestSealerFails: a line that cannot be made is told of as lost, wherever
// lines go; one that cannot be sealed waits.
func TestSealerFails(t *testing.T) {
	for _, required := range []bool{false, true} {
		store, journal := &memory{}, &journal{}
		sealer := &unable{newSealer(t, nodeID, "k1"), labelIdentity}
		l, err := Open(Config{Mode: ToStore, Required: required, Sealer: sealer, Store: store, Logger: journal.logger()})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.Record(t.Context(), pushOf("1")); required != errors.Is(err, errInjected) || required != errors.Is(err, ErrNotKept) {
				t.Errorf("required %v: %v", required, err)
			}
		}
		if err := l.Record(t.Context(), Event{RequestID: "2"}); err != nil {
			t.Error(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if chain := wantSound(t, sealer, store); chain.Lost != 2 || l.Stats().Lost != 2 || journal.count("audit lines are lost") == 0 {
			t.Errorf("%+v, %+v", chain, l.Stats())
		}
	}
	journal := &journal{}
	l, err := Open(Config{Mode: ToLog, Sealer: &unable{label: labelIdentity}, Logger: journal.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), pushOf("1")); err != nil || journal.count("audit line lost") != 1 {
		t.Error(err, journal.text.String())
	}
	sealer := &unable{newSealer(t, nodeID, "k1"), labelChain}
	l, err = Open(Config{Mode: ToStore, Required: true, Sealer: sealer, Store: &memory{}, Logger: journal.logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Record(t.Context(), pushOf("1")); !errors.Is(err, ErrNotKept) || !errors.Is(err, errInjected) {
		t.Error(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := l.Close(ended); !errors.Is(err, ErrNotKept) || !strings.Contains(err.Error(), "3 lines are left") {
		t.Error(err)
	}
}
