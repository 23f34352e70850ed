package record

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// line returns the chains of a line of rounds, epoch 0 first.
func line(t tester, first []byte, proposals ...Proposal) [][]byte {
	t.Helper()
	chains := [][]byte{first}
	for _, p := range proposals {
		chains = append(chains, round(t, chains[len(chains)-1], p))
	}
	return chains
}

func TestExtend(t *testing.T) {
	first := signed0(t, sample(3, 5))
	base := mustParse(t, first)
	made, _, err := Next(base, among(3, upTo(6)...), seedOf(0))
	if err != nil {
		t.Fatal(err)
	}
	r := mustParse(t, round(t, first, among(3, upTo(6)...)))
	if r.Hash != made.Hash || r.Epoch != 1 || r.Base != base.Hash || r.Lineage != made.Lineage || r.Split != made.Split ||
		r.ShareSize != 11 || r.Manifest.Version != 7 || r.Version != 7 || r.Name != "name" || r.Identity != base.Identity {
		t.Errorf("got %+v", r)
	}
	for i, h := range r.Holders {
		if want := target(i + 1); h.X != want.X || h.Node != want.Node || !h.Key.Equal(want.Key) || h.SHA256 != sha256.Sum256(shareOf(h.X, 1)) {
			t.Errorf("point %d: %+v", i+1, h)
		}
	}
}

// Records are left out as soon as the holders that remain vouch past them, but for
// one with a higher K than those around it, or without a holder that both have.
func TestPruning(t *testing.T) {
	for name, c := range map[string]struct {
		proposals []Proposal
		links     int
	}{
		"the same again":               {[]Proposal{among(3, upTo(5)...), among(3, upTo(5)...), among(3, upTo(5)...)}, 1},
		"one other each time":          {[]Proposal{among(3, 2, 3, 4, 5, 6), among(3, 3, 4, 5, 6, 7), among(3, 4, 5, 6, 7, 8)}, 2},
		"all others":                   {[]Proposal{among(3, 6, 7, 8, 9, 10), among(3, 11, 12, 13, 14, 15), among(3, 16, 17, 18, 19, 20)}, 3},
		"all others and back":          {[]Proposal{among(3, 6, 7, 8, 9, 10), among(3, upTo(5)...), among(3, upTo(5)...)}, 3},
		"all others, and those remain": {[]Proposal{among(3, 6, 7, 8, 9, 10), among(3, 6, 7, 8, 9, 10), among(3, 6, 7, 8, 9, 10)}, 2},
		"more needed":                  {[]Proposal{among(4, upTo(5)...), among(3, upTo(5)...), among(3, upTo(5)...)}, 2},
		"one left and came back":       {[]Proposal{among(3, 2, 3, 4, 5, 6), among(3, upTo(5)...), among(3, upTo(5)...)}, 2},
	} {
		chains := line(t, signed0(t, sample(3, 5)), c.proposals...)
		last := mustParse(t, chains[3])
		if got := len(mustRead(t, chains[3]).links); got != c.links || last.Epoch != 3 {
			t.Errorf("%s: %d links at epoch %d", name, got, last.Epoch)
		}
		for epoch, chain := range chains {
			if r := mustParse(t, chain); !last.Follows(r.Hash) || !last.Vouched(r) || epoch < 3 && r.Follows(last.Hash) {
				t.Errorf("%s: it does not come after epoch %d", name, epoch)
			}
		}
	}
}

// With votes of K+1 of the record before, but not of the one before that, the
// former stays in the chain.
func TestPruningByVotes(t *testing.T) {
	chains := line(t, signed0(t, sample(3, 6)), among(3, 2, 3, 4, 5, 6, 7))
	for name, c := range map[string]struct {
		agreeing []byte
		links    int
	}{
		"all":                 {[]byte{2, 3, 4, 5, 6, 7}, 1},
		"those of before":     {[]byte{2, 3, 4, 5}, 1},
		"with the new one":    {[]byte{2, 3, 4, 7}, 2},
		"the new one as well": {[]byte{2, 3, 4, 5, 7}, 1},
	} {
		next := round(t, chains[1], among(3, 2, 3, 4, 5, 6, 7), c.agreeing...)
		if got := len(mustRead(t, next).links); got != c.links {
			t.Errorf("%s: %d links", name, got)
		}
		mustParse(t, next)
	}
}

// Points may change: in the base a voter has another point than in the record
// that vouches.
func TestPruningMatchesKeys(t *testing.T) {
	moved := among(3, upTo(5)...)
	for i := range moved.Holders {
		moved.Holders[i].X = byte(100 - i)
	}
	slices.Reverse(moved.Holders)
	chains := line(t, signed0(t, sample(3, 5)), moved, among(3, upTo(5)...))
	r := mustParse(t, chains[2])
	if links := mustRead(t, chains[2]).links; len(links) != 1 || links[0].Agreed[0].X != 96 || r.Epoch != 2 {
		t.Errorf("epoch %d with %d links", r.Epoch, len(links))
	}
}

func TestFollowsAndNamed(t *testing.T) {
	chains := line(t, signed0(t, sample(3, 5)), among(3, 2, 3, 4, 5, 6), among(3, 2, 3, 4, 5, 8), among(3, 9, 10, 11, 12))
	r := mustParse(t, chains[3])
	fork := mustParse(t, round(t, chains[1], among(3, 2, 3, 4, 5, 9)))
	if r.Follows(fork.Hash) || fork.Follows(r.Hash) || r.Vouched(fork) || r.Follows([32]byte{}) {
		t.Error("it follows a fork")
	}
	for number, want := range map[int]bool{1: true, 5: true, 6: false, 8: false, 12: true, 13: false} {
		if r.Named(publicOf(number)) != want {
			t.Errorf("node %d", number)
		}
	}
}

// K+1 who held shares at first and then lost their keys make a chain that is
// vouched for by them alone. Who knows the owner alone cannot tell, but who has
// a share of what came after gives up nothing for it.
func TestVouched(t *testing.T) {
	chains := line(t, signed0(t, sample(3, 5)), among(3, 2, 3, 4, 5, 6, 7), among(3, 6, 7, 8, 9, 10))
	last := mustParse(t, chains[2])
	seed := seedOf(99)
	theirs := among(3, upTo(5)...)
	r, body, err := Next(last, theirs, seed)
	if err != nil {
		t.Fatal(err)
	}
	c := Certificate{Seed: seed}
	full := certificate{}
	for x := byte(1); x <= 5; x++ {
		c.Prepared = append(c.Prepared, prepare(t, r, seed, x))
		c.Agreed = append(c.Agreed, Vote{X: x, Signature: c.Prepared[x-1].Signature})
		full.voters = append(full.voters, publicOf(int(x)))
	}
	for i := range c.Agreed {
		c.Agreed[i] = agree(t, mustParse(t, chains[0]), r, seed, byte(i+1))
	}
	full.Certificate = c
	forged, err := (&container{manifest: chains[0], ancestors: r.ancestors, links: []link{{body, full}}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	got := mustParse(t, forged)
	if !got.Follows(last.Hash) || got.Vouched(last) {
		t.Error("a holder of the record before gives it up")
	}
	if middle := mustParse(t, chains[1]); !got.Vouched(middle) || !last.Vouched(middle) {
		t.Error("those of epoch 1 are among who agreed, and it does not count")
	}
	if !got.Vouched(mustParse(t, chains[0])) {
		t.Error("those of epoch 0 did not agree")
	}
}

func TestDraft(t *testing.T) {
	for _, chain := range line(t, signed0(t, sample(3, 5)), among(3, 2, 3, 4, 5, 6)) {
		base := mustParse(t, chain)
		made, body, err := Next(base, among(4, 1, 2, 3, 4, 5, 7), seedOf(5))
		if err != nil {
			t.Fatal(err)
		}
		draft, err := Draft(chain, body, seedOf(5))
		if err != nil {
			t.Fatal(err)
		}
		r, baseChain, sameBody, seed, err := ParseDraft(draft)
		if err != nil || r.Hash != made.Hash || !bytes.Equal(baseChain, chain) || !bytes.Equal(body, sameBody) || seed != seedOf(5) {
			t.Errorf("%+v, %v", r, err)
		}
		if err := r.Check(7, shareOf(7, r.Epoch)); !errors.Is(err, ErrNoHash) || !r.Follows(base.Hash) || !r.Named(publicOf(7)) {
			t.Errorf("checked: %v", err)
		}
		if r, err := Parse(draft); r != nil || err == nil {
			t.Errorf("a draft is a chain: %+v", r)
		}
		if _, _, _, _, err := ParseDraft(chain); !errors.Is(err, ErrInvalid) {
			t.Errorf("a chain is a draft: %v", err)
		}
		if draft, err := Draft(chain, body, seedOf(6)); draft != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("with another seed: %v", err)
		}
		if draft, err := Draft(chain, body[:len(body)-1], seedOf(5)); draft != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("cut off: %v", err)
		}
		if draft, err := Draft(chain[1:], body, seedOf(5)); draft != nil || err == nil {
			t.Error("on no chain")
		}
	}
}

// There is an end to the epochs. The list of hashes is made up, as a thousand
// rounds are long.
func TestLastEpoch(t *testing.T) {
	chain := signed0(t, sample(3, 5))
	first := mustParse(t, chain)
	base := mustParse(t, chain)
	for base.Epoch < MaxEpochs {
		next, _, err := Next(base, among(3, upTo(5)...), seedOf(base.Epoch))
		if err != nil {
			t.Fatal(err)
		}
		next.line = nil
		base = next
	}
	if _, _, err := Next(base, among(3, upTo(5)...), seedOf(1)); !errors.Is(err, ErrProposal) {
		t.Errorf("after the last: %v", err)
	}
	if !base.Follows(first.Hash) || len(base.ancestors) != MaxEpochs {
		t.Error("the first is forgotten")
	}
	c, err := complete(votes(t, first, base, seedOf(1), points(first)...), first)
	if err != nil {
		t.Fatal(err)
	}
	long, err := (&container{manifest: chain, ancestors: base.ancestors, links: []link{{base.encode(), c}}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	if r := mustParse(t, long); r.Epoch != MaxEpochs {
		t.Errorf("epoch %d", r.Epoch)
	}
	longer, err := (&container{manifest: chain, ancestors: append(base.ancestors, base.Hash), links: []link{{base.encode(), c}}}).encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Parse(longer); r != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("one epoch more: %v", err)
	}
}

func TestMaxLink(t *testing.T) {
	for _, n := range []int{5, 36, 255} {
		p, m := among(4, upTo(n)...), sample(3, n)
		for i := range p.Holders {
			p.Holders[i].Node = fmt.Sprintf("%s%03d", strings.Repeat("n", 60), i)
			m.Holders[i].Node = p.Holders[i].Node
		}
		chain := signed0(t, m)
		grown := round(t, chain, p)
		if added := len(grown) - len(chain); added > MaxLink(n, p) || added < MaxLink(n, p)/2 {
			t.Errorf("%d holders: %d bytes more, at most %d", n, added, MaxLink(n, p))
		}
	}
}
