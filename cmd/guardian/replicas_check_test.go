package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func (c *campaign) wantNothingUnexpected(t *testing.T) {
	t.Helper()
	if len(c.unexpected) > 0 {
		t.Errorf("%d unexpected answers:\n%s", len(c.unexpected), strings.Join(c.unexpected, "\n"))
	}
}

// wantLinearizable looks for an order of the calls that explains all answers.
func (c *campaign) wantLinearizable(t *testing.T) {
	t.Helper()
	began := time.Now()
	history := closed(c.history)
	verdict := porcupine.CheckOperationsTimeout(registers, history, checkTimeout)
	t.Logf("checked %d operations in %s", len(history), time.Since(began).Round(time.Millisecond))
	if verdict == porcupine.Ok {
		return
	}
	t.Errorf("the history is not linearizable: %s", verdict)
	for _, part := range registers.Partition(history) {
		if porcupine.CheckOperationsTimeout(registers, part, patience) != porcupine.Ok {
			showPart(t, part)
		}
	}
}

// showPart tells the history of one identity, in words and as a page.
func showPart(t *testing.T, part []porcupine.Operation) {
	t.Helper()
	identity := part[0].Input.(call).identity
	slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	for _, o := range part {
		fmt.Fprintf(&text, "%12d to %12d client %d %s: %s\n", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	path := filepath.Join(t.ArtifactDir(), identity+".html")
	_, info := porcupine.CheckOperationsVerbose(registers, part, patience)
	err := porcupine.VisualizePath(registers, info, path)
	t.Errorf("no order explains what became of %s (%s, %v; go test -artifacts keeps it):\n%s", identity, path, err, &text)
}

// wantAcknowledged asks for every identity, without faults: each push that was
// acknowledged is there, or is superseded. The answers join the history.
func (c *campaign) wantAcknowledged(t *testing.T) {
	t.Helper()
	acknowledged := acknowledgedIn(c.history)
	var asking sync.WaitGroup
	for part := range slices.Chunk(c.subjects, len(c.subjects)/c.clients+1) {
		asking.Go(func() {
			id := c.newClient()
			for _, s := range part {
				pushed, ok := acknowledged[s.identity]
				if err := c.compare(id, s, pushed, ok); err != nil {
					t.Errorf("%s: %v", s.identity, err)
				}
			}
		})
	}
	asking.Wait()
}

// compare asks what is stored of a subject. The lowest version is refused
// wherever anything was pushed, and the refusal says which version it is.
func (c *campaign) compare(client int, s *subject, pushed call, acknowledged bool) error {
	pulled := c.issue(client, 0, s, call{kind: kindPull, identity: s.identity})
	refused := c.issue(client, 0, s, call{kind: kindPush, identity: s.identity, share: "AA=="})
	if pulled.verdict == verdictUnknown || refused.verdict == verdictUnknown {
		return errors.New("no answer although the store has no faults")
	}
	if !acknowledged {
		return nil
	}
	end := register{
		known: refused.verdict == verdictConflict, live: pulled.verdict == verdictOK,
		version: refused.current, share: pulled.share, threshold: pulled.threshold,
	}
	same := end == register{known: true, live: true, version: pushed.version, share: pushed.share, threshold: pushed.threshold}
	deleted := end.known && !end.live && end.version >= pushed.version
	superseded := end.live && end.version > pushed.version
	if !same && !deleted && !superseded {
		return fmt.Errorf("acknowledged was %s, stored is %+v", pushed, end)
	}
	return nil
}

// acknowledgedIn returns the highest push of each identity that was answered
// as stored.
func acknowledgedIn(history []porcupine.Operation) map[string]call {
	highest := map[string]call{}
	for _, o := range history {
		what, r := o.Input.(call), o.Output.(reply)
		stored := r.verdict == verdictOK || r.verdict == verdictConflict && r.stored
		if what.kind != kindPush || !stored {
			continue
		}
		if before, ok := highest[what.identity]; !ok || what.version > before.version {
			highest[what.identity] = what
		}
	}
	return highest
}
