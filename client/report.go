package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/quorum"
)

// report describes a survey relative to the group that was chosen, if any.
func (v *Vault) report(all survey, chosen candidate, ok bool) PullReport {
	report := PullReport{}
	if ok {
		report.Version, report.Threshold = chosen.group.version, chosen.k(v.Threshold())
		report.Used = chosen.distinct()
		report.Checked = report.Used > report.Threshold
		report.Newest = all.newest()
		report.Fallback = report.Newest > report.Version
		report.NewerPossible = all.mayHideNewer(chosen, v.Threshold(), quorum.WriteQuorum(len(all)))
	}
	known := all.charters()
	for i, f := range all {
		report.Guardians = append(report.Guardians, v.describe(i, f, f.fault(known), chosen.group, ok))
	}
	return report
}

// reportOf is report with what came of the group.
func (v *Vault) reportOf(all survey, result rebuilt) PullReport {
	report := v.report(all, result.right, true)
	report.Checked, report.ByEnvelope = result.checked, result.byEnvelope
	report.Manifest = result.right.manifest != nil
	for _, m := range result.wrong {
		g := &report.Guardians[m.position]
		g.State, g.Err = StateWrong, v.named(m.position, errDisagrees)
	}
	return report
}

// fault is what is wrong with the current share, or why there is none.
func (f found) fault(known map[edition]charter) error {
	if f.current == nil {
		return f.err
	}
	return f.current.judge(known[f.current.edition()])
}

func (v *Vault) describe(position int, f found, fault error, chosen group, ok bool) PullAnswer {
	description := PullAnswer{
		Guardian: v.guardians[position].URL(), State: stateOf(f, fault, chosen, ok), Latency: f.latency,
	}
	if fault == nil && description.State == StateWrong {
		fault = errOtherSplit
	}
	if fault != nil {
		description.Err = v.named(position, fault)
	}
	if f.current != nil {
		description.Version = &f.current.group.version
		description.X, description.Size = int(f.current.share[0]), len(f.current.share)
	}
	return description
}

// stateOf judges an answer. Where nothing was rebuilt there is nothing to be
// stale against, and a share in good form counts as good.
func stateOf(f found, fault error, chosen group, ok bool) State {
	switch {
	case f.absent():
		return StateMissing
	case errors.Is(f.err, api.ErrIntegrityFailed), errors.Is(f.err, errMalformedShare):
		return StateWrong
	case f.current == nil:
		return StateUnreachable
	case fault != nil:
		return StateWrong
	case !ok || f.current.group == chosen:
		return StateGood
	case f.current.group.version < chosen.version:
		return StateStale
	case f.current.group.version > chosen.version:
		return StateAhead
	}
	return StateWrong
}

// absentees counts the guardians that said they hold nothing.
func (s survey) absentees() int {
	count := 0
	for _, f := range s {
		if f.absent() {
			count++
		}
	}
	return count
}

// errors says of each guardian why it adds nothing to a group.
func (s survey) errors(c candidate) map[int]error {
	errs, known := map[int]error{}, s.charters()
	for i, f := range s {
		fault := f.fault(known)
		switch {
		case fault != nil:
			errs[i] = fault
		case f.current.group != c.group && !slices.ContainsFunc(f.older, func(h *holding) bool { return h.group == c.group }):
			errs[i] = fmt.Errorf("holds version %d, which too few others hold", f.current.group.version)
		}
	}
	return errs
}
