package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// closing counts how often it is closed.
type closing struct {
	backend.Backend
	times int
}

func (c *closing) Close() error {
	c.times++
	return c.Backend.Close()
}

func TestLateRegistry(t *testing.T) {
	store, opened := &closing{Backend: backendtest.NewMemory()}, 0
	failure := errors.New("not there")
	late := newLateRegistry(func(context.Context) (cluster.Registry, error) {
		opened++
		return cluster.NewBucket(store, nil), failure
	})
	member := cluster.Member{
		NodeID: "g1", ClientURL: "http://g1", PeerURL: "https://g1:7501", PublicKey: make(ed25519.PublicKey, ed25519.PublicKeySize),
	}
	for name, call := range map[string]func() error{
		"Register": func() error { _, err := late.Register(t.Context(), member); return err },
		"List":     func() error { _, err := late.List(t.Context()); return err },
		"Load":     func() error { _, _, err := late.Load(t.Context(), "roster"); return err },
		"Swap": func() error {
			_, err := late.Swap(t.Context(), "roster", nil, cluster.Revision{})
			return err
		},
	} {
		before := opened
		if err := call(); !errors.Is(err, failure) || opened != before+1 {
			t.Errorf("%s opened %d times and failed with %v", name, opened-before, err)
		}
	}
	if err := late.Close(); err != nil || store.times != 0 {
		t.Errorf("closing what is not open: %v", err)
	}

	failure, opened = nil, 0
	if _, err := late.Register(t.Context(), member); err != nil {
		t.Fatal(err)
	}
	if all, err := late.List(t.Context()); err != nil || len(all) != 1 || all[0].Index != 1 {
		t.Errorf("List: %v, %v", all, err)
	}
	rev, err := late.Swap(t.Context(), "roster", []byte("x"), cluster.Revision{})
	if data, at, errLoad := late.Load(t.Context(), "roster"); err != nil || errLoad != nil || at != rev || string(data) != "x" {
		t.Errorf("Swap: %v, Load: %q, %v", err, data, errLoad)
	}
	if err := late.Close(); err != nil || store.times != 1 || opened != 1 {
		t.Errorf("closing: %v; opened %d times, closed %d", err, opened, store.times)
	}
}

// Who waits for another's attempt at opening gives up with its own context.
func TestLateRegistryDoesNotHoldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := newLateRegistry(func(ctx context.Context) (cluster.Registry, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		slow, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { _, _ = late.List(slow) }()
		synctest.Wait()
		quick, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		if _, err := late.List(quick); !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Second {
			t.Errorf("after %v: %v", time.Since(before), err)
		}
		time.Sleep(time.Minute)
	})
}

// A directory on a file server that is gone hangs whoever touches it: that is
// one goroutine, whatever the number of calls, and none of them waits for it.
func TestLateRegistryOutOfReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		var opened atomic.Int64
		store := &closing{Backend: backendtest.NewMemory()}
		late := newLateRegistry(func(context.Context) (cluster.Registry, error) {
			opened.Add(1)
			<-back
			return cluster.NewBucket(store, nil), nil
		})
		for range 3 {
			limited, cancel := context.WithTimeout(t.Context(), time.Second)
			before := time.Now()
			if _, err := late.List(limited); !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != time.Second {
				t.Errorf("after %v: %v", time.Since(before), err)
			}
			cancel()
		}
		before := time.Now()
		if err := late.Close(); err == nil || time.Since(before) > closeTime {
			t.Errorf("closing took %v, %v", time.Since(before), err)
		}
		if opened.Load() != 1 {
			t.Errorf("it was opened %d times", opened.Load())
		}
		close(back)
		if all, err := late.List(t.Context()); err != nil || len(all) != 0 || opened.Load() != 1 {
			t.Errorf("once it is back: %v, %v, opened %d times", all, err, opened.Load())
		}
		if err := late.Close(); err != nil || store.times != 1 {
			t.Errorf("closing: %v, closed %d times", err, store.times)
		}
	})
}

// Of two replicas that learn at one moment one is told to look again; then both
// have what both learnt.
func TestKeepersOfOneNode(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(t.Context(), "g1", integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}, log)
	if err != nil {
		t.Fatal(err)
	}
	node, err := guardian.Open(t.Context(), backendtest.NewMemory(), sealer, guardian.Config{Retain: 1, RequestTimeout: time.Second, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	first, second := &keeper{node: node}, &keeper{node: node}
	for _, k := range []*keeper{first, second} {
		if data, err := k.Load(t.Context()); err != nil || data != nil {
			t.Fatalf("of a node that knows nobody: %q, %v", data, err)
		}
	}
	if err := first.Save(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := second.Save(t.Context(), []byte("two")); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("the second saved over the first: %v", err)
	}
	if data, err := second.Load(t.Context()); err != nil || string(data) != "one" {
		t.Errorf("the second loads %q, %v", data, err)
	}
	for _, text := range []string{"one and two", "three"} {
		if err := second.Save(t.Context(), []byte(text)); err != nil {
			t.Errorf("saving %q: %v", text, err)
		}
	}
}
