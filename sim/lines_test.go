package sim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/shamir"
)

// link is one record of a version, and what was ever seen of its shares: all lie
// on one polynomial, whose value at 0 is the payload.
type link struct {
	of     *version
	record *record.Record
	shares map[byte][]byte
	// named: some `version` object has named a share of it.
	named bool
}

// lines are the records of a run, by their hashes.
type lines struct {
	world *world
	all   map[[32]byte]*link
	// parsed remembers by the bytes of a statement's record what it is.
	parsed map[string]parsedLine
	// committed are the records that `version` objects have ever named, by the
	// dealing of the owner and epoch.
	committed map[place]*link
	forked    bool
}

type place struct {
	of    *version
	epoch uint64
}

type parsedLine struct {
	line  *link
	draft bool
}

func newLines(w *world) *lines {
	return &lines{world: w, all: map[[32]byte]*link{}, parsed: map[string]parsedLine{}, committed: map[place]*link{}}
}

// lineOf is the record that a statement says a share goes by.
func (ls *lines) lineOf(checksum []byte) (parsedLine, bool) {
	const tag = 32
	var said integrity.Statement
	if len(checksum) < tag || json.Unmarshal(checksum[tag:], &said) != nil {
		return parsedLine{}, false
	}
	raw := said.Certificate
	if said.Epoch == 0 {
		raw = said.Manifest
	}
	return ls.parse(raw)
}

func (ls *lines) parse(raw []byte) (parsedLine, bool) {
	if known, ok := ls.parsed[string(raw)]; ok {
		return known, known.line != nil
	}
	found := parsedLine{}
	of, err := record.Parse(raw)
	if err != nil {
		of, _, _, _, err = record.ParseDraft(raw)
		found.draft = true
	}
	if err == nil {
		found.line = ls.learn(of)
	}
	ls.parsed[string(raw)] = found
	return found, found.line != nil
}

func (ls *lines) learn(of *record.Record) *link {
	if l := ls.all[of.Hash]; l != nil {
		return l
	}
	slot := guardian.Slot{Identity: of.Identity, Name: of.Name}
	for _, s := range ls.world.secrets {
		for _, v := range s.versions {
			if s.slot == slot && v.split == of.Manifest.Split {
				l := &link{of: v, record: of, shares: map[byte][]byte{}}
				ls.all[of.Hash] = l
				return l
			}
		}
	}
	ls.world.broken("a record of a secret that no owner has dealt: %+v", of)
	return nil
}

// see takes in a share that was written. It must fit to all others of its record.
func (ls *lines) see(h *host, l *link, share []byte) {
	x := share[0]
	if known, ok := l.shares[x]; ok {
		if !bytes.Equal(known, share) {
			ls.world.broken("%s writes another share of epoch %d of version %d", h.id, l.record.Epoch, l.record.Version)
		}
		return
	}
	if holder, ok := l.record.At(x); !ok || holder.Node != h.id {
		ls.world.broken("%s writes the share of point %d, which is not its own", h.id, x)
	}
	l.shares[x] = share
	if len(l.shares) < l.record.Threshold {
		return
	}
	all := make([][]byte, 0, len(l.shares))
	for at, other := range l.shares {
		if at != x {
			all = append(all, other)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	payload, err := shamir.Combine(append(slices.Clone(all[:l.record.Threshold-1]), share))
	if err != nil || !bytes.Equal(payload, l.of.payload) {
		ls.world.broken("the share of epoch %d of version %d at point %d does not lie with the others: %v", l.record.Epoch, l.record.Version, x, err)
	}
}

// watch looks at what a guardian writes.
func (ls *lines) watch(h *host, key string) {
	s, rest := ls.world.secretAt(key)
	if s == nil {
		return
	}
	generation, object, _ := strings.Cut(rest, "/")
	switch {
	case object == "share.bin" && epochOf(generation) > 0:
		share, _, _ := h.disk.get(key)
		ls.world.leaks.learnShare(h.index, share)
	case object == "checksum.bin" && epochOf(generation) > 0:
		if found, ok := h.find(s, generation); ok {
			ls.see(h, found.line, found.share)
		}
	case rest == "version":
		ls.watchVersion(h, s)
	}
}

// watchVersion wants no two records to be committed in one place.
func (ls *lines) watchVersion(h *host, s *secret) {
	now, _ := h.current(s)
	for _, generation := range now.named {
		found, ok := h.find(s, generation)
		if !ok || found.line.record.Epoch == 0 {
			continue
		}
		if found.draft {
			ls.world.broken("%s has committed %s, which nobody has certified", h.id, generation)
		}
		l := found.line
		at := place{l.of, l.record.Epoch}
		other, taken := ls.committed[at]
		if !taken {
			ls.committed[at] = l
			ls.world.count.Epochs = max(ls.world.count.Epochs, int(l.record.Epoch))
		}
		if taken && other != l && !ls.forked {
			ls.forked = true
			ls.world.count.Forks++
			if !ls.world.moves.mayFork() {
				ls.world.broken("two records are committed as epoch %d of version %d", l.record.Epoch, l.record.Version)
			}
		}
		l.named = true
	}
}

// secretAt finds whose object it is.
func (w *world) secretAt(key string) (s *secret, rest string) {
	for _, s := range w.secrets {
		if rest, ok := strings.CutPrefix(key, placeOf(s.slot)+"/"); ok {
			return s, rest
		}
	}
	return nil, ""
}

// found is a sound share on a disk.
type found struct {
	on         *host
	generation string
	line       *link
	share      []byte
	// draft: nobody has certified what it goes by here. named: by `version`.
	// pullable: to who asks for its epoch, that is, named, or prepared.
	draft, named, pullable bool
}

// find reads a generation, if both of its objects are there as they were written.
func (h *host) find(s *secret, generation string) (found, bool) {
	at := placeOf(s.slot) + "/" + generation
	share, ok := h.sound(at + "/share.bin")
	checksum, sealed := h.sound(at + "/checksum.bin")
	if !ok || !sealed || len(share) == 0 {
		return found{}, false
	}
	parsed, ok := h.world.moves.lines.lineOf(checksum)
	return found{on: h, generation: generation, line: parsed.line, share: share, draft: parsed.draft}, ok
}

// view is what there is of a secret on all disks that can be reached.
type view struct {
	of    *secret
	all   []found
	names map[*host]stored
}

func (s *secret) view() view {
	v := view{of: s, names: map[*host]stored{}}
	for _, h := range s.world.hosts {
		if h.gone {
			continue
		}
		now, _ := h.current(s)
		damaged := h.isDamaged(s)
		v.names[h] = now
		for _, generation := range h.generationsOf(s) {
			if f, ok := h.find(s, generation); ok {
				f.named = slices.Contains(now.named, generation)
				f.pullable = f.named || f.draft && !damaged
				v.all = append(v.all, f)
			}
		}
	}
	return v
}

// isDamaged tells whether a guardian's version object is.
func (h *host) isDamaged(s *secret) bool {
	_, ok := h.current(s)
	return !ok && h.disk.has(placeOf(s.slot)+"/version")
}

// generationsOf are those of which a share is on the disk, sound or not.
func (h *host) generationsOf(s *secret) (all []string) {
	prefix := placeOf(s.slot) + "/"
	for _, key := range h.disk.keys(prefix) {
		if generation, is := strings.CutSuffix(strings.TrimPrefix(key, prefix), "/share.bin"); is {
			all = append(all, generation)
		}
	}
	return all
}

// holders are those that have a share of a record, named by their `version` or
// prepared.
func (v view) holders(l *link) (all []*host) {
	for _, f := range v.all {
		if f.line == l && f.pullable && !slices.Contains(all, f.on) {
			all = append(all, f.on)
		}
	}
	return all
}

// certified tells whether somebody can show that the record counts: it is the
// owner's, or a certificate of it is kept somewhere.
func (v view) certified(l *link) bool {
	named := func(f found) bool { return f.line == l && f.named }
	return l.record.Epoch == 0 || slices.ContainsFunc(v.all, named) || v.of.world.isKept(l)
}

// isKept tells whether the certificate of a record lies where it waits to be
// shown.
func (w *world) isKept(l *link) bool {
	for _, h := range w.hosts {
		if h.gone {
			continue
		}
		for _, of := range h.intents() {
			if slices.ContainsFunc(of.Chains, func(chain []byte) bool {
				found, ok := w.moves.lines.parse(chain)
				return ok && found.line == l
			}) {
				return true
			}
		}
	}
	return false
}

// intent is what is looked at of the certificates that wait to be shown.
type intent struct {
	Session   string   `json:"session"`
	Chains    [][]byte `json:"chains"`
	Followers []struct {
		Node    string `json:"node"`
		Follows bool   `json:"follows"`
	} `json:"followers"`
}

const placeShown = "queue/rounds/shown/"

func (h *host) intents() (all []intent) {
	for _, key := range h.disk.keys(placeShown) {
		var of intent
		if data, ok := h.sound(key); ok && json.Unmarshal(data, &of) == nil {
			all = append(all, of)
		}
	}
	return all
}

// rebuilds are the records of a version of which a client finds K shares: it
// pulls by epoch, and takes those of one record that has a certificate.
func (v view) rebuilds(of *version, without *host) (all []*link) {
	seen := map[*link]bool{}
	for _, f := range v.all {
		if l := f.line; l.of == of && !seen[l] {
			seen[l] = true
			if v.count(l, without) >= l.record.Threshold && v.certified(l) {
				all = append(all, l)
			}
		}
	}
	return all
}

// count is how many have a share of a record, but for one.
func (v view) count(l *link, without *host) (count int) {
	for _, h := range v.holders(l) {
		if h != without {
			count++
		}
	}
	return count
}
