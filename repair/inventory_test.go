package repair

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

func recordNo(t testing.TB, i int, name string, version uint64, holders ...*scrubNode) *record.Record {
	t.Helper()
	of, err := record.Parse(ownerNo(i).manifestFor(t, name, version, holders...))
	if err != nil {
		t.Fatal(err)
	}
	return of
}

func anyMember(ed25519.PublicKey) bool { return true }

func TestDigestAdds(t *testing.T) {
	full := digest(bytes.Repeat([]byte{0xff}, digestSize))
	one := digest{15: 1}
	full.add(one)
	if full != (digest{}) {
		t.Errorf("2^128 is %x", full)
	}
	carry := digest(append(make([]byte, 8), bytes.Repeat([]byte{0xff}, 8)...))
	carry.add(one)
	if carry != (digest{7: 1}) {
		t.Errorf("2^64 is %x", carry)
	}
}

// Every field counts, and none can be taken for part of the next.
func TestMarksDiffer(t *testing.T) {
	base := record.Record{Identity: strings.Repeat("ab", 32), Name: "n", Version: 1}
	seen := map[digest]string{markOf(&base): "base"}
	for name, change := range map[string]func(*record.Record){
		"identity":     func(r *record.Record) { r.Identity = strings.Repeat("ac", 32) },
		"name":         func(r *record.Record) { r.Name = "m" },
		"no name":      func(r *record.Record) { r.Name = "" },
		"longer name":  func(r *record.Record) { r.Name = "n\x00" },
		"version":      func(r *record.Record) { r.Version = 2 },
		"epoch":        func(r *record.Record) { r.Epoch = 1 },
		"version 1<<8": func(r *record.Record) { r.Version = 1 << 8 },
		"hash":         func(r *record.Record) { r.Hash[31] = 1 },
	} {
		r := base
		change(&r)
		if other, taken := seen[markOf(&r)]; taken {
			t.Errorf("%s and %s have one mark", name, other)
		}
		seen[markOf(&r)] = name
	}
}

// Two guardians that hold the same of what names both have the same digests
// about each other, in whatever order it came and whoever else is named.
func TestDigestsAgree(t *testing.T) {
	w := newScrubWorld(t, 4)
	a, b := w.nodes[0], w.nodes[1]
	type wish struct {
		owner   int
		name    string
		version uint64
		holders []*scrubNode
	}
	var wishes []wish
	sets := [][]*scrubNode{{a, b}, {b, a, w.nodes[2]}, {w.nodes[3], a, w.nodes[2], b}}
	for i := range 60 {
		wishes = append(wishes, wish{i % 20, []string{"", "x", "y"}[i/20], uint64(i%7 + 1), sets[i%3]})
	}
	draw := rand.New(rand.NewPCG(3, 4))
	for _, n := range []*scrubNode{a, b} {
		draw.Shuffle(len(wishes), func(i, j int) { wishes[i], wishes[j] = wishes[j], wishes[i] })
		for _, one := range wishes {
			ownerNo(one.owner).push(t, one.name, one.version, one.holders, n)
		}
	}
	ownerNo(50).push(t, "", 1, []*scrubNode{a, w.nodes[2]}, a) // names a alone of the two
	ownerNo(51).push(t, "", 1, []*scrubNode{w.nodes[3], b}, b)
	a.scrub(t)
	b.scrub(t)
	agree := func() bool {
		fromA, errA := a.answerInventory(t.Context(), b.public(), InventoryRequest{})
		fromB, errB := b.answerInventory(t.Context(), a.public(), InventoryRequest{})
		if errA != nil || errB != nil || len(fromA.Digests) != buckets || fromA.TakenNS == 0 {
			t.Fatalf("%v, %v, %d digests", errA, errB, len(fromA.Digests))
		}
		return slices.EqualFunc(fromA.Digests, fromB.Digests, bytes.Equal)
	}
	if !agree() {
		t.Error("they differ")
	}
	if *a.lastInventory().about(w.nodes[2].public()) == *b.lastInventory().about(w.nodes[2].public()) {
		t.Error("what they say about a third is the same")
	}
	// And differ when one of them has a version more, in its bucket only.
	ownerNo(0).push(t, "x", 9, sets[0], a)
	a.scrub(t)
	if agree() {
		t.Error("a later version makes no difference")
	}
	if got := differing(a.lastInventory().about(b.public()), b.rawAbout(a)); len(got) != 1 || got[0] != bucketOf(ownerNo(0).slot("").Identity) {
		t.Errorf("buckets %x differ", got)
	}
	ownerNo(0).push(t, "x", 9, sets[0], b)
	b.scrub(t)
	if !agree() {
		t.Error("they differ in the end")
	}
}

func (n *scrubNode) rawAbout(other *scrubNode) [][]byte {
	answer, _ := n.answerInventory(context.Background(), other.public(), InventoryRequest{})
	return answer.Digests
}

// What is deleted, damaged, without manifest, or names only others is not in an
// inventory.
func TestInventoryLeavesOut(t *testing.T) {
	w := newScrubWorld(t, 3)
	zoo(t, w)
	n := w.nodes[0]
	n.scrub(t)
	var want digest
	for i := range 3 {
		for _, name := range []string{"", "named"} {
			version := map[string]uint64{"": 1, "named": 7}[name]
			want.add(markOf(recordNo(t, i, name, version, w.nodes...)))
		}
	}
	var got digest
	for _, d := range n.lastInventory().about(w.nodes[1].public()) {
		got.add(d)
	}
	if got != want {
		t.Errorf("got %x, want %x", got, want)
	}
	stranger := scrubKey(t, 99).PublicKey()
	if *n.lastInventory().about(stranger) != (digests{}) {
		t.Error("a stranger has digests")
	}
}

func TestNoInventoryBeforeScrub(t *testing.T) {
	n := newScrubWorld(t, 2).nodes[0]
	answer, err := n.answerInventory(t.Context(), n.world.nodes[1].public(), InventoryRequest{})
	if err != nil || answer.Digests == nil || len(answer.Digests) != 0 {
		t.Errorf("got %+v, %v", answer, err)
	}
}

// An owner that names hundreds of keys takes the room of no member.
func TestInventoryIsBounded(t *testing.T) {
	w := newScrubWorld(t, 3)
	own, member := w.nodes[0], w.nodes[1]
	isMember := func(key ed25519.PublicKey) bool { return key.Equal(member.public()) }
	all := tallies{}
	leftOut := 0
	for i := range 2 {
		m := manifest.Manifest{
			Identity: ownerNo(i).slot("").Identity, Version: 1, Threshold: 2, Split: strings.Repeat("5", 32), PayloadSize: 1,
			Policy:  manifest.Policy{MinThreshold: 2, MaxHolders: 255},
			Holders: []manifest.Holder{{X: 1, Node: own.id, Key: own.public()}},
		}
		for x := 2; x < 256; x++ {
			m.Holders = append(m.Holders, manifest.Holder{X: byte(x), Key: scrubKey(t, 0).PublicKey()})
			key := bytes.Repeat([]byte{byte(i + 1), byte(x)}, 16)
			m.Holders[x-1].Key = key
		}
		signed, err := m.Sign(ownerNo(i).key)
		if err != nil {
			t.Fatal(err)
		}
		of, _ := record.Parse(signed)
		leftOut += all.add(of, own.public(), isMember)
	}
	if len(all) != maxInventoried || leftOut != 2*254-maxInventoried || !all.valid() {
		t.Errorf("%d keys, %d left out", len(all), leftOut)
	}
	of := recordNo(t, 5, "", 1, own, member, w.nodes[2])
	if leftOut := all.add(of, own.public(), isMember); leftOut != 1 || len(all) != maxInventoried {
		t.Errorf("%d left out of %d", leftOut, len(all))
	}
	inventory := inventory{Digests: all}
	if got := inventory.about(member.public())[bucketOf(of.Identity)]; got != markOf(of) {
		t.Errorf("the member's digest is %x", got)
	}
	text, err := json.Marshal(all)
	if err != nil || len(text) > 2<<20 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	full := tallies{}
	for i := range maxInventoried {
		full.about(bytes.Repeat([]byte{byte(i)}, 32), anyMember)
	}
	if full.about(member.public(), anyMember) != nil {
		t.Error("a member was dropped for another")
	}
}

func TestDigestsJSON(t *testing.T) {
	var want, got digests
	for i := range want {
		want[i] = digest(bytes.Repeat([]byte{byte(i)}, digestSize))
	}
	text, err := json.Marshal(tallies{"ab": &want})
	if err != nil {
		t.Fatal(err)
	}
	read := tallies{}
	if err := json.Unmarshal(text, &read); err != nil || *read["ab"] != want {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{`"AAAA"`, `7`, `{`, `""`} {
		if err := got.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// The pages of all buckets together have each slot that names both, once, in
// order, with its record, however they are cut.
func TestBucketPages(t *testing.T) {
	w := newScrubWorld(t, 3)
	a, b := w.nodes[0], w.nodes[1]
	want := map[guardian.Slot]uint64{}
	for i := range 12 {
		for _, name := range []string{"", "-", "A", "zz", strings.Repeat("z", guardian.MaxNameLength)} {
			ownerNo(i).push(t, name, uint64(i+1), w.nodes, a)
			want[ownerNo(i).slot(name)] = uint64(i + 1)
		}
	}
	zooSlots(t, w)
	for i := range 12 {
		delete(want, ownerNo(i).slot("gone"))
	}
	for at := range buckets {
		last := guardian.Slot{}
		for more := true; more; {
			request := BucketRequest{Bucket: fmt.Sprintf("%02x", at), After: Entry{Identity: last.Identity, Name: last.Name}}
			answer, err := a.answerBucket(t.Context(), b.public(), request)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range answer.Entries {
				slot := guardian.Slot{Identity: e.Identity, Name: e.Name}
				if last != (guardian.Slot{}) && compareSlots(last, slot) >= 0 || bucketOf(e.Identity) != byte(at) {
					t.Errorf("%v behind %v in bucket %x", slot, last, at)
				}
				of, err := record.Parse(e.Record)
				if err != nil || of.Version != e.Version || want[slot] != e.Version {
					t.Errorf("%v at version %d, %v", slot, e.Version, err)
				}
				delete(want, slot)
				last = slot
				if len(answer.Entries) > 1 { // as if the page had one
					answer.More = true
					break
				}
			}
			more = answer.More
		}
	}
	if len(want) != 0 {
		t.Errorf("%d are missing", len(want))
	}
}

// zooSlots stores what no caller is told of.
func zooSlots(t *testing.T, w *scrubWorld) {
	t.Helper()
	a := w.nodes[0]
	two := []*scrubNode{a, w.nodes[2]}
	ownerNo(1).push(t, "others", 1, two, a)
	ownerNo(2).push(t, "deleted", 1, w.nodes, a)
	if err := a.node.Delete(t.Context(), ownerNo(2).slot("deleted"), 1, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	ownerNo(3).push(t, "spoilt", 1, w.nodes, a)
	a.spoil(t, ownerNo(3).slot("spoilt"))
	ownerNo(4).push(t, "lost", 1, w.nodes, a)
	a.lose(t, ownerNo(4).slot("lost"))
	plain := guardian.Share{Data: []byte("\x01plain"), Version: 1, Threshold: 2}
	if err := a.node.Push(t.Context(), ownerNo(5).slot("plain"), plain, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
}

func TestBucketEdges(t *testing.T) {
	w := newScrubWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	// Owners in the first and in the last bucket.
	found := map[byte]int{}
	for i := 0; len(found) < 2; i++ {
		if bucket := bucketOf(ownerNo(i).slot("").Identity); bucket == 0 || bucket == 255 {
			found[bucket] = i
		}
	}
	for bucket, owner := range found {
		ownerNo(owner).push(t, "", 1, w.nodes, a)
		ownerNo(owner).push(t, "n", 1, w.nodes, a)
		answer, err := a.answerBucket(t.Context(), b.public(), BucketRequest{Bucket: bucketName(bucket)})
		if err != nil || len(answer.Entries) != 2 || answer.More {
			t.Errorf("bucket %d: %d entries, %v", bucket, len(answer.Entries), err)
		}
	}
}

func TestBucketRefuses(t *testing.T) {
	w := newScrubWorld(t, 2)
	a, b := w.nodes[0], w.nodes[1]
	inBucket := strings.Repeat("ab", 32)
	for name, request := range map[string]BucketRequest{
		"nothing":         {},
		"one digit":       {Bucket: "a"},
		"upper case":      {Bucket: "AB"},
		"no hex":          {Bucket: "zz"},
		"three":           {Bucket: "abc"},
		"Unicode":         {Bucket: "é"},
		"cursor short":    {Bucket: "ab", After: Entry{Identity: "ab"}},
		"cursor nobody":   {Bucket: "ab", After: Entry{Name: "x"}},
		"cursor path":     {Bucket: "ab", After: Entry{Identity: inBucket, Name: "../x"}},
		"another bucket":  {Bucket: "ac", After: Entry{Identity: inBucket}},
		"identity upcase": {Bucket: "ab", After: Entry{Identity: strings.ToUpper(inBucket)}},
	} {
		_, err := a.answerBucket(t.Context(), b.public(), request)
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Code != CodeMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A page ends at its bounds, and says that there is more.
func TestPageBounds(t *testing.T) {
	of := &record.Record{Identity: strings.Repeat("ab", 32)}
	small, large := []byte("r"), make([]byte, manifest.MaxSize)
	for name, test := range map[string]struct {
		raw  []byte
		wait time.Duration
		want int
	}{
		"many":  {small, 0, maxPage},
		"large": {large, 0, 11},
		"slow":  {small, 2 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPage(time.Now().Add(pageTime))
				var err error
				for err == nil {
					time.Sleep(test.wait)
					if p.isLate() {
						err = errPageFull
					} else if err = p.add(of, test.raw); len(p.answer.Entries) > maxPage {
						break
					}
				}
				text, _ := json.Marshal(p.answer)
				if !errors.Is(err, errPageFull) || len(text) > maxPageSize {
					t.Errorf("%d entries, %d bytes, %v", len(p.answer.Entries), len(text), err)
				}
				if test.want != len(p.answer.Entries) {
					t.Errorf("%d entries, want %d", len(p.answer.Entries), test.want)
				}
			})
		})
	}
	late := newPage(time.Now().Add(-time.Hour))
	if err := late.add(of, large); err != nil || newPage(time.Time{}).isLate() {
		t.Error("a page without anything: no caller would get on")
	}
}

// Answers that read much take turns, rest, and refuse who waits too long.
func TestAnswersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacedAnswers()
		end, err := p.begin(t.Context(), scrubKey(t, 0).PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := p.begin(ctx, scrubKey(t, 1).PublicKey()); !isBusy(err) {
			t.Errorf("got %v", err)
		}
		end()
		began := time.Now()
		end, err = p.begin(t.Context(), scrubKey(t, 0).PublicKey())
		if err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("the next had its turn after %v, %v", time.Since(began), err)
		}
		end()
	})
}

// Who always has a call waiting gets no more than every other turn.
func TestAnswersOfOneWaitInOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, greedy, other := newPacedAnswers(), scrubKey(t, 1).PublicKey(), scrubKey(t, 0).PublicKey()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for range 16 {
			go func() {
				for ctx.Err() == nil {
					if end, err := p.begin(ctx, greedy); err == nil {
						time.Sleep(2 * time.Second)
						end()
					}
					time.Sleep(time.Second)
				}
			}()
		}
		time.Sleep(time.Minute)
		for range 20 {
			began := time.Now()
			end, err := p.begin(t.Context(), other)
			if waited := time.Since(began); err != nil || waited > 8*time.Second {
				t.Fatalf("another had its turn after %v, %v", waited, err)
			}
			end()
		}
		stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(p.waiting) != 0 {
			t.Errorf("%d are remembered", len(p.waiting))
		}
	})
}

func isBusy(err error) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && refused.Code == CodeBusy
}
