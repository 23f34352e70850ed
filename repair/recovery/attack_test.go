package recovery

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/record"
)

// attack is one that fewer than K nodes can make on the others' shares.
type attack struct {
	name string
	n, k int
	// attackers are nodes, each of which knows its own share.
	attackers []byte
	// checks are what stands against it. Without all of them it succeeds; any one
	// of them is enough.
	checks []check
	run    func(s *siege)
}

// check is one rule, and how to take it out.
type check struct {
	name string
	out  func(*rules)
}

var (
	checkPoint  = check{"x_j is 1 to 255", func(r *rules) { r.point = func(byte) bool { return true } }}
	checkCaller = check{"the caller's key is R's for x_j", func(r *rules) {
		r.caller = func(_, _ ed25519.PublicKey) bool { return true }
	}}
	checkKeys = check{"keys are those of R", func(r *rules) {
		// The registry has the attackers' key for everybody but the one it tells.
		r.keyAt = func(r *record.Record, x byte) ed25519.PublicKey {
			if x == 1 {
				return keyOfRecord(r, x)
			}
			return public(0)
		}
	}}
	checkCount  = check{"|H| = K", func(r *rules) { r.count = func(_, _ int) bool { return true } }}
	checkSigned = check{"H is signed by the holders of R", func(r *rules) {
		r.signed = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	}}
	checkApart = check{"no offer at x_j", func(r *rules) { r.apart = func([]Offer, byte) bool { return true } }}
	checkWeigh = check{"no weights where x_j is a point of H", func(r *rules) {
		r.weigh = func(own byte, offers []Offer, toward byte) (byte, error) {
			offers = slices.DeleteFunc(slices.Clone(offers), func(o Offer) bool { return o.X == toward })
			return weigh(own, offers, toward)
		}
	}}
	// Without it a helper counts itself in, with whichever key it has for that.
	checkOwn = check{"the helper's own offer is among H", func(r *rules) {
		r.pick = func(open []*opened, _ [keySize]byte, terms terms) *opened {
			for _, o := range open {
				if o.terms == terms {
					return o
				}
			}
			return nil
		}
		r.weigh = func(own byte, offers []Offer, toward byte) (byte, error) {
			if !slices.ContainsFunc(offers, func(o Offer) bool { return o.X == own }) {
				offers = append(slices.Clone(offers), Offer{X: own})
			}
			return weigh(own, offers, toward)
		}
	}}
	checkSpend   = check{"an offer is redeemed once", func(r *rules) { r.spend = func(*table, *opened) {} }}
	checkExpiry  = check{"an offer expires", func(r *rules) { r.alive = func(time.Duration) bool { return true } }}
	sessionWithH = check{"the session has H in it", func(r *rules) {
		r.session = func(hash [sha256.Size]byte, toward byte, _ []Offer) [sha256.Size]byte {
			return sessionOf(hash, toward, nil)
		}
	}}
	sessionWithPoint = check{"the session has x_j in it", func(r *rules) {
		r.session = func(hash [sha256.Size]byte, _ byte, offers []Offer) [sha256.Size]byte {
			return sessionOf(hash, 0, offers)
		}
	}}
	sessionWithRecord = check{"the session has R in it", func(r *rules) {
		r.session = func(_ [sha256.Size]byte, toward byte, offers []Offer) [sha256.Size]byte {
			return sessionOf([sha256.Size]byte{}, toward, offers)
		}
	}}
	signedPoint = check{"an offer is signed for x_j", func(r *rules) {
		r.message = func(hash [sha256.Size]byte, _ byte, o Offer) []byte { return offerMessage(hash, 0, o) }
	}}
	signedRecord = check{"an offer is signed for R", func(r *rules) {
		r.message = func(_ [sha256.Size]byte, toward byte, o Offer) []byte {
			return offerMessage([sha256.Size]byte{}, toward, o)
		}
	}}
)

var attacks = []attack{
	{
		name: "helper set of forged offers", n: 5, k: 3, attackers: []byte{5},
		checks: []check{checkSigned},
		run: func(s *siege) {
			for _, i := range []byte{1, 2, 3} {
				s.surround(5, i, 5, 5)
			}
		},
	},
	{
		name: "hostile registry", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{checkKeys},
		run:    func(s *siege) { s.surround(0, 1, 3, 0) },
	},
	{
		name: "helper set of one", n: 5, k: 3, attackers: []byte{5},
		checks: []check{checkCount},
		run: func(s *siege) {
			for _, i := range []byte{1, 2, 3} {
				s.recover(5, 5, i)
			}
		},
	},
	{
		// The polynomial through K-1 shares is another than that through K.
		name: "helper set of K-1", n: 7, k: 4, attackers: []byte{5, 6, 7},
		checks: []check{checkCount},
		run:    func(s *siege) { s.recover(7, 7, 1, 2, 3) },
	},
	{
		name: "x_j of 0", n: 5, k: 3, attackers: []byte{5},
		checks: []check{checkPoint, checkCaller},
		run:    func(s *siege) { s.recover(5, 0, 1, 2, 3) },
	},
	{
		name: "x_j of 256, which becomes 0 in a byte", n: 5, k: 3, attackers: []byte{5},
		checks: []check{checkPoint, checkCaller},
		run: func(s *siege) {
			onTheWire := 256
			s.recover(5, byte(onTheWire), 1, 2, 3)
		},
	},
	{
		name: "another's share", n: 5, k: 3,
		checks: []check{checkCaller},
		run: func(s *siege) {
			s.recover(0, 5, 1, 2, 3)
			s.recover(0, 4, 1, 2, 3)
			s.recover(0, 3, 1, 2, 4)
		},
	},
	{
		// 1 and 3 mask with 2 as usual, and with the attackers' 4 instead of each
		// other. The masks cancel in the sum, which is no share of anybody.
		name: "each helper has another set", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{sessionWithH},
		run: func(s *siege) {
			offers := s.askAll(5, 5, 1, 2, 3)
			own, private := s.forge(4, 4, 5)
			sets := [][]Offer{
				{offers[0], offers[1], own},
				offers,
				{offers[1], offers[2], own},
			}
			s.addUp(5, 5, sets, private)
		},
	},
	{
		// 1 masks with 2 and 3, and they with 1 alone. With K = 2 and sets that
		// hold whoever is asked there is no such triangle.
		name: "a helper outside of its set", n: 4, k: 2, attackers: []byte{4},
		checks: []check{checkOwn, sessionWithH},
		run: func(s *siege) {
			offers := s.askAll(4, 4, 1, 2, 3)
			sets := [][]Offer{
				{offers[1], offers[2]},
				{offers[0], offers[1]},
				{offers[0], offers[2]},
			}
			s.addUp(4, 4, sets, nil)
		},
	},
	{
		// 1 and 2 weigh their shares for x_j 5, and 3 for x_j 4.
		name: "each helper has another x_j", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{sessionWithPoint, signedPoint},
		run: func(s *siege) {
			offers := append(s.askAll(5, 5, 1, 2), s.askAll(4, 4, 3)...)
			parts := [][]byte{
				s.redeem(5, 1, 5, offers), s.redeem(5, 2, 5, offers), s.redeem(4, 3, 4, offers),
			}
			weights := map[byte]byte{
				1: s.weight(1, offers, 5), 2: s.weight(2, offers, 5), 3: s.weight(3, offers, 4),
			}
			s.learnSum(weights, parts)
		},
	},
	{
		// 3 is asked for its share of a secret that the attackers have pushed.
		name: "each helper has another record", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{sessionWithRecord, signedRecord},
		run: func(s *siege) {
			bait, known := deal(s.t, randomBytes(32), 3, upTo(5), 2)
			offers := append(s.askAll(5, 5, 1, 2), s.ask(5, 3, bait, 5))
			third, _ := s.helpers[3].Contribute(public(5), bait, known[3], 5, offers)
			w := s.weight(3, offers, 5)
			parts := [][]byte{s.redeem(5, 1, 5, offers), s.redeem(5, 2, 5, offers), third, scaled(known[3][1:], w)}
			s.learnSum(map[byte]byte{1: s.weight(1, offers, 5), 2: s.weight(2, offers, 5)}, parts)
		},
	},
	{
		// x_j counts as one of K, so that one honest helper is left.
		name: "an offer at x_j", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{checkApart, checkWeigh},
		run: func(s *siege) {
			four, private4 := s.forge(4, 4, 5)
			five, private5 := s.forge(5, 5, 5)
			offers := append(s.askAll(5, 5, 1), four, five)
			part := s.redeem(5, 1, 5, offers)
			s.lift(part, offers[0], private4, 4, 5, offers)
			s.lift(part, offers[0], private5, 5, 5, offers)
			s.learnSum(map[byte]byte{1: s.weight(1, offers, 5)}, [][]byte{part})
		},
	},
	{
		// The attackers keep what 1 answered, and read its memory when it has long
		// erased the share, but less than a lifetime later.
		name: "an offer kept after its use", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{checkSpend},
		run: func(s *siege) {
			four, private4 := s.forge(4, 4, 5)
			offers := append(s.askAll(5, 5, 1, 2), four)
			part := s.redeem(5, 1, 5, offers)
			s.clock.move(time.Second)
			s.lift(part, offers[0], private4, 4, 5, offers)
			s.lift(part, offers[1], s.memory(1, offers[0].Key), 1, 5, offers)
			s.learnSum(map[byte]byte{1: s.weight(1, offers, 5)}, [][]byte{part})
		},
	},
	{
		// 2 is never asked for what it offered. Its key opens what 1 answered.
		name: "an offer kept beyond its life", n: 5, k: 3, attackers: []byte{4, 5},
		checks: []check{checkExpiry},
		run: func(s *siege) {
			four, private4 := s.forge(4, 4, 5)
			offers := append(s.askAll(5, 5, 1, 2), four)
			part := s.redeem(5, 1, 5, offers)
			s.clock.move(Lifetime)
			s.helpers[2].Expire()
			s.lift(part, offers[0], private4, 4, 5, offers)
			s.lift(part, offers[0], s.memory(2, offers[1].Key), 2, 5, offers)
			s.learnSum(map[byte]byte{1: s.weight(1, offers, 5)}, [][]byte{part})
		},
	},
}

// surround asks node i for its contribution to x among offers of other points
// that the attackers made up.
func (s *siege) surround(caller, i, x, signer byte) {
	offers, known := s.askAll(caller, x, i), map[byte]*ecdh.PrivateKey{}
	for _, point := range s.others(i, x)[:s.record.Threshold-1] {
		forged, private := s.forge(signer, point, x)
		offers, known[point] = append(offers, forged), private
	}
	part := s.redeem(caller, i, x, offers)
	for point, private := range known {
		s.lift(part, offers[0], private, point, x, offers)
	}
	s.learnSum(map[byte]byte{i: s.weight(i, offers, x)}, [][]byte{part})
}

// recover adds up the contributions of some nodes toward x.
func (s *siege) recover(caller, x byte, nodes ...byte) {
	offers := s.askAll(caller, x, nodes...)
	weights, parts := map[byte]byte{}, [][]byte{}
	for _, i := range nodes {
		parts = append(parts, s.redeem(caller, i, x, offers))
		weights[i] = s.weight(i, offers, x)
	}
	s.learnSum(weights, parts)
}

// addUp adds up what nodes 1, 2 ... contribute, each to another set, but for
// the masks with the attackers' own offer, at 4.
func (s *siege) addUp(caller, x byte, sets [][]Offer, private *ecdh.PrivateKey) {
	weights, parts := map[byte]byte{}, [][]byte{}
	for n, set := range sets {
		i := byte(n + 1)
		part := s.redeem(caller, i, x, set)
		if part == nil {
			return
		}
		own := slices.IndexFunc(set, func(o Offer) bool { return o.X == i })
		if slices.ContainsFunc(set, func(o Offer) bool { return o.X == 4 }) {
			s.lift(part, set[own], private, 4, x, set)
		}
		parts, weights[i] = append(parts, part), s.weight(i, set, x)
	}
	s.learnSum(weights, parts)
}

// learnSum notes a sum of contributions, unless one of them was refused.
func (s *siege) learnSum(weights map[byte]byte, parts [][]byte) {
	if !slices.ContainsFunc(parts, func(part []byte) bool { return part == nil }) {
		s.learn(weights, sum(parts...))
	}
}

func scaled(row []byte, by byte) []byte {
	row = slices.Clone(row)
	equation{value: row}.scale(by)
	return row
}

// TestAttacks shows for each attack that it reads the secret when all that
// stands against it is taken out, and does not when one check of it is in.
func TestAttacks(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			if !a.succeeds(t, "") {
				t.Error("fails without the checks")
			}
			for _, c := range a.checks {
				if a.succeeds(t, c.name) {
					t.Errorf("succeeds although %s", c.name)
				}
			}
		})
	}
}

// succeeds runs the attack without its checks, but for the one to keep.
func (a attack) succeeds(t *testing.T, keep string) bool {
	t.Helper()
	r := pageRules
	for _, c := range a.checks {
		if c.name != keep {
			c.out(&r)
		}
	}
	s := newSiege(t, a.n, a.k, r, a.attackers...)
	if s.breaks() {
		t.Fatal("the attackers know the secret before")
	}
	a.run(s)
	return s.breaks()
}

// TestSiegeSolves: K shares are enough for the solver, and K-1 are not, so it is
// not the solver that makes an attack fail.
func TestSiegeSolves(t *testing.T) {
	s := newSiege(t, 9, 5, pageRules, 9, 2, 7, 4)
	if s.breaks() {
		t.Fatal("K-1 shares are enough")
	}
	s.recover(9, 9, 1, 2, 3, 4, 6)
	if s.breaks() {
		t.Fatal("a recovery told its own node more than its share")
	}
	s.learn(map[byte]byte{1: 1}, s.shares[1][1:])
	if !s.breaks() {
		t.Fatal("K shares are not enough")
	}
}
