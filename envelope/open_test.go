package envelope

import (
	"bytes"
	"testing"
)

func TestMatches(t *testing.T) {
	ours, other, third := fileRoot(t, 1), fileRoot(t, 2), fileRoot(t, 3)
	at := Place{Identity: ours.Identity(), Name: "n", Version: 7}
	payload, err := Seal(bytes.Repeat([]byte("s"), 2*HeadSize), at, ours, other)
	if err != nil {
		t.Fatal(err)
	}
	head := payload[:HeadSize]
	for _, root := range []*Root{ours, other} {
		if !Matches(head, at, root) || !Matches(payload, at, root) {
			t.Error("a payload does not match its own root")
		}
	}
	if Matches(head, at, third) || Matches(head, Place{Identity: at.Identity, Name: "n", Version: 8}, ours) {
		t.Error("a payload matches another root or place")
	}
	end := preambleSize + 2*SlotSize
	for size := range end {
		if Matches(payload[:size], at, ours) {
			t.Fatalf("the first %d bytes match", size)
		}
	}
	for i := range end - SlotSize { // the last slot is the other's
		changed := bytes.Clone(head)
		changed[i] ^= 0x40
		if Matches(changed, at, ours) {
			t.Fatalf("matches with byte %d changed", i)
		}
	}
	wiped := fileRoot(t, 1)
	wiped.Wipe()
	if Matches(head, at, wiped) || Matches(nil, at, ours) || Matches(head, Place{}, ours) {
		t.Error("a wiped root, no bytes or no place match")
	}
}

func fileRoot(t *testing.T, b byte) *Root {
	t.Helper()
	root, err := FromKeyFile(bytes.Repeat([]byte{b}, keySize))
	if err != nil {
		t.Fatal(err)
	}
	return root
}
