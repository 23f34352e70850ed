package record

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vault-guardian/guardian/manifest"
)

// drawProposal replaces some of the holders and draws another threshold.
func drawProposal(t *rapid.T, holders []int) Proposal {
	taken := make([]bool, 256)
	for _, number := range holders {
		taken[number] = true
	}
	var free []int
	for number := 1; number <= 255; number++ {
		if !taken[number] {
			free = append(free, number)
		}
	}
	leave := rapid.OneOf(rapid.IntRange(0, 1), rapid.IntRange(0, len(holders))).Draw(t, "leave")
	stay := rapid.Permutation(holders).Draw(t, "order")[leave:]
	come := rapid.IntRange(max(0, 3-len(stay)), max(8-len(stay), 3-len(stay))).Draw(t, "come")
	members := append(slices.Clone(stay), rapid.Permutation(free[:come+5]).Draw(t, "free")[:come]...)
	return among(rapid.IntRange(2, len(members)-1).Draw(t, "threshold"), members...)
}

// drawVoters draws K+1 or more of the holders, in ascending order.
func drawVoters(t *rapid.T, base *Record) []byte {
	voters := rapid.Permutation(points(base)).Draw(t, "voters")
	voters = voters[:rapid.IntRange(base.Threshold+1, len(voters)).Draw(t, "votes")]
	return slices.Sorted(slices.Values(voters))
}

// remembering are the rules with a memory of signatures: links stay, and their
// votes are the costly part.
func remembering() rules {
	known := map[string]bool{}
	memory := pageRules
	memory.signed = func(key ed25519.PublicKey, message, signature []byte) bool {
		text := string(slices.Concat(key, message, signature))
		if !known[text] {
			known[text] = signed(key, message, signature)
		}
		return known[text]
	}
	return memory
}

func TestPropertyLinesOfRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory := remembering()
		rounds := rapid.IntRange(1, 30).Draw(t, "rounds")
		n := rapid.IntRange(3, 8).Draw(t, "N")
		first := signed0(t, sample(rapid.IntRange(2, n-1).Draw(t, "K"), n))
		chains := [][]byte{first}
		records := []*Record{mustParse(t, first)}
		for epoch := 1; epoch <= rounds; epoch++ {
			base := records[epoch-1]
			var holders []int
			for _, x := range points(base) {
				holders = append(holders, int(x))
			}
			p := drawProposal(t, holders)
			seed := seedOf(uint64(epoch))
			made, body, err := Next(base, p, seed)
			if err != nil {
				t.Fatal(err)
			}
			c := votes(t, base, made, seed, drawVoters(t, base)...)
			c.Prepared = rapid.Permutation(c.Prepared).Draw(t, "prepared")[:rapid.IntRange(Quorum(p), len(c.Prepared)).Draw(t, "q")]
			slices.SortFunc(c.Prepared, func(a, b Vote) int { return int(a.X) - int(b.X) })
			chain, err := memory.extend(chains[epoch-1], body, c)
			if err != nil {
				t.Fatal(err)
			}
			r, _, err := memory.parse(manifest.Parse, chain)
			if err != nil {
				t.Fatal(err)
			}
			checkLine(t, records, r, made, c)
			chains, records = append(chains, chain), append(records, r)
		}
		if r := mustParse(t, chains[rounds]); r.Hash != records[rounds].Hash {
			t.Fatal("without memory it is another record")
		}
	})
}

// checkLine wants a record to be the one that was made, and to come after all
// before it.
func checkLine(t *rapid.T, before []*Record, r, made *Record, c Certificate) {
	t.Helper()
	if r.Hash != made.Hash || r.Epoch != uint64(len(before)) || r.Split != made.Split {
		t.Fatalf("epoch %d became %d", made.Epoch, r.Epoch)
	}
	splits := map[string]bool{r.Split: true}
	for _, old := range before {
		if !r.Follows(old.Hash) || old.Follows(r.Hash) || splits[old.Split] {
			t.Fatalf("epoch %d does not follow %d, or has its split", r.Epoch, old.Epoch)
		}
		if splits[old.Split] = true; !r.Vouched(old) {
			t.Fatalf("who has a share of epoch %d would not give it up for epoch %d", old.Epoch, r.Epoch)
		}
	}
	for _, v := range c.Prepared {
		if err := r.Check(v.X, shareOf(v.X, r.Epoch)); err != nil {
			t.Fatal(err)
		}
	}
}

// What a chain takes after thirty rounds, of which each replaces one holder, and
// at worst: when each replaces all.
func TestSizes(t *testing.T) {
	for _, n := range []int{5, 14, 100, 255} {
		k := max(3, n/3)
		first := signed0(t, sample(k, n))
		same := round(t, first, among(k, upTo(n)...))
		one := same
		for range 3 {
			one = round(t, one, among(k, upTo(n)...))
		}
		t.Logf("N=%d: manifest %d bytes, after one refresh %d, after four %d", n, len(first), len(same), len(one))
		if len(one) != len(same)+3*32 || len(mustRead(t, one).links) != 1 {
			t.Errorf("N=%d: four refreshes make a chain of %d bytes, one of %d", n, len(one), len(same))
		}
		if n > 127 {
			continue
		}
		others := upTo(2 * n)[n:]
		all := round(t, round(t, first, among(k, others...)), among(k, upTo(n)...))
		t.Logf("N=%d: all replaced twice %d bytes", n, len(all))
	}
	chain := signed0(t, sample(3, 5))
	for epoch := range 30 {
		numbers := upTo(epoch + 6)
		chain = round(t, chain, among(3, numbers[len(numbers)-5:]...))
	}
	t.Logf("N=5, one of five replaced in each of 30 rounds: %d links, %d bytes", len(mustRead(t, chain).links), len(chain))
	if links := len(mustRead(t, chain).links); links != 15 {
		t.Errorf("%d links", links)
	}
}
