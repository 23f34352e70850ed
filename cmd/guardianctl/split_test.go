package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// These scripts need no guardian. `forge SHARE FILE` writes a copy of a share
// file that is wrong and does not look it.
func TestSplitScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/split",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": exitsWith, "forge": forge},
	})
}

func forge(script *testscript.TestScript, _ bool, args []string) {
	shares, err := parseShareFile([]byte(script.ReadFile(args[0])))
	script.Check(err)
	text, err := spoiled(shares[0]).text()
	script.Check(err)
	script.Check(os.WriteFile(script.MkAbs(args[1]), text, 0o600))
}

// atCheck is a context whose error is asked for before each share is written;
// do is called at the given one and says what it is.
type atCheck struct {
	context.Context //nolint:containedctx // it is one
	checks          *int
	at              int
	do              func() error
}

func (c atCheck) Err() error {
	if *c.checks++; *c.checks == c.at {
		return c.do()
	}
	return nil
}

func shareFileNames(dir string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprintf("x.share-%d", i+1))
	}
	return names
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("there are %v, want %v", names, want)
	}
}

func TestInterruptedSplitLeavesNothing(t *testing.T) {
	for at := 1; at <= 4; at++ {
		dir, checks := t.TempDir(), 0
		ctx := atCheck{t.Context(), &checks, at, func() error { return context.Canceled }}
		_, err := splitInto(ctx, shareFileNames(dir, 4), theSecret, 3)
		if err == nil || advised(err).advice != adviceInterrupted {
			t.Errorf("interrupted before share %d: %v", at, err)
		}
		wantFiles(t, dir)
	}
}

func TestSplitKeepsAllOrNone(t *testing.T) {
	t.Run("a file appears", func(t *testing.T) {
		dir, checks := t.TempDir(), 0
		files := shareFileNames(dir, 4)
		ctx := atCheck{t.Context(), &checks, 3, func() error { return os.WriteFile(files[2], []byte("another's"), 0o600) }}
		_, err := splitInto(ctx, files, theSecret, 3)
		if err == nil || !strings.Contains(err.Error(), "x.share-3 exists") {
			t.Errorf("split says %v", err)
		}
		wantFiles(t, dir, "x.share-3")
		if text, _ := os.ReadFile(files[2]); string(text) != "another's" {
			t.Errorf("it now holds %q", text)
		}
	})
	t.Run("a directory goes away", func(t *testing.T) {
		dir := t.TempDir()
		files := shareFileNames(dir, 4)
		files[3] = filepath.Join(dir, "gone", "x.share-4")
		_, err := splitInto(t.Context(), files, theSecret, 3)
		if problem := advised(err); problem.code != exitFailure || !strings.Contains(problem.advice, "choose another place with -o") {
			t.Errorf("split says %v, next: %s", err, problem.advice)
		}
		wantFiles(t, dir)
	})
	t.Run("one cannot be removed", func(t *testing.T) {
		dir, checks := t.TempDir(), 0
		files := shareFileNames(dir, 3)
		ctx := atCheck{t.Context(), &checks, 3, func() error { return errors.Join(os.Remove(files[0]), context.Canceled) }}
		_, err := splitInto(ctx, files, theSecret, 3)
		if err == nil || !strings.Contains(err.Error(), "this share file is left: ") || advised(err).advice != adviceInterrupted {
			t.Errorf("split says %v", err)
		}
		wantFiles(t, dir)
	})
}

func TestSplitInterruptedReadingStandardInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	nothing, end := io.Pipe()
	defer end.Close()
	dir := t.TempDir()
	var out, errOut bytes.Buffer
	args := []string{"split", "-", "--shares", "3", "--threshold", "2", "-o", dir}
	code := run(ctx, args, streams{announcing{nothing, cancel}, &out, &errOut})
	if code != exitFailure || !strings.Contains(errOut.String(), "next: interrupted") || out.Len() > 0 {
		t.Errorf("exit code %d: %s%s", code, &errOut, &out)
	}
	wantFiles(t, dir)
}

func TestSplitRefusesBeforeItReads(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.share-3"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for output, want := range map[string]string{dir: "secret.share-3 exists", filepath.Join(dir, "missing", "x"): "there is no directory"} {
		var errOut bytes.Buffer
		input := announcing{strings.NewReader("text"), func() { t.Errorf("-o %s: the secret is read", output) }}
		args := []string{"split", "--shares", "3", "--threshold", "2", "-o", output}
		if code := run(t.Context(), args, streams{input, io.Discard, &errOut}); code != exitFailure || !strings.Contains(errOut.String(), want) {
			t.Errorf("-o %s: exit code %d: %s", output, code, &errOut)
		}
	}
}

// TestSplitAndCombine goes through the numbers at the edges.
func TestSplitAndCombine(t *testing.T) {
	for _, c := range []struct{ n, k, size int }{{2, 2, 1}, {3, 2, 31}, {255, 2, 100}, {255, 255, 7}, {5, 3, 1 << 20}} {
		dir := t.TempDir()
		secret := bytes.Repeat([]byte{0, 0xff, '\n'}, c.size)[:c.size]
		input := filepath.Join(dir, "in")
		if err := os.WriteFile(input, secret, 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := guardianctl(t, exitOK, "split", input, "--json", "--shares", fmt.Sprint(c.n), "--threshold", fmt.Sprint(c.k))
		var result splitResult
		if err := json.Unmarshal([]byte(out), &result); err != nil || len(result.Files) != c.n || result.Bytes != c.size {
			t.Fatalf("split prints %s, %v", out, err)
		}
		output := filepath.Join(dir, "out")
		args := append([]string{"combine", "--json", "-o", output}, result.Files[c.n-c.k:]...)
		wantText(t, first(guardianctl(t, exitOK, args...)), fmt.Sprintf(`"shares": %d`, c.k), `"unused": []`, result.Split)
		if again, err := os.ReadFile(output); err != nil || !bytes.Equal(again, secret) {
			t.Errorf("%d of %d, %d bytes: rebuilt %d bytes, %v", c.k, c.n, c.size, len(again), err)
		}
		guardianctl(t, exitQuorum, append([]string{"combine", "-o", output + "2"}, result.Files[:c.k-1]...)...)
	}
}

func first(out, _ string) string { return out }

func TestReadWiping(t *testing.T) {
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 300 << 10} {
		text := bytes.Repeat([]byte{'x'}, size)
		if got, err := readWiping(bytes.NewReader(text), size); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		if got, err := readWiping(bytes.NewReader(append(text, 'x')), size); !errors.Is(err, errTooLong) || got != nil {
			t.Errorf("one more than %d bytes: read %d, %v", size, len(got), err)
		}
	}
	var buffers [][]byte
	_, err := readWiping(readerFunc(func(buffer []byte) (int, error) {
		buffers = append(buffers, buffer)
		return copy(buffer, bytes.Repeat([]byte{'x'}, len(buffer))), nil
	}), 1<<20)
	if !errors.Is(err, errTooLong) || len(buffers) < 3 {
		t.Fatalf("read %d times, %v", len(buffers), err)
	}
	for i, buffer := range buffers {
		if bytes.ContainsRune(buffer, 'x') {
			t.Errorf("what was read at %d is left behind", i)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(buffer []byte) (int, error) { return f(buffer) }
