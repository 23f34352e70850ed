package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// Each script works on directories, or on bolt://./FILE in place of most of
// them. `push DIR IDENTITY VERSION TEXT` and
// `delete DIR IDENTITY VERSION` are what a guardian does there, `holds DIR
// IDENTITY VERSION TEXT` fails unless it serves that. `rotate DIR` adds key k2
// as primary to DIR/integrity.key, `retire DIR` takes k1 out. `damage DIR
// IDENTITY` changes the share. `pin DIR SERIAL NODE...` has the guardian know
// these nodes, and a roster of them if SERIAL is not 0. `hold DIR` has
// it open until the end. $ID1 to $ID9 are identities.
func TestStorageScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/storage",
		Setup: func(env *testscript.Env) error {
			for i := range 10 {
				env.Setenv(fmt.Sprint("ID", i), identityOf(i))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitsWith,
			"push":   onDirectory(push),
			"delete": onDirectory(remove),
			"holds":  onDirectory(holds),
			"pin":    onDirectory(pin),
			"hold":   keepOpen,
			"rotate": onKeyFile(func(ring *keyFile) { ring.Primary, ring.Keys["k2"] = "k2", strings.Repeat("02", integrity.KeySize) }),
			"retire": onKeyFile(func(ring *keyFile) { delete(ring.Keys, "k1") }),
			"damage": func(script *testscript.TestScript, _ bool, args []string) {
				damage(t, script.MkAbs(args[0]), args[1])
			},
		},
	})
}

func identityOf(i int) string { return strings.Repeat(strconv.Itoa(i), 64) }

type keyFile struct {
	Primary string            `json:"primary"`
	Keys    map[string]string `json:"keys"`
}

func onKeyFile(change func(*keyFile)) func(*testscript.TestScript, bool, []string) {
	return func(script *testscript.TestScript, _ bool, args []string) {
		script.Check(changeKeyFile(filepath.Join(script.MkAbs(args[0]), "integrity.key"), change))
	}
}

func changeKeyFile(path string, change func(*keyFile)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var ring keyFile
	if err := json.Unmarshal(text, &ring); err != nil {
		return err
	}
	change(&ring)
	if text, err = json.Marshal(ring); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func onDirectory(do func(ctx context.Context, n *guardian.Node, args []string) error) func(*testscript.TestScript, bool, []string) {
	return func(script *testscript.TestScript, _ bool, args []string) {
		script.Check(serve(absolute(script, args[0]), func(ctx context.Context, n *guardian.Node) error {
			return do(ctx, n, args[1:])
		}))
	}
}

func absolute(script *testscript.TestScript, storage string) string {
	if path, ok := strings.CutPrefix(storage, "bolt://./"); ok {
		return "bolt://" + script.MkAbs(path)
	}
	return script.MkAbs(storage)
}

func keepOpen(script *testscript.TestScript, _ bool, args []string) {
	at, err := location.Parse(absolute(script, args[0]))
	script.Check(err)
	store, err := at.Open(context.Background(), location.Options{})
	script.Check(err)
	script.Defer(func() { _ = store.Close() })
}

// serve is a guardian on a directory or file for the time of do.
func serve(storage string, do func(context.Context, *guardian.Node) error) (err error) {
	ctx := context.Background()
	at, err := location.Parse(storage)
	if err != nil {
		return err
	}
	store, err := at.Open(ctx, location.Options{NodeID: "local"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(ctx, "local", integrity.FileSource{Path: at.KeyFile(), Create: true}, log)
	if err != nil {
		return err
	}
	n, err := guardian.Open(ctx, store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close(ctx)) }()
	return do(ctx, n)
}

func push(ctx context.Context, n *guardian.Node, args []string) error {
	version, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	return n.Push(ctx, guardian.Slot{Identity: args[0]}, guardian.Share{Data: []byte(args[2]), Version: version}, guardian.Caller{})
}

func remove(ctx context.Context, n *guardian.Node, args []string) error {
	version, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	return n.Delete(ctx, guardian.Slot{Identity: args[0]}, version, guardian.Caller{})
}

func holds(ctx context.Context, n *guardian.Node, args []string) error {
	got, err := n.Pull(ctx, guardian.Slot{Identity: args[0]}, nil, nil, guardian.Caller{})
	if err == nil && fmt.Sprint(got.Version, " ", string(got.Data)) != strings.Join(args[1:], " ") {
		err = fmt.Errorf("it holds version %d: %s", got.Version, got.Data)
	}
	return err
}

func TestWalkEndsWhenTheStorageFails(t *testing.T) {
	const slots = 2 * maxFailures
	dir := t.TempDir()
	err := serve(dir, func(ctx context.Context, n *guardian.Node) error {
		for i := range slots {
			if err := push(ctx, n, []string{fmt.Sprintf("%064x", i), "1", "x"}); err != nil {
				return err
			}
		}
		var f failures
		broken, seen := errors.New("broken"), map[guardian.Slot]int{}
		err := walk(ctx, walkFlags{}, n,
			func(context.Context, guardian.Slot) (int, error) { return 0, broken },
			func(slot guardian.Slot, _ int, err error) error { seen[slot]++; return f.add(err) })
		if !errors.Is(err, broken) || f.Count != maxFailures {
			t.Errorf("ended with %v after %d failures, want %d", err, f.Count, maxFailures)
		}
		clear(seen)
		f = failures{}
		err = walk(ctx, walkFlags{}, n,
			func(_ context.Context, slot guardian.Slot) (bool, error) { return slot.Identity[63] == '7', nil },
			func(slot guardian.Slot, odd bool, err error) error {
				seen[slot]++
				if odd {
					err = broken
				}
				return f.add(err)
			})
		if err != nil || f.Count != slots/16 || len(seen) != slots {
			t.Errorf("ended with %v, %d failures, %d slots seen", err, f.Count, len(seen))
		}
		for slot, times := range maps.All(seen) {
			if times != 1 {
				t.Errorf("%s was seen %d times", slot.Short(), times)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
