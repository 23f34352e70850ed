package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/freeze"
	"github.com/vault-guardian/guardian/repair"
)

// facts are what the page shows, as known to this process now: nothing of it
// waits for the storage or for another guardian.
type facts struct {
	At       time.Time
	Version  string
	Node     string
	Location string
	KeyID    string
	Uptime   time.Duration

	// Ready is why the storage cannot be used, "" where it can.
	Ready             string
	Writes            freeze.State
	Shares            int64
	SharesApproximate bool
	Quarantined       int64
	// Backups: what is known of them is in Backup.
	Backups bool
	Backup  last.State

	Cluster cluster.View
	// Needed is the highest threshold of what is stored here, or K.
	Needed int

	Repairs bool
	Scrub   repair.ScrubProgress
	Audit   repair.AuditReport
	Rounds  repair.RoundsReport
	// Queue is how many shares wait for repair.
	Queue int64
}

func (s *server) facts() facts {
	f := facts{At: time.Now().UTC().Truncate(time.Second), Version: api.Version, Uptime: time.Since(s.started).Truncate(time.Second)}
	if s.cfg.Members != nil {
		f.Cluster = s.cfg.Members()
	}
	if node := s.cfg.Node; node != nil {
		f.Node, f.Location, f.KeyID = node.NodeID(), node.Location(), node.PrimaryKeyID()
		f.Shares, f.SharesApproximate = node.ShareCount()
		f.Quarantined, f.Needed = node.Quarantined(), node.HighestThreshold()
	}
	f.Needed = cmp.Or(f.Needed, f.Cluster.Threshold)
	if s.cfg.Freeze != nil {
		f.Writes = s.cfg.Freeze.State()
	}
	if s.cfg.Backup != nil {
		f.Backups, f.Backup = true, s.cfg.Backup.State()
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			f.Ready = err.Error()
		}
	}
	if s.cfg.Repairer != nil {
		f.Repairs = true
		f.Scrub, f.Audit, f.Rounds = s.cfg.Repairer.ScrubProgress(), s.cfg.Repairer.AuditProgress(), s.cfg.Repairer.RoundsProgress()
		f.Queue = s.gauge("guardian_repair_queue_length")
	}
	return f
}

// gauge is a metric without labels; 0 where there is none of that name.
func (s *server) gauge(name string) int64 {
	families, _ := s.cfg.Registry.Gather() // what could be gathered
	for _, family := range families {
		if family.GetName() == name && len(family.GetMetric()) == 1 {
			return int64(family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	return 0
}

// SpareRead is how many more guardians are alive than rebuild what is stored here;
// below 0 some of it cannot be rebuilt now.
func (f facts) SpareRead() int { return f.Cluster.Alive - f.Needed }

// SpareWrite is how many more are alive than must take a new secret.
func (f facts) SpareWrite() int { return f.Cluster.Alive - f.Cluster.WriteQuorum }

// Problems are what an operator should look at, worst first.
func (f facts) Problems() (found []string) {
	note := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	known := f.Cluster.Registry && f.Cluster.Reached
	note(f.Ready != "", "This guardian takes no requests: %s.", f.Ready)
	note(known && f.SpareRead() < 0, "Only %d guardians are alive, and %d are needed to rebuild what is stored here.", f.Cluster.Alive, f.Needed)
	note(known && f.SpareWrite() < 0, "Only %d guardians are alive, and %d are needed to store anything.", f.Cluster.Alive, f.Cluster.WriteQuorum)
	note(f.Cluster.Registry && !f.Cluster.Reached, "The registry has not answered since the start: this guardian knows no other.")
	for _, state := range []cluster.State{cluster.Dead, cluster.Suspect} {
		names := f.in(state)
		note(len(names) > 0, "%s: %s.", titles[state], strings.Join(names, ", "))
	}
	note(f.Quarantined > 0, "%d shares here are damaged, and in quarantine.", f.Quarantined)
	scrub := f.Scrub.Last
	note(scrub.Corrupt+scrub.Missing > 0, "The last scrub found %d corrupt and %d missing.", scrub.Corrupt, scrub.Missing)
	note(scrub.Unreadable > 0, "The last scrub could not read %d.", scrub.Unreadable)
	note(f.Queue > 0, "%d shares wait for repair.", f.Queue)
	note(f.Rounds.Failed > 0 || f.Rounds.Error != "", "The last rounds failed for %d shares. %s", f.Rounds.Failed, f.Rounds.Error)
	note(f.Backup.Problem != "", "The last backup is not known: %s.", f.Backup.Problem)
	note(f.Backup.FinishedNS > 0 && f.At.Sub(f.Backup.Finished()) > last.TooOld, "The last backup is %s old.", f.At.Sub(f.Backup.Finished()).Truncate(time.Second))
	note(f.Writes.Frozen, "Writes are frozen: pushes and deletes are refused until guardianctl thaw.")
	return found
}

var titles = map[cluster.State]string{cluster.Dead: "Dead", cluster.Suspect: "Suspect"}

func (f facts) in(state cluster.State) (names []string) {
	for _, m := range f.Cluster.Members {
		if m.State == state {
			names = append(names, m.NodeID)
		}
	}
	slices.Sort(names)
	return names
}

// When is a time of package repair for people.
func (f facts) When(ns int64) string {
	if ns == 0 {
		return "never"
	}
	at := time.Unix(0, ns).UTC()
	return fmt.Sprintf("%s (%s ago)", at.Format("2006-01-02 15:04:05 UTC"), f.At.Sub(at).Truncate(time.Second))
}

// Heard is when a member was last heard.
func (f facts) Heard(m cluster.MemberView) string {
	switch {
	case m.Self:
		return "this one"
	case !m.Heard:
		return "never"
	}
	return m.Silent.Truncate(time.Second).String() + " ago"
}
