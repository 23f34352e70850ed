package main

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/shamir"
)

// TestEveryOperation runs all slots twice. What is left of one run must not do
// for the next.
func TestEveryOperation(t *testing.T) {
	for _, c := range contests {
		for _, name := range slices.Concat(c.ours, c.others) {
			for _, s := range []shape{{5, 3}, {14, 4}} {
				op, err := newOperation(name, s, 1021, time.Second)
				if err != nil {
					t.Fatalf("%s %v: %v", name, s, err)
				}
				if _, runs, err := op.timed(2*time.Microsecond, op.verify); err != nil || runs < op.slots || op.bytes != 1021 {
					t.Errorf("%s %v: %d runs of %d bytes: %v", name, s, runs, op.bytes, err)
				}
			}
		}
	}
	if _, err := newOperation("something else", shape{5, 3}, 1, 0); err == nil {
		t.Error("an operation that does not exist was made")
	}
}

func TestNoRunIsWrong(t *testing.T) {
	for _, name := range []string{split, combine, robustRight, robustWrong, random} {
		op, err := newOperation(name, shape{5, 3}, 1024, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := op.verify(0); err == nil {
			t.Errorf("%s: verified what never ran", name)
		}
	}
}

func TestVerifyShares(t *testing.T) {
	s, secret := shape{5, 3}, []byte("correct horse battery staple")
	for at := range s.N {
		shares, err := shamir.Split(secret, s.K, pointsOf(s))
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyShares(shares, s, secret); err != nil {
			t.Errorf("right shares: %v", err)
		}
		shares[at][3] ^= 1
		if err := verifyShares(shares, s, secret); !errors.Is(err, errWrong) {
			t.Errorf("share %d is wrong: %v", at, err)
		}
		if err := verifyShares(shares[:4], s, secret); !errors.Is(err, errWrong) {
			t.Errorf("four shares: %v", err)
		}
	}
}

func TestPointsMove(t *testing.T) {
	ours, theirs := []byte{7, 1, 2, 3}, []byte{1, 2, 3, 7}
	share := bytes.Clone(ours)
	if pointLast(share); !bytes.Equal(share, theirs) {
		t.Errorf("pointLast: %v", share)
	}
	if pointFirst(share); !bytes.Equal(share, ours) {
		t.Errorf("pointFirst: %v", share)
	}
}

// TestAffordable has a run take a time that depends on the part alone.
func TestAffordable(t *testing.T) {
	slow := func(part []byte) (*operation, error) {
		return &operation{bytes: len(part), run: func(int) error {
			if len(part) >= 4<<10 {
				time.Sleep(200 * time.Millisecond)
			}
			return nil
		}}, nil
	}
	for _, tc := range []struct {
		size  int
		limit time.Duration
		want  int
	}{
		{100, 0, 100},
		{64 << 10, 0, 1 << 10},
		{64 << 10, 300 * time.Millisecond, 4 << 10},
		{64 << 10, time.Hour, 64 << 10},
	} {
		op, err := affordable(make([]byte, tc.size), tc.limit, slow)
		if err != nil || op.bytes != tc.want {
			t.Errorf("%d bytes within %v: %d, want %d: %v", tc.size, tc.limit, op.bytes, tc.want, err)
		}
	}
}
