package main

import (
	"io"
	"strings"
	"testing"
)

// TestWalksShowProgress on a terminal, with the total.
func TestWalksShowProgress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, dir, 5)
	for name, args := range map[string][]string{
		"rekey":   {"rekey", "--storage", dir, "--rate", "2"},
		"migrate": {"migrate", "--from", dir, "--to", t.TempDir(), "--rate", "2"},
	} {
		ours, terminal := openTerminal(t)
		ended := make(chan int)
		go func() { ended <- run(t.Context(), args, streams{strings.NewReader(""), io.Discard, terminal}) }()
		const cleared = "\r\x1b[K"
		shown := readUntil(t, ours, cleared)
		if !strings.Contains(shown, "looked at ") || !strings.Contains(shown, " of 5 identities ... ") {
			t.Errorf("%s: the terminal shows %q", name, shown)
		}
		if code := <-ended; code != exitOK {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}
