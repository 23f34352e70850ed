package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/shamir"
)

// What is measured: the first with every kernel, the others once.
const (
	splitZeros   = "split, secret of zeros"
	splitOnes    = "split, secret of 0xff"
	combineZeros = "combine, shares of zeros"
	combineOnes  = "combine, shares of 0xff"
	robustZeros  = "robust combine, secret of zeros"

	checkTag = "integrity: CheckTag, last byte off"
	openTag  = "integrity: Open, last byte off"

	controlBranch  = "control: branch on every byte"
	controlOneByte = "control: combine, branch on a byte"
	controlCompare = "control: tag, ends at first byte off"
)

var (
	perKernel = []string{splitZeros, splitOnes, combineZeros, combineOnes, robustZeros}
	once      = []string{checkTag, openTag, controlBranch, controlOneByte, controlCompare}
)

func isControl(name string) bool { return strings.HasPrefix(name, "control: ") }

// The secrets are not as long as anything, so that what kernels do about their
// ends is measured too.
const (
	secretSize = 1021
	n, k       = 5, 3
)

// subject is an operation on secret bytes.
type subject struct {
	fixed []byte             // the input of one class; that of the other is as long and random
	load  func(input []byte) // puts an input where run finds it, untimed
	run   func()
}

func newSubject(name string) (*subject, error) {
	switch name {
	case splitZeros:
		return newSplit(0), nil
	case splitOnes:
		return newSplit(0xff), nil
	case combineZeros:
		return newCombine(0, func([]byte) {}), nil
	case combineOnes:
		return newCombine(0xff, func([]byte) {}), nil
	case robustZeros:
		return newRobust(), nil
	case controlOneByte:
		return newCombine(0, func(secret []byte) { branching(&secret[1], secret[0]) }), nil
	case controlBranch:
		return newBranching(), nil
	case controlCompare:
		return newTag(func(s *integrity.Sealer, tag []byte) {
			want, err := s.Tag(label, message)
			mustNot(err != nil || equalUntilFirst(want, tag))
		})
	case checkTag:
		return newTag(func(s *integrity.Sealer, tag []byte) {
			mustNot(s.CheckTag(label, tag, message))
		})
	case openTag:
		return newTag(func(s *integrity.Sealer, tag []byte) {
			mustNot(s.Open(context.Background(), label, s.PrimaryKeyID(), tag, message) == nil)
		})
	}
	return nil, fmt.Errorf("no case is called %q", name)
}

// newSplit draws coefficients as always: they do not depend on the class.
func newSplit(fixed byte) *subject {
	secret, points := make([]byte, secretSize), []byte{1, 2, 3, 4, 5}
	return &subject{
		fixed: bytes.Repeat([]byte{fixed}, secretSize),
		load:  func(input []byte) { copy(secret, input) },
		run: func() {
			shares, err := shamir.Split(secret, k, points)
			mustNot(err != nil || len(shares) != n)
		},
	}
}

// newCombine rebuilds from the y of k shares. Random ones are those of a random
// secret; when all are the same, so is every byte of the secret.
func newCombine(fixed byte, afterwards func(secret []byte)) *subject {
	shares := make([][]byte, k)
	for i := range shares {
		shares[i] = make([]byte, 1+secretSize)
		shares[i][0] = byte(n - i)
	}
	return &subject{
		fixed: bytes.Repeat([]byte{fixed}, k*secretSize),
		load: func(input []byte) {
			for i, share := range shares {
				copy(share[1:], input[i*secretSize:])
			}
		},
		run: func() {
			secret, err := shamir.Combine(shares)
			mustNot(err != nil || len(secret) != secretSize)
			afterwards(secret)
		},
	}
}

// newRobust has all n shares, and all are right: what it does about errors
// depends on them.
func newRobust() *subject {
	var shares [][]byte
	return &subject{
		fixed: make([]byte, secretSize),
		load: func(secret []byte) {
			var err error
			shares, err = shamir.Split(secret, k, []byte{1, 2, 3, 4, 5})
			mustNot(err != nil || len(shares) != n)
		},
		run: func() {
			found, err := shamir.CombineRobust(shares, k)
			mustNot(err != nil || len(found.Wrong) != 0)
		},
	}
}

const label = "benchmark"

var message = []byte("a message that somebody sends with a tag of his own making")

// newTag compares two kinds of wrong tags: one that is right but for its last
// byte, and random ones.
func newTag(check func(s *integrity.Sealer, tag []byte)) (*subject, error) {
	key := fmt.Sprintf("%x", randomBytes(integrity.KeySize))
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := integrity.NewSealer(context.Background(), "node", integrity.InlineSource{Text: key}, log)
	if err != nil {
		return nil, err
	}
	right, err := s.Tag(label, message)
	if err != nil {
		return nil, err
	}
	near := slices.Clone(right)
	near[len(near)-1] ^= 1
	tag := make([]byte, len(right))
	return &subject{
		fixed: near,
		load:  func(input []byte) { copy(tag, input) },
		run:   func() { check(s, tag) },
	}, nil
}

func newBranching() *subject {
	secret, sum := make([]byte, secretSize), byte(0)
	return &subject{
		fixed: make([]byte, secretSize),
		load:  func(input []byte) { copy(secret, input) },
		run: func() {
			for _, b := range secret {
				branching(&sum, b)
			}
		},
	}
}

// branching adds a multiple of secret to sum, the way not to do it.
//
//go:noinline
func branching(sum *byte, secret byte) {
	for b := byte(0x53); secret != 0; secret >>= 1 {
		if secret&1 == 1 {
			*sum ^= b
		}
		if b&0x80 != 0 {
			b = b<<1 ^ 0x1b
		} else {
			b <<= 1
		}
	}
}

// equalUntilFirst compares as one must not compare tags.
//
//go:noinline
func equalUntilFirst(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func randomBytes(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b) // it cannot fail since Go 1.24
	return b
}

// mustNot stops everything when what is measured did not work.
func mustNot(failed bool) {
	if failed {
		panic("an operation under test gave a wrong result")
	}
}
