package record

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
)

func TestProposals(t *testing.T) {
	change := func(f func(*Proposal)) Proposal {
		p := among(3, upTo(5)...)
		p.Holders = slices.Clone(p.Holders)
		f(&p)
		return p
	}
	for name, c := range map[string]struct {
		p    Proposal
		why  string
		edit func(*manifest.Policy)
	}{
		"the same":           {p: among(3, upTo(5)...)},
		"one more needed":    {p: among(4, upTo(5)...)},
		"all but one needed": {p: among(254, upTo(255)...)},
		"others":             {p: among(2, 10, 20, 30)},
		"nothing":            {p: Proposal{}, why: "threshold 0 is not"},
		"one needed":         {p: among(1, upTo(5)...), why: "threshold 1 is not"},
		"less than nothing":  {p: among(-3, upTo(5)...), why: "threshold -3 is not"},
		"a byte too many":    {p: among(259, upTo(5)...), why: "threshold 259 is not"},
		"all needed":         {p: among(5, upTo(5)...), why: "not more than its threshold"},
		"too few":            {p: among(5, upTo(4)...), why: "4 holders are not"},
		"too many":           {p: Proposal{3, make([]Target, 256)}, why: "256 holders are not"},
		"point 0":            {p: change(func(p *Proposal) { p.Holders[0].X = 0 }), why: "ascending order, at 0"},
		"a point twice":      {p: change(func(p *Proposal) { p.Holders[2].X = 2 }), why: "ascending order, at 2"},
		"not ascending":      {p: change(func(p *Proposal) { slices.Reverse(p.Holders) }), why: "ascending order, at 4"},
		"a key twice":        {p: change(func(p *Proposal) { p.Holders[2].Key = publicOf(1) }), why: "key at point 3 has another"},
		"no key":             {p: change(func(p *Proposal) { p.Holders[2].Key = nil }), why: "key at point 3 has 0 bytes"},
		"half a key":         {p: change(func(p *Proposal) { p.Holders[2].Key = publicOf(1)[:16] }), why: "key at point 3 has 16 bytes"},
		"no id":              {p: change(func(p *Proposal) { p.Holders[2].Node = "" }), why: "node id at point 3"},
		"no such id":         {p: change(func(p *Proposal) { p.Holders[2].Node = "nöde" }), why: "node id at point 3"},
		"long id":            {p: change(func(p *Proposal) { p.Holders[2].Node = strings.Repeat("a", 64) }), why: "node id at point 3"},
		"an id twice":        {p: change(func(p *Proposal) { p.Holders[2].Node = "node-1" }), why: "node id at point 3 has another"},
		"another's id":       {p: change(func(p *Proposal) { p.Holders[2].Node = "node-9" }), why: "point 3 has another node id in"},
		"ids exchanged": {p: change(func(p *Proposal) {
			p.Holders[1].Node, p.Holders[2].Node = "node-3", "node-2"
		}), why: "point 2 has another node id in"},
		"an id that is free again": {p: change(func(p *Proposal) { p.Holders[2].Key = publicOf(9) })},
		"no refresh":               {p: among(3, upTo(5)...), why: "no new shares", edit: func(p *manifest.Policy) { p.Refresh = false }},
		"below the least":          {p: among(3, upTo(5)...), why: "owner's least, 4", edit: func(p *manifest.Policy) { p.MinThreshold = 4 }},
		"above the most":           {p: among(3, upTo(6)...), why: "owner's most, 5", edit: func(p *manifest.Policy) { p.MaxHolders = 5 }},
		"nobody admits":            {p: among(3, 1, 2, 3, 4, 6), why: "nobody admit", edit: func(p *manifest.Policy) { p.Admission = nil }},
		"nobody admits fewer":      {p: among(3, 1, 2, 3, 4), why: "nobody admit", edit: func(p *manifest.Policy) { p.Admission = nil }},
		"nobody admits more":       {p: among(3, upTo(6)...), why: "nobody admit", edit: func(p *manifest.Policy) { p.Admission = nil }},
		"the same, unadmitted": {p: change(func(p *Proposal) { p.Holders[4].X = 99 }), edit: func(p *manifest.Policy) {
			p.Admission = nil
		}},
	} {
		m := sample(3, 5)
		if c.edit != nil {
			c.edit(&m.Policy)
		}
		base := mustParse(t, signed0(t, m))
		err := c.p.Check(base)
		if good := c.why == ""; good != (err == nil) || !good && (!errors.Is(err, ErrProposal) || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%s: %v", name, err)
		}
		if r, body, nextErr := Next(base, c.p, seedOf(0)); (nextErr == nil) != (err == nil) || err != nil && (r != nil || body != nil) {
			t.Errorf("%s: made all the same, %v", name, nextErr)
		}
	}
}

// Whom the owner did not know cannot be among the very holders it chose.
func TestUnknownHolderIsNobodysEqual(t *testing.T) {
	m := sample(3, 5)
	m.Policy.Admission, m.Holders[4].Key = nil, nil
	base := mustParse(t, signed0(t, m))
	for _, p := range []Proposal{among(3, upTo(5)...), among(3, upTo(4)...)} {
		if err := p.Check(base); !errors.Is(err, ErrProposal) {
			t.Errorf("%d holders: %v", len(p.Holders), err)
		}
	}
}

// A node knows what is its own by its id: a holder that is given another one could
// never take the share of the record, and N-K+1 of them leave a secret that nobody
// can rebuild.
func TestIDsOfOthers(t *testing.T) {
	renamed, first := among(3, upTo(5)...), signed0(t, sample(3, 5))
	renamed.Holders[2].Node = "node-9"
	base := mustParse(t, first)
	if err := renamed.Check(base); !errors.Is(err, ErrProposal) {
		t.Errorf("another id: %v", err)
	}
	lax := pageRules
	lax.sameNode = func(manifest.Holder, Target) bool { return true }
	if err := lax.check(renamed, base); err != nil {
		t.Errorf("another id, without the check: %v", err)
	}
	// So it is where all old holders have voted for it.
	r, body, err := lax.next(base, renamed, seedOf(0))
	if err != nil {
		t.Fatal(err)
	}
	all := votes(t, base, r, seedOf(0), points(base)...)
	if _, err := Extend(first, body, all); !errors.Is(err, ErrProposal) {
		t.Errorf("a chain with another id: %v", err)
	}
	if _, err := lax.extend(first, body, all); err != nil {
		t.Errorf("a chain with another id, without the check: %v", err)
	}
}

// An id of two holders is of no record at all, whoever votes for it.
func TestOneIDTwiceInAChain(t *testing.T) {
	first := signed0(t, sample(3, 5))
	twice := among(3, upTo(5)...)
	twice.Holders[4].Node = "node-4"
	chain := after(mustParse(t, first), twice, upTo(5)...).chain(t, first)
	if r, err := Parse(chain); r != nil || !errors.Is(err, ErrProposal) {
		t.Errorf("%v", err)
	}
}

// A holder that had no id, as those of old manifests, may have any that is free.
func TestIDOfWhoHadNone(t *testing.T) {
	m := sample(3, 5)
	m.Holders[2].Node = ""
	base := mustParse(t, signed0(t, m))
	for id, good := range map[string]bool{"node-3": true, "node-9": true, "node-4": false} {
		p := among(3, upTo(5)...)
		p.Holders[2].Node = id
		if err := p.Check(base); (err == nil) != good {
			t.Errorf("%s: %v", id, err)
		}
	}
}
