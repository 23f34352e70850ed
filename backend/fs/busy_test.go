package fs

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

// hang makes every fsync of a directory wait for release.
func hang(f *FS) (entered <-chan struct{}, release func()) {
	entering, released := make(chan struct{}, 10), make(chan struct{})
	f.writer.syncDir = func(file *os.File) error {
		entering <- struct{}{}
		<-released
		return file.Sync()
	}
	return entering, func() { close(released) }
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

func TestHungDiskDoesNotHangTheCaller(t *testing.T) {
	f := open(t, t.TempDir())
	entered, release := hang(f)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := f.Put(ctx, "top", []byte("x"), backend.Revision{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put = %v, want %v", err, context.Canceled)
	}
	if !holds(t, f, "top") {
		t.Error("the write that was left behind had been renamed, and is not there")
	}

	second, cancel := context.WithCancel(t.Context())
	cancelWhenWaiting(t, f, "top", cancel)
	if _, err := f.Put(second, "top", []byte("y"), backend.AnyRevision); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put behind a hung one = %v, want %v", err, context.Canceled)
	}
	release()
	eventually(t, "end of what was left behind", func() bool {
		return len(f.busy) == 0 && len(f.locks.of("top").turn) == 0 && len(temporaries(t, f.dir)) == 0
	})
	if data, _, err := f.Get(t.Context(), "top"); err != nil || string(data) != "x" {
		t.Errorf("Get = %q, %v: a write landed whose context had ended before its rename", data, err)
	}
}

// cancelWhenWaiting cancels once a write has staged its bytes.
func cancelWhenWaiting(t *testing.T, f *FS, key string, cancel func()) {
	t.Helper()
	if len(f.locks.of(key).turn) != 1 {
		t.Fatal("nobody holds the lock")
	}
	go func() {
		defer cancel()
		eventually(t, "staging", func() bool { return len(temporaries(t, f.dir)) == 1 })
	}()
}

func TestOtherProcessHoldingTheLockDoesNotHangTheCaller(t *testing.T) {
	dir := t.TempDir()
	f, other := open(t, dir), open(t, dir)
	held := other.locks.of("a/x")
	err := held.locked(t.Context(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := f.Put(ctx, "a/x", nil, backend.Revision{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put = %v, want %v", err, context.DeadlineExceeded)
		}
		return nil
	})
	must(t, err)
	eventually(t, "end of what was left behind", func() bool { return len(f.busy) == 0 && len(temporaries(t, dir)) == 0 })
	if holds(t, f, "a/x") {
		t.Error("it landed all the same")
	}
	put(t, f, "a/x")
}

func TestThreadsWaitingForTheDiskAreBounded(t *testing.T) {
	f := open(t, t.TempDir())
	put(t, f, "a")
	if cap(f.busy) != maxBusy {
		t.Fatalf("bound is %d, want %d", cap(f.busy), maxBusy)
	}
	for range maxBusy {
		f.busy <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, _, got := f.Get(ctx, "a")
	_, put := f.Put(ctx, "a", nil, backend.AnyRevision)
	errs := []error{got, put, f.Delete(ctx, "a", backend.AnyRevision), f.Check(ctx)}
	for _, err := range f.List(ctx, "", "") {
		errs = append(errs, err)
	}
	if len(errs) != 5 || slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, context.DeadlineExceeded) }) {
		t.Errorf("with all slots taken: %v", errs)
	}
}

func TestCallerMayReuseItsBytesAfterAnAbandonedPut(t *testing.T) {
	f := open(t, t.TempDir())
	data := []byte("xxxx")
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	_, err := f.Put(ctx, "a", data, backend.Revision{})
	clear(data)
	eventually(t, "end of what was left behind", func() bool { return len(f.busy) == 0 && len(temporaries(t, f.dir)) == 0 })
	if got, _, getErr := f.Get(t.Context(), "a"); err == nil && getErr != nil || getErr == nil && string(got) != "xxxx" {
		t.Errorf("Put = %v, then Get = %q, %v", err, got, getErr)
	}
}
