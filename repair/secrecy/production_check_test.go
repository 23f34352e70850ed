package secrecy

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/shamir"
)

// TestAnswersAreTheFormsOfProduction: one holder is the code that guardians
// run; the dealers are played here, who know their columns. Its answers are the
// sums that the model has for them.
func TestAnswersAreTheFormsOfProduction(t *testing.T) {
	for _, shape := range []shape{{4, 2}, {5, 3}, {14, 4}, {40, 33}} {
		t.Run(shape.String(), func(t *testing.T) {
			p := newPlay(t, shape, 3, byte(shape.k)+2)
			p.dealers = upTo(shape.k + 1)[1:]
			a := audit{participants: []byte{p.one}, honest: p.dealers}
			columns := fresh(p.cluster.audit(nil, audit{honest: p.dealers, seeds: []seed{{vectors: make([][]byte, columns)}}}).own)
			random, received := p.receive(t, p.sealTo(t, p.one, columns))
			digest := p.seal(t, random, received)
			got := p.answer(t, digest)
			a.seeds = []seed{expand(t, digest, p.cluster.size)}
			if want := p.cluster.evaluate(p.cluster.audit(nil, a), columns); !bytes.Equal(inOrder(got), want) {
				t.Errorf("the holder at %d answers %x, in the model %x", p.one, inOrder(got), want)
			}
		})
	}
}

// TestDealingsLieOnPolynomials: what a real dealer seals to the others are 32
// columns of degree K-1.
func TestDealingsLieOnPolynomials(t *testing.T) {
	p := newPlay(t, shape{9, 4}, 2, 3)
	p.dealers = []byte{1, p.one, 5, 9}
	answer, err := p.holder.Deal(p.cluster.public(1), check.DealRequest{Key: p.keys[p.one], Roster: p.roster()})
	if err != nil {
		t.Fatal(err)
	}
	var dealt [][]byte
	for i, x := range upTo(9) {
		if x == p.one {
			continue
		}
		values, err := p.aead(t, p.one, x).Open(nil, make([]byte, 12), answer.Sealed[i], nil)
		if err != nil || len(values) != 2*columns {
			t.Fatalf("opening the dealing to %d: %d bytes, %v", x, len(values), err)
		}
		dealt = append(dealt, append([]byte{x}, values...))
	}
	fits, err := shamir.Consistent(dealt, 4)
	low, errLow := shamir.Consistent(dealt, 3)
	if !fits || low || err != nil || errLow != nil {
		t.Errorf("degree 3: %t, %v; degree 2: %t, %v", fits, err, low, errLow)
	}
}

// play is one session, in which all but one holder are played here.
type play struct {
	cluster *cluster
	holder  *check.Holder
	one     byte // the point of the holder
	parts   []*record.Record
	dealers []byte
	private map[byte]*ecdh.PrivateKey
	keys    map[byte][]byte
	batch   []byte
}

// newPlay cuts the shares of a cluster into some generations, and opens a
// session about them with the holder.
func newPlay(t *testing.T, s shape, parts int, one byte) *play {
	t.Helper()
	p := &play{cluster: deal(t, s.n, s.k, 60), one: one, private: map[byte]*ecdh.PrivateKey{}, keys: map[byte][]byte{}}
	shares := p.cut(parts)
	text := append([]byte("guardian-check-batch-v1"), 0, byte(parts))
	for _, r := range p.parts {
		text = append(text, r.Hash[:]...)
	}
	batch := sha256.Sum256(text)
	p.batch = batch[:]
	source := func(_ context.Context, name record.Ref) (*record.Record, []byte, error) {
		i := int(name.Version)
		return p.parts[i], bytes.Clone(shares[i]), nil
	}
	p.holder = check.NewHolder(p.cluster.nodeKey(t, one), check.Config{Source: source}, time.Now)
	p.open(t, s.n)
	return p
}

// cut makes generations of equal length out of the cluster's one, and returns
// the shares that p.one has of them.
func (p *play) cut(parts int) (shares [][]byte) {
	size := p.cluster.size / parts
	for i := range parts {
		r := *p.cluster.record
		r.Version, r.ShareSize, r.Hash = uint64(i), size+1, [32]byte(fresh(32))
		r.Holders = slices.Clone(r.Holders)
		for n, h := range r.Holders {
			share := append([]byte{h.X}, p.cluster.shares[h.X][1+i*size:1+(i+1)*size]...)
			r.Holders[n] = manifest.Holder{X: h.X, Key: h.Key, SHA256: sha256.Sum256(share)}
			if h.X == p.one {
				shares = append(shares, share)
			}
		}
		p.parts = append(p.parts, &r)
	}
	return shares
}

func (p *play) open(t *testing.T, n int) {
	t.Helper()
	for _, x := range without(upTo(n), p.one) {
		p.private[x] = newExchangeKey(t)
		p.keys[x] = p.private[x].PublicKey().Bytes()
	}
	q := check.OpenRequest{Participants: upTo(n)}
	for _, r := range p.parts {
		q.Batch = append(q.Batch, r.Ref())
	}
	answer, err := p.holder.Open(t.Context(), p.cluster.public(1), q)
	if err != nil || len(answer.Lacking) > 0 {
		t.Fatalf("opening: lacking %d, %v", answer.Lacking, err)
	}
	p.keys[p.one] = answer.Key
}

func (p *play) roster() check.Roster {
	roster := check.Roster{Dealers: p.dealers}
	for _, x := range upTo(len(p.keys)) {
		message := slices.Concat([]byte("guardian-check-open-v1"), p.batch, []byte{x}, p.keys[x])
		signature := ed25519.Sign(p.cluster.private(x), message)
		roster.Members = append(roster.Members, check.Member{X: x, Key: p.keys[x], Signature: signature})
	}
	return roster
}

func (p *play) session() []byte {
	text := slices.Concat([]byte("guardian-check-session-v1"), p.batch, []byte{byte(p.cluster.k), byte(len(p.keys))})
	for _, x := range upTo(len(p.keys)) {
		text = slices.Concat(text, []byte{x}, p.cluster.public(x), p.keys[x])
	}
	session := sha256.Sum256(append(text, p.dealers...))
	return session[:]
}

// aead is what dealer i seals with to holder j, one of whom is played here.
func (p *play) aead(t *testing.T, i, j byte) cipher.AEAD {
	t.Helper()
	mine, theirs := i, j
	if p.private[mine] == nil {
		mine, theirs = j, i
	}
	return sealing(t, p.private[mine], p.keys[theirs], p.session(), "guardian-check-deal-v1"+string([]byte{i, j}))
}

// sealing is AES-256-GCM under the key that two holders agree on.
func sealing(t *testing.T, private *ecdh.PrivateKey, key, session []byte, info string) cipher.AEAD {
	t.Helper()
	public, err := ecdh.X25519().NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := private.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	derived, err := hkdf.Key(sha256.New, shared, session, info, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// sealTo makes the dealings of all dealers to the holder at x out of their
// columns.
func (p *play) sealTo(t *testing.T, x byte, values []byte) (sealed [][]byte) {
	t.Helper()
	each := len(values) / len(p.dealers)
	for n, i := range p.dealers {
		dealt := make([]byte, 2*columns)
		for column := range dealt {
			from := n*each + column*p.cluster.k
			dealt[column] = shamir.InnerProduct(values[from:from+p.cluster.k], gf256.powers(x, p.cluster.k))
		}
		sealed = append(sealed, p.aead(t, i, x).Seal(nil, make([]byte, 12), dealt, nil))
	}
	return sealed
}

func (p *play) receive(t *testing.T, sealed [][]byte) (random, received []byte) {
	t.Helper()
	answer, err := p.holder.Receive(p.cluster.public(1), check.ReceiveRequest{Key: p.keys[p.one], Roster: p.roster(), Sealed: sealed})
	if err != nil || len(answer.Unopened) > 0 {
		t.Fatalf("receiving: unopened %d, %v", answer.Unopened, err)
	}
	return answer.Random, answer.Received
}

// seal gives the holder the acks of all, and returns the seed that they make.
func (p *play) seal(t *testing.T, random, received []byte) [32]byte {
	t.Helper()
	text := append([]byte("guardian-check-v1"), p.session()...)
	q := check.SealRequest{Key: p.keys[p.one]}
	for _, x := range upTo(len(p.keys)) {
		ack := check.Ack{X: x, Random: fresh(32), Received: fresh(32)}
		if x == p.one {
			ack.Random, ack.Received = random, received
		}
		q.Acks = append(q.Acks, ack)
		text = slices.Concat(text, []byte{x}, ack.Random, ack.Received)
	}
	seed := sha256.Sum256(text)
	answer, err := p.holder.Seal(p.cluster.public(1), q)
	if err != nil || !ed25519.Verify(p.cluster.public(p.one), p.seedMessage(seed, p.one), answer.Signature) {
		t.Fatalf("sealing: another seed is signed, %v", err)
	}
	return seed
}

func (p *play) seedMessage(seed [32]byte, x byte) []byte {
	return slices.Concat([]byte("guardian-check-seed-v1"), p.session(), seed[:], []byte{x})
}

func (p *play) answer(t *testing.T, seed [32]byte) check.AnswerAnswer {
	t.Helper()
	q := check.AnswerRequest{Key: p.keys[p.one]}
	for _, x := range upTo(len(p.keys)) {
		q.Signatures = append(q.Signatures, check.Signature{X: x, Signature: ed25519.Sign(p.cluster.private(x), p.seedMessage(seed, x))})
	}
	answer, err := p.holder.Answer(p.cluster.public(1), q)
	if err != nil {
		t.Fatalf("answering: %v", err)
	}
	if _, err := p.holder.Answer(p.cluster.public(1), q); err == nil {
		t.Fatal("the holder answers twice")
	}
	return answer
}

// expand makes the vectors and the matrix out of a seed.
func expand(t *testing.T, digest [32]byte, size int) (s seed) {
	t.Helper()
	rows := keystream(t, digest[:], nil, "guardian-check-rows-v1", columns*size)
	matrix := keystream(t, digest[:], nil, "guardian-check-matrix-v1", columns*columns)
	for i := range columns {
		vector := make([]byte, size)
		for index := range vector {
			vector[index] = rows[columns*index+i]
		}
		s.vectors = append(s.vectors, vector)
		s.matrix = append(s.matrix, matrix[columns*i:columns*(i+1)])
	}
	return s
}

// inOrder puts an answer into the order of the model's rows.
func inOrder(answer check.AnswerAnswer) (all []byte) {
	for i := range columns {
		all = append(all, answer.Shares[i])
		for _, dealer := range answer.Columns {
			all = append(all, dealer[i])
		}
	}
	return all
}
