package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	nodeID   = "g1"
	program  = "guardian v0.1.0"
	identity = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e70001"
)

// keys is a keyring that can be rotated. The bytes of a key follow from its id.
type keys struct {
	mu      sync.Mutex
	primary string
	ids     []string
}

// Keyring implements integrity.KeySource.
func (k *keys) Keyring(context.Context) (*integrity.Keyring, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var parts []string
	for _, id := range k.ids {
		key := bytes.Repeat([]byte(id+"/"), integrity.KeySize)[:integrity.KeySize]
		parts = append(parts, fmt.Sprintf("%q:%q", id, hex.EncodeToString(key)))
	}
	return integrity.ParseKeyring(fmt.Appendf(nil, `{"primary":%q,"keys":{%s}}`, k.primary, strings.Join(parts, ",")))
}

// rotate makes a further key the primary.
func (k *keys) rotate(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.primary, k.ids = id, append(k.ids, id)
}

func newSealer(t testing.TB, nodeID string, ids ...string) *integrity.Sealer {
	t.Helper()
	return sealerOf(t, nodeID, &keys{primary: ids[0], ids: ids})
}

func sealerOf(t testing.TB, nodeID string, source integrity.KeySource) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), nodeID, source, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

type fault int

const (
	none fault = iota
	notApplied
	answerLost
	hanging // not applied, and no answer before ctx ends
)

var errInjected = errors.New("injected fault")

// memory is a Store. Set its fields before it is used.
type memory struct {
	// inject decides about a put, counted from 1; nil lets all through.
	inject func(put int) fault
	// gate, if set, lets one put through for each value received.
	gate chan struct{}

	mu       sync.Mutex
	puts     int
	segments map[string][]byte
}

// PutSegment implements Store.
func (m *memory) PutSegment(ctx context.Context, name string, data []byte) error {
	m.mu.Lock()
	m.puts++
	put := m.puts
	m.mu.Unlock()
	if m.gate != nil {
		<-m.gate
	}
	fault := none
	if m.inject != nil {
		fault = m.inject(put)
	}
	switch fault {
	case notApplied:
		return errInjected
	case hanging:
		<-ctx.Done()
		return ctx.Err()
	}
	if err := errors.Join(ctx.Err(), m.put(name, data)); err != nil {
		return err
	}
	if fault == answerLost {
		return errInjected
	}
	return nil
}

func (m *memory) put(name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if stored, found := m.segments[name]; found {
		if !bytes.Equal(stored, data) {
			return errors.New("the name is taken by other bytes")
		}
		return nil
	}
	if !backend.ValidKey("audit/"+name) || len(data) == 0 || len(data) > backend.MaxObjectSize/2 {
		return fmt.Errorf("a segment %q of %d bytes", name, len(data))
	}
	if m.segments == nil {
		m.segments = map[string][]byte{}
	}
	m.segments[name] = bytes.Clone(data)
	return nil
}

// stored is what the store holds, in order.
func (m *memory) stored() []Segment {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Segment
	for _, name := range slices.Sorted(maps.Keys(m.segments)) {
		all = append(all, Segment{name, m.segments[name]})
	}
	return all
}

// decisions are the request ids in the store, in order, and a "lost N" where
// lines were lost.
func (m *memory) decisions(t testing.TB) []string {
	t.Helper()
	var ids []string
	for _, segment := range m.stored() {
		for line, err := range Lines(segment.Data) {
			switch {
			case err != nil:
				t.Fatal(err)
			case line.Kind == Decision:
				ids = append(ids, line.RequestID)
			case line.Kind == Lost:
				ids = append(ids, fmt.Sprintf("lost %d", line.Lost))
			}
		}
	}
	return ids
}

func sequence(segments []Segment) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		for _, segment := range segments {
			if !yield(segment, nil) {
				return
			}
		}
	}
}

func verify(t testing.TB, sealer Sealer, segments []Segment) Report {
	t.Helper()
	report, err := Verify(t.Context(), sealer, integrity.ErrKeyUnknown, sequence(segments))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// wantSound fails unless the store holds one sound chain, and returns it.
func wantSound(t testing.TB, sealer Sealer, store *memory) Chain {
	t.Helper()
	report := verify(t, sealer, store.stored())
	if len(report.Chains) != 1 || !report.Sound() {
		t.Fatalf("the report is %+v", report)
	}
	return report.Chains[0]
}

// journal is what a Logger was given.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(j, nil)) }

func (j *journal) count(msg string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), fmt.Sprintf(`"msg":%q`, msg))
}

// subject is a log over a store, with what a test needs to look at it.
type subject struct {
	*Log
	sealer  *integrity.Sealer
	journal *journal
}

func openStore(t testing.TB, store *memory, required bool) subject {
	t.Helper()
	s := subject{sealer: newSealer(t, nodeID, "k1"), journal: &journal{}}
	var err error
	s.Log, err = Open(Config{
		Mode: ToStore, Required: required, NodeID: nodeID, Program: program,
		Sealer: s.sealer, Store: store, Logger: s.journal.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s subject) mustRecord(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Record(t.Context(), pushOf(id)); err != nil {
			t.Fatalf("recording %s: %v", id, err)
		}
	}
}

func (s subject) mustClose(t testing.TB) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// shrink bounds the backlog to so many bytes.
func (s subject) shrink(size int) {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	s.keeper.maxBacklog = size
}

func pushOf(id string) Event {
	version := uint64(7)
	return Event{
		RequestID: id, Actor: "default", Action: Push, Identity: identity,
		Version: &version, Status: 200, Code: "ok", Remote: "192.0.2.7",
	}
}
