package integrity

import (
	"testing"
	"time"
)

func TestTagOutlivesRotation(t *testing.T) {
	s := newSealer(t, "a", ringText("k1", map[string][]byte{"k1": key1}))
	tag, err := s.Tag("session", []byte("ab"), []byte("c"))
	if err != nil {
		t.Fatal(err)
	}
	rotated := newSealer(t, "a", ringText("k2", map[string][]byte{"k1": key1, "k2": key2}))
	for name, c := range map[string]struct {
		ok   bool
		want bool
	}{
		"made here":       {s.CheckTag("session", tag, []byte("ab"), []byte("c")), true},
		"after rotation":  {rotated.CheckTag("session", tag, []byte("ab"), []byte("c")), true},
		"another label":   {s.CheckTag("challenge", tag, []byte("ab"), []byte("c")), false},
		"moved border":    {s.CheckTag("session", tag, []byte("a"), []byte("bc")), false},
		"cut":             {s.CheckTag("session", tag[:31], []byte("ab"), []byte("c")), false},
		"empty":           {s.CheckTag("session", nil, []byte("ab"), []byte("c")), false},
		"another node":    {newSealer(t, "b", ringText("k1", map[string][]byte{"k1": key1})).CheckTag("session", tag, []byte("ab"), []byte("c")), false},
		"the key is gone": {newSealer(t, "a", ringText("k2", map[string][]byte{"k2": key2})).CheckTag("session", tag, []byte("ab"), []byte("c")), false},
	} {
		if c.ok != c.want {
			t.Errorf("%s: %v", name, c.ok)
		}
	}
}

// A replica that has not seen a rotation yet learns of it from a tag.
func TestTagOfAReplicaThatIsAhead(t *testing.T) {
	source := &turning{text: ringText("k1", map[string][]byte{"k1": key1})}
	behind, err := NewSealer(t.Context(), "a", source, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ahead := newSealer(t, "a", ringText("k2", map[string][]byte{"k1": key1, "k2": key2}))
	tag, err := ahead.Tag("session", []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	source.text = ringText("k2", map[string][]byte{"k1": key1, "k2": key2})
	if behind.CheckTag("session", tag, []byte("a")) {
		t.Error("the keyring was fetched again at once")
	}
	behind.fetched = time.Time{}
	if !behind.CheckTag("session", tag, []byte("a")) {
		t.Error("the tag is refused after the keyring was fetched again")
	}
}
