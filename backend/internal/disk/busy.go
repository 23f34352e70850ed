// Package disk is what the backends on a local disk have in common.
package disk

import "context"

// Abandonable runs op in a goroutine that the caller leaves behind when ctx
// ends. A system call on a hung disk cannot be interrupted; the caller can.
func Abandonable[T any](ctx context.Context, op func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan outcome, 1)
	work(func() {
		value, err := op()
		done <- outcome{value, err}
	})
	select {
	case result := <-done:
		return result.value, result.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Do is Abandonable with op in a slot of busy.
func Do[T any](ctx context.Context, busy Semaphore, op func() (T, error)) (T, error) {
	return Abandonable(ctx, func() (value T, err error) {
		err = busy.Hold(ctx, func() (err error) {
			value, err = op()
			return err
		})
		return value, err
	})
}

// Semaphore bounds how many run at a time, and lets go of those who wait when
// their context ends.
type Semaphore chan struct{}

// NewSemaphore lets n run at a time.
func NewSemaphore(n int) Semaphore { return make(Semaphore, n) }

// Hold runs op in a slot of s.
func (s Semaphore) Hold(ctx context.Context, op func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s }()
	return op()
}
