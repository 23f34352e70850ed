package fs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

const (
	childVariable = "GUARDIAN_FS_TEST_CHILD"
	createRounds  = 50
	increments    = 40
)

// TestMain lets a test run this binary again as another process.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child competes with the test once a line arrives, and prints what it won.
func child(dir string) error {
	f, err := Open(dir)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	won, err := compete(context.Background(), f)
	if err != nil {
		return err
	}
	for _, round := range won {
		fmt.Println(round)
	}
	return f.Close()
}

// compete creates keys that the other process creates as well, then adds to a
// counter that the other adds to as well. It returns which keys it created.
func compete(ctx context.Context, f *FS) (won []int, err error) {
	for round := range createRounds {
		_, err := f.Put(ctx, fmt.Sprintf("rounds/%d/x", round), nil, backend.Revision{})
		if err == nil {
			won = append(won, round)
		} else if !errors.Is(err, backend.ErrConflict) {
			return nil, err
		}
	}
	for range increments {
		if err := increment(ctx, f); err != nil {
			return nil, err
		}
	}
	return won, nil
}

func increment(ctx context.Context, f *FS) error {
	for {
		data, rev, err := f.Get(ctx, "counter")
		if err != nil {
			return err
		}
		count, err := strconv.Atoi(string(data))
		if err != nil {
			return err
		}
		_, err = f.Put(ctx, "counter", []byte(strconv.Itoa(count+1)), rev)
		if !errors.Is(err, backend.ErrConflict) {
			return err
		}
	}
}

func TestProcessesCompete(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	_, err := f.Put(t.Context(), "counter", []byte("0"), backend.Revision{})
	must(t, err)

	finish := startChild(t, dir)
	ours, err := compete(t.Context(), f)
	must(t, err)

	winners := map[int]int{}
	for _, round := range append(ours, finish()...) {
		winners[round]++
	}
	for round := range createRounds {
		if winners[round] != 1 {
			t.Errorf("round %d has %d winners", round, winners[round])
		}
	}
	data, _, err := f.Get(t.Context(), "counter")
	if err != nil || string(data) != strconv.Itoa(2*increments) {
		t.Errorf("counter is %q, %v, want %d", data, err, 2*increments)
	}
}

// startChild returns when a second process competes. What it returns waits for
// that process and tells what it won.
func startChild(t *testing.T, dir string) (finish func() []int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("second process said %q", lines.Text())
	}
	_, err = fmt.Fprintln(stdin, "go")
	must(t, err)
	return func() []int {
		var rounds []int
		for lines.Scan() {
			round, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
			must(t, err)
			rounds = append(rounds, round)
		}
		must(t, cmd.Wait())
		return rounds
	}
}
