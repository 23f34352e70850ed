package repair

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
)

// surveysAtOnce bounds how many guardians one survey asks side by side.
const surveysAtOnce = 16

// patient is a slot under repair: what is here of it, and what others say that
// they have.
type patient struct {
	slot  guardian.Slot
	found guardian.Examined
	// answers are by key, those who did not answer left out; asked are all keys,
	// shown those that were asked for their records.
	answers      map[string]SurveyAnswer
	asked, shown map[string]bool
	// silent is how many of those asked did not answer.
	silent int
	// mine are the records of the sound shares here.
	mine []*record.Record
	// candidates are the records known that name this node, newest first, and
	// leaving those that came of one of which a share is here and do not. learnt is
	// how many of them others have shown.
	candidates, leaving []*candidate
	learnt              int
}

// candidate is one record, and the others who say that they hold a sound share
// of it. Whether they do, what is computed from their shares tells.
type candidate struct {
	*record.Record
	raw     []byte
	helpers []ed25519.PublicKey
	// prepared: this node's share of it is here, and waits for the certificate
	// that the record now has.
	prepared bool
}

func (c *candidate) recoverable() bool { return c.prepared || len(c.helpers) >= c.Threshold }

// share is what is stored of a share of the record.
func (c *candidate) share(data []byte) guardian.Share {
	if c.Epoch == 0 {
		return guardian.Share{Data: data, Version: c.Version, Manifest: c.raw}
	}
	signed, _ := record.ManifestOf(c.raw) // of what was parsed
	return guardian.Share{Data: data, Version: c.Version, Epoch: c.Epoch, Manifest: signed, Chain: c.raw}
}

func newPatient(slot guardian.Slot, own ed25519.PublicKey) *patient {
	return &patient{slot: slot, answers: map[string]SurveyAnswer{}, asked: map[string]bool{string(own): true}, shown: map[string]bool{}}
}

// visit examines a slot here, and asks those who may hold it: the holders of the
// records known, and who is remembered to know the slot; from their records
// further holders follow. Only where all that leads to no record are all members
// asked: an identity that was made from a passphrase is not for everybody to see.
func (r *Repairer) visit(ctx context.Context, slot guardian.Slot) (*patient, error) {
	p := newPatient(slot, r.ownKey())
	if err := r.examine(ctx, p); err != nil {
		return nil, err
	}
	claimed, err := r.cfg.Node.ClaimedRecords(ctx, slot)
	if err != nil {
		return nil, fmt.Errorf("looking for records: %w", err)
	}
	for _, raw := range claimed {
		r.learn(p, raw, true)
	}
	asking, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	r.askAround(asking, p, r.acquainted.with(slot))
	if p.isUnexplained() {
		r.askAround(asking, p, r.memberKeys())
	}
	p.countHelpers()
	return p, r.findPrepared(ctx, p)
}

// findPrepared tells which of the records this node has prepared a share of.
func (r *Repairer) findPrepared(ctx context.Context, p *patient) error {
	if !slices.ContainsFunc(p.candidates, func(c *candidate) bool { return c.Epoch > 0 }) {
		return ctx.Err()
	}
	prepared, err := r.cfg.Node.Prepared(ctx, p.slot)
	if err != nil {
		return fmt.Errorf("looking for prepared shares: %w", err)
	}
	for _, held := range prepared {
		clear(held.Share.Data)
		of, err := r.cfg.Node.ParseDraft(held.Share.Chain)
		if err != nil {
			continue
		}
		if c := p.candidate(of.Hash[:]); c != nil {
			c.prepared = true
		}
	}
	return nil
}

const (
	// surveyTime bounds all that is asked before a repair, callTime each call.
	surveyTime = 30 * time.Second
	callTime   = 10 * time.Second
	// maxLearnt bounds the records of one slot that others show.
	maxLearnt = 16
)

// isUnexplained tells whether there is no record at all, or none of a version
// that is damaged here.
func (p *patient) isUnexplained() bool {
	explained := func(held guardian.Held) bool {
		return held.Sound || slices.ContainsFunc(p.candidates, func(c *candidate) bool { return c.Version == held.Version })
	}
	return len(p.candidates) == 0 || !p.found.Damaged && slices.ContainsFunc(p.found.Held, func(held guardian.Held) bool { return !explained(held) })
}

// maxSurveyRounds bounds how often records name further holders.
const maxSurveyRounds = 3

// askAround surveys guardians, and then the holders of the records that are
// known from that.
func (r *Repairer) askAround(ctx context.Context, p *patient, keys []ed25519.PublicKey) {
	for range maxSurveyRounds {
		for _, c := range p.candidates {
			for _, h := range c.Holders {
				keys = append(keys, h.Key)
			}
		}
		keys = slices.DeleteFunc(keys, func(key ed25519.PublicKey) bool {
			known := len(key) != ed25519.PublicKeySize || p.asked[string(key)]
			p.asked[string(key)] = true
			return known
		})
		if len(keys) == 0 {
			return
		}
		r.survey(ctx, p, keys)
		r.learnRecords(ctx, p)
		keys = nil
	}
}

func (r *Repairer) memberKeys() (keys []ed25519.PublicKey) {
	if r.cfg.Peers == nil {
		return nil
	}
	for _, m := range r.cfg.Peers.Members() {
		keys = append(keys, m.Key)
	}
	return keys
}

// examine looks again at what is here. Shares are not kept.
func (r *Repairer) examine(ctx context.Context, p *patient) (err error) {
	if p.found, err = r.cfg.Node.Examine(ctx, p.slot); err != nil {
		return fmt.Errorf("examining what is stored: %w", err)
	}
	wipeHeld(p.found.Held)
	p.mine = nil
	for _, held := range p.found.Held {
		if !held.Sound {
			continue
		}
		if of, err := r.cfg.Node.ParseRecord(held.Share.Record()); err == nil {
			p.mine = append(p.mine, of)
		}
		r.learn(p, held.Share.Record(), true)
	}
	return nil
}

// learn takes a record in if it is one of the slot that names this node, or came
// of one of which a share is here. Of what others show there is a bound.
func (r *Repairer) learn(p *patient, raw []byte, own bool) {
	of, err := r.cfg.Node.ParseRecord(raw)
	if err != nil || of.Identity != p.slot.Identity || of.Name != p.slot.Name || p.candidate(of.Hash[:]) != nil {
		return
	}
	if !names(of, r.ownKey()) && !p.replaces(of) && !p.mayHaveLeft(of, r.ownKey()) {
		return
	}
	if !own {
		if p.learnt == maxLearnt {
			return
		}
		p.learnt++
	}
	r.take(p, of, raw)
}

// take adds a record of the slot.
func (r *Repairer) take(p *patient, of *record.Record, raw []byte) *candidate {
	if c := p.candidate(of.Hash[:]); c != nil {
		return c
	}
	c := &candidate{Record: of, raw: raw}
	if names(of, r.ownKey()) {
		p.candidates = inOrder(append(p.candidates, c))
	} else {
		p.leaving = inOrder(append(p.leaving, c))
	}
	return c
}

func inOrder(all []*candidate) []*candidate {
	slices.SortFunc(all, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.Version, a.Version), cmp.Compare(b.Epoch, a.Epoch), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	return all
}

// replaces tells whether a record came of one whose share is here, sound or not.
func (p *patient) replaces(of *record.Record) bool {
	return slices.ContainsFunc(p.present(), func(here *record.Record) bool { return here.Hash != of.Hash && of.Follows(here.Hash) })
}

// mayHaveLeft tells whether a record came of one that names this node, which does
// not know what it has.
func (p *patient) mayHaveLeft(of *record.Record, own ed25519.PublicKey) bool {
	return p.found.Damaged && of.Named(own)
}

// present are the records of the shares here, and those that damaged ones may be
// of.
func (p *patient) present() []*record.Record {
	all := slices.Clone(p.mine)
	for _, c := range p.candidates {
		if p.damaged(c.Version) {
			all = append(all, c.Record)
		}
	}
	return all
}

func (p *patient) candidate(hash []byte) *candidate {
	for _, c := range slices.Concat(p.candidates, p.leaving) {
		if bytes.Equal(c.Hash[:], hash) {
			return c
		}
	}
	return nil
}

// survey asks guardians what they hold.
func (r *Repairer) survey(ctx context.Context, p *patient, keys []ed25519.PublicKey) {
	var mu sync.Mutex
	sideBySide(keys, surveysAtOnce, func(key ed25519.PublicKey) {
		answer, err := r.askSurvey(ctx, key, p, false)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			p.silent++
			return
		}
		p.answers[string(key)] = answer
	})
}

func (r *Repairer) askSurvey(ctx context.Context, key ed25519.PublicKey, p *patient, records bool) (SurveyAnswer, error) {
	conn, err := r.dial(key)
	if err != nil {
		return SurveyAnswer{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	request := SurveyRequest{Identity: p.slot.Identity, Name: p.slot.Name, Records: records}
	for _, of := range p.present() {
		request.Holding = append(request.Holding, of.Hash[:])
	}
	return call[SurveyAnswer](ctx, conn, RouteSurvey, request)
}

// learnRecords fetches the records that are claimed and not known, first those
// that most claim. Each guardian is asked once: who then does not show what it
// claims to hold is not believed, however much it claims.
func (r *Repairer) learnRecords(ctx context.Context, p *patient) {
	for ctx.Err() == nil {
		key, ok := p.nextClaimant()
		if !ok {
			return
		}
		p.shown[string(key)] = true
		answer, err := r.askSurvey(ctx, key, p, true)
		if err != nil {
			p.silent++
			continue
		}
		for _, g := range answer.Generations {
			r.learn(p, g.Record, false)
		}
	}
}

// nextClaimant is one of those who claim the record that most claim, of the
// records that are not known, and have not been asked for theirs.
func (p *patient) nextClaimant() (ed25519.PublicKey, bool) {
	claims := map[string][]string{}
	for key, answer := range p.answers {
		for _, hash := range answer.soundHashes() {
			if !p.shown[key] && p.candidate([]byte(hash)) == nil {
				claims[hash] = append(claims[hash], key)
			}
		}
	}
	var best string
	for hash, by := range claims {
		if cmp.Or(cmp.Compare(len(by), len(claims[best])), cmp.Compare(best, hash)) > 0 {
			best = hash
		}
	}
	if len(claims) == 0 {
		return nil, false
	}
	return ed25519.PublicKey(slices.Min(claims[best])), true
}

// soundHashes are the records claimed, each once.
func (a SurveyAnswer) soundHashes() []string {
	var hashes []string
	for _, g := range a.Generations {
		if g.Sound {
			hashes = append(hashes, string(g.Hash))
		}
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

// countHelpers finds the helpers of each candidate. Of two records of one version
// that which more hold comes first: it is the one that may have been acknowledged.
func (p *patient) countHelpers() {
	for key, answer := range p.answers {
		for _, g := range answer.Generations {
			c := p.candidate(g.Hash)
			if !g.Sound || c == nil {
				continue
			}
			if _, named := c.Of(ed25519.PublicKey(key)); named {
				c.helpers = append(c.helpers, ed25519.PublicKey(key))
			}
		}
	}
	for _, c := range p.candidates {
		slices.SortFunc(c.helpers, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
		c.helpers = slices.CompactFunc(c.helpers, func(a, b ed25519.PublicKey) bool { return a.Equal(b) })
	}
	slices.SortStableFunc(p.candidates, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.Version, a.Version), cmp.Compare(b.Epoch, a.Epoch), cmp.Compare(len(b.helpers), len(a.helpers)))
	})
}

func (r *Repairer) dial(key ed25519.PublicKey) (Conn, error) {
	if r.cfg.Peers == nil {
		return nil, ErrUnknownPeer
	}
	return r.cfg.Peers.Dial(key)
}

func (r *Repairer) ownKey() ed25519.PublicKey {
	if r.cfg.Key == nil {
		return nil
	}
	return r.cfg.Key.PublicKey()
}

// call is the mirror of answering.
func call[Answer any](ctx context.Context, conn Conn, route string, request any) (Answer, error) {
	var answer Answer
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encoding the request: %w", err)
	}
	data, err := conn.Call(ctx, route, body)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return answer, fmt.Errorf("its answer to %s is not JSON of this call", route)
	}
	return answer, nil
}

// sideBySide calls do for each element, at most limit at the same time, and
// waits for all.
func sideBySide[T any](all []T, limit int, do func(T)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, limit)
	for _, one := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			do(one)
		})
	}
	wg.Wait()
}
