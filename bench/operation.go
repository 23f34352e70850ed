package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	vault "github.com/hashicorp/vault/shamir"

	"github.com/vault-guardian/guardian/shamir"
)

// operation is something to be timed. Its runs leave their results in slots,
// so that they can be verified when the clock stands still.
type operation struct {
	bytes  int // of the secret, that one run handles
	slots  int
	run    func(slot int) error
	verify func(slot int) error
}

// kept bounds the memory of the results that wait for verification: it stays
// in the cache, as what a caller uses at once would.
const kept = 256 << 10

// copied is how much is copied in one go: much, as reading the clock takes as
// long as copying some KiB.
const copied = 16 << 20

var errWrong = errors.New("the secret did not come back")

// newOperation prepares one of the operations of the plan.
func newOperation(name string, s shape, size int, vaultTurn time.Duration) (*operation, error) {
	secret := make([]byte, size)
	_, _ = rand.Read(secret) // it cannot fail since Go 1.24
	switch name {
	case split:
		return newSplit(secret, s), nil
	case combine:
		return newCombine(secret, s)
	case robustRight:
		return newRobust(secret, s, 0)
	case robustWrong:
		return newRobust(secret, s, (s.N-s.K)/2)
	case vaultSplit:
		return affordable(secret, vaultTurn, func(part []byte) (*operation, error) { return newVaultSplit(part, s), nil })
	case vaultCombine:
		return affordable(secret, vaultTurn, func(part []byte) (*operation, error) { return newVaultCombine(part, s) })
	case copying:
		return newCopy(secret), nil
	case random:
		return newRandom(size), nil
	}
	return nil, fmt.Errorf("no operation is called %q", name)
}

func newSplit(secret []byte, s shape) *operation {
	points, results := pointsOf(s), make([][][]byte, max(1, kept/(s.N*len(secret))))
	return &operation{
		bytes: len(secret), slots: len(results),
		run: func(slot int) (err error) {
			results[slot], err = shamir.Split(secret, s.K, points)
			return err
		},
		verify: func(slot int) error {
			defer func() { results[slot] = nil }()
			return verifyShares(results[slot], s, secret)
		},
	}
}

// verifyShares rebuilds the secret from the first k and from the last k. It is
// quick: what is done between two runs cools the caches.
func verifyShares(shares [][]byte, s shape, secret []byte) error {
	if len(shares) != s.N {
		return fmt.Errorf("%w: %d shares", errWrong, len(shares))
	}
	for _, some := range [][][]byte{shares[:s.K], shares[s.N-s.K:]} {
		got, err := shamir.Combine(some)
		if err != nil {
			return err
		}
		if err := same(got, secret); err != nil {
			return err
		}
	}
	return nil
}

func newCombine(secret []byte, s shape) (*operation, error) {
	shares, err := shamir.Split(secret, s.K, pointsOf(s))
	if err != nil {
		return nil, err
	}
	shares = shares[s.N-s.K:]
	results := make([][]byte, max(1, kept/len(secret)))
	return &operation{
		bytes: len(secret), slots: len(results),
		run: func(slot int) (err error) {
			results[slot], err = shamir.Combine(shares)
			return err
		},
		verify: func(slot int) error {
			defer func() { results[slot] = nil }()
			return same(results[slot], secret)
		},
	}, nil
}

// newRobust makes the first shares garbage.
func newRobust(secret []byte, s shape, wrong int) (*operation, error) {
	shares, err := shamir.Split(secret, s.K, pointsOf(s))
	if err != nil {
		return nil, err
	}
	named := make([]int, wrong)
	for i := range wrong {
		named[i] = i
		_, _ = rand.Read(shares[i][1:])
	}
	results := make([]shamir.Robust, max(1, kept/len(secret)))
	return &operation{
		bytes: len(secret), slots: len(results),
		run: func(slot int) (err error) {
			results[slot], err = shamir.CombineRobust(shares, s.K)
			return err
		},
		verify: func(slot int) error {
			result := results[slot]
			results[slot] = shamir.Robust{}
			if !slices.Equal(result.Wrong, named) {
				return fmt.Errorf("%w: it names %v, not %v", errWrong, result.Wrong, named)
			}
			return same(result.Secret, secret)
		},
	}, nil
}

// affordable makes the operation for the longest part of the secret, at least
// 1 KiB, that one run handles in the time given. Vault's package goes byte by
// byte: what it takes per byte does not depend on their number.
func affordable(secret []byte, limit time.Duration, make func(part []byte) (*operation, error)) (*operation, error) {
	for size := 1 << 10; ; size *= 2 {
		op, err := make(secret[:min(size, len(secret))])
		if err != nil || size >= len(secret) {
			return op, err
		}
		start := time.Now()
		if err := op.run(0); err != nil {
			return nil, err
		}
		if 2*time.Since(start) > limit {
			return op, nil
		}
	}
}

func newVaultSplit(secret []byte, s shape) *operation {
	var result [][]byte
	return &operation{
		bytes: len(secret), slots: 1,
		run: func(int) (err error) {
			result, err = vault.Split(secret, s.N, s.K)
			return err
		},
		verify: func(int) error {
			for _, share := range result {
				pointFirst(share)
			}
			return verifyShares(result, s, secret)
		},
	}
}

func newVaultCombine(secret []byte, s shape) (*operation, error) {
	shares, err := shamir.Split(secret, s.K, pointsOf(s))
	if err != nil {
		return nil, err
	}
	shares = shares[s.N-s.K:]
	for _, share := range shares {
		pointLast(share)
	}
	var result []byte
	return &operation{
		bytes: len(secret), slots: 1,
		run: func(int) (err error) {
			result, err = vault.Combine(shares)
			return err
		},
		verify: func(int) error { return same(result, secret) },
	}, nil
}

// pointFirst turns one of Vault's shares, which end with their point, into one
// of ours: the field is the same.
func pointFirst(share []byte) {
	last := len(share) - 1
	x := share[last]
	copy(share[1:], share[:last])
	share[0] = x
}

// pointLast is the opposite of pointFirst.
func pointLast(share []byte) {
	x := share[0]
	copy(share, share[1:])
	share[len(share)-1] = x
}

func newCopy(secret []byte) *operation {
	results := make([]byte, len(secret))
	return &operation{
		bytes: len(secret), slots: max(1, copied/len(secret)),
		run:    func(int) error { copy(results, secret); return nil },
		verify: func(int) error { return same(results, secret) },
	}
}

func newRandom(size int) *operation {
	results := make([][]byte, max(1, kept/size))
	for i := range results {
		results[i] = make([]byte, size)
	}
	return &operation{
		bytes: size, slots: len(results),
		run: func(slot int) error {
			_, err := rand.Read(results[slot])
			return err
		},
		verify: func(slot int) error {
			defer clear(results[slot])
			return notBlank(results[slot])
		},
	}
}

func notBlank(drawn []byte) error {
	if len(bytes.Trim(drawn, "\x00")) < len(drawn)/2 {
		return errors.New("what was drawn is not random")
	}
	return nil
}

func pointsOf(s shape) []byte {
	points := make([]byte, s.N)
	for i := range points {
		points[i] = byte(i + 1)
	}
	return points
}

func same(got, secret []byte) error {
	if !bytes.Equal(got, secret) {
		return errWrong
	}
	return nil
}
