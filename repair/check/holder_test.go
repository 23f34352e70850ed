package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/record"
)

func (g *guardians) open(x byte, change func(*OpenRequest)) (OpenAnswer, error) {
	q := OpenRequest{Batch: g.batch.refs(), Participants: g.xs}
	if change != nil {
		change(&q)
	}
	return g.holders[x].Open(context.Background(), g.coordinatorKey(), q)
}

func TestOpenIsForHolders(t *testing.T) {
	g := newGuardians(t, 5, 3, 10, 20)
	stranger := nodeKey(t, 200).PublicKey()
	q := OpenRequest{Batch: g.batch.refs(), Participants: g.xs}
	for _, caller := range [][]byte{stranger, nil, stranger[:5]} {
		answer, err := g.holders[2].Open(t.Context(), caller, q)
		if err != nil || answer.Key != nil || !slices.Equal(answer.Lacking, []int{0, 1}) {
			t.Errorf("caller %x: got %+v, %v", caller, answer, err)
		}
	}
	empty(t, g.holders[2])
}

// A caller that holds a share of one generation learns nothing of another.
func TestOpenIsForHoldersOfEveryRecord(t *testing.T) {
	g := newGuardians(t, 5, 3, 10, 20)
	other := *g.records[1]
	other.Holders = slices.Clone(other.Holders)
	other.Holders[0].Key = nodeKey(t, 200).PublicKey()
	g.records[1] = &other
	answer, err := g.open(2, nil)
	must(t, err)
	if !slices.Equal(answer.Lacking, []int{1}) {
		t.Errorf("got %+v", answer)
	}
	empty(t, g.holders[2])
}

func TestOpenRefuses(t *testing.T) {
	g := newGuardians(t, 5, 3, 10, 20)
	for name, test := range map[string]struct {
		change func(*OpenRequest)
		want   error
	}{
		"no batch":            {func(q *OpenRequest) { q.Batch = nil }, ErrMalformed},
		"a huge batch":        {func(q *OpenRequest) { q.Batch = make([]record.Ref, MaxRecords+1) }, ErrMalformed},
		"a record twice":      {func(q *OpenRequest) { q.Batch[1] = q.Batch[0] }, ErrBatch},
		"a short hash":        {func(q *OpenRequest) { q.Batch[1].Hash = q.Batch[1].Hash[:31] }, ErrMalformed},
		"a long identity":     {func(q *OpenRequest) { q.Batch[1].Identity = strings.Repeat("é", 65) }, ErrMalformed},
		"a long name":         {func(q *OpenRequest) { q.Batch[1].Name = strings.Repeat("n", 129) }, ErrMalformed},
		"no participants":     {func(q *OpenRequest) { q.Participants = nil }, ErrTooFew},
		"K participants":      {func(q *OpenRequest) { q.Participants = []byte{1, 2, 3} }, ErrTooFew},
		"a participant twice": {func(q *OpenRequest) { q.Participants = []byte{1, 2, 2, 3} }, ErrMalformed},
		"point 0":             {func(q *OpenRequest) { q.Participants = []byte{0, 1, 2, 3} }, ErrMalformed},
		"no holder":           {func(q *OpenRequest) { q.Participants = []byte{1, 2, 3, 9} }, ErrMalformed},
		"without the one":     {func(q *OpenRequest) { q.Participants = []byte{1, 3, 4, 5} }, ErrMalformed},
		"too many points":     {func(q *OpenRequest) { q.Participants = make([]byte, 256) }, ErrMalformed},
	} {
		if _, err := g.open(2, test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	empty(t, g.holders[2])
}

func TestOpenPassesOnWhatTheSourceSays(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	down := errors.New("storage is down")
	h := NewHolder(g.keys[2], Config{Source: func(context.Context, record.Ref) (*record.Record, []byte, error) { return nil, nil, down }}, time.Now)
	_, err := h.Open(t.Context(), g.coordinatorKey(), OpenRequest{Batch: g.batch.refs(), Participants: g.xs})
	wants(t, err, down)
	empty(t, h)
}

func empty(t *testing.T, h *Holder) {
	t.Helper()
	if len(h.sessions) != 0 || len(h.opening) != 0 || h.reserved() != 0 {
		t.Errorf("%d sessions, %d places and %d bytes are left", len(h.sessions), len(h.opening), h.reserved())
	}
}

// Each step is refused before its time, twice, to another caller, and with
// another roster.
func TestStepsInOrder(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	h := g.byHand(t, g.xs)
	h.acks = []Ack{{X: 1, Random: make([]byte, 32), Received: make([]byte, 32)}}
	refused := func(what string, _ any, err error) {
		t.Helper()
		if !errors.Is(err, ErrSession) {
			t.Errorf("%s: got %v, want %v", what, err, ErrSession)
		}
	}
	try := func(what string, step func() (any, error)) { t.Helper(); a, err := step(); refused(what, a, err) }
	seal := func() (any, error) { return h.seal(1, h.acks) }
	answer := func() (any, error) { return h.answer(1, nil) }
	try("sealing at first", seal)
	try("answering at first", answer)
	h.dealAll()
	try("dealing twice", func() (any, error) { return h.deal(1) })
	try("a deal of no dealer", func() (any, error) { return h.deal(4) })
	try("sealing before receiving", seal)
	h.acks = h.ackOf(g.xs...)
	try("receiving twice", func() (any, error) { return h.receive(1) })
	try("answering before sealing", answer)
	try("acks of fewer", func() (any, error) { return h.seal(1, h.acks[:4]) })
	signatures := h.sealAll(h.acks)
	try("sealing twice", seal)
	try("signatures of fewer", func() (any, error) { return h.answer(1, signatures[1:]) })
	try("signatures out of order", func() (any, error) {
		return h.answer(1, slices.Concat(signatures[1:], signatures[:1]))
	})
	try("a signature over another seed", func() (any, error) {
		return h.answer(1, slices.Concat([]Signature{h.forge(1, digest{1})}, signatures[1:]))
	})
	try("another's signature", func() (any, error) {
		return h.answer(1, slices.Concat(signatures[:1], []Signature{{2, signatures[2].Signature}}, signatures[2:]))
	})
	_, err := g.holders[1].Answer(g.keys[2].PublicKey(), AnswerRequest{Key: h.key(1), Signatures: signatures})
	refused("another caller", nil, err)
	_, err = h.answer(1, signatures)
	must(t, err)
	try("answering twice", func() (any, error) { return h.answer(1, signatures) })
	try("anything after that", func() (any, error) { return h.receive(1) })
}

func TestAcksMustHaveOnesOwn(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	for name, change := range map[string]func(acks []Ack) []Ack{
		"other random bytes": func(acks []Ack) []Ack { acks[1].Random = randomBytes(32); return acks },
		"another hash":       func(acks []Ack) []Ack { acks[1].Received = randomBytes(32); return acks },
		"one more":           func(acks []Ack) []Ack { return append(acks, Ack{9, randomBytes(32), randomBytes(32)}) },
		"one twice":          func(acks []Ack) []Ack { return append(acks, acks[4]) },
		"another order":      func(acks []Ack) []Ack { slices.Reverse(acks); return acks },
		"none":               func([]Ack) []Ack { return nil },
	} {
		h := g.byHand(t, g.xs)
		h.receiveAll()
		_, err := h.seal(2, change(slices.Clone(h.acks)))
		if !errors.Is(err, ErrSession) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	h := g.byHand(t, g.xs)
	h.receiveAll()
	h.acks[3].Random = nil
	_, err := h.seal(2, h.acks)
	wants(t, err, ErrMalformed)
}

func TestRosterIsChecked(t *testing.T) {
	for name, test := range map[string]struct {
		change func(another *hand, r *Roster)
		want   error
	}{
		"K members":            {func(_ *hand, r *Roster) { r.Members = r.Members[:3] }, ErrTooFew},
		"no members":           {func(_ *hand, r *Roster) { r.Members = nil }, ErrTooFew},
		"a member twice":       {func(_ *hand, r *Roster) { r.Members[2] = r.Members[1] }, ErrMalformed},
		"another order":        {func(_ *hand, r *Roster) { slices.Reverse(r.Members) }, ErrMalformed},
		"a stranger":           {func(_ *hand, r *Roster) { r.Members[5].X = 77 }, ErrMalformed},
		"point 0":              {func(_ *hand, r *Roster) { r.Members[0].X = 0 }, ErrMalformed},
		"another's key":        {func(_ *hand, r *Roster) { r.Members[3].Key = r.Members[4].Key }, ErrMalformed},
		"an unsigned key":      {func(_ *hand, r *Roster) { r.Members[3].Key = randomBytes(32) }, ErrMalformed},
		"a short key":          {func(_ *hand, r *Roster) { r.Members[3].Key = r.Members[3].Key[1:] }, ErrMalformed},
		"no signature":         {func(_ *hand, r *Roster) { r.Members[3].Signature = nil }, ErrMalformed},
		"too few dealers":      {func(_ *hand, r *Roster) { r.Dealers = []byte{1, 2} }, ErrMalformed},
		"too many dealers":     {func(_ *hand, r *Roster) { r.Dealers = []byte{1, 2, 3, 4} }, ErrMalformed},
		"a dealer twice":       {func(_ *hand, r *Roster) { r.Dealers = []byte{1, 2, 2} }, ErrMalformed},
		"a dealer out of it":   {func(_ *hand, r *Roster) { r.Dealers = []byte{1, 2, 9} }, ErrMalformed},
		"without the one":      {func(_ *hand, r *Roster) { r.Members = slices.Delete(r.Members, 1, 2); r.Dealers = []byte{1, 3, 4} }, ErrSession},
		"an old key of theirs": {func(another *hand, r *Roster) { r.Members[1] = another.roster.Members[1] }, ErrSession},
	} {
		g := newGuardians(t, 6, 3, 10)
		another, h := g.byHand(t, g.xs), g.byHand(t, g.xs)
		r := Roster{Members: slices.Clone(h.roster.Members), Dealers: slices.Clone(h.roster.Dealers)}
		test.change(another, &r)
		_, err := g.holders[2].Deal(g.coordinatorKey(), DealRequest{h.key(2), r})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: deal: got %v, want %v", name, err, test.want)
		}
		_, err = g.holders[2].Receive(g.coordinatorKey(), ReceiveRequest{h.key(2), r, nil})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: receive: got %v, want %v", name, err, test.want)
		}
		_, err = h.deal(2) // what was refused bound nothing
		must(t, err)
	}
}

// After a deal the participants are fixed: others of whom all signed too, or
// other dealers, are refused.
func TestRosterIsFixed(t *testing.T) {
	g := newGuardians(t, 6, 3, 10)
	h := g.byHand(t, g.xs)
	h.dealAll()
	fewer := Roster{Members: h.roster.Members[:5], Dealers: h.roster.Dealers}
	others := Roster{Members: h.roster.Members, Dealers: []byte{1, 2, 4}}
	for _, r := range []Roster{fewer, others} {
		_, err := g.holders[2].Receive(g.coordinatorKey(), ReceiveRequest{h.key(2), r, h.forX[2]})
		wants(t, err, ErrSession)
	}
	_, err := h.receive(2)
	must(t, err)
}

func TestDealingsMustHaveTheirForm(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	h := g.byHand(t, g.xs)
	h.dealAll()
	whole := h.forX[2]
	for _, sealed := range [][][]byte{nil, whole[1:], append(slices.Clone(whole), whole[0]), {whole[0], whole[1], whole[2][1:]}} {
		h.forX[2] = sealed
		_, err := h.receive(2)
		wants(t, err, ErrMalformed)
	}
}

// A dealing is for one holder, of one dealer, in one session.
func TestDealingsAreBound(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	before := g.byHand(t, g.xs)
	before.dealAll()
	for name, change := range map[string]func(h *hand){
		"another holder's":  func(h *hand) { h.forX[4][1] = h.forX[5][1] },
		"another dealer's":  func(h *hand) { h.forX[4][1] = h.forX[4][0] },
		"another session's": func(h *hand) { h.forX[4][1] = before.forX[4][1] },
		"a changed one":     func(h *hand) { h.forX[4][1][7] ^= 1 },
	} {
		h := g.byHand(t, g.xs)
		h.dealAll()
		change(h)
		answer, err := h.receive(4)
		must(t, err)
		if !slices.Equal(answer.Unopened, []byte{2}) || answer.Random != nil {
			t.Errorf("%s: got %+v", name, answer)
		}
		_, err = h.receive(4)
		wants(t, err, ErrSession)
	}
}

func TestSessionsAreWipedAfterTheAnswer(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	h := g.byHand(t, g.xs)
	h.receiveAll()
	signatures := h.sealAll(h.acks)
	s := h.session(2)
	share, mask := s.shares[0], s.masks[0]
	_, err := h.answer(2, signatures)
	must(t, err)
	if !bytes.Equal(share, make([]byte, len(share))) || !bytes.Equal(mask, make([]byte, len(mask))) || s.private != nil {
		t.Error("share, mask or key is left")
	}
	empty(t, g.holders[2])
	if own := g.shares[2][string(g.records[0].Hash[:])]; g.records[0].Check(2, own) != nil {
		t.Error("the share that was stored is wiped too")
	}
}

func TestSessionsExpire(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	at := time.Unix(1e9, 0)
	g.now = func() time.Time { return at }
	h := g.byHand(t, g.xs)
	share := h.session(4).shares[0]
	at = at.Add(Lifetime - 1)
	h.dealAll()
	at = at.Add(1)
	_, err := h.receive(3)
	wants(t, err, ErrSession)
	g.holders[4].Sweep()
	empty(t, g.holders[4])
	if !bytes.Equal(share, make([]byte, len(share))) {
		t.Error("a share is left of an expired session")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	g := newGuardians(t, 6, 2, 10)
	h := g.holders[1]
	open := func(caller byte) (OpenAnswer, error) {
		return h.Open(t.Context(), g.keys[caller].PublicKey(), OpenRequest{Batch: g.batch.refs(), Participants: g.xs})
	}
	var last OpenAnswer
	for caller := byte(2); caller < 6; caller++ {
		for range MaxSessionsOfOne {
			answer, err := open(caller)
			must(t, err)
			last = answer
		}
		_, err := open(caller)
		wants(t, err, ErrBusy)
	}
	_, err := open(6)
	wants(t, err, ErrBusy) // MaxSessions
	last, err = h.Open(t.Context(), g.keys[5].PublicKey(),
		OpenRequest{Batch: g.batch.refs(), Participants: g.xs, Replaces: last.Key})
	must(t, err) // one's own gives way
	_, err = h.Open(t.Context(), g.keys[6].PublicKey(),
		OpenRequest{Batch: g.batch.refs(), Participants: g.xs, Replaces: last.Key})
	wants(t, err, ErrBusy) // another's does not
	if len(h.sessions) != MaxSessions || h.reserved() != MaxSessions*11 {
		t.Errorf("%d sessions have %d bytes", len(h.sessions), h.reserved())
	}
}

// No caller keeps another out with large shares, and all together are bounded.
func TestBytesAreBounded(t *testing.T) {
	g := newGuardians(t, 5, 2, MaxBytes-1)
	h := g.holders[1]
	open := func(caller byte) error {
		_, err := h.Open(t.Context(), g.keys[caller].PublicKey(), OpenRequest{Batch: g.batch.refs(), Participants: g.xs})
		return err
	}
	for caller := byte(1); caller < 5; caller++ {
		for range MaxOpenBytesOfOne / MaxBytes {
			must(t, open(caller))
		}
		wants(t, open(caller), ErrBusy)
	}
	wants(t, open(5), ErrBusy) // MaxOpenBytes
	if h.reserved() != MaxOpenBytes {
		t.Errorf("%d bytes are counted", h.reserved())
	}
	h.drop(func(*session) bool { return true })
	empty(t, h)
}

// Who has no place left has nothing read for it, whether those in use were
// opened or are being.
func TestPlacesAreTakenBeforeReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuardians(t, 6, 2, 10)
		reads, goOn := 0, make(chan struct{})
		h := NewHolder(g.keys[1], Config{Source: func(ctx context.Context, name record.Ref) (*record.Record, []byte, error) {
			reads++
			<-goOn
			return g.source(1)(ctx, name)
		}}, time.Now)
		open := func(caller byte) error {
			_, err := h.Open(t.Context(), g.keys[caller].PublicKey(), OpenRequest{Batch: g.batch.refs(), Participants: g.xs})
			return err
		}
		for caller := byte(2); caller < 6; caller++ {
			for range MaxSessionsOfOne {
				go func() {
					if err := open(caller); err != nil {
						t.Error(err)
					}
				}()
				synctest.Wait()
			}
			wants(t, open(caller), ErrBusy)
		}
		wants(t, open(6), ErrBusy) // MaxSessions
		close(goOn)
		synctest.Wait()
		wants(t, open(6), ErrBusy)
		if reads != MaxSessions || len(h.sessions) != MaxSessions || len(h.opening) != 0 {
			t.Errorf("%d reads for %d sessions, %d places taken", reads, len(h.sessions), len(h.opening))
		}
	})
}

func TestBatch(t *testing.T) {
	g := newGuardians(t, 5, 3, 10, 20)
	a, b := g.records[0], g.records[1]
	changed := func(change func(r *record.Record)) *record.Record {
		r := *b
		r.Holders = slices.Clone(b.Holders)
		change(&r)
		return &r
	}
	for name, records := range map[string][]*record.Record{
		"none":          nil,
		"one twice":     {a, b, a},
		"another K":     {a, changed(func(r *record.Record) { r.Threshold++ })},
		"another key":   {a, changed(func(r *record.Record) { r.Holders[2].Key = nodeKey(t, 200).PublicKey() })},
		"no key":        {a, changed(func(r *record.Record) { r.Holders[2].Key = nil })},
		"another point": {a, changed(func(r *record.Record) { r.Holders[4].X = 99 })},
		"fewer holders": {a, changed(func(r *record.Record) { r.Holders = r.Holders[:4] })},
		"too large":     {a, changed(func(r *record.Record) { r.ShareSize = MaxBytes - 10 })},
		"without bytes": {changed(func(r *record.Record) { r.ShareSize = 1 })},
		"too many":      slices.Repeat([]*record.Record{a}, MaxRecords+1),
	} {
		if _, err := NewBatch(records); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	one, err := NewBatch([]*record.Record{a, b})
	must(t, err)
	two, err := NewBatch([]*record.Record{b, a})
	must(t, err)
	if one.hash == two.hash {
		t.Error("the order does not count")
	}
	full, err := NewBatch([]*record.Record{a, changed(func(r *record.Record) { r.ShareSize = MaxBytes - 11 })})
	must(t, err)
	if full.Threshold() != 3 || !slices.Equal(full.Holders(), g.xs) {
		t.Errorf("K=%d, holders %d", full.Threshold(), full.Holders())
	}
}

// Who had no key when the record was made takes no part, and hinders nobody.
func TestHoldersWithoutAKey(t *testing.T) {
	g := newGuardians(t, 6, 3, 10)
	g.records[0].Holders[5].Key = nil
	v, err := g.run(t)
	must(t, err)
	if !slices.Equal(v.Sound, []byte{1, 2, 3, 4, 5}) {
		t.Errorf("got %+v", v)
	}
	_, err = Run(t.Context(), Params{Batch: g.batch, Participants: g.xs}, g.call)
	wants(t, err, ErrMalformed)
}

// The largest messages there can be are within the bound of a request.
func TestLargestRequestsFit(t *testing.T) {
	var names []record.Ref
	for range MaxRecords {
		names = append(names, record.Ref{Identity: strings.Repeat("\x01", maxText/4), Name: strings.Repeat("n", maxText), Version: 1 << 63, Epoch: 1 << 63, Hash: make([]byte, 32)})
	}
	var roster Roster
	var acks []Ack
	var signatures []Signature
	for x := range 255 {
		roster.Members = append(roster.Members, Member{byte(x + 1), make([]byte, 32), make([]byte, 64)})
		roster.Dealers = append(roster.Dealers, byte(x+1))
		acks = append(acks, Ack{byte(x + 1), make([]byte, 32), make([]byte, 32)})
		signatures = append(signatures, Signature{byte(x + 1), make([]byte, 64)})
	}
	for _, q := range []any{
		OpenRequest{Batch: names, Participants: roster.Dealers, Replaces: make([]byte, 32)},
		ReceiveRequest{make([]byte, 32), roster, slices.Repeat([][]byte{make([]byte, sealedSize)}, 255)},
		SealRequest{Key: make([]byte, 32), Acks: acks},
		AnswerRequest{Key: make([]byte, 32), Signatures: signatures},
	} {
		body, err := json.Marshal(q)
		must(t, err)
		if len(body) > MaxRequest {
			t.Errorf("%T has %d bytes", q, len(body))
		}
	}
}

func TestServeRefusesWhatIsNoRequest(t *testing.T) {
	g := newGuardians(t, 5, 3, 10)
	for _, step := range []Step{StepOpen, StepDeal, StepReceive, StepSeal, StepAnswer, "", "öffnen", "OPEN"} {
		for _, body := range []string{"", "[]", `"x"`, `{"key":1}x`, `{"participants":[256],"key":[256]}`, strings.Repeat(" ", MaxRequest+1) + "{}"} {
			_, err := g.holders[2].Serve(t.Context(), g.coordinatorKey(), step, []byte(body))
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%q, %.20q: got %v", step, body, err)
			}
		}
	}
	_, err := g.holders[2].Serve(t.Context(), g.coordinatorKey(), StepSeal, []byte(`{"acks":[{"x":256}]}`))
	wants(t, err, ErrMalformed) // 256 is no byte, and not 0 either
}

// No error shows a share, a mask or a key.
func TestErrorsQuoteNothing(t *testing.T) {
	g := newGuardians(t, 5, 3, 40)
	h := g.byHand(t, g.xs)
	h.receiveAll()
	secrets := [][]byte{h.session(2).shares[0], h.session(2).masks[0], h.session(2).private.Bytes(), h.key(2)}
	_, first := h.seal(2, h.acks[1:])
	_, second := h.receive(2)
	_, third := g.holders[2].Answer(nil, AnswerRequest{Key: h.key(2)})
	for _, err := range []error{first, second, third} {
		for _, secret := range secrets {
			for _, shown := range []string{string(secret[1:5]), fmt.Sprintf("%x", secret[1:5]), strings.Trim(fmt.Sprintf("%d", secret[1:5]), "[]")} {
				if strings.Contains(err.Error(), shown) {
					t.Errorf("%v shows %x", err, secret[1:5])
				}
			}
		}
	}
}

// reserved is how many bytes are counted for all sessions.
func (h *Holder) reserved() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, size := h.used(func(*session) bool { return true })
	return size
}
