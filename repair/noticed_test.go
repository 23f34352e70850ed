package repair

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/guardian"
)

// A hint is given once an hour to each, also by a clock that is set back, and to
// nobody without a key.
func TestNoticed(t *testing.T) {
	n, now := newNoticed(), time.Unix(1e9, 0)
	one := ed25519.PublicKey(bytes.Repeat([]byte{1}, ed25519.PublicKeySize))
	other := ed25519.PublicKey(bytes.Repeat([]byte{2}, ed25519.PublicKeySize))
	a, b := guardian.Slot{Identity: "a"}, guardian.Slot{Identity: "a", Name: "b"}
	for i, step := range []struct {
		slot guardian.Slot
		to   ed25519.PublicKey
		at   time.Duration
		want bool
	}{
		{a, one, 0, true},
		{a, one, 0, false},
		{a, one, time.Hour - 1, false},
		{b, one, time.Hour - 1, true},
		{a, other, time.Hour - 1, true},
		{a, one, time.Hour, true},
		{a, one, -time.Hour, true},
		{a, nil, 0, false},
	} {
		if got := n.first(step.slot, step.to, now.Add(step.at)); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
