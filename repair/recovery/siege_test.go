package recovery

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// siege is what some nodes of a world do together against the others. They know
// the code, so they compute with the same rules.
type siege struct {
	*world
	t     *testing.T
	rules rules
	// equations are what they found out: sums of shares whose value is known.
	equations []equation
}

// equation: the coefficients of the polynomial, weighed so, make this value.
type equation struct{ weights, value []byte }

// newSiege has honest nodes by these rules, and attackers who know their shares.
func newSiege(t *testing.T, n, k int, r rules, attackers ...byte) *siege {
	t.Helper()
	if len(attackers) >= k {
		t.Fatalf("%d attackers need no attack on a threshold of %d", len(attackers), k)
	}
	s := &siege{t: t, world: newWorld(t, randomBytes(32), k, upTo(n)), rules: r}
	for _, h := range s.helpers {
		h.rules = r
	}
	for _, x := range attackers {
		s.learn(map[byte]byte{x: 1}, s.shares[x][1:])
	}
	return s
}

// learn notes the value of a sum of shares, each taken as often as it weighs.
func (s *siege) learn(sum map[byte]byte, value []byte) {
	e := equation{weights: make([]byte, s.record.Threshold), value: bytes.Clone(value)}
	for x, weight := range sum {
		for i := range e.weights {
			e.weights[i] ^= weight
			weight = multiply(weight, x)
		}
	}
	s.equations = append(s.equations, e)
}

// breaks tells whether the equations have the secret for a solution.
func (s *siege) breaks() bool {
	var rows []equation
	for _, e := range s.equations {
		e = equation{bytes.Clone(e.weights), bytes.Clone(e.value)}
		for _, row := range rows {
			e.subtract(row, e.weights[row.lead()])
		}
		if e.lead() < 0 {
			continue
		}
		e.scale(inverse(e.weights[e.lead()]))
		for _, row := range rows {
			row.subtract(e, row.weights[e.lead()])
		}
		rows = append(rows, e)
	}
	for _, row := range rows {
		if row.lead() == 0 && bytes.Count(row.weights, []byte{0}) == len(row.weights)-1 {
			return bytes.Equal(row.value, s.secret)
		}
	}
	return false
}

// lead is the place of the first weight that is not 0, or -1.
func (e equation) lead() int {
	return slices.IndexFunc(e.weights, func(w byte) bool { return w != 0 })
}

func (e equation) subtract(row equation, times byte) {
	for i := range e.weights {
		e.weights[i] ^= multiply(row.weights[i], times)
	}
	for i := range e.value {
		e.value[i] ^= multiply(row.value[i], times)
	}
}

func (e equation) scale(by byte) {
	for i := range e.weights {
		e.weights[i] = multiply(e.weights[i], by)
	}
	for i := range e.value {
		e.value[i] = multiply(e.value[i], by)
	}
}

func multiply(a, b byte) byte { return shamir.InnerProduct([]byte{a}, []byte{b}) }

func inverse(a byte) byte {
	for b := range 256 {
		if multiply(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	return 0
}

// ask gets an offer of node i in the name of another, or the zero offer.
func (s *siege) ask(caller, i byte, r *record.Record, x byte) Offer {
	o, _ := s.helpers[i].Offer(public(caller), r, x)
	return o
}

func (s *siege) askAll(caller, x byte, nodes ...byte) []Offer {
	var offers []Offer
	for _, i := range nodes {
		offers = append(offers, s.ask(caller, i, s.record, x))
	}
	return offers
}

// redeem gets the contribution of node i, or nil.
func (s *siege) redeem(caller, i, x byte, offers []Offer) []byte {
	part, _ := s.helpers[i].Contribute(public(caller), s.record, s.shares[i], x, offers)
	return part
}

// forge makes an offer of a point, with the node key of whatever number, whose
// private key the attackers have.
func (s *siege) forge(number, point, x byte) (Offer, *ecdh.PrivateKey) {
	s.t.Helper()
	private, err := drawKey()
	if err != nil {
		s.t.Fatal(err)
	}
	return signOffer(s.rules, number, point, s.record, x, private.PublicKey().Bytes()), private
}

// lift takes off a contribution the mask of the maker of offer o with the node
// whose private key is known.
func (s *siege) lift(part []byte, o Offer, private *ecdh.PrivateKey, at, x byte, offers []Offer) {
	if part == nil || private == nil || o.Key == nil {
		return
	}
	offers = slices.SortedFunc(slices.Values(offers), func(a, b Offer) int { return int(a.X) - int(b.X) })
	_ = addMask(part, private, at, o, s.rules.session(s.record.Hash, x, offers))
}

// weight is what a helper multiplied its share with.
func (s *siege) weight(i byte, offers []Offer, x byte) byte {
	w, err := s.rules.weigh(i, offers, x)
	if err != nil {
		return 0
	}
	return w
}

// memory is what a thief finds in a helper's memory.
func (s *siege) memory(i byte, key []byte) *ecdh.PrivateKey {
	for _, o := range s.helpers[i].offers.open {
		if bytes.Equal(o.public[:], key) {
			return o.private
		}
	}
	return nil
}

func public(number byte) ed25519.PublicKey { return nodeKey(number).PublicKey() }
