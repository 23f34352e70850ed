package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

func TestInboxLines(t *testing.T) {
	id := slotNo(1).Identity
	for line, want := range map[string]inboxLine{
		"":                            {},
		"\r\n":                        {},
		" \t \n":                      {},
		"# " + id + "\n":              {},
		"  # x\r\n":                   {},
		id:                            {kind: lineEntry, slot: guardian.Slot{Identity: id}},
		id + "\n":                     {kind: lineEntry, slot: guardian.Slot{Identity: id}},
		"\t" + id + " \r\n":           {kind: lineEntry, slot: guardian.Slot{Identity: id}},
		id + "#why\n":                 {kind: lineEntry, slot: guardian.Slot{Identity: id}},
		id + " mail\n":                {kind: lineEntry, slot: guardian.Slot{Identity: id, Name: "mail"}},
		id + " \t mail # c\r\n":       {kind: lineEntry, slot: guardian.Slot{Identity: id, Name: "mail"}},
		"\xef\xbb\xbf" + id:           {kind: lineEntry, slot: guardian.Slot{Identity: id}},
		id + " a b\n":                 {kind: lineBad},
		id[1:]:                        {kind: lineBad},
		id + "0":                      {kind: lineBad},
		strings.ToUpper(id):           {kind: lineBad},
		id + " ../a":                  {kind: lineBad},
		id + "\x00":                   {kind: lineBad},
		id + "\u00a0x":                {kind: lineBad},
		"\u0430" + id[1:]:             {kind: lineBad},
		"\xff\xfe":                    {kind: lineBad},
		strings.Repeat("a", 1<<20):    {kind: lineBad},
		strings.Repeat("a ", 1<<19):   {kind: lineBad},
		id + strings.Repeat(" ", 4e3): {kind: lineEntry, slot: guardian.Slot{Identity: id}},
	} {
		want.end = 7
		if got := parseInboxLine([]byte(line), true, 7); got != want {
			t.Errorf("%.80q is %+v", line, got)
		}
	}
	if got := parseInboxLine([]byte("\xef\xbb\xbf"+id), false, 0); got.kind != lineBad {
		t.Error("a byte order mark was passed over in the middle of a file")
	}
}

// A file is worked off and removed, whatever it looks like; its bad lines are
// logged once.
func TestInboxFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		lines := []string{
			"\xef\xbb\xbf# a list", slotNo(0).Identity, "", slotNo(1).Identity + " mail", "nonsense", slotNo(0).Identity,
			slotNo(2).Identity + " # twice", strings.Repeat("x", 100_000), slotNo(3).Identity,
		}
		putFile(t, store, "list.txt", strings.Join(lines, "\r\n"))
		putFile(t, store, "empty", "")
		q := openQueue(store, h)
		log := logOf(q)
		defer running(t, q)()
		synctest.Wait()
		if got := mustStatus(t, q).Inbox; len(got) != 2 || got[1].File != "list.txt" || got[1].Entries != 5 || got[1].Taken != 4 ||
			got[1].Bad != 2 || !slices.Equal(got[1].BadLines, []int{5, 8}) {
			t.Errorf("status %+v", got)
		}
		passTime(5 * time.Second)
		for _, slot := range []guardian.Slot{slotNo(0), {Identity: slotNo(1).Identity, Name: "mail"}, slotNo(2), slotNo(3)} {
			if !h.isVerified(slot) {
				t.Errorf("%+v was passed over", slot)
			}
		}
		if got := objects(store, ""); !slices.Equal(got, []string{keySummary}) {
			t.Errorf("left are %q", got)
		}
		if log.count("lines that are no entries") != 1 || log.count("first=5") != 1 || log.count("nonsense") != 0 {
			t.Error("bad lines were not logged once, by number")
		}
		if len(mustStatus(t, q).Inbox) != 0 {
			t.Error("a file that is done is still shown")
		}
	})
}

// An identity alone stands for all that this node knows of it, and its entry is
// done when all of that is.
func TestIdentityStandsForItsSecrets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		id, stuck := slotNo(1).Identity, true
		store := backendtest.NewMemory()
		h := &healer{outcome: func(_ context.Context, slot guardian.Slot, _ int) (Report, error) {
			if slot.Name == "b" && stuck {
				return Report{}, errNotNow
			}
			return Report{}, nil
		}}
		q := newQueue(Config{Poll: time.Second}, store, h.heal, func(_ context.Context, identity string) ([]string, error) {
			if identity != id {
				return nil, errors.New("asked for another")
			}
			return []string{"a", "b"}, nil
		})
		putFile(t, store, "f", id+"\n")
		defer running(t, q)()
		passTime(10 * time.Second)
		if !h.isVerified(guardian.Slot{Identity: id}) || !h.isVerified(guardian.Slot{Identity: id, Name: "a"}) {
			t.Error("not all were tried")
		}
		if got := mustStatus(t, q).Inbox; len(got) != 1 || got[0].Entries != 1 || got[0].Done != 0 {
			t.Errorf("status %+v", got)
		}
		stuck = false
		q.wake()
		passTime(3 * time.Second)
		if got := objects(store, prefixInbox); len(got) != 0 {
			t.Error("the file is still there")
		}
	})
}

// What cannot be looked up stays: no entry is passed over.
func TestNamesFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		var failing atomic.Bool
		failing.Store(true)
		q := newQueue(Config{Poll: time.Second}, store, h.heal, func(context.Context, string) ([]string, error) {
			if failing.Load() {
				return nil, errNotNow
			}
			return nil, nil
		})
		putFile(t, store, "f", slotNo(1).Identity+"\n")
		defer running(t, q)()
		passTime(10 * time.Second)
		if len(h.tried()) > 0 || len(objects(store, prefixInbox)) != 1 {
			t.Error("went on")
		}
		failing.Store(false)
		passTime(5 * time.Second)
		if !h.isVerified(slotNo(1)) || len(objects(store, prefixInbox)) != 0 {
			t.Error("did not go on")
		}
	})
}

// A file that is still being written is followed, and a half line is never taken
// for a whole one.
func TestGrowingFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		q := openQueue(store, h)
		log := logOf(q)
		defer running(t, q)()
		var content strings.Builder
		for i := range 40 {
			fmt.Fprintf(&content, "%s name\n", slotNo(i).Identity)
		}
		text := content.String()
		for end := 0; end < len(text); end += 67 { // less than a line
			putFile(t, store, "f", text[:end])
			passTime(700 * time.Millisecond)
		}
		putFile(t, store, "f", strings.TrimSuffix(text, "\n"))
		passTime(5 * time.Second)
		for i := range 40 {
			if !h.isVerified(guardian.Slot{Identity: slotNo(i).Identity, Name: "name"}) {
				t.Errorf("entry %d was passed over", i)
			}
		}
		if len(h.tried()) != 40 || log.count("no entries") != 0 || log.count("from its start") != 0 {
			t.Errorf("%d were tried", len(h.tried()))
		}
		if got := objects(store, ""); !slices.Equal(got, []string{keySummary}) {
			t.Errorf("left are %q", got)
		}
	})
}

// A file replaced by another of the same name is taken in from its start; one of
// which only the end changed goes on.
func TestReplacedFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := backendtest.NewMemory()
		h := &healer{outcome: func(_ context.Context, slot guardian.Slot, _ int) (Report, error) {
			if slot == slotNo(9) {
				return Report{}, errNotNow // keeps the file
			}
			return Report{}, nil
		}}
		q := openQueue(store, h)
		log := logOf(q)
		defer running(t, q)()
		line := func(i int) string { return slotNo(i).Identity + "\n" }
		putFile(t, store, "f", line(9)+line(1)+line(2))
		passTime(5 * time.Second)
		putFile(t, store, "f", line(9)+line(1)+line(2)+line(3))
		passTime(5 * time.Second)
		if h.count(slotNo(1)) != 1 || h.count(slotNo(3)) != 1 || log.count("from its start") != 0 {
			t.Error("a file that grew was not gone on with")
		}
		for _, content := range []string{line(9) + line(4) + line(2) + line(3), line(9) + line(5)} { // as long, shorter
			putFile(t, store, "f", content)
			passTime(5 * time.Second)
		}
		if h.count(slotNo(4)) != 1 || h.count(slotNo(5)) != 1 || log.count("from its start") < 2 {
			t.Error("a replaced file was not taken in from its start")
		}
		if got := mustStatus(t, q).Inbox; len(got) != 1 || got[0].Entries != 2 || got[0].Done != 1 {
			t.Errorf("status %+v", got)
		}
	})
}

// A file that changes at the moment of its removal stays, and only what is new
// is taken in.
func TestFileGrowsWhileItIsRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		memory, h := backendtest.NewMemory(), &healer{}
		first := slotNo(1).Identity + "\n"
		putFile(t, memory, "f", first)
		grown := false
		store := &backendtest.Faulty{Backend: memory, Inject: func(call backendtest.Call) backendtest.Fault {
			if call.Op == backendtest.OpDelete && call.Key == prefixInbox+"f" && !grown {
				grown = true
				putFile(t, memory, "f", first+slotNo(2).Identity+"\n")
			}
			return backendtest.None
		}}
		defer running(t, openQueue(store, h))()
		passTime(10 * time.Second)
		if !grown || h.count(slotNo(1)) != 1 || h.count(slotNo(2)) != 1 || len(objects(memory, prefixInbox)) != 0 {
			t.Errorf("grown %v, tried %d", grown, len(h.tried()))
		}
	})
}

func TestBrokenCursors(t *testing.T) {
	for name, stored := range map[string]string{
		"empty":       "",
		"no JSON":     "\xff",
		"beyond":      `{"offset":1000}`,
		"negative":    `{"offset":-1}`,
		"other hash":  `{"offset":65,"lines":1,"entries":1,"before":"AAAA"}`,
		"no hash":     `{"offset":65,"lines":1,"entries":1}`,
		"many counts": `{"offset":0,"lines":1,"entries":7}`,
		"bad unnamed": `{"offset":0,"lines":0,"bad":1}`,
		"huge":        `{"name":"` + strings.Repeat("a", maxCursor) + `"}`,
		"future":      `{"seen_ns":9223372036854775807}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store, h := backendtest.NewMemory(), &healer{}
				putFile(t, store, "f", slotNo(1).Identity+"\n")
				for _, key := range []string{"taken/f", "taken/gone"} {
					if _, err := store.Put(t.Context(), key, []byte(stored), backend.AnyRevision); err != nil {
						t.Fatal(err)
					}
				}
				defer running(t, openQueue(store, h))()
				passTime(5 * time.Second)
				if got := objects(store, ""); !h.isVerified(slotNo(1)) || !slices.Equal(got, []string{keySummary}) {
					t.Errorf("left are %q", got)
				}
			})
		})
	}
}

// What cannot be taken in is said once, and holds up nothing.
func TestWhatIsNotTakenIn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		memory, h := backendtest.NewMemory(), &healer{}
		putFile(t, memory, "a/dir", slotNo(1).Identity+"\n")
		putFile(t, memory, "b-large", "#")
		putFile(t, memory, "c", slotNo(2).Identity+"\n")
		q := openQueue(largeFile{memory, prefixInbox + "b-large"}, h)
		log := logOf(q)
		defer running(t, q)()
		passTime(10 * time.Second)
		if !h.isVerified(slotNo(2)) || h.isVerified(slotNo(1)) || log.count("split it") != 1 || log.count("a directory") != 1 {
			t.Error("held up, or not said once")
		}
		got := mustStatus(t, q).Inbox
		if len(got) != 2 || got[0].File != "a/" || got[0].Problem == "" || !strings.Contains(got[1].Problem, "split it") {
			t.Errorf("status %+v", got)
		}
		if got := objects(memory, prefixInbox); len(got) != 2 {
			t.Errorf("left are %q", got)
		}
	})
}

// largeFile is a storage in which an operator put a file that no guardian can.
type largeFile struct {
	*backendtest.Memory
	key string
}

func (l largeFile) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	if key == l.key {
		return nil, backend.Revision{}, backend.ErrTooLarge
	}
	return l.Memory.Get(ctx, key)
}

// The largest file is taken in, in bounded time.
func TestLargestFile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store, h := backendtest.NewMemory(), &healer{}
		putFile(t, store, "f", strings.Repeat("#\n", backend.MaxObjectSize/2-100)+slotNo(1).Identity+"\n")
		began := time.Now()
		defer running(t, openQueue(store, h))()
		passTime(5 * time.Second)
		if !h.isVerified(slotNo(1)) || len(objects(store, prefixInbox)) != 0 {
			t.Errorf("not done after %v", time.Since(began))
		}
	})
}

// A fault at any call, of either kind, with the process killed there or going
// on: no entry is lost, and the file goes when all are done and not before.
func TestInboxUnderFaults(t *testing.T) {
	for _, killed := range []bool{false, true} {
		for _, fault := range []backendtest.Fault{backendtest.NotApplied, backendtest.AnswerLost} {
			for at := 1; at <= 60; at++ {
				t.Run(fmt.Sprintf("killed %v, fault %d at %d", killed, fault, at), func(t *testing.T) {
					inBubble(t, func(t *testing.T) { inboxUnderFault(t, killed, fault, at) })
				})
			}
		}
	}
}

func inboxUnderFault(t *testing.T, killed bool, fault backendtest.Fault, at int) {
	memory := backendtest.NewMemory()
	h := &healer{outcome: func(_ context.Context, _ guardian.Slot, attempt int) (Report, error) {
		if attempt == 1 {
			return Report{}, errNotNow
		}
		return Report{}, nil
	}}
	const entries = 3
	putFile(t, memory, "f", slotNo(0).Identity+"\nbad\n"+slotNo(1).Identity+"\n"+slotNo(2).Identity)
	watched := watch(t, memory, h, entries)
	if killed {
		startProcess(t, watched, h, at, fault)
	} else {
		store := &backendtest.Faulty{Backend: watched, Inject: func(call backendtest.Call) backendtest.Fault {
			if call.N == at {
				return fault
			}
			return backendtest.None
		}}
		defer running(t, openQueue(store, h))()
	}
	passTime(20 * time.Second)
	if killed {
		p := startProcess(t, watched, h, 0, backendtest.None)
		defer p.stop()
	}
	passTime(3 * leaseTime)
	for i := range entries {
		if !h.isVerified(slotNo(i)) {
			t.Errorf("entry %d was lost", i)
		}
	}
	for _, prefix := range []string{prefixItems, prefixInbox, prefixTaken} {
		if got := objects(memory, prefix); len(got) > 0 {
			t.Errorf("left are %q", got)
		}
	}
}

// watch fails the test when an item is removed that was never verified, or a file
// of the inbox before the slots below n were.
func watch(t *testing.T, memory *backendtest.Memory, h *healer, n int) backend.Backend {
	return &backendtest.Faulty{Backend: memory, Inject: func(call backendtest.Call) backendtest.Fault {
		if call.Op != backendtest.OpDelete {
			return backendtest.None
		}
		if slot, ok := itemSlot(call.Key); ok && !h.isVerified(slot) {
			t.Errorf("%s was removed unverified", slot.Short())
		}
		for i := range n {
			if strings.HasPrefix(call.Key, prefixInbox) && !h.isVerified(slotNo(i)) {
				t.Errorf("the file was removed before entry %d was verified", i)
			}
		}
		return backendtest.None
	}}
}
