package client

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/shamir"
)

// redistributed are holdings of one group with threshold k, and the payload.
func redistributed(t testing.TB, n, k, size int) ([]*holding, []byte) {
	t.Helper()
	payload := make([]byte, size)
	rand.Read(payload)
	m := &manifest.Manifest{Version: 4, Threshold: 3, PayloadSize: size, PayloadSHA256: sha256.Sum256(payload)}
	points := make([]byte, n)
	for i := range points {
		points[i] = byte(i + 1)
	}
	shares, err := shamir.Split(payload, k, points)
	if err != nil {
		t.Fatal(err)
	}
	var all []*holding
	for _, share := range shares {
		all = append(all, &holding{share: share, manifest: m, group: group{
			version: 4, epoch: 2, split: "ab", threshold: k, size: len(share), charter: [32]byte{1},
		}})
	}
	return all, payload
}

func spoil(all []*holding, at ...int) {
	for _, i := range at {
		rand.Read(all[i].share[1:])
	}
}

// proofOf takes shares into account in the order in which they come.
func proofOf(all []*holding) *proof {
	s := survey{}
	for _, h := range all {
		s = append(s, found{current: h})
		s.prove()
	}
	return all[0].proof
}

// Whatever order they come in, and wherever the wrong ones are: those that fit are
// told from those that do not.
func TestProofInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n, k, wrong int
		sure        bool
	}{
		{3, 3, 0, true},
		{5, 3, 0, true},
		{5, 3, 1, true},
		{5, 3, 2, false},
		{7, 3, 2, true},
		{7, 3, 4, false},
		{14, 4, 3, true},
		{14, 4, 8, true}, // and beyond what fewer than K liars could do
		{9, 2, 1, true},
		{40, 13, 12, true},
	} {
		for range 20 {
			all, _ := redistributed(t, test.n, test.k, 40)
			wrong := mathrand.Perm(test.n)[:test.wrong]
			spoil(all, wrong...)
			bad := map[*holding]bool{}
			for _, i := range wrong {
				bad[all[i]] = true
			}
			mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			p := proofOf(all)
			if !p.found() || p.sure() != test.sure {
				t.Fatalf("%+v: found %v, sure %v", test, p.found(), p.sure())
			}
			for _, h := range all {
				if p.refutes(h) != bad[h] || (h.judge(charter{}) != nil) != bad[h] {
					t.Fatalf("%+v: the share at %d is wrong: %v", test, h.share[0], bad[h])
				}
			}
		}
	}
}

// Too few right ones make nothing, and nobody is named.
func TestProofOfTooFew(t *testing.T) {
	t.Parallel()
	all, _ := redistributed(t, 8, 4, 40)
	spoil(all, 3, 4, 5, 6, 7)
	for n := 1; n <= len(all); n++ {
		for _, h := range all {
			h.proof = nil
		}
		if p := proofOf(all[:n]); p.found() || p.refutes(all[0]) || p.refutes(all[n-1]) {
			t.Errorf("%d shares of threshold 4, three of them right, make something", n)
		}
	}
	var none *proof
	if none.found() || none.refutes(&holding{}) {
		t.Error("no proof proves something")
	}
}

// Sets that liars make necessary are bounded.
func TestProofIsBounded(t *testing.T) {
	t.Parallel()
	all, _ := redistributed(t, 30, 12, 64<<10)
	wrong := make([]int, 15)
	for i := range wrong {
		wrong[i] = i
	}
	spoil(all, wrong...)
	start := time.Now()
	if p := proofOf(all); p.tried < maxSets || p.tried > maxSets+len(all) {
		t.Errorf("%d sets were tried", p.tried)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

// While too few shares of an epoch are shown, those that answered are asked for
// it soon; and not before so many have that an acknowledged version is there.
func TestPatienceWhileMoving(t *testing.T) {
	all, _ := redistributed(t, 5, 3, 40)
	wasAt := func(x byte) found { return at(x, 4) }
	now := func(i int) found { return found{current: all[i]} }
	for name, test := range map[string]struct {
		answers survey
		want    time.Duration
	}{
		"two and two, one silent": {survey{wasAt(1), wasAt(2), now(2), now(3), silent}, longGrace},
		"two and one, two silent": {survey{wasAt(1), wasAt(2), now(2), silent, silent}, waitForAll},
		"one joins":               {survey{absent, wasAt(2), now(2), now(3), silent}, longGrace},
		"three have it":           {survey{now(0), now(1), now(2), wasAt(4), silent}, grace},
		"three show the old":      {survey{wasAt(1), wasAt(2), wasAt(3), now(3), silent}, longGrace},
	} {
		for _, h := range all {
			h.proof = nil
		}
		test.answers.prove()
		if got := test.answers.patience(3, 4); got != test.want {
			t.Errorf("%s: waiting %v, want %v", name, got, test.want)
		}
	}
}

func TestMovingEpochs(t *testing.T) {
	shown := func(epochs ...uint64) (s survey) {
		for i, epoch := range epochs {
			all, _ := redistributed(t, 9, 3, 40)
			all[i].group.epoch, all[i].group.split = epoch, string(rune('a'+i))
			s = append(s, found{current: all[i]})
		}
		s.prove()
		return s
	}
	for _, test := range []struct {
		all  survey
		want []uint64
	}{
		{shown(), nil},
		{shown(3), []uint64{3}},
		{shown(3, 1<<63, 4), []uint64{1 << 63, 4, 3}},
		{shown(3, 3, 9, 8, 7), []uint64{3, 9, 8}},
		{shown(3, 9, 3, 9, 8, 7), []uint64{9, 3, 8}},
	} {
		if got := test.all.movingEpochs(4, 3); !slices.Equal(got, test.want) {
			t.Errorf("epochs %d are asked for, want %d", got, test.want)
		}
		if got := test.all.movingEpochs(5, 3); len(got) > 0 {
			t.Errorf("epochs %d of another version are asked for", got)
		}
	}
}

// Of those that prepared a share and hold no other a push would leave nothing.
func TestGroundPrepared(t *testing.T) {
	all, _ := redistributed(t, 4, 3, 40)
	s := survey{{current: all[0]}, {current: at(2, 4).current, older: all[1:2]}, {err: api.ErrNotFound, older: all[2:3]}, {err: api.ErrNotFound}}
	s.prove()
	best, ok := s.choose(3)
	if !ok || len(best.members) != 3 || best.group.epoch != 2 {
		t.Fatalf("chose %+v", best)
	}
	g := ground{all: s, rebuilt: best}
	g.keep(3)
	if g.prepared() != 1 || len(g.keepers) != 1 || !g.keepers[2] || len(g.holders) != 3 {
		t.Errorf("%+v", g)
	}
}

func BenchmarkProof(b *testing.B) {
	all, _ := redistributed(b, 14, 4, api.MaxShareSize-1)
	for b.Loop() {
		for _, h := range all {
			h.proof = nil
		}
		proofOf(all)
	}
}

// frame changes the shares of two so that they make the payload with that of a
// third, and with no other.
func frame(t *testing.T, payload []byte, liars [2]*holding, with *holding) {
	t.Helper()
	first, second := liars[0].share, liars[1].share
	rand.Read(first[1:])
	weights, err := shamir.Weights([]byte{first[0], with.share[0], second[0]}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range payload {
		for shamir.InnerProduct(weights, []byte{first[i+1], with.share[i+1], second[i+1]}) != want {
			second[i+1]++
		}
	}
}

// Two that conspire can make one right share fit theirs. As soon as four others
// are there they are found out; before that the three that came first count.
func TestProofAgainstConspiracy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		order  string // L for liars, F for whom they frame others with, . for the others
		liars  bool   // whether they are taken for right
		surely bool
	}{
		"they come first":                {"LLF..", true, false},
		"they come last":                 {"F..LL", false, false},
		"with one more":                  {"LLF...", false, true},
		"with one more, and come last":   {"...FLL", false, true},
		"among the others":               {".L.LF..", false, true},
		"whom they frame with, is late":  {"LL...F", false, true},
		"they come last, after a rebuke": {"..FLL..", false, true},
	} {
		all, payload := redistributed(t, len(test.order), 3, 40)
		var liars []*holding
		var with *holding
		for i, who := range test.order {
			switch who {
			case 'L':
				liars = append(liars, all[i])
			case 'F':
				with = all[i]
			}
		}
		frame(t, payload, [2]*holding(liars), with)
		p := proofOf(all)
		if !p.found() || p.sure() != test.surely || p.refutes(liars[0]) == test.liars || p.refutes(liars[1]) == test.liars || p.refutes(with) {
			t.Errorf("%s: found %v, sure %v, liars refuted %v and %v", name, p.found(), p.sure(), p.refutes(liars[0]), p.refutes(liars[1]))
		}
		made, err := shamir.Combine(p.basis)
		if err != nil || sha256.Sum256(made) != sha256.Sum256(payload) {
			t.Errorf("%s: what is rebuilt is not the payload", name)
		}
	}
}

// To a push all epochs of a version are the same.
func TestGroundCountingGoesByVersions(t *testing.T) {
	all, _ := redistributed(t, 3, 3, 40)
	all[1].group.epoch, all[1].group.split, all[1].group.threshold = 9, "cd", 5
	vault := vaultOf(t, 2, 3)
	vault.owner = &owner{}
	shown := vault.counting(survey{{current: all[0]}, {current: all[1]}})
	if len(shown) != 2 || shown[0] != shown[1] || shown[0].epoch != 0 {
		t.Errorf("counts %+v", shown)
	}
}

// Who is asked for an epoch and answers with another has not answered.
func TestEpochOfAnAnswer(t *testing.T) {
	vault, epoch := vaultOf(t, 1, 3), uint64(2)
	for shown, want := range map[uint64]error{2: nil, 0: errMalformedShare, 3: errMalformedShare} {
		_, err := vault.readHolding(api.PullRequest{Epoch: &epoch}, api.PullResponse{Share: "AQID", Threshold: 3, Epoch: shown})
		if !errors.Is(err, want) {
			t.Errorf("epoch %d in place of 2: %v", shown, err)
		}
	}
}
