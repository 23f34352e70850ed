package repair

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
)

// checked is where the checks of others find this node's shares.
func (r *Repairer) checked(ctx context.Context, ref record.Ref) (*record.Record, []byte, error) {
	of, share, err := r.holding(ctx, ref)
	if _, refused := errors.AsType[*RefusedError](err); refused {
		return nil, nil, fmt.Errorf("%w: %w", check.ErrNoShare, err)
	}
	return of, share, err
}

// auditBatch checks records of the same holders. Where something is wrong, or
// somebody lacks a part of them, the batch is divided until it is known what.
func (r *Repairer) auditBatch(ctx context.Context, records []*record.Record) error {
	verdict, err := r.runCheck(ctx, records, r.audits.answering(records[0]))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.audits.noteSilent(records[0], verdict)
	if parts := divide(records, verdict, err); len(parts) > 1 {
		for _, part := range parts {
			if err := r.auditBatch(ctx, part); err != nil {
				return err
			}
		}
		return nil
	}
	r.noteAudit(func(report *AuditReport) { report.note(records, verdict, err) })
	return nil
}

// divide tells apart what different holders lack, and halves what is wrong.
func divide(records []*record.Record, verdict check.Verdict, err error) [][]*record.Record {
	var parts [][]*record.Record
	byLack := map[string]int{}
	for i, of := range records {
		var lack []byte // who lacks this one
		for _, absent := range verdict.Absent {
			if slices.Contains(absent.Lacking, i) {
				lack = append(lack, absent.X)
			}
		}
		at, known := byLack[string(lack)]
		if !known {
			at = len(parts)
			byLack[string(lack)] = at
			parts = append(parts, nil)
		}
		parts[at] = append(parts[at], of)
	}
	wrong := len(verdict.Wrong) > 0 || errors.Is(err, check.ErrUndecided)
	if half := len(records) / 2; len(parts) == 1 && wrong && half > 0 {
		return [][]*record.Record{records[:half], records[half:]}
	}
	return parts
}

// note counts a batch of which all is equal: one generation, or several that
// are sound with all who have them.
func (report *AuditReport) note(records []*record.Record, verdict check.Verdict, err error) {
	group, n := report.groupOf(records[0]), len(records)
	group.Generations += n
	report.Generations += n
	switch {
	case err != nil:
		report.Undecided += n
	case len(verdict.Wrong) == 0 && len(verdict.Named) == 0:
		report.Sound += n
	}
	for i := range group.Holders {
		group.Holders[i].note(records, verdict, err)
	}
}

func (h *AuditHolder) note(records []*record.Record, verdict check.Verdict, err error) {
	x, n := byte(h.X), len(records)
	absent := slices.IndexFunc(verdict.Absent, func(a check.Absent) bool { return a.X == x })
	switch {
	case slices.Contains(verdict.Wrong, x):
		h.Wrong += n
		for _, of := range records[:min(n, maxWrongSlots-len(h.WrongSlots))] {
			h.WrongSlots = append(h.WrongSlots, SlotName{of.Identity, of.Name})
		}
	case slices.Contains(verdict.Named, x):
		h.Cheated += n
	case slices.Contains(verdict.Sound, x):
		h.Good += n
	case absent >= 0 && len(verdict.Absent[absent].Lacking) > 0:
		h.Lacking += n
	case err != nil && absent < 0:
		h.Undecided += n
	default:
		h.Silent += n
	}
}

// maxSilent is how many checks of one audit wait for a holder that is silent.
const maxSilent = 3

// answering are the points of the holders that are still asked.
func (a *audits) answering(of *record.Record) (points []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range of.Holders {
		if len(h.Key) == ed25519.PublicKeySize && a.silent[string(h.Key)] < maxSilent {
			points = append(points, h.X)
		}
	}
	return points
}

// noteSilent counts who kept a check waiting.
func (a *audits) noteSilent(of *record.Record, verdict check.Verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, absent := range verdict.Absent {
		if holder, ok := of.At(absent.X); ok && len(absent.Lacking) == 0 {
			a.silent[string(holder.Key)]++
		}
	}
}

// runCheck checks records among the holders at points, or all when nil. Each is
// called over one connection, as each may have several replicas.
func (r *Repairer) runCheck(ctx context.Context, records []*record.Record, points []byte) (check.Verdict, error) {
	batch, err := check.NewBatch(records)
	if err != nil {
		return check.Verdict{}, err
	}
	lines := newLines(r, records[0])
	defer lines.close()
	return check.Run(ctx, check.Params{Batch: batch, Participants: points}, lines.call)
}

// lines are the connections of one check, by point.
type lines struct {
	of *record.Record
	// proposal is that of a round, nil in an audit.
	proposal *record.Proposal
	// own answers for this node.
	own      *check.Holder
	repairer *Repairer

	bytes atomic.Int64 // said and heard

	mu    sync.Mutex
	conns map[check.Party]Conn
}

func newLines(r *Repairer, of *record.Record) *lines {
	return &lines{of: of, own: r.checks, repairer: r, conns: map[check.Party]Conn{}}
}

// keyOf is nil for a party that there is not.
func (l *lines) keyOf(to check.Party) ed25519.PublicKey {
	if !to.New {
		holder, _ := l.of.At(to.X)
		return holder.Key
	}
	if l.proposal == nil {
		return nil
	}
	for _, target := range l.proposal.Holders {
		if target.X == to.X {
			return target.Key
		}
	}
	return nil
}

// call implements [check.Call].
func (l *lines) call(ctx context.Context, to check.Party, step check.Step, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	data, err := l.send(ctx, to, step, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("its answer is not JSON of step %q", step)
	}
	return nil
}

// errSilent leaves a member out of a round that all others would wait for.
var errSilent = errors.New("it is silent")

func (l *lines) send(ctx context.Context, to check.Party, step check.Step, body []byte) ([]byte, error) {
	key := l.keyOf(to)
	if own := l.repairer.ownKey(); key.Equal(own) {
		return l.own.Serve(ctx, own, step, body)
	}
	begins := step == check.StepOpen || step == check.StepJoin
	if begins && l.proposal != nil && !l.repairer.aliveKeys()[string(key)] {
		return nil, errSilent
	}
	conn, err := l.to(to, key, begins)
	if err != nil {
		return nil, err
	}
	data, err := conn.Call(ctx, RouteCheck+string(step), body)
	l.bytes.Add(int64(len(body) + len(data)))
	return data, err
}

// to returns the connection to a party. One is dialled anew for each session:
// what broke may have been one replica of several.
func (l *lines) to(to check.Party, key ed25519.PublicKey, anew bool) (Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, ok := l.conns[to]
	if ok && !anew {
		return conn, nil
	}
	if ok {
		conn.Close()
		delete(l.conns, to)
	}
	conn, err := l.repairer.dial(key)
	if err == nil {
		l.conns[to] = conn
	}
	return conn, err
}

func (l *lines) close() {
	for _, conn := range l.conns {
		conn.Close()
	}
}

// withoutLiars leaves out the helpers whose shares an audit finds wrong, if it
// finds any.
func (r *Repairer) withoutLiars(ctx context.Context, c *candidate, helpers []ed25519.PublicKey) []ed25519.PublicKey {
	var points []byte
	for _, h := range c.Holders {
		if contains(helpers, h.Key) {
			points = append(points, h.X)
		}
	}
	verdict, err := r.runCheck(ctx, []*record.Record{c.Record}, points)
	r.log.Warn("a recovered share came out wrong: the holders were audited", "identity", c.Identity[:8], "version", c.Version,
		"wrong", pointsText(verdict.Wrong), "cheated", pointsText(verdict.Named), "error", err)
	return slices.DeleteFunc(helpers, func(key ed25519.PublicKey) bool {
		holder, _ := c.Of(key)
		return slices.Contains(verdict.Wrong, holder.X) || slices.Contains(verdict.Named, holder.X)
	})
}

// pointsText shows points as numbers.
func pointsText(points []byte) string { return fmt.Sprintf("%d", points) }
