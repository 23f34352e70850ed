package check

import (
	"cmp"
	"maps"
	"slices"
)

// blame is what all attempts of one check have shown so far. Nothing in it
// depends on the order of maps.
type blame struct {
	k int
	// named are wrong if no more than the bound are.
	named map[byte]bool
	pairs map[Pair]bool
	// apart are left out because one of each two of them is wrong.
	apart map[byte]bool
	dealt map[byte]int // attempts in which each was a dealer
	// others are the new holders that each is in a pair with.
	others map[byte]int
}

func newBlame(k int) *blame {
	return &blame{k, map[byte]bool{}, map[Pair]bool{}, map[byte]bool{}, map[byte]int{}, map[byte]int{}}
}

// learn takes in what an attempt showed. Who accuses itself is wrong.
func (b *blame) learn(f finding) {
	for _, i := range f.bad {
		b.named[i] = true
	}
	for _, p := range f.pairs {
		if p.Dealer == p.Holder {
			b.named[p.Dealer] = true
			continue
		}
		b.pairs[p] = true
	}
}

// settle names whoever is in more pairs than there can be wrong ones: were it
// right, all the others in those pairs would be wrong. With a bound of one, that
// is the common member of two pairs.
func (b *blame) settle(present []byte) {
	for {
		left := boundOf(len(present), b.k) - len(b.named)
		degrees := b.degrees(present)
		i := slices.IndexFunc(present, func(x byte) bool { return degrees[x] > left })
		if i < 0 || left < 0 {
			return
		}
		b.named[present[i]] = true
	}
}

// beyond tells whether more than the bound must be wrong: those named, the
// given ones, and one of each two in pairs that have no member in common.
func (b *blame) beyond(present, wrong []byte) bool {
	seen := map[byte]bool{}
	for _, x := range wrong {
		seen[x] = true
	}
	count := len(b.named) + len(wrong)
	for _, p := range b.open(present) {
		if !seen[p.Dealer] && !seen[p.Holder] {
			seen[p.Dealer], seen[p.Holder] = true, true
			count++
		}
	}
	return count > boundOf(len(present), b.k)
}

// separate leaves out both of each pair that has no member left out before. At
// least one of the two is wrong, so the bound for the others holds.
func (b *blame) separate(present []byte) {
	for _, p := range b.open(present) {
		if !b.apart[p.Dealer] && !b.apart[p.Holder] {
			b.apart[p.Dealer], b.apart[p.Holder] = true, true
		}
	}
}

// participants are those of the present who are not left out.
func (b *blame) participants(present []byte) []byte {
	return slices.DeleteFunc(slices.Clone(present), func(x byte) bool { return b.named[x] || b.apart[x] })
}

// dealers chooses K of the participants, ascending: those in the fewest pairs,
// then those who dealt the least.
func (b *blame) dealers(participants []byte) []byte {
	degrees, chosen := b.degrees(participants), slices.Clone(participants)
	slices.SortFunc(chosen, func(x, y byte) int {
		return cmp.Or(cmp.Compare(degrees[x]+b.others[x], degrees[y]+b.others[y]),
			cmp.Compare(b.dealt[x], b.dealt[y]), cmp.Compare(x, y))
	})
	chosen = chosen[:b.k]
	for _, x := range chosen {
		b.dealt[x]++
	}
	slices.Sort(chosen)
	return chosen
}

// degrees counts with how many others each is in an open pair.
func (b *blame) degrees(present []byte) map[byte]int {
	others := map[byte]map[byte]bool{}
	for _, p := range b.open(present) {
		for x, other := range map[byte]byte{p.Dealer: p.Holder, p.Holder: p.Dealer} {
			if others[x] == nil {
				others[x] = map[byte]bool{}
			}
			others[x][other] = true
		}
	}
	degrees := map[byte]int{}
	for x, set := range others {
		degrees[x] = len(set)
	}
	return degrees
}

// open returns the pairs, in order, that no name explains. Who has gone since
// is counted neither as wrong nor as right.
func (b *blame) open(present []byte) []Pair {
	var pairs []Pair
	for p := range b.pairs {
		if !b.named[p.Dealer] && !b.named[p.Holder] &&
			slices.Contains(present, p.Dealer) && slices.Contains(present, p.Holder) {
			pairs = append(pairs, p)
		}
	}
	slices.SortFunc(pairs, func(p, q Pair) int {
		return cmp.Or(cmp.Compare(p.Dealer, q.Dealer), cmp.Compare(p.Holder, q.Holder))
	})
	return pairs
}

func sorted(set map[byte]bool) []byte { return slices.Sorted(maps.Keys(set)) }
