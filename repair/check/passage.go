package check

import (
	"cmp"
	"slices"
)

// passage is what all attempts of one redistribution have shown of dealings from
// old to new holders, beside the blame among the old ones.
type passage struct {
	old *blame
	k   int // K'
	// named new holders are wrong if no more than the bounds are.
	named map[byte]bool
	pairs map[Pair]bool // of an old dealer and a new holder
	// apart are new holders left out because of a pair.
	apart map[byte]bool
}

func newPassage(old *blame, k int) *passage {
	return &passage{old, k, map[byte]bool{}, map[Pair]bool{}, map[byte]bool{}}
}

// learn takes in what an attempt showed, and names whoever is in more pairs than
// there can be wrong ones on the other side.
func (p *passage) learn(f finding, olds, news []byte) {
	p.old.learn(f)
	for _, pair := range f.crossing {
		p.pairs[pair] = true
	}
	for again := true; again; {
		p.old.settle(olds)
		again = p.settle(olds, news)
	}
	p.old.others, _ = p.degrees(olds, news)
}

// settle names one if there is one to name.
func (p *passage) settle(olds, news []byte) bool {
	dealers, holders := p.degrees(olds, news)
	return nameOne(p.old.named, olds, dealers, boundOf(len(news), p.k)-len(p.named)) ||
		nameOne(p.named, news, holders, boundOf(len(olds), p.old.k)-len(p.old.named))
}

// nameOne names the first that is in pairs with more of the other side than can
// be wrong there.
func nameOne(named map[byte]bool, present []byte, degrees map[byte]int, most int) bool {
	i := slices.IndexFunc(present, func(x byte) bool { return degrees[x] > most })
	if i < 0 || most < 0 {
		return false
	}
	named[present[i]] = true
	return true
}

// degrees counts with how many of the other side each is in an open pair.
func (p *passage) degrees(olds, news []byte) (dealers, holders map[byte]int) {
	dealers, holders = map[byte]int{}, map[byte]int{}
	for _, pair := range p.open(olds, news) {
		dealers[pair.Dealer]++
		holders[pair.Holder]++
	}
	return dealers, holders
}

// beyond tells whether more than the bound of either side must be wrong.
func (p *passage) beyond(olds, news []byte) bool {
	return p.old.beyond(olds, nil) || len(p.named) > boundOf(len(news), p.k)
}

// separate leaves out both of each pair that has no member left out before.
func (p *passage) separate(olds, news []byte) {
	p.old.separate(olds)
	for _, pair := range p.open(olds, news) {
		if !p.old.apart[pair.Dealer] && !p.apart[pair.Holder] {
			p.old.apart[pair.Dealer], p.apart[pair.Holder] = true, true
		}
	}
}

// participants are those of the present new holders who are not left out.
func (p *passage) participants(news []byte) []byte {
	return slices.DeleteFunc(slices.Clone(news), func(x byte) bool { return p.named[x] || p.apart[x] })
}

// open returns the pairs, in order, that no name explains.
func (p *passage) open(olds, news []byte) []Pair {
	var pairs []Pair
	for pair := range p.pairs {
		if !p.old.named[pair.Dealer] && !p.named[pair.Holder] &&
			slices.Contains(olds, pair.Dealer) && slices.Contains(news, pair.Holder) {
			pairs = append(pairs, pair)
		}
	}
	slices.SortFunc(pairs, func(p, q Pair) int {
		return cmp.Or(cmp.Compare(p.Dealer, q.Dealer), cmp.Compare(p.Holder, q.Holder))
	})
	return pairs
}
