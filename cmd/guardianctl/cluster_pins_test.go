package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
)

// pin has a guardian keep pins, and a roster with a serial unless that is 0.
func pin(ctx context.Context, n *guardian.Node, args []string) error {
	serial, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	kept, roster := &cluster.Kept{}, &cluster.Roster{Serial: serial}
	for i, node := range args[1:] {
		key := nodeKeyOf(node)
		kept.Pins = append(kept.Pins, cluster.Pin{NodeID: node, Index: i + 1, Key: key})
		roster.Entries = append(roster.Entries, cluster.Entry{NodeID: node, Index: i + 1, Key: key})
	}
	if serial != 0 {
		if kept.Roster, err = roster.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))); err != nil {
			return err
		}
	}
	_, rev, err := n.Membership(ctx)
	if err != nil {
		return err
	}
	_, err = n.KeepMembership(ctx, kept.Encode(), rev)
	return err
}

// What a guardian that runs adds meanwhile stays, and what is to be forgotten is
// gone.
func TestForgetBesideAGuardian(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	err := serve(dir, func(ctx context.Context, n *guardian.Node) error {
		if err := pin(ctx, n, []string{"0", "g1", "g2"}); err != nil {
			return err
		}
		calls := 0
		err := changeKept(ctx, n, func(kept *cluster.Kept) error {
			if calls++; calls == 1 {
				return errors.Join(pin(ctx, n, []string{"0", "g1", "g2", "g3"}), wantPin(kept, "g2"))
			}
			return wantPin(kept, "g2")
		})
		if err != nil || calls != 2 {
			t.Errorf("%v after %d calls", err, calls)
		}
		kept, _, err := readKept(ctx, n)
		if err != nil || len(kept.Pins) != 2 || kept.Pins[1].NodeID != "g3" {
			t.Errorf("kept is %+v, %v", kept, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func wantPin(kept *cluster.Kept, node string) error {
	if !kept.Forget(node) {
		return errors.New("there is no pin of " + node)
	}
	return nil
}

func TestForgetDamagedMembership(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	err := serve(dir, func(ctx context.Context, n *guardian.Node) error { return pin(ctx, n, []string{"0", "g1"}) })
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "cluster", "membership*"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(found[0], bytes.Replace(data, []byte("g1"), []byte("g2"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"list"}, {"forget", "g1", "--yes"}} {
		_, errs := guardianctl(t, exitVerification, append(append([]string{"cluster", "pins"}, args...), "--storage", dir)...)
		if !strings.Contains(errs, "backup") {
			t.Errorf("%v says %s", args, errs)
		}
	}
}
