package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
)

// What thieves and dishonest holders make of the bytes of chains: each attack
// must be refused, and must succeed when the check against it is taken out.

// forgery is a link of which every part can be another than it should be.
type forgery struct {
	proposal  Proposal
	epoch     uint64
	split     string
	base      *Record
	agreeing  []int
	prepared  []byte
	ancestors [][sha256.Size]byte
	// seed is what the certificate says, voted what was signed.
	seed, voted [sha256.Size]byte
	votedOn     *Record
	lineage     *[sha256.Size]byte
}

// link returns the record and its votes.
func (f forgery) link(t *testing.T) (*Record, link) {
	t.Helper()
	r := &Record{
		Identity: f.base.Identity, Name: f.base.Name, Version: f.base.Version, Epoch: f.epoch,
		Threshold: f.proposal.Threshold, Split: f.split, ShareSize: f.base.ShareSize,
		Base: f.ancestors[len(f.ancestors)-1], Lineage: lineageOf(f.ancestors),
	}
	if f.lineage != nil {
		r.Lineage = *f.lineage
	}
	for _, h := range f.proposal.Holders {
		r.Holders = append(r.Holders, manifest.Holder{X: h.X, Node: h.Node, Key: h.Key})
	}
	body := r.encode()
	r.Hash = sha256.Sum256(body)
	on := r
	if f.votedOn != nil {
		on = f.votedOn
	}
	l := link{body: body}
	l.Seed = f.seed
	for _, number := range f.agreeing {
		x := byte(number)
		l.Agreed = append(l.Agreed, Vote{X: x, Signature: ed25519.Sign(keyOf(number), AgreedMessage(on.Hash, f.voted, x))})
		l.voters = append(l.voters, publicOf(number))
	}
	for _, x := range f.prepared {
		share := sha256.Sum256(shareOf(x, f.epoch))
		l.Prepared = append(l.Prepared, Vote{x, share, ed25519.Sign(keyOf(int(x)), PreparedMessage(on.Hash, f.voted, x, share))})
	}
	return r, l
}

// after is a forgery of nothing: all is as it should be.
func after(base *Record, p Proposal, agreeing ...int) forgery {
	seed := seedOf(base.Epoch)
	f := forgery{
		proposal: p, epoch: base.Epoch + 1, split: splitAfter(base.Split, seed), base: base, agreeing: agreeing,
		ancestors: append(append([][sha256.Size]byte{}, base.ancestors...), base.Hash), seed: seed, voted: seed,
	}
	for _, h := range p.Holders {
		f.prepared = append(f.prepared, h.X)
	}
	return f
}

func (f forgery) chain(t *testing.T, manifest []byte, before ...link) []byte {
	t.Helper()
	_, l := f.link(t)
	return mustWrite(t, &container{manifest: manifest, ancestors: f.ancestors, links: append(before, l)})
}

func TestForgeryOfNothingIsTaken(t *testing.T) {
	first := signed0(t, sample(3, 5))
	base := mustParse(t, first)
	chain := after(base, among(3, upTo(5)...), 1, 2, 3, 4).chain(t, first)
	if r := mustParse(t, chain); r.Epoch != 1 {
		t.Errorf("epoch %d", r.Epoch)
	}
	f := after(mustParse(t, chain), among(3, upTo(5)...), 1, 2, 3, 4)
	if r := mustParse(t, f.chain(t, first, mustRead(t, chain).links...)); r.Epoch != 2 {
		t.Errorf("epoch %d", r.Epoch)
	}
}

func TestAttacks(t *testing.T) {
	yes := func(int, int) bool { return true }
	five := among(3, upTo(5)...)
	for name, c := range map[string]struct {
		policy  func(*manifest.Policy)
		forge   func(f *forgery)
		p       Proposal
		takeOut func(*rules)
		want    error
	}{
		"K old holders who could read the secret anyway": {
			forge:   func(f *forgery) { f.agreeing = f.agreeing[:3] },
			takeOut: func(r *rules) { r.agreed = yes }, want: ErrCertificate,
		},
		"nobody agreed": {
			forge:   func(f *forgery) { f.agreeing = nil },
			takeOut: func(r *rules) { r.agreed = yes }, want: ErrCertificate,
		},
		"strangers agreed": {
			forge: func(f *forgery) {
				f.agreeing, f.epoch = []int{1, 2, 6, 7, 8}, 2
				f.ancestors = append(f.ancestors, seedOf(9))
			},
			takeOut: func(r *rules) {
				r.counts = func(_ *Record, voters []ed25519.PublicKey) int { return len(voters) }
			}, want: ErrCertificate,
		},
		"too few have a durable share": {
			forge:   func(f *forgery) { f.prepared = f.prepared[:3] },
			takeOut: func(r *rules) { r.prepared = func(int, Proposal) bool { return true } }, want: ErrCertificate,
		},
		"one who prepared counts four times": {
			forge:   func(f *forgery) { f.prepared = []byte{5, 5, 5, 5} },
			takeOut: func(r *rules) { r.once = func(_, x byte) bool { return x != 0 } }, want: ErrCertificate,
		},
		"votes of another seed": {
			forge: func(f *forgery) { f.voted = seedOf(77) },
			takeOut: func(r *rules) {
				r.agreeing = func(hash, _ [sha256.Size]byte, x byte) []byte { return AgreedMessage(hash, seedOf(77), x) }
				r.holding = func(hash, _ [sha256.Size]byte, x byte, share [sha256.Size]byte) []byte {
					return PreparedMessage(hash, seedOf(77), x, share)
				}
			}, want: ErrCertificate,
		},
		"votes on another record": {
			forge: func(f *forgery) { f.votedOn = &Record{Hash: seedOf(88)} },
			takeOut: func(r *rules) {
				r.agreeing = func(_, seed [sha256.Size]byte, x byte) []byte { return AgreedMessage(seedOf(88), seed, x) }
				r.holding = func(_, seed [sha256.Size]byte, x byte, share [sha256.Size]byte) []byte {
					return PreparedMessage(seedOf(88), seed, x, share)
				}
			}, want: ErrCertificate,
		},
		"signatures of something else": {
			forge:   func(f *forgery) { f.votedOn = &Record{Hash: seedOf(89)} },
			takeOut: func(r *rules) { r.signed = func(ed25519.PublicKey, []byte, []byte) bool { return true } }, want: ErrCertificate,
		},
		"a split that two dealings would share": {
			forge:   func(f *forgery) { f.split = f.base.Split },
			takeOut: func(r *rules) { r.derived = func(string, string, [sha256.Size]byte) bool { return true } }, want: ErrInvalid,
		},
		"the owner wants no refresh": {
			policy: func(p *manifest.Policy) { p.Refresh = false }, forge: func(*forgery) {},
			takeOut: func(r *rules) { r.refresh = func(manifest.Policy) bool { return true } }, want: ErrProposal,
		},
		"K lowered": {
			policy: func(p *manifest.Policy) { p.MinThreshold = 3 }, p: among(2, upTo(5)...), forge: func(*forgery) {},
			takeOut: func(r *rules) { r.threshold = func(int, manifest.Policy) bool { return true } }, want: ErrProposal,
		},
		"more holders than the owner wants": {
			policy: func(p *manifest.Policy) { p.MaxHolders = 5 }, p: among(3, upTo(6)...), forge: func(*forgery) {},
			takeOut: func(r *rules) { r.most = func(int, manifest.Policy) bool { return true } }, want: ErrProposal,
		},
		"no holder to spare": {
			p: among(5, upTo(5)...), forge: func(*forgery) {},
			takeOut: func(r *rules) {
				r.spare = func(int, int) bool { return true }
				r.prepared = func(votes int, _ Proposal) bool { return votes == 5 }
			}, want: ErrProposal,
		},
		"a new key while nobody admits any": {
			policy: func(p *manifest.Policy) { p.Admission = nil }, p: among(3, 1, 2, 3, 4, 6), forge: func(*forgery) {},
			takeOut: func(r *rules) { r.admitted = func(*manifest.Manifest, []Target) bool { return true } }, want: ErrProposal,
		},
		"a lineage of other records": {
			forge: func(f *forgery) {
				f.epoch = 2
				other := lineageOf(append(f.ancestors, seedOf(1)))
				f.lineage, f.ancestors = &other, append(f.ancestors, seedOf(2))
			},
			takeOut: func(r *rules) { r.descends = func(*Record) bool { return true } }, want: ErrInvalid,
		},
		"an epoch skipped": {
			forge: func(f *forgery) {
				honest := lineageOf(f.ancestors)
				f.epoch, f.lineage, f.ancestors = 2, &honest, append(f.ancestors, f.base.Hash)
			},
			takeOut: func(r *rules) { r.descends = func(*Record) bool { return true } }, want: ErrInvalid,
		},
	} {
		m := sample(3, 5)
		if c.policy != nil {
			c.policy(&m.Policy)
		}
		if c.p.Holders == nil {
			c.p = five
		}
		first := signed0(t, m)
		f := after(mustParse(t, first), c.p, upTo(5)...)
		c.forge(&f)
		checkAttack(t, name, f.chain(t, first), c.takeOut, c.want)
	}
}

// checkAttack wants a chain refused, and taken when a check is taken out.
func checkAttack(t *testing.T, name string, chain []byte, takeOut func(*rules), want error) {
	t.Helper()
	if r, err := Parse(chain); r != nil || !errors.Is(err, want) {
		t.Errorf("%s: %v", name, err)
	}
	lax := pageRules
	takeOut(&lax)
	if _, _, err := lax.parse(manifest.Parse, chain); err != nil {
		t.Errorf("%s, without the check: %v", name, err)
	}
}

// Of a chain whose second record none but the first vouches for, the first is
// cut out.
func TestNeededLinkIsLeftOut(t *testing.T) {
	chains := line(t, signed0(t, sample(3, 5)), among(3, 3, 4, 5, 6, 7), among(3, 3, 4, 5, 6, 7))
	c := mustRead(t, chains[2])
	if len(c.links) != 2 {
		t.Fatalf("%d links", len(c.links))
	}
	c.links = c.links[1:]
	checkAttack(t, "left out", mustWrite(t, c), func(r *rules) { r.agreed = func(int, int) bool { return true } }, ErrCertificate)
	// And with the votes that do not count left out too.
	c.links[0].Agreed, c.links[0].voters = c.links[0].Agreed[:3], c.links[0].voters[:3]
	checkAttack(t, "left out, and votes", mustWrite(t, c), func(r *rules) { r.agreed = func(int, int) bool { return true } }, ErrCertificate)
}

// K old holders, who are too few, sell one vote twice: the same key at two
// points of a record that is left out of the chain.
func TestOneKeyVotesTwice(t *testing.T) {
	first := signed0(t, sample(3, 5))
	f := after(mustParse(t, first), among(3, upTo(5)...), 1, 2, 3)
	f.epoch, f.ancestors = 2, append(f.ancestors, seedOf(5))
	r, l := f.link(t)
	l.Agreed = append(l.Agreed, Vote{X: 9, Signature: ed25519.Sign(keyOf(3), AgreedMessage(r.Hash, f.seed, 9))})
	l.voters = append(l.voters, publicOf(3))
	chain := mustWrite(t, &container{manifest: first, ancestors: f.ancestors, links: []link{l}})
	if r, err := Parse(chain); r != nil || !errors.Is(err, ErrCertificate) {
		t.Errorf("%v", err)
	}
}

// Two links over one base, each well vouched for: a fork is no line.
func TestTwoLinksOverOneBase(t *testing.T) {
	first := signed0(t, sample(3, 5))
	base := mustParse(t, first)
	one, other := after(base, among(3, upTo(5)...), upTo(5)...), after(base, among(4, upTo(5)...), upTo(5)...)
	r, l := one.link(t)
	_, l2 := other.link(t)
	for name, ancestors := range map[string][][sha256.Size]byte{
		"one hash": {base.Hash}, "both": {base.Hash, r.Hash}, "the base twice": {base.Hash, base.Hash},
	} {
		for _, links := range [][]link{{l, l2}, {l2, l}, {l, l}} {
			chain := mustWrite(t, &container{manifest: first, ancestors: ancestors, links: links})
			if r, err := Parse(chain); r != nil || !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A link that is there twice would be another encoding of the same line.
func TestLinkTwice(t *testing.T) {
	first := signed0(t, sample(3, 5))
	one := round(t, first, among(3, upTo(5)...))
	f := after(mustParse(t, one), among(3, upTo(5)...), upTo(5)...)
	l := mustRead(t, one).links[0]
	mustParse(t, f.chain(t, first, l))
	_, last := f.link(t)
	for name, chain := range map[string][]byte{
		"before another": f.chain(t, first, l, l),
		"at the end":     f.chain(t, first, last),
	} {
		if r, err := Parse(chain); r != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Links that all holders voted for, and that say what no round makes.
func TestLinksOfNoRound(t *testing.T) {
	first := signed0(t, sample(3, 5))
	base := mustParse(t, first)
	for name, c := range map[string]struct {
		edit func(*forgery, *Record)
		want error
	}{
		"another version":  {func(_ *forgery, b *Record) { b.Version++ }, ErrInvalid},
		"another name":     {func(_ *forgery, b *Record) { b.Name = "other" }, ErrInvalid},
		"another identity": {func(_ *forgery, b *Record) { b.Identity = b.Identity[2:] + "00" }, ErrInvalid},
		"longer shares":    {func(_ *forgery, b *Record) { b.ShareSize++ }, ErrInvalid},
		"epoch 0":          {func(f *forgery, _ *Record) { f.epoch = 0 }, ErrInvalid},
		"epoch 2":          {func(f *forgery, _ *Record) { f.epoch = 2 }, ErrInvalid},
		"the last epoch":   {func(f *forgery, _ *Record) { f.epoch = 1<<64 - 1 }, ErrInvalid},
		"no holders":       {func(f *forgery, _ *Record) { f.proposal.Holders, f.prepared = nil, nil }, ErrProposal},
		"a key twice": {func(f *forgery, _ *Record) {
			f.proposal.Holders = append(f.proposal.Holders, Target{9, "node-9", publicOf(1)})
		}, ErrProposal},
		"a threshold of 1":      {func(f *forgery, _ *Record) { f.proposal.Threshold = 1 }, ErrProposal},
		"one prepared not here": {func(f *forgery, _ *Record) { f.prepared = append(f.prepared, 9) }, ErrCertificate},
		"one agreed not here":   {func(f *forgery, _ *Record) { f.agreeing = append(f.agreeing, 9) }, ErrCertificate},
	} {
		edited := *base
		f := after(base, among(3, upTo(5)...), upTo(5)...)
		f.base = &edited
		c.edit(&f, &edited)
		if r, err := Parse(f.chain(t, first)); r != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Voters sign what they should not: another's point, or a hash that stands for
// none.
func TestVotesOfNoForm(t *testing.T) {
	first := signed0(t, sample(3, 5))
	f := after(mustParse(t, first), among(3, upTo(5)...), upTo(5)...)
	r, l := f.link(t)
	for name, edit := range map[string]func(l *link){
		"at another point": func(l *link) {
			l.Agreed[4] = Vote{X: 6, Signature: ed25519.Sign(keyOf(5), AgreedMessage(r.Hash, f.seed, 6))}
		},
		"with a hash of none": func(l *link) {
			none := [sha256.Size]byte{}
			l.Prepared[4] = Vote{X: 5, Signature: ed25519.Sign(keyOf(5), PreparedMessage(r.Hash, f.seed, 5, none))}
		},
	} {
		edited := l
		edited.Agreed, edited.Prepared = slices.Clone(l.Agreed), slices.Clone(l.Prepared)
		edit(&edited)
		chain := mustWrite(t, &container{manifest: first, ancestors: f.ancestors, links: []link{edited}})
		if r, err := Parse(chain); r != nil || !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What Extend is given is refused as what Parse is given.
func TestExtendRefuses(t *testing.T) {
	first := signed0(t, sample(3, 5))
	base := mustParse(t, first)
	seed := seedOf(0)
	r, body, err := Next(base, among(3, upTo(5)...), seed)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := Next(base, among(4, upTo(5)...), seed)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit func(*Certificate)
		body []byte
		want error
	}{
		"too few agreed":             {func(c *Certificate) { c.Agreed = c.Agreed[:3] }, body, ErrCertificate},
		"too few prepared":           {func(c *Certificate) { c.Prepared = c.Prepared[:3] }, body, ErrCertificate},
		"a vote twice":               {func(c *Certificate) { c.Agreed[1] = c.Agreed[0] }, body, ErrCertificate},
		"not ascending":              {func(c *Certificate) { c.Agreed[0], c.Agreed[1] = c.Agreed[1], c.Agreed[0] }, body, ErrCertificate},
		"a vote of nobody":           {func(c *Certificate) { c.Agreed[4].X = 9 }, body, ErrCertificate},
		"a vote of point 0":          {func(c *Certificate) { c.Agreed[0].X = 0 }, body, ErrCertificate},
		"prepared at point 0":        {func(c *Certificate) { c.Prepared[0].X = 0 }, body, ErrCertificate},
		"prepared at nobody's point": {func(c *Certificate) { c.Prepared[4].X = 9 }, body, ErrCertificate},
		"prepared with no hash":      {func(c *Certificate) { c.Prepared[0].Share = [32]byte{} }, body, ErrCertificate},
		"prepared with another hash": {func(c *Certificate) { c.Prepared[0].Share[0] ^= 1 }, body, ErrCertificate},
		"agreed with a hash":         {func(c *Certificate) { c.Agreed[0].Share[0] = 1 }, body, ErrCertificate},
		"no signature":               {func(c *Certificate) { c.Agreed[0].Signature = nil }, body, ErrCertificate},
		"half a signature":           {func(c *Certificate) { c.Prepared[0].Signature = c.Prepared[0].Signature[:32] }, body, ErrCertificate},
		"another's signature":        {func(c *Certificate) { c.Agreed[0].Signature = c.Agreed[1].Signature }, body, ErrCertificate},
		"another seed":               {func(c *Certificate) { c.Seed = seedOf(1) }, body, ErrInvalid},
		"another body":               {func(*Certificate) {}, other, ErrCertificate},
		"no body":                    {func(*Certificate) {}, nil, ErrInvalid},
		"more body":                  {func(*Certificate) {}, append(body[:len(body):len(body)], 0), ErrInvalid},
		"no votes":                   {func(c *Certificate) { *c = Certificate{Seed: c.Seed} }, body, ErrCertificate},
	} {
		v := votes(t, base, r, seed, points(base)...)
		c.edit(&v)
		if chain, err := Extend(first, c.body, v); chain != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if chain, err := Extend(first[1:], body, votes(t, base, r, seed, points(base)...)); chain != nil || !errors.Is(err, manifest.ErrInvalid) {
		t.Errorf("on no chain: %v", err)
	}
	chain := round(t, first, among(3, upTo(5)...))
	if again, err := Extend(chain, body, votes(t, base, r, seed, points(base)...)); again != nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("a round twice: %v", err)
	}
}

// A vote is of one kind, and of nothing else that node keys sign.
func TestDomains(t *testing.T) {
	hash, seed, share := seedOf(1), seedOf(2), seedOf(3)
	if a, p := string(AgreedMessage(hash, seed, 4)), string(PreparedMessage(hash, seed, 4, share)); a != "guardian-agreed-v1"+string(hash[:])+string(seed[:])+"\x04" ||
		p != "guardian-prepared-v1"+string(hash[:])+string(seed[:])+"\x04"+string(share[:]) {
		t.Errorf("%x, %x", a, p)
	}
}
