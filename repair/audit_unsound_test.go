package repair_test

import (
	"testing"

	"github.com/vault-guardian/guardian/guardian"
)

// What the guardian that audits has no sound share of is told, and not passed
// over; what was deleted, or nobody ever stored, is no such thing.
func TestAuditTellsWhatIsUnsoundHere(t *testing.T) {
	inFleet(t, 3, func(t *testing.T, w *fleet) {
		for _, m := range w.all[1:] {
			w.set(func() { m.down = true }) // or they would mend it at once
		}
		damaged, spoilt, sound := w.keep(1, "", 1, 2, w.all...), w.keep(2, "", 1, 2, w.all...), w.keep(3, "", 1, 2, w.all...)
		gone := w.keep(4, "", 1, 2, w.all...)
		self := w.all[0]
		damaged.damage(t, self, "share.bin")
		spoilt.damage(t, self, "version")
		if err := self.node.Delete(t.Context(), gone.slot, gone.version, guardian.Caller{Proof: 2}); err != nil {
			t.Fatal(err)
		}
		report := audited(t, self, damaged.slot, spoilt.slot, sound.slot, gone.slot, w.split(5, "", 1, 2, w.all...).slot)
		if report.Unsound != 2 || report.Generations != 1 || report.WithoutManifest != 0 || report.Error != "" {
			t.Errorf("the audit found %+v", report)
		}
	})
}
