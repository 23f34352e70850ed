package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
)

func TestNextVersion(t *testing.T) {
	const top = math.MaxUint64
	for _, test := range []struct {
		rebuilt uint64
		claims  []uint64
		k       int
		want    uint64
		err     error
	}{
		{0, nil, 3, 1, nil},
		{7, nil, 3, 8, nil},
		{7, []uint64{7, 7, 7, 6}, 3, 8, nil},
		{1, []uint64{2, 2, 1, 1, 1}, 3, 3, nil},
		{0, []uint64{7, 7, 7, 7, 7}, 3, 8, nil},
		// Within the step one claim is enough, beyond it not.
		{1, []uint64{1 + maxStep}, 3, 2 + maxStep, nil},
		{1, []uint64{2 + maxStep}, 3, 2, nil},
		{1, []uint64{top, 5}, 3, 6, nil},
		{1, []uint64{top, top}, 3, 2, nil},
		// K claims of at least that much are believed, up to the least of them.
		{1, []uint64{9000, top, 8000, 3}, 3, 8001, nil},
		{0, []uint64{5000, 5000, 5000}, 3, 5001, nil},
		{1, []uint64{top, top, top}, 3, 0, ErrVersionSpent},
		{top, nil, 3, 0, ErrVersionSpent},
		{top - 1, []uint64{top}, 3, 0, ErrVersionSpent},
		{top - 1, nil, 3, top, nil},
	} {
		before := slices.Clone(test.claims)
		got, err := nextVersion(test.rebuilt, test.claims, test.k)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("nextVersion(%d, %d, %d) = %d, %v; want %d, %v", test.rebuilt, test.claims, test.k, got, err, test.want, test.err)
		}
		if !slices.Equal(before, test.claims) {
			t.Errorf("the claims were changed: %d", test.claims)
		}
	}
}

// at is a guardian that shows a share at x of a version.
func at(x byte, version uint64) found {
	return found{current: &holding{group: group{version: version, threshold: 3, size: 2}, share: []byte{x, 0}}}
}

var (
	silent = found{}
	absent = found{err: api.ErrNotFound}
	broken = found{err: errors.New("connection refused")}
)

func TestPatience(t *testing.T) {
	const writeQuorum = 4 // of 5
	for name, test := range map[string]struct {
		answers survey
		want    time.Duration
	}{
		"nothing yet":                       {survey{silent, silent, silent, silent, silent}, waitForAll},
		"two of three":                      {survey{at(1, 1), at(2, 1), silent, silent, silent}, waitForAll},
		"three, two to come":                {survey{at(1, 1), at(2, 1), at(3, 1), silent, silent}, longGrace},
		"four, one to come":                 {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 1), silent}, grace},
		"three, with a newer version shown": {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 2), silent}, longGrace},
		"three, the rest may hold a newer":  {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 2), at(4, 2), silent, silent}, waitForAll},
		"a point twice":                     {survey{at(1, 1), at(1, 1), at(2, 1), silent, silent}, waitForAll},
		"three of the newest":               {survey{at(1, 2), at(2, 2), at(3, 2), at(4, 1), silent}, longGrace},
		"three, one absent, one broken":     {survey{at(1, 1), at(2, 1), at(3, 1), absent, broken}, longGrace},
		"two versions, neither rebuilt":     {survey{at(1, 1), at(2, 1), at(3, 2), at(4, 2), silent}, waitForAll},
		"all absent, nothing to be rebuilt": {survey{absent, absent, absent, absent, absent}, waitForAll},
	} {
		if got := test.answers.patience(3, writeQuorum); got != test.want {
			t.Errorf("%s: the patience is %v", name, got)
		}
	}
	// With more guardians the silent ones could hide an acknowledged version.
	many := survey{at(1, 1), at(2, 1), at(3, 1)}
	many = append(many, slices.Repeat(survey{silent}, 11)...)
	if many.patience(3, 10) != waitForAll {
		t.Error("eleven silent guardians of fourteen could hide a version that ten acknowledged")
	}
}

func TestChoose(t *testing.T) {
	of := func(split string, f found) found {
		f.current.group.split = split
		return f
	}
	for name, test := range map[string]struct {
		answers survey
		version uint64
		members int // 0: none can be rebuilt
	}{
		"newest of two":                 {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 2), at(5, 2), at(6, 2)}, 2, 3},
		"newest lacks one":              {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 2), at(5, 2)}, 1, 3},
		"never across versions":         {survey{at(1, 1), at(2, 1), at(3, 2), at(4, 2)}, 0, 0},
		"never across splits":           {survey{of("aa", at(1, 1)), of("aa", at(2, 1)), of("bb", at(3, 1)), of("bb", at(4, 1))}, 0, 0},
		"the split that has enough":     {survey{of("aa", at(1, 1)), of("bb", at(2, 1)), of("aa", at(3, 1)), of("aa", at(4, 1))}, 1, 3},
		"nothing shown":                 {survey{absent, broken}, 0, 0},
		"the same point does not count": {survey{at(1, 1), at(2, 1), at(2, 1)}, 0, 0},
	} {
		chosen, ok := test.answers.choose(3)
		if ok != (test.members > 0) || len(chosen.members) != test.members || chosen.group.version != test.version {
			t.Errorf("%s: chose version %d with %d members", name, chosen.group.version, len(chosen.members))
		}
	}
}

func TestOlderVersions(t *testing.T) {
	for name, test := range map[string]struct {
		answers  survey
		retained map[int][]uint64
		want     []uint64
	}{
		"down to zero":               {answers: survey{at(1, 4), at(2, 4), at(3, 2), absent}, want: []uint64{3, 2, 1, 0}},
		"with too few":               {answers: survey{at(1, 1<<40), at(2, 3), at(3, 0)}, want: []uint64{0}},
		"fewer than could rebuild":   {answers: survey{at(1, 9), absent}},
		"nothing below the only one": {answers: survey{at(1, 0), at(2, 0)}},
		"by what they retain": {
			answers: survey{at(1, 1<<40), at(2, 7), at(3, 3)}, retained: map[int][]uint64{0: {1 << 40, 3}, 1: {7, 3}, 2: {3}},
			want: []uint64{3},
		},
		"one that claims a version twice": {answers: survey{at(1, 9), at(2, 8)}, retained: map[int][]uint64{0: {9, 5, 5, 5}, 1: {8}}},
		"what lies above is no history":   {answers: survey{at(1, 9), at(2, 8)}, retained: map[int][]uint64{0: {9}, 1: {9, 10, 11}}},
	} {
		if got := test.answers.olderVersions(2, test.retained); !slices.Equal(got, test.want) {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	gap := survey{at(1, 900), at(2, 900)}.olderVersions(2, nil)
	if len(gap) != maxStep+1 || gap[len(gap)-1] != 900-maxStep-1 {
		t.Errorf("below 900: %d", gap)
	}
}

func TestFanOutLeavesNobodyBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ended := map[int]error{}
		fanOut(t.Context(), []int{0, 1, 2, 3}, func(ctx context.Context, i int) (int, error) {
			switch i {
			case 0:
				return 0, errors.New("failed at once")
			case 1: // within the grace, well after the failure
				time.Sleep(grace / 2)
				return 1, ctx.Err()
			case 2:
				<-ctx.Done()
				return 2, context.Cause(ctx)
			}
			return 3, nil
		}, func(a answer[int]) time.Duration {
			ended[a.position] = a.err
			return graceOnce(a.position == 3)
		})
		if len(ended) != 4 || ended[1] != nil || !errors.Is(ended[2], errStraggler) || ended[3] != nil {
			t.Errorf("ended: %v", ended)
		}
		if time.Since(start) != grace {
			t.Errorf("took %v, want the grace of %v", time.Since(start), grace)
		}
	})
}

func TestPersist(t *testing.T) {
	down := &Error{Guardian: "http://a", Err: errors.New("connection refused")}
	refused := &Error{Guardian: "http://a", Status: 401, Err: api.ErrTokenInvalid}
	damaged := &Error{Guardian: "http://a", Status: 500, Err: api.ErrIntegrityFailed}
	limited := &Error{Guardian: "http://a", Status: 429, Err: api.ErrInternal}
	for _, test := range []struct {
		attempts int
		errs     []error // of the calls in order, the last one again and again
		calls    int     // 0: until the deadline
		want     error
	}{
		{0, []error{nil}, 1, nil},
		{0, []error{down, limited, down, nil}, 4, nil},
		{0, []error{refused}, 1, refused},
		{0, []error{damaged}, 1, damaged},
		{0, []error{down, refused}, 2, refused},
		{3, []error{down}, 3, down},
		{0, []error{down}, 0, down},
	} {
		t.Run(fmt.Sprint(test.errs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				calls := 0
				err := persist(ctx, test.attempts, func() error {
					calls++
					if ctx.Err() != nil {
						return ctx.Err()
					}
					return test.errs[min(calls, len(test.errs))-1]
				})
				if !errors.Is(err, test.want) {
					t.Errorf("persist: %v, want %v", err, test.want)
				}
				if test.calls != 0 && calls != test.calls || test.calls == 0 && calls < 30 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}

func TestPersistWaitsAsLongAsItIsTold(t *testing.T) {
	const deadline = 40 * time.Second
	for name, test := range map[string]struct {
		told  time.Duration
		bound bool // by the deadline
		calls int
	}{
		"a while":              {10 * time.Second, true, 2},
		"beyond the deadline":  {deadline, true, 1},
		"a while, no deadline": {deadline, false, 2},
		"for ever":             {time.Hour, false, 1},
		"not":                  {0, true, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := t.Context(), func() {}
			if test.bound {
				ctx, cancel = context.WithTimeout(ctx, deadline)
			}
			defer cancel()
			start, calls := time.Now(), 0
			limited := &Error{Guardian: "http://a", Status: 429, Err: &api.RateLimitedError{RetryAfter: test.told}}
			err := persist(ctx, 0, func() error {
				if calls++; calls == 1 {
					return limited
				}
				return nil
			})
			waited := time.Since(start)
			if calls != test.calls || calls == 1 != errors.Is(err, api.ErrRateLimited) {
				t.Errorf("%s: %d calls, %v", name, calls, err)
			}
			if calls == 1 && waited != 0 || calls == 2 && (waited < test.told || waited > test.told+firstDelay) {
				t.Errorf("%s: waited %v", name, waited)
			}
		})
	}
}

// A guardian that shows its current share for whatever version is asked for
// adds nothing.
func TestReadHoldingWantsTheVersionAskedFor(t *testing.T) {
	served, other := uint64(2), uint64(1)
	response := api.PullResponse{Share: "AQE=", Version: served, Threshold: 3}
	if _, err := new(Vault).readHolding(api.PullRequest{Version: &other}, response); !errors.Is(err, errMalformedShare) {
		t.Errorf("version 2 was taken for version 1: %v", err)
	}
	for _, asked := range []*uint64{nil, &served} {
		if _, err := new(Vault).readHolding(api.PullRequest{Version: asked}, response); err != nil {
			t.Errorf("version 2: %v", err)
		}
	}
}
