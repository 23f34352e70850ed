package bolt

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrDamaged reports a file that is not what this package has written.
var ErrDamaged = errors.New("damaged, or not the database of a guardian")

// guarded runs op on the file, which is mapped into memory. bbolt panics over
// pages that make no sense, and to read behind the end of a file that was cut
// short, or what the disk cannot read, is a memory fault. Both become errors.
func guarded(op func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, cause)
		}
	}()
	return op()
}
