package repair

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// sealBy is an object as sealScrub makes it, of any text.
func sealBy(t *testing.T, sealer *integrity.Sealer, key, text string) string {
	t.Helper()
	keyID, tag, err := sealer.Seal(labelScrub, []byte(key), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("hmac %s %x\n%s", keyID, tag, text)
}

// strangeSealer is one of the node with keys that it does not have.
func strangeSealer(t *testing.T, keyring string) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(context.Background(), "g0", integrity.InlineSource{Text: keyring}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// forgeries are what whoever can write to the storage can make of a text.
func forgeries(t *testing.T, w *scrubWorld, key, text string) map[string]string {
	mine := w.nodes[0].node.Sealer()
	sealed := sealBy(t, mine, key, text)
	line, _, _ := strings.Cut(sealed, "\n")
	return map[string]string{
		"not sealed":         text,
		"no tag":             "hmac " + mine.PrimaryKeyID() + " \n" + text,
		"by another node":    sealBy(t, w.nodes[1].node.Sealer(), key, text),
		"by another key":     sealBy(t, strangeSealer(t, strings.Repeat("1f", integrity.KeySize)), key, text),
		"by an unknown key":  strings.Replace(sealed, "hmac "+mine.PrimaryKeyID(), "hmac unknown", 1),
		"kept elsewhere":     sealBy(t, mine, "scrub/other", text),
		"with more in it":    sealed + " ",
		"with another line":  line + " \n" + text,
		"under another seal": "hmac a b c\n" + text,
	}
}

// allGood is progress that says that all was read, and was good.
func (n *scrubNode) allGood(count int64) *scrubState {
	state := &scrubState{Pass: n.newPass()}
	state.Pass.After = SlotName(lastOf(buckets - 1))
	state.Pass.Report.Slots, state.Pass.Report.Good, state.Pass.Report.Live = count, count, count
	return state
}

// Progress that the node has not sealed has nothing passed by. One that it has
// does: this is what the seal is for.
func TestScrubForgedProgress(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	const count = 5
	for i := range count {
		ownerNo(i).push(t, "", 1, w.nodes, n)
		n.spoil(t, ownerNo(i).slot(""))
	}
	text := jsonOf(n.allGood(count))
	for name, object := range forgeries(t, w, keyScrubProgress, text) {
		put(t, n.store, "queue/"+keyScrubProgress, object)
		n.restart(t)
		n.log.Reset()
		if r := n.scrub(t); r.Corrupt != count || len(n.taken()) != count {
			t.Errorf("%s: corrupt %d of %d", name, r.Corrupt, count)
		}
		if strings.Count(n.log.String(), "starting afresh") != 1 {
			t.Errorf("%s: the log says %s", name, &n.log)
		}
	}
	put(t, n.store, "queue/"+keyScrubProgress, sealBy(t, n.node.Sealer(), keyScrubProgress, text))
	n.restart(t)
	if r := n.scrub(t); r.Corrupt != 0 {
		t.Errorf("its own: %d are corrupt", r.Corrupt)
	}
}

// No more has an inventory the next scrub put off.
func TestScrubForgedInventory(t *testing.T) {
	w := newScrubWorld(t, 2)
	n := w.nodes[0]
	n.scrub(t)
	text := jsonOf(n.lastInventory())
	for name, object := range forgeries(t, w, keyScrubInventory, text) {
		put(t, n.store, "queue/"+keyScrubInventory, object)
		n.restart(t)
		if n.recall(t.Context()); n.lastInventory() != nil || n.due(&scrubState{}) > 0 {
			t.Errorf("%s: it is believed", name)
		}
	}
	put(t, n.store, "queue/"+keyScrubInventory, sealBy(t, n.node.Sealer(), keyScrubInventory, text))
	if n.recall(t.Context()); n.lastInventory() == nil {
		t.Error("its own is not believed")
	}
}

// Broken or removed progress is no news of a pass, and is complained of once.
func TestScrubProgressIsReplaced(t *testing.T) {
	n := newScrubWorld(t, 1).nodes[0]
	n.scrub(t)
	<-n.passed
	n.log.Reset()
	put(t, n.store, "queue/"+keyScrubProgress, "x")
	for range 3 {
		if _, err := n.attempt(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.store.Delete(t.Context(), "queue/"+keyScrubProgress, backend.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := n.attempt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(n.passed) != 0 || strings.Count(n.log.String(), "starting afresh") != 1 {
		t.Errorf("%d passes are told of, and the log says %s", len(n.passed), &n.log)
	}
}
