package fs

import "context"

// abandonable runs op in a goroutine that the caller leaves behind when ctx
// ends. A system call on a hung disk cannot be interrupted; the caller can.
func abandonable[T any](ctx context.Context, op func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := op()
		done <- outcome{value, err}
	}()
	select {
	case result := <-done:
		return result.value, result.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// onDisk is abandonable with op in a slot of busy.
func onDisk[T any](ctx context.Context, busy semaphore, op func() (T, error)) (T, error) {
	return abandonable(ctx, func() (value T, err error) {
		err = busy.hold(ctx, func() (err error) {
			value, err = op()
			return err
		})
		return value, err
	})
}

// semaphore bounds how many run at a time, and lets go of those who wait when
// their context ends.
type semaphore chan struct{}

func newSemaphore(n int) semaphore { return make(semaphore, n) }

func (s semaphore) hold(ctx context.Context, op func() error) error {
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
