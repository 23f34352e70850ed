package check

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// Honest redistributions, with all holders in common, some, and none.
func TestRedistribute(t *testing.T) {
	for _, shape := range []struct {
		olds []byte
		k    int
		news []byte
		next int
	}{
		{upTo(5), 3, upTo(5), 3},
		{upTo(3), 2, upTo(3), 2},
		{upTo(5), 3, []byte{2, 3, 4, 5, 6}, 3},
		{upTo(5), 3, upTo(7), 5},
		{upTo(7), 5, []byte{1, 9, 10}, 2},
		{upTo(4), 3, []byte{5, 6, 7, 8}, 3},
		{[]byte{1, 77, 200, 255}, 2, []byte{3, 76, 128, 254, 255}, 4},
		{upTo(14), 4, upTo(14), 4},
		{upTo(14), 13, []byte{20, 21, 22, 23}, 3},
		{upTo(4), 2, upTo(14), 13},
	} {
		t.Run(fmt.Sprintf("%d of %d to %d of %d", shape.k, len(shape.olds), shape.next, len(shape.news)), func(t *testing.T) {
			f := newFleet(t, shape.olds, shape.k, 1, 33, 5000, 200).propose(shape.next, shape.news...)
			result, err := f.redistribute()
			if err != nil {
				t.Fatalf("%v: %+v", err, result)
			}
			f.sound(t, result)
			if !slices.Equal(result.Sound, shape.olds) || !slices.Equal(result.New.Sound, shape.news) || result.Attempts != 1 {
				t.Errorf("got %+v", result)
			}
			f.idle(t)
			f.mixNothing(t)
		})
	}
}

// A node that is both may have another point next, even that of another before.
func TestMoveToOtherPoints(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(6)...)
	for n := range f.proposal.Holders {
		f.proposal.Holders[n].X++
	}
	result, err := f.redistribute()
	must(t, err)
	f.sound(t, result)
	if !slices.Equal(result.New.Sound, upTo(7)[1:]) {
		t.Errorf("got %+v", result)
	}
}

// A few at once, over the same batch.
func TestMovesAtOnce(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40, 3000).propose(3, upTo(5)...)
	var all sync.WaitGroup
	for range MaxMovesOfOne {
		all.Go(func() {
			if result, err := f.redistribute(); err != nil || !slices.Equal(result.Sound, upTo(5)) {
				t.Errorf("%v: %+v", err, result)
			}
		})
	}
	all.Wait()
	f.idle(t)
}

// mixNothing wants old and new shares not to combine.
func (f *fleet) mixNothing(t *testing.T) {
	t.Helper()
	const longest = 2 // of the generations
	news, size := f.newShares(longest), max(f.k, f.proposal.Threshold)
	var mixed [][]byte
	for x, n := range f.nodes {
		held, ok := n.held[f.batch.records[longest].Hash]
		if ok && len(mixed) < size-1 {
			mixed = append(mixed, held.share)
			delete(news, x)
		}
	}
	for _, share := range news {
		if mixed = append(mixed, share); len(mixed) >= size {
			break
		}
	}
	secret, err := shamir.Combine(mixed)
	must(t, err)
	if bytes.Equal(secret, f.payloads[longest]) {
		t.Error("old and new shares make the payload")
	}
}

// Three epochs one after the other. In the second, a holder that was away has a
// share whose hash no record knows, and takes part in the third.
func TestMoveThroughEpochs(t *testing.T) {
	f := newFleet(t, upTo(5), 3, 40, 500).propose(4, upTo(7)...)
	gone := errors.New("away")
	f.tamper = func(p Party, step Step, _, _ any) error {
		if p == (Party{true, 7}) && step == StepPrepare {
			return gone // its share is durable, and its vote is lost
		}
		return nil
	}
	result, err := f.redistribute()
	must(t, err)
	if len(result.New.Absent) != 1 || !errors.Is(result.New.Absent[0].Err, gone) || !slices.Equal(result.New.Sound, upTo(6)) {
		t.Errorf("got %+v", result.New)
	}
	f.commit(t, result)
	r := f.batch.records[0]
	if err := r.Check(7, f.nodes[7].held[r.Hash].share); !errors.Is(err, record.ErrNoHash) {
		t.Fatalf("the hash of the seventh is known: %v", err)
	}
	f.tamper = nil
	result, err = f.propose(2, 3, 4, 5, 6, 7).redistribute()
	must(t, err)
	f.sound(t, result)
	if !slices.Equal(result.Sound, upTo(7)) || result.Attempts != 1 {
		t.Errorf("got %+v", result)
	}
	f.commit(t, result)
	result, err = f.propose(5, 3, 4, 5, 6, 7, 8).redistribute()
	must(t, err)
	f.sound(t, result)
	if epoch := f.commit(t, result).batch.records[1].Epoch; epoch != 3 {
		t.Errorf("epoch %d", epoch)
	}
}

// What a holder's disk lost shows where no record has the hash of its share, as it
// was away when the round ended.
func TestMoveWithBitRot(t *testing.T) {
	rotten := func(t *testing.T, online int) *fleet {
		f := newFleet(t, upTo(7), 3, 40).propose(3, upTo(7)...)
		f.before = func(p Party, step Step) error {
			if p == (Party{true, 1}) && step == StepPrepare {
				return errors.New("gone")
			}
			return nil
		}
		result, err := f.redistribute()
		must(t, err)
		f.before = nil
		share := f.nodes[2].prepared[0].Share
		f.nodes[1].prepared = []Prepared{{Share: append([]byte{1}, share[1:]...)}} // not its own
		f.commit(t, result).propose(3, upTo(7)...)
		f.nodes[2].votes = 0
		f.tamper = func(p Party, _ Step, _, _ any) error {
			if !p.New && int(p.X) > online {
				return errors.New("gone")
			}
			return nil
		}
		return f
	}
	t.Run("K+1", func(t *testing.T) {
		f := rotten(t, 4)
		result, err := f.redistribute()
		wants(t, err, ErrUndecided)
		if result.Chains != nil || result.Wrong != nil || result.N != 4 || f.nodes[2].votes != 0 {
			t.Errorf("got %+v", result)
		}
	})
	t.Run("more", func(t *testing.T) {
		f := rotten(t, 6)
		result, err := f.redistribute()
		must(t, err)
		f.sound(t, result)
		if !slices.Equal(result.Wrong, []byte{1}) || len(result.Named) > 0 || !slices.Equal(result.Sound, []byte{2, 3, 4, 5, 6}) {
			t.Errorf("got %+v", result)
		}
	})
}

// A dealer deals noise to one new holder, or that one says so: neither is named,
// and the next attempt has another dealer.
func TestMovePairsAreSeparated(t *testing.T) {
	noise := func(_, j byte, values []byte) {
		if j == 5 {
			values[3] ^= 7
		}
	}
	denied, refused := 0, false
	for name, tamper := range map[string]func(f *fleet) func(Party, Step, any, any) error{
		"dealer": func(f *fleet) func(Party, Step, any, any) error { return f.dealShares(1, noise) },
		"new holder": func(f *fleet) func(Party, Step, any, any) error {
			return f.answerWrong(Party{true, 5}, func(a *AnswerAnswer) {
				if denied++; denied == 1 {
					a.Columns[0][2] ^= 1 // that of dealer 1
				}
			})
		},
		"does not open": func(*fleet) func(Party, Step, any, any) error {
			return func(p Party, step Step, request, answer any) error {
				if a, ok := answer.(*ReceiveAnswer); ok && p == (Party{true, 5}) && a.Random != nil && !refused {
					refused = true
					*a = ReceiveAnswer{Unopened: []byte{1}}
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, upTo(5), 3, 40).propose(3, upTo(6)...)
			f.tamper = tamper(f)
			result, err := f.redistribute()
			must(t, err)
			f.sound(t, result)
			if !slices.Equal(result.New.Pairs, []Pair{{1, 5}}) || result.Attempts != 2 ||
				!slices.Equal(result.Sound, upTo(5)) || !slices.Equal(result.New.Sound, upTo(6)) || len(result.Named)+len(result.New.Named) > 0 {
				t.Errorf("got %+v", result)
			}
		})
	}
}
