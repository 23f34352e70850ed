package client

import (
	"cmp"
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
		report.Version, report.Epoch, report.Threshold = chosen.group.version, chosen.group.epoch, chosen.k(v.Threshold())
		report.Used = chosen.distinct()
		report.Checked = report.Used > report.Threshold
		report.Newest = all.newest()
		report.Fallback = report.Newest > report.Version
		report.NewerPossible = all.mayHideNewer(chosen, v.Threshold(), quorum.WriteQuorum(len(all)))
	}
	known := all.charters()
	for i, f := range all {
		report.Guardians = append(report.Guardians, v.describe(i, f, known, chosen.group, ok))
	}
	return report
}

// reportOf is report with what came of the group.
func (v *Vault) reportOf(all survey, result rebuilt) PullReport {
	report := v.report(all, result.right, true)
	report.Checked, report.ByEnvelope, report.ByPayload = result.checked, result.byEnvelope, result.byPayload
	report.Manifest = result.right.manifest != nil
	for _, m := range result.wrong {
		g := &report.Guardians[m.position]
		g.State, g.Err = StateWrong, v.named(m.position, errDisagrees)
	}
	return report
}

// fault is what is wrong with a share that a guardian showed, or why there is
// none.
func (f found) fault(h *holding, known map[edition]charter) error {
	if h == nil {
		return f.err
	}
	return h.judge(known[h.edition()])
}

func (v *Vault) describe(position int, f found, known map[edition]charter, chosen group, ok bool) PullAnswer {
	about := f.about(chosen)
	fault := f.fault(about, known)
	description := PullAnswer{
		Guardian: v.guardians[position].URL(), State: stateOf(about, fault, chosen, ok), Latency: f.latency,
	}
	if about != nil {
		fault = cmp.Or(fault, about.remark(description.State, chosen))
		description.Version, description.Epoch = &about.group.version, about.group.epoch
		description.X, description.Size = int(about.share[0]), len(about.share)
	}
	if fault != nil {
		description.Err = v.named(position, fault)
	}
	return description
}

// remark says of a share without a fault why it is no share of the version that
// was chosen, nil for no reason but its version.
func (h *holding) remark(state State, chosen group) error {
	switch {
	case state == StateWrong:
		return errOtherSplit
	case state == StateAhead && h.group.version == chosen.version:
		return fmt.Errorf("it is at epoch %d of that version, of which too few show shares that fit", h.group.epoch)
	}
	return nil
}

// stateOf judges an answer by the share that it is about. Where nothing was
// rebuilt there is nothing to be stale against, and a share in good form counts
// as good.
func stateOf(about *holding, fault error, chosen group, ok bool) State {
	switch {
	case about == nil && errors.Is(fault, api.ErrNotFound):
		return StateMissing
	case about == nil && (errors.Is(fault, api.ErrIntegrityFailed) || errors.Is(fault, errMalformedShare)):
		return StateWrong
	case about == nil:
		return StateUnreachable
	case fault != nil:
		return StateWrong
	case !ok || about.group == chosen:
		return StateGood
	}
	switch cmp.Or(cmp.Compare(about.group.version, chosen.version), cmp.Compare(about.group.epoch, chosen.epoch)) {
	case -1:
		return StateStale
	case 1:
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
		about := f.about(c.group)
		fault := f.fault(about, known)
		switch {
		case fault != nil:
			errs[i] = fault
		case about.group != c.group && !slices.ContainsFunc(f.older, func(h *holding) bool { return h.group == c.group }):
			errs[i] = fmt.Errorf("holds %s, which too few others hold", about.group)
		}
	}
	return errs
}
