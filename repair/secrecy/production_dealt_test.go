package secrecy

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/shamir"
)

// TestDealtSharesLieOnPolynomials: what real dealers seal to new holders, who are
// played here, are for every byte of their shares and for 16 masks values of
// polynomials of degree K'-1, with the constants that the model has, and of
// others in the next attempt.
func TestDealtSharesLieOnPolynomials(t *testing.T) {
	for _, c := range []change{changes[1], changes[3], changes[5]} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuardians(t, c, 30, 9)
			dealt, size := g.dealings(t), g.epochs[0].size
			again := g.dealings(t)
			if len(dealt) != c.old.k {
				t.Errorf("%d dealt", len(dealt))
			}
			for i, points := range dealt {
				liesOn(t, cutTo(points, 0, size), c.new.k)
				liesOn(t, cutTo(points, size, size+columns), c.new.k)
				if got := at(points[:c.new.k], 0)[:size]; !slices.Equal(got, g.constants(i)) {
					t.Errorf("dealer %d deals with constants %x", i, got)
				}
				if slices.EqualFunc(cutTo(points, 0, size), cutTo(again[i], 0, size), slices.Equal) {
					t.Errorf("dealer %d deals the same shares again", i)
				}
			}
		})
	}
}

// liesOn wants values of polynomials of degree k-1 and no lower.
func liesOn(t *testing.T, points [][]byte, k int) {
	t.Helper()
	fits, err := shamir.Consistent(points, k)
	low, errLow := shamir.Consistent(points, k-1)
	if !fits || low || err != nil || errLow != nil {
		t.Errorf("degree %d: %t, %v; one less: %t, %v", k-1, fits, err, low, errLow)
	}
}

// constants are what a dealer's shares weigh in the payloads.
func (g *guardians) constants(dealer byte) []byte {
	size := g.epochs[0].size
	own := slices.Index(g.roster.Dealers, dealer)
	share := g.held()[size*slices.Index(g.old.nodes, dealer):][:size]
	return gf256.sum(gf256.weights(g.roster.Dealers, 0)[own:own+1], [][]byte{share})
}

// cutTo keeps the points, and of the values some.
func cutTo(points [][]byte, from, to int) (cut [][]byte) {
	for _, p := range points {
		cut = append(cut, slices.Concat(p[:1], p[1+from:1+to]))
	}
	return cut
}

// dealings returns what each dealer deals to each new holder, after the point.
// When all is dealt nobody goes on.
func (g *guardians) dealings(t *testing.T) map[byte][][]byte {
	t.Helper()
	private, taken, dealt := map[byte]*ecdh.PrivateKey{}, map[byte][]check.TakeRequest{}, map[byte][][]byte{}
	for _, x := range g.new.nodes {
		private[x] = newExchangeKey(t)
	}
	_, err := g.run(t, func(ctx context.Context, to check.Party, step check.Step, request, answer any) error {
		switch q := request.(type) {
		case check.JoinRequest:
			*answer.(*check.OpenAnswer) = g.joined(t, to.X, private[to.X])
			return nil
		case check.TakeRequest:
			if q.Roster == nil { // it is in the first alone
				q.Roster = taken[to.X][0].Roster
			}
			dealt[q.Dealer] = append(dealt[q.Dealer], append([]byte{to.X}, g.opened(t, q, to.X, private[to.X])...))
			taken[to.X] = append(taken[to.X], q)
			*answer.(*check.ReceiveAnswer) = g.acknowledged(to.X, taken[to.X])
			return nil
		case check.SealRequest:
			return errors.New("nobody goes on")
		}
		return g.call(ctx, to, step, request, answer)
	})
	if !errors.Is(err, check.ErrTooFew) {
		t.Fatalf("played holders come to %v", err)
	}
	return dealt
}

func (g *guardians) joined(t *testing.T, x byte, private *ecdh.PrivateKey) check.OpenAnswer {
	t.Helper()
	key := private.PublicKey().Bytes()
	message := slices.Concat([]byte("guardian-check-open-new-v1"), g.subject(), []byte{x}, key)
	signature, err := g.keys[x].Sign(rand.Reader, message, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return check.OpenAnswer{Key: key, Signature: signature}
}

// subject is what a session is about: the batch, and where it moves.
func (g *guardians) subject() []byte {
	text := append([]byte("guardian-check-batch-v1"), 0, byte(len(g.records)))
	for _, r := range g.records {
		text = append(text, r.Hash[:]...)
	}
	batch := sha256.Sum256(text)
	text = slices.Concat([]byte("guardian-check-move-v1"), batch[:], []byte{byte(g.new.k), byte(len(g.new.nodes))})
	for _, x := range g.new.nodes {
		name := nodeName(x)
		text = slices.Concat(text, []byte{x, byte(len(name))}, []byte(name), g.keys[x].PublicKey())
	}
	moved := sha256.Sum256(text)
	return moved[:]
}

// opened is what a dealer sealed to a new holder whose key is known.
func (g *guardians) opened(t *testing.T, q check.TakeRequest, x byte, private *ecdh.PrivateKey) []byte {
	t.Helper()
	at := slices.IndexFunc(q.Roster.Members, func(m check.Member) bool { return m.X == q.Dealer })
	aead := sealing(t, private, q.Roster.Members[at].Key, g.session(*q.Roster), "guardian-check-share-v1"+string([]byte{q.Dealer, x}))
	values, err := aead.Open(nil, make([]byte, 12), q.Sealed, nil)
	if err != nil || len(values) != g.epochs[0].size+columns {
		t.Fatalf("opening what %d dealt to %d: %d bytes, %v", q.Dealer, x, len(values), err)
	}
	return values
}

// acknowledged is the answer to the last of all dealers, and empty before.
func (g *guardians) acknowledged(x byte, taken []check.TakeRequest) check.ReceiveAnswer {
	if len(taken) < g.old.k {
		return check.ReceiveAnswer{}
	}
	slices.SortFunc(taken, func(a, b check.TakeRequest) int { return int(a.Dealer) - int(b.Dealer) })
	text := slices.Concat([]byte("guardian-check-taken-v1"), g.session(*taken[0].Roster), []byte{x})
	for _, q := range taken {
		hash := sha256.Sum256(q.Sealed)
		text = append(text, hash[:]...)
	}
	received := sha256.Sum256(text)
	return check.ReceiveAnswer{Random: fresh(32), Received: received[:]}
}

func (g *guardians) session(r check.Roster) []byte {
	text := slices.Concat([]byte("guardian-check-session-v1"), g.subject(), []byte{byte(g.old.k), byte(len(r.Members))})
	for _, m := range r.Members {
		text = slices.Concat(text, []byte{m.X}, g.keys[m.X].PublicKey(), m.Key)
	}
	text = append(text, r.Dealers...)
	for _, m := range r.New {
		text = slices.Concat(text, []byte{m.X}, g.keys[m.X].PublicKey(), m.Key)
	}
	session := sha256.Sum256(text)
	return session[:]
}
