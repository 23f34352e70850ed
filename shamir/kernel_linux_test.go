package shamir

import (
	"bytes"
	"syscall"
	"testing"
)

// fenced returns bytes that end where memory that cannot be read or written
// begins, and others that begin where such memory ends.
func fenced(t *testing.T, size int) (last, first []byte) {
	t.Helper()
	page := syscall.Getpagesize()
	room := (size/page + 1) * page
	memory, err := syscall.Mmap(-1, 0, room+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(memory) })
	for _, fence := range [][]byte{memory[:page], memory[page+room:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := memory[page : page+room]
	return inside[room-size:], inside[:size]
}

// TestKernelsStayWithinSlices dies of a fault where a kernel reads or writes a
// byte before or after what it was given.
func TestKernelsStayWithinSlices(t *testing.T) {
	sizes := []int{blockSize + 1, blockSize + 33}
	for size := range 300 {
		sizes = append(sizes, size)
	}
	eachKernel(t, func(t *testing.T) {
		random := seeded()
		for _, size := range sizes {
			lastDst, firstDst := fenced(t, size)
			lastRow, firstRow := fenced(t, size)
			copy(lastRow, randomBytes(random, size))
			copy(firstRow, randomBytes(random, size))
			rows := [][]byte{lastRow, firstRow, lastRow, firstRow}
			weights := []byte{1, 2, 0x53, 0xff}
			want := bitwiseSum(size, weights, rows)
			for _, dst := range [][]byte{lastDst, firstDst} {
				weightedSum(dst, weights, rows)
				if !bytes.Equal(dst, want) {
					t.Fatalf("size %d: got %x, want %x", size, dst, want)
				}
			}
		}
	})
}
