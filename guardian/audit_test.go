package guardian

import (
	"errors"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestAuditSegmentsAreWrittenOnce(t *testing.T) {
	for _, fault := range []backendtest.Fault{backendtest.None, backendtest.NotApplied, backendtest.AnswerLost} {
		store := &backendtest.Faulty{Backend: backendtest.NewMemory()}
		n := openNode(t, store)
		store.SetInject(func(c backendtest.Call) backendtest.Fault {
			if c.Op == backendtest.OpPut && c.Key == "audit/chain/000001" {
				return fault
			}
			return backendtest.None
		})
		err := n.PutSegment(t.Context(), "chain/000001", []byte("line"))
		if stored := fault != backendtest.NotApplied; (err == nil) != stored || !stored && !errors.Is(err, api.ErrStorageUnavailable) {
			t.Errorf("fault %d: %v", fault, err)
		}
		store.SetInject(nil)
		if err := n.PutSegment(t.Context(), "chain/000001", []byte("line")); err != nil {
			t.Errorf("the same again: %v", err)
		}
		if err := n.PutSegment(t.Context(), "chain/000001", []byte("enil")); err == nil {
			t.Error("a segment was replaced")
		}
		if err := n.PutSegment(t.Context(), "chain/000000", []byte("first")); err != nil {
			t.Fatal(err)
		}
		var walked []string
		for segment, err := range n.AuditSegments(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			walked = append(walked, segment.Name+"="+string(segment.Data))
		}
		if len(walked) != 2 || walked[0] != "chain/000000=first" || walked[1] != "chain/000001=line" {
			t.Errorf("walked %q", walked)
		}
	}
}
