package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/guardiantest"
)

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (ours, terminal *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return ours, terminal
}

func TestRecoverToATerminal(t *testing.T) {
	t.Parallel()
	urls := strings.Join(guardiantest.New(t, 3).URLs(), ",")
	for name, test := range map[string]struct {
		secret string
		code   int
	}{
		"text":             {"Grüße,\n\tworld\n", exitOK},
		"binary":           {"\x00\x01\xff", exitUsage},
		"terminal control": {"a\x1b[2Jb\n", exitUsage},
	} {
		key := filepath.Join(t.TempDir(), "key")
		if _, err := createKey(key); err != nil {
			t.Fatal(err)
		}
		var errOut bytes.Buffer
		store := []string{"store", "-", "--key-file", key, "--guardians", urls}
		if code := run(t.Context(), store, streams{strings.NewReader(test.secret), &bytes.Buffer{}, &errOut}); code != exitOK {
			t.Fatalf("%s: store exits %d: %s", name, code, &errOut)
		}
		ours, terminal := openTerminal(t)
		fetch := []string{"recover", "--key-file", key, "--guardians", urls}
		if code := run(t.Context(), fetch, streams{strings.NewReader(""), terminal, &errOut}); code != test.code {
			t.Errorf("%s: recover exits %d, want %d: %s", name, code, test.code, &errOut)
		}
		fmt.Fprint(terminal, "END")
		if shown := readUntil(t, ours, "END"); (shown != "END") != (test.code == exitOK) {
			t.Errorf("%s: the terminal shows %q", name, shown)
		}
	}
}

func readUntil(t *testing.T, from *os.File, end string) string {
	t.Helper()
	var text strings.Builder
	for buffer := make([]byte, 256); !strings.HasSuffix(text.String(), end); {
		n, err := from.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(buffer[:n])
	}
	return text.String()
}

func TestFullStandardOutput(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	urls := strings.Join(guardiantest.New(t, 3).URLs(), ",")
	for _, args := range [][]string{{"version"}, {"--help"}, {"status", "--guardians", urls}, {"status", "--json", "--guardians", urls}} {
		var errOut bytes.Buffer
		code := run(t.Context(), args, streams{strings.NewReader(""), full, &errOut})
		if code != exitFailure || !strings.Contains(errOut.String(), "next: make room where the output goes") {
			t.Errorf("%v exits %d, want %d: %s", args, code, exitFailure, &errOut)
		}
	}
}
