package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var theSecret = []byte("the secret that was split")

// spoiled is a share whose holder changed a byte of it and its Check.
func spoiled(share shareFile) shareFile {
	share.data = bytes.Clone(share.data)
	share.data[len(share.data)/2] ^= 0x40 ^ share.data[0]
	return share
}

// flipped are shares whose changes cancel out: the points 1, 2 and 3 have the
// same weight at 0.
func flipped(share shareFile) shareFile {
	share.data = bytes.Clone(share.data)
	share.data[1] ^= 0x40
	return share
}

func each(change func(shareFile) shareFile, shares []shareFile) []shareFile {
	changed := make([]shareFile, len(shares))
	for i, share := range shares {
		changed[i] = change(share)
	}
	return changed
}

// moved is a share whose holder says it is at another point.
func moved(share shareFile, point byte) shareFile {
	share.data = bytes.Clone(share.data)
	share.data[0] = point
	return share
}

// restated is a share whose holder says something else of the split.
func restated(share shareFile, restate func(*splitFacts)) shareFile {
	restate(&share.splitFacts)
	return share
}

// posing are shares of another split that claim to be of the given one.
func posing(shares []shareFile, as splitFacts) []shareFile {
	shares = slices.Clone(shares)
	for i := range shares {
		shares[i].id = as.id
	}
	return shares
}

// reasons is what is said of each file that is not used.
func reasons(list []unused) string {
	texts := make([]string, len(list))
	for i, u := range list {
		texts[i] = u.String()
	}
	return strings.Join(texts, "\n")
}

func TestRebuild(t *testing.T) {
	s := mustSplit(t, theSecret, 5, 3)
	two := mustSplit(t, theSecret, 3, 2)
	many := mustSplit(t, theSecret, 20, 10)
	forged := posing(mustSplit(t, []byte("the secret of a forger, 1"), 5, 3), s[0].splitFacts)
	lower := func(f *splitFacts) { f.threshold = 2 }
	for name, c := range map[string]struct {
		held   []heldShare
		used   int
		unused []string // file and a word of the reason
	}{
		"all":                         {held(s...), 5, nil},
		"just K":                      {held(s[4], s[1], s[3]), 3, nil},
		"the same twice":              {held(s[0], s[0], s[1], s[2], s[2]), 3, nil},
		"one of 5 wrong":              {held(s[0], spoiled(s[1]), s[2], s[3], s[4]), 4, []string{"b: its share 2 does not fit those that make the file"}},
		"one of 4 wrong":              {held(s[0], spoiled(s[1]), s[2], s[3]), 3, []string{"b: its share 2 does not fit those that make the file"}},
		"two that cancel out":         {held(flipped(s[0]), flipped(s[1]), s[2], s[3], s[4]), 3, []string{"d: its share 4 does not fit", "e: its share 5 does not fit"}},
		"two of 5 wrong":              {held(spoiled(s[0]), spoiled(s[1]), s[2], s[3], s[4]), 3, []string{"a: its share 1 does not fit those that make the file", "b: its share 2 does not fit those that make the file"}},
		"one of 3 wrong, K=2":         {held(two[0], spoiled(two[1]), two[2]), 2, []string{"b: its share 2 does not fit those that make the file"}},
		"five of 20 wrong, K=10":      {held(slices.Concat(each(spoiled, many[:5]), many[5:])...), 15, []string{"a:", "b:", "c:", "d:", "e: its share 5 does not fit"}},
		"two at one point":            {held(s[0], s[1], s[2], spoiled(s[1])), 3, []string{"d: its share 2 does not fit those that make the file"}},
		"the first of two at a point": {held(spoiled(s[1]), s[0], s[1], s[2]), 3, []string{"a: its share 2 does not fit those that make the file"}},
		"two at one point, enough":    {held(s[0], moved(s[2], 2), s[1], s[3], s[4]), 4, []string{"b: its share 2 does not fit those that make the file"}},
		"two at one point of 20":      {held(append(slices.Clone(many), spoiled(many[3]))...), 20, []string{"u: its share 4 does not fit"}},
		"at another's point":          {held(s[0], s[1], s[3], moved(s[2], 5)), 3, []string{"d: its share 5 does not fit those that make the file"}},
		"one says less":               {held(s[0], s[1], restated(s[2], lower), s[3]), 3, []string{"c: its share 3 contradicts the others: it says 2 of 5"}},
		"one forged":                  {held(s[0], s[1], s[2], forged[3]), 3, []string{"d: its share 4 contradicts the others"}},
		"two forged":                  {held(s[0], s[1], s[2], forged[3], forged[4]), 3, []string{"d: its share 4 contradicts", "e: its share 5 contradicts"}},
	} {
		result, err := rebuild(t.Context(), c.held)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := result.payload[:result.size]; !bytes.Equal(got, theSecret) || result.used != c.used {
			t.Errorf("%s: rebuilt %q from %d shares, want %d", name, got, result.used, c.used)
		}
		said := reasons(result.unused)
		if len(result.unused) != len(c.unused) {
			t.Errorf("%s: not used:\n%s\nwant %q", name, said, c.unused)
		}
		for _, want := range c.unused {
			if !strings.Contains(said, want) {
				t.Errorf("%s: not used:\n%s\nwant %q", name, said, want)
			}
		}
	}
}

func TestRebuildRefuses(t *testing.T) {
	s, others := mustSplit(t, theSecret, 5, 3), mustSplit(t, theSecret, 5, 3)
	many := mustSplit(t, theSecret, 20, 10)
	forged := posing(mustSplit(t, []byte("the secret of a forger, 1"), 5, 3), s[0].splitFacts)
	lower := func(f *splitFacts) { f.threshold = 2 }
	for name, c := range map[string]struct {
		held   []heldShare
		code   int
		want   string
		advice string
	}{
		"one":                         {held(s[0]), exitQuorum, "3 needed, 1 here, 2 more needed", "name 2 more of the 5 share files of split " + s[0].name()},
		"one, three times":            {held(s[0], s[0], s[0]), exitQuorum, "3 needed, 1 here, 2 more needed", "name 2 more"},
		"one point, three shares":     {held(s[0], spoiled(s[0]), moved(s[1], 1)), exitQuorum, "2 more needed", "name 2 more"},
		"two, and one that says 2":    {held(s[0], s[1], restated(s[2], lower)), exitQuorum, "1 more needed", "name 1 more"},
		"two splits":                  {held(s[0], s[1], s[2], others[0]), exitUsage, s[0].name() + " (in a, b, c); " + others[0].name() + " (in d)", "one split at a time"},
		"one of 3 wrong":              {held(s[0], spoiled(s[1]), s[2]), exitVerification, "no 3 of the 3 make the file", "nothing was written"},
		"two of 4 wrong":              {held(s[0], spoiled(s[1]), s[2], spoiled(s[3])), exitVerification, "no 3 of the 4", "leave out those that you trust least"},
		"six of 20 wrong":             {held(slices.Concat(each(spoiled, many[:6]), many[6:])...), exitVerification, "too many of the 20 shares are wrong to tell which", "nothing was written"},
		"two against two":             {held(s[0], s[1], forged[2], forged[3]), exitVerification, "contradict each other", "leave out the files that you trust least"},
		"a whole forged split":        {held(slices.Concat(s[:4], forged[:3])...), exitVerification, "contradict each other", "leave out"},
		"a larger forged split":       {held(slices.Concat(s[:3], forged)...), exitVerification, "(in a, b, c); 3 of 5 shares, 25 bytes", "leave out"},
		"two that say 2 suffice":      {held(s[0], s[1], s[2], restated(s[3], lower), restated(s[4], lower)), exitVerification, "contradict each other", "leave out"},
		"three that say three things": {held(s[0], restated(s[1], lower), forged[2]), exitVerification, "contradict each other", "leave out"},
	} {
		result, err := rebuild(t.Context(), c.held)
		if err == nil || result.payload != nil {
			t.Errorf("%s: rebuilt %q, %v", name, result.payload, err)
			continue
		}
		problem := advised(err)
		if problem.code != c.code || !strings.Contains(err.Error(), c.want) || !strings.Contains(problem.advice, c.advice) {
			t.Errorf("%s: exit code %d: %v\nnext: %s\nwant %d, %q, %q", name, problem.code, err, problem.advice, c.code, c.want, c.advice)
		}
		if strings.Contains(err.Error(), string(theSecret)) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// TestRebuildNeverErrs plants errors at random: what comes out is the secret,
// always where K of at most twelve shares are right, and names what is wrong.
func TestRebuildNeverErrs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := 2 + random.IntN(11)
		k := 2 + random.IntN(n-1)
		secret := make([]byte, 1+random.IntN(40))
		for i := range secret {
			secret[i] = byte(random.Uint32())
		}
		shares := mustSplit(t, secret, n, k)
		random.Shuffle(n, func(i, j int) { shares[i], shares[j] = shares[j], shares[i] })
		wrong := random.IntN(n + 1)
		var want []string
		list := held(shares...)
		for i := range wrong {
			for at := range list[i].data[1:] { // in some places or in all
				if at == 0 || random.IntN(4) == 0 {
					list[i].data[1+at] ^= byte(1 + random.IntN(255))
				}
			}
			want = append(want, list[i].file)
		}
		result, err := rebuild(t.Context(), list)
		what := fmt.Sprintf("%d of %d shares wrong, K=%d", wrong, n, k)
		if n-wrong < k {
			if err == nil || result.payload != nil || advised(err).code != exitVerification {
				t.Fatalf("%s: rebuilt, %v", what, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(result.payload[:result.size], secret) || result.used != n-wrong {
			t.Fatalf("%s: %v, from %d shares", what, err, result.used)
		}
		var named []string
		for _, u := range result.unused {
			named = append(named, u.File)
		}
		if !slices.Equal(named, want) {
			t.Fatalf("%s: named %v, want %v", what, named, want)
		}
	}
}

func TestRebuildHeedsAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := mustSplit(t, theSecret, 4, 3)
	result, err := rebuild(ctx, held(s[0], spoiled(s[1]), s[2], s[3]))
	if !errors.Is(err, context.Canceled) || result.payload != nil {
		t.Errorf("rebuilt %q, %v", result.payload, err)
	}
	if result, err = combine(ctx, held(s...), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("rebuilt %q, %v", result.payload, err)
	}
}

func TestHashDecides(t *testing.T) {
	s := mustSplit(t, theSecret, 5, 3)
	for i := range s { // all of them agree on a hash that is not the payload's
		s[i].hash = sha256.Sum256([]byte("something else"))
	}
	if result, err := rebuild(t.Context(), held(s...)); err == nil || result.payload != nil {
		t.Errorf("rebuilt %q", result.payload)
	}
}

func TestChoices(t *testing.T) {
	for n := 2; n <= 12; n++ {
		shares := held(mustSplit(t, theSecret, n, 2)...)
		for k, ways := 1, 1; k <= n; k++ {
			ways = ways * (n - k + 1) / k
			seen := make(map[string]bool)
			for choice := range choices(shares, k) {
				var points []byte
				for _, h := range choice {
					points = append(points, h.point())
				}
				if !slices.IsSorted(points) || len(slices.Compact(points)) != k {
					t.Fatalf("%d of %d: chose %v", k, n, points)
				}
				seen[string(points)] = true
			}
			if len(seen) != ways || !fewChoices(n, k) {
				t.Errorf("%d of %d: %d choices, want %d", k, n, len(seen), ways)
			}
		}
	}
	for _, c := range []struct {
		n, k int
		few  bool
	}{{13, 6, false}, {255, 128, false}, {255, 2, false}, {255, 254, true}, {255, 255, true}, {45, 2, true}, {46, 2, false}} {
		if got := fewChoices(c.n, c.k); got != c.few {
			t.Errorf("%d of %d are few choices: %v", c.k, c.n, got)
		}
	}
}
