package repair

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/record"
)

// checked is where the checks of others find this node's shares.
func (r *Repairer) checked(ctx context.Context, name check.Name) (*record.Record, []byte, error) {
	of, share, err := r.holding(ctx, RecordName(name))
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
	lines := &lines{of: records[0], repairer: r, conns: map[byte]Conn{}}
	defer lines.close()
	return check.Run(ctx, check.Params{Batch: batch, Participants: points}, lines.call)
}

// lines are the connections of one check, by point.
type lines struct {
	of       *record.Record
	repairer *Repairer

	mu    sync.Mutex
	conns map[byte]Conn
}

// call implements [check.Call].
func (l *lines) call(ctx context.Context, x byte, step check.Step, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request: %w", err)
	}
	data, err := l.send(ctx, x, step, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("its answer is not JSON of step %q", step)
	}
	return nil
}

func (l *lines) send(ctx context.Context, x byte, step check.Step, body []byte) ([]byte, error) {
	holder, _ := l.of.At(x)
	if own := l.repairer.ownKey(); bytes.Equal(holder.Key, own) {
		return l.repairer.checks.Serve(ctx, own, step, body)
	}
	conn, err := l.to(x, holder.Key, step == check.StepOpen)
	if err != nil {
		return nil, err
	}
	return conn.Call(ctx, routeOf(step), body)
}

// to returns the connection to a point. One is dialled anew for each session:
// what broke may have been one replica of several.
func (l *lines) to(x byte, key ed25519.PublicKey, anew bool) (Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, ok := l.conns[x]
	if ok && !anew {
		return conn, nil
	}
	if ok {
		conn.Close()
		delete(l.conns, x)
	}
	conn, err := l.repairer.dial(key)
	if err == nil {
		l.conns[x] = conn
	}
	return conn, err
}

func (l *lines) close() {
	for _, conn := range l.conns {
		conn.Close()
	}
}

func routeOf(step check.Step) string {
	for path, known := range checkSteps {
		if known == step {
			return path
		}
	}
	return ""
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
