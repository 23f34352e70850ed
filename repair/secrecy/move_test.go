package secrecy

import "slices"

// move is one attempt to redistribute shares, all of whose answers are seen. Of
// its audit the participants are old holders, and honest those of the dealers
// whose columns and dealings are unknown.
type move struct {
	audit
	// dealers are all K of them.
	dealers []byte
	// targets are the points of the new holders.
	targets []byte
	// aborted: the sums of what was dealt are nobody's shares of the next epoch.
	aborted bool
	// again has seeds under which new holders answer once more with what they
	// hold of this attempt.
	again []seed
	// kept has seeds of later audits of the new shares in which new holders use
	// what they were dealt of the masks; in those of worn, old holders use theirs.
	kept, worn []seed
	// bare: new holders answer without mask columns.
	bare bool
	// flatShares and flatMasks: dealt are constants, not polynomials, of shares
	// or of mask columns.
	flatShares, flatMasks bool
}

// masks is how many there are.
func (m move) masks() int { return len(m.seeds[0].vectors) }

// session is one attempt between two dealings, with the places of its unknowns:
// the columns as in an audit, then what each honest dealer deals of its mask
// columns, then of its shares. Not among the last is the last dealer's where the
// sum of all is the next dealing's.
type session struct {
	move
	from, to dealing
}

func (s session) ofMask(dealer, mask, power int) int {
	return s.from.column(s.audit, len(s.honest), 0, 0) + (dealer*s.masks()+mask)*(s.to.k-1) + power - 1
}

func (s session) ofShare(dealer, index, power int) int {
	return s.ofMask(len(s.honest), 0, 1) + (dealer*s.to.size+index)*(s.to.k-1) + power - 1
}

// unknowns counts them.
func (s session) unknowns() int { return s.ofShare(s.independent(), 0, 1) }

// independent is how many honest dealers deal what is not determined by the
// next dealing and the others.
func (s session) independent() int {
	if s.aborted {
		return len(s.honest)
	}
	return len(s.honest) - 1
}

// weight is what the dealer's share weighs in the secret.
func (s session) weight(dealer int) byte {
	return s.from.weights(s.dealers, 0)[slices.Index(s.dealers, s.honest[dealer])]
}

// move is the view of who has the shares and columns of the old points own and
// receives what is dealt to the new points taken. What of them is a node that
// is both has to be counted in both.
func (d dealing) move(to dealing, own, taken []byte, m move) view {
	s := session{m, d, to}
	// The columns at own and the answers of old holders are an audit's.
	v := d.audit(own, m.audit).widen(s.unknowns())
	for dealer := range m.honest {
		for _, x := range taken {
			s.addDealt(&v, dealer, x)
		}
		for _, x := range m.targets {
			s.addAnswers(&v, dealer, x)
		}
	}
	s.addAudits(&v)
	return v
}

// widen makes room for more of the session's own unknowns.
func (v view) widen(own int) view {
	wide := view{own: own}
	for _, row := range v.rows {
		wide.rows = append(wide.rows, slices.Concat(row[:v.own], make([]byte, own-v.own), row[v.own:]))
	}
	return wide
}

// addDealt is what the new holder at x receives from a dealer.
func (s session) addDealt(v *view, dealer int, x byte) {
	for index := range s.to.size {
		own, dealt := v.add(s.from)
		s.share(own, dealt, 1, dealer, index, x)
	}
	for mask := range s.masks() {
		own, _ := v.add(s.from)
		s.mask(own, dealer, mask, x)
	}
}

// addAnswers is what the new holder at x publishes about a dealer.
func (s session) addAnswers(v *view, dealer int, x byte) {
	for _, drawn := range slices.Concat(s.seeds, s.again) {
		for i, vector := range drawn.vectors {
			own, dealt := v.add(s.from)
			for index, weight := range vector {
				s.share(own, dealt, weight, dealer, index, x)
			}
			if !s.bare {
				s.mask(own, dealer, i, x)
			}
		}
	}
}

// share puts weight times what a dealer deals of its share of a byte toward x
// into a row.
func (s session) share(own, dealt []byte, weight byte, dealer, index int, x byte) {
	s.from.add(dealt, s.to.products[weight][s.weight(dealer)], index, s.honest[dealer])
	if s.flatShares {
		return
	}
	for power, p := range s.to.powers(x, s.to.k)[1:] {
		s.coefficient(own, dealt, s.to.products[weight][p], dealer, index, power+1)
	}
}

func (s session) coefficient(own, dealt []byte, weight byte, dealer, index, power int) {
	if dealer < s.independent() {
		own[s.ofShare(dealer, index, power)] ^= weight
		return
	}
	dealt[s.to.unknown(index, power)] ^= weight
	for other := range dealer {
		own[s.ofShare(other, index, power)] ^= weight
	}
}

// mask puts what a dealer deals of its part of a mask toward x into a row. That
// part is the sum of the columns of all honest dealers; the others' are known.
func (s session) mask(own []byte, dealer, mask int, x byte) {
	for other := range s.honest {
		s.from.addColumn(own, s.weight(dealer), s.from.column(s.audit, other, 0, mask), s.honest[dealer])
	}
	if s.flatMasks {
		return
	}
	for power, p := range s.to.powers(x, s.to.k)[1:] {
		own[s.ofMask(dealer, mask, power+1)] ^= p
	}
}

// addAudits is what is published in later audits whose masks are not fresh.
func (s session) addAudits(v *view) {
	for _, x := range s.targets {
		for _, drawn := range s.kept {
			s.addStale(v, drawn, x, func(own []byte, i int) {
				for dealer := range s.honest {
					s.mask(own, dealer, i, x)
				}
			})
		}
		for _, drawn := range s.worn {
			s.addStale(v, drawn, x, func(own []byte, i int) {
				for dealer := range s.honest {
					s.from.addColumn(own, 1, s.from.column(s.audit, dealer, 0, i), x)
				}
			})
		}
	}
}

func (s session) addStale(v *view, drawn seed, x byte, mask func(own []byte, i int)) {
	for i, vector := range drawn.vectors {
		own, dealt := v.add(s.from)
		for index, weight := range vector {
			s.to.add(dealt, weight, index, x)
		}
		mask(own, i)
	}
}
