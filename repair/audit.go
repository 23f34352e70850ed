package repair

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
)

var (
	// ErrNoCluster reports a node that has nobody to be compared with.
	ErrNoCluster = errors.New("this guardian is in no cluster: it has no registry")
	// ErrRunning reports an audit that is asked for while another goes on.
	ErrRunning = errors.New("an audit is going on")
)

// AuditReport is what an audit has found so far, or in the end.
type AuditReport struct {
	Running   bool  `json:"running"`
	StartedNS int64 `json:"started_ns,omitempty"`
	// FinishedNS is 0 until then.
	FinishedNS int64 `json:"finished_ns,omitempty"`
	// Generations were audited: Sound ones fit in with the shares of all who
	// answered, of Undecided ones more are wrong than can be named, or too few
	// holders answered. Of the rest somebody is named.
	Generations int `json:"generations"`
	Sound       int `json:"sound"`
	Undecided   int `json:"undecided"`
	// WithoutManifest have no record that gives this node a share, and cannot be
	// audited. Of Unsound ones this node has a share that is damaged or gone.
	WithoutManifest int `json:"without_manifest"`
	Unsound         int `json:"unsound"`
	// Unreadable ones could not be read by this node.
	Unreadable int `json:"unreadable"`
	// Groups are the different sets of holders.
	Groups []AuditGroup `json:"groups"`
	// Error tells why the audit did not come to its end.
	Error string `json:"error,omitempty"`
}

// AuditGroup is what was found of the generations that have the same holders.
type AuditGroup struct {
	// N is how many holders there are, K the threshold. Up to Bound wrong shares
	// are named where all N answer: floor((N-K)/2).
	N     int `json:"n"`
	K     int `json:"k"`
	Bound int `json:"bound"`

	Generations int           `json:"generations"`
	Holders     []AuditHolder `json:"holders"`
}

// AuditHolder counts the generations of one holder by what its part in the
// audit was.
type AuditHolder struct {
	X    int    `json:"x"`
	Node string `json:"node"`
	// Good shares fit; Wrong ones do not, and WrongSlots are the first of them.
	Good       int        `json:"good"`
	Wrong      int        `json:"wrong"`
	WrongSlots []SlotName `json:"wrong_slots,omitempty"`
	// Cheated ones are those about which it broke the rules of the audit itself.
	Cheated int `json:"cheated"`
	// Lacking ones the holder has not, or knows to be damaged; Silent ones it
	// gave no answer about.
	Lacking int `json:"lacking"`
	Silent  int `json:"silent"`
	// Undecided ones it answered about, and nothing could be told.
	Undecided int `json:"undecided"`
}

// maxWrongSlots bounds AuditHolder.WrongSlots.
const maxWrongSlots = 100

// audits runs one audit at a time.
type audits struct {
	mu     sync.Mutex
	report AuditReport
	silent map[string]int // checks of this audit, by the key of who was silent
}

// StartAudit begins an audit of the slots, or of all that this node holds when
// there are none. It goes on behind the call; AuditProgress tells how far it is.
// Errors: ErrNoCluster, ErrRunning.
func (r *Repairer) StartAudit(slots []guardian.Slot) error {
	if r.checks == nil {
		return ErrNoCluster
	}
	r.audits.mu.Lock()
	defer r.audits.mu.Unlock()
	if r.audits.report.Running {
		return ErrRunning
	}
	r.audits.report = AuditReport{Running: true, StartedNS: r.cfg.Now().UnixNano(), Groups: []AuditGroup{}}
	r.audits.silent = map[string]int{}
	select {
	case r.auditAsked <- slots:
	default:
	}
	return nil
}

// AuditProgress returns what the audit that runs has found so far, or the last
// one in the end.
func (r *Repairer) AuditProgress() AuditReport {
	r.audits.mu.Lock()
	defer r.audits.mu.Unlock()
	report := r.audits.report
	report.Groups = slices.Clone(report.Groups)
	for i := range report.Groups {
		report.Groups[i].Holders = slices.Clone(report.Groups[i].Holders)
	}
	return report
}

// runAudits carries out what StartAudit asked for, until ctx ends.
func (r *Repairer) runAudits(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case slots := <-r.auditAsked:
			err := r.audit(ctx, slots)
			r.noteAudit(func(report *AuditReport) {
				report.Running, report.FinishedNS = false, r.cfg.Now().UnixNano()
				if err != nil {
					report.Error = err.Error()
				}
			})
			r.log.Info("audit of the cluster ended", "error", err, "generations", r.AuditProgress().Generations)
		}
	}
}

func (r *Repairer) noteAudit(change func(*AuditReport)) {
	r.audits.mu.Lock()
	defer r.audits.mu.Unlock()
	change(&r.audits.report)
}

// audit gathers records into batches and checks each when it is full.
func (r *Repairer) audit(ctx context.Context, slots []guardian.Slot) error {
	gathered := &batches{}
	take := func(found guardian.Examined) error {
		if found.Unreadable != nil {
			r.noteAudit(func(report *AuditReport) { report.Unreadable++ })
			return nil
		}
		of, ok := r.auditable(found)
		if !ok {
			return nil
		}
		if full := gathered.add(of); full != nil {
			return r.auditBatch(ctx, full)
		}
		return nil
	}
	if err := r.eachOf(ctx, slots, take); err != nil {
		return err
	}
	for _, batch := range gathered.all {
		if err := r.auditBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repairer) eachOf(ctx context.Context, slots []guardian.Slot, take func(guardian.Examined) error) error {
	if len(slots) == 0 {
		return r.cfg.Node.Walk(ctx, guardian.Slot{}, take)
	}
	for _, slot := range slots {
		found, err := r.cfg.Node.Examine(ctx, slot)
		if err == nil {
			err = take(found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// auditable returns the record of the current generation, if this node is one of
// its holders and has its share.
func (r *Repairer) auditable(found guardian.Examined) (*record.Record, bool) {
	defer wipeHeld(found.Held)
	live := liveOf(found)
	switch judge(found) {
	case foundNothing, foundDeleted, foundMoved:
		return nil, false
	}
	if live == nil {
		r.noteAudit(func(report *AuditReport) { report.Unsound++ })
		return nil, false
	}
	of, err := r.cfg.Node.ParseRecord(live.Share.Record())
	if err == nil {
		if _, named := of.Of(r.ownKey()); named {
			return of, true
		}
	}
	r.noteAudit(func(report *AuditReport) { report.WithoutManifest++ })
	return nil, false
}

// Bounds of one batch: as many generations, and bytes of shares.
const (
	batchRecords = 256
	batchBytes   = 4 << 20
	// batchesKept bounds the different sets of holders whose records wait for
	// company.
	batchesKept = 16
)

// batches gathers records that can be checked together.
type batches struct{ all [][]*record.Record }

// add takes a record in, and returns a batch that is full.
func (b *batches) add(of *record.Record) (full []*record.Record) {
	i := slices.IndexFunc(b.all, func(batch []*record.Record) bool { return check.Together(batch[0], of) })
	if i < 0 {
		b.all = append(b.all, nil)
		i = len(b.all) - 1
	}
	b.all[i] = append(b.all[i], of)
	if len(b.all[i]) < batchRecords && bytesOf(b.all[i]) < batchBytes && len(b.all) <= batchesKept {
		return nil
	}
	if len(b.all) > batchesKept {
		i = b.largest()
	}
	full = b.all[i]
	b.all = slices.Delete(b.all, i, i+1)
	return full
}

func (b *batches) largest() (largest int) {
	for i := range b.all {
		if len(b.all[i]) > len(b.all[largest]) {
			largest = i
		}
	}
	return largest
}

func bytesOf(batch []*record.Record) (n int) {
	for _, of := range batch {
		n += of.ShareSize
	}
	return n
}

// groupOf finds or makes the group of a record.
func (report *AuditReport) groupOf(of *record.Record) *AuditGroup {
	for i := range report.Groups {
		if report.Groups[i].is(of) {
			return &report.Groups[i]
		}
	}
	n := len(of.Holders)
	group := AuditGroup{N: n, K: of.Threshold, Bound: max(0, n-of.Threshold) / 2}
	for _, h := range of.Holders {
		group.Holders = append(group.Holders, AuditHolder{X: int(h.X), Node: h.Node})
	}
	report.Groups = append(report.Groups, group)
	return &report.Groups[len(report.Groups)-1]
}

func (g *AuditGroup) is(of *record.Record) bool {
	return g.K == of.Threshold && slices.EqualFunc(g.Holders, of.Holders, func(a AuditHolder, b manifest.Holder) bool {
		return a.X == int(b.X) && a.Node == b.Node
	})
}
