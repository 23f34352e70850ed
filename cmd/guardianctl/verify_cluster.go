package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vault-guardian/guardian/repair"
)

const auditPath = "/admin/audit"

// auditFlags are those of verify --cluster.
type auditFlags struct {
	adminFlags
	cluster    bool
	identities []string
}

func (f *auditFlags) register(cmd *cobra.Command) {
	f.registerURL(cmd)
	cmd.Flags().BoolVar(&f.cluster, "cluster", false, "have a guardian audit itself and the others, without anybody's key")
	cmd.Flags().StringArrayVar(&f.identities, "audit", nil, "with --cluster: this identity, or identity/name, alone; may be repeated")
}

// together refuses flags that one of the two ways to verify would pass over.
func (f *auditFlags) together(cmd *cobra.Command) error {
	if !f.cluster {
		if strange := given(cmd, "audit", "admin", "admin-token-file", "admin-ca-file"); len(strange) > 0 {
			return usageError("add --cluster, or leave them out", "%s: only with --cluster", strings.Join(strange, " and "))
		}
		return nil
	}
	var strange []string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains([]string{"cluster", "audit", "admin", "admin-token-file", "admin-ca-file", "json"}, flag.Name) {
			strange = append(strange, given(cmd, flag.Name)...)
		}
	})
	if len(strange) > 0 {
		return usageError("leave them out: with --cluster one guardian is asked, at --admin, and nobody's key is needed; name identities with --audit",
			"%s: not with --cluster", strings.Join(strange, " and "))
	}
	return nil
}

// run has the guardian audit all that it holds, or the identities named.
func (f *auditFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	slots := []repair.SlotName{}
	for _, text := range f.identities {
		slot, err := parseSlotName(text)
		if err != nil {
			return err
		}
		if !slices.Contains(slots, slot) {
			slots = append(slots, slot)
		}
	}
	report, err := f.audit(cmd, slots)
	if err != nil {
		return err
	}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = printClusterAudit(cmd.OutOrStdout(), report)
	}
	return errors.Join(err, auditProblem(report))
}

func (f *auditFlags) audit(cmd *cobra.Command, slots []repair.SlotName) (repair.AuditReport, error) {
	var begun, report repair.AuditReport
	if err := f.post(cmd.Context(), auditPath, map[string]any{"slots": slots}, &begun); err != nil {
		return report, err
	}
	err := f.until(cmd, func(ctx context.Context) (look, error) {
		report = repair.AuditReport{}
		err := f.get(ctx, auditPath, &report)
		if err == nil && report.StartedNS != begun.StartedNS {
			err = failure(errors.New("the guardian has forgotten the audit: it was started again, or somebody has begun another"), "run it again")
		}
		return look{fmt.Sprintf("audited %d secrets", report.Generations), report.Running, !report.Running}, err
	})
	return report, err
}

func printClusterAudit(out io.Writer, r repair.AuditReport) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "GUARDIAN\tSHARE\tGOOD\tWRONG\tCHEATED\tLACKING\tSILENT\tN\tK\tNAMED UP TO")
	for _, g := range r.Groups {
		for _, h := range g.Holders {
			fmt.Fprintf(table, "%s\tx=%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", orDash(h.Node), h.X, h.Good, h.Wrong, h.Cheated, h.Lacking, h.Silent, g.N, g.K, g.Bound)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, g := range r.Groups {
		for _, h := range g.Holders {
			for _, slot := range h.WrongSlots {
				fmt.Fprintf(out, "%s: wrong share of %s\n", orDash(h.Node), slotText(slot))
			}
		}
	}
	_, err := fmt.Fprintf(out, "%d of %d secrets are sound with all that answered; %d could not be decided, %d have no manifest with this guardian, %d have no sound share here\n",
		r.Sound, r.Generations, r.Undecided, r.WithoutManifest, r.Unsound)
	return err
}

// auditProblem is the worst of what an audit found.
func auditProblem(r repair.AuditReport) error {
	wrong := r.Unsound
	for _, g := range r.Groups {
		for _, h := range g.Holders {
			wrong += h.Wrong + h.Cheated
		}
	}
	switch {
	case r.Error != "":
		return failure(fmt.Errorf("the audit was broken off: %s", shown(r.Error)), "look into the guardian's log, and run it again")
	case wrong > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d shares are wrong", wrong),
			"guardianctl scrub, on the guardians named above and on this one, finds shares that were damaged; one that finds nothing wrong there lies, or its share was replaced by somebody who has its keys",
		}
	case r.Undecided > 0:
		return &advisedError{
			exitQuorum, fmt.Errorf("%d secrets could not be decided", r.Undecided),
			"bring more guardians up: to tell a wrong share, more than K must answer, and up to (n-K)/2 can be named",
		}
	case r.Generations == 0 && r.WithoutManifest > 0:
		return &advisedError{
			exitVerification, errors.New("there is no manifest to audit by"),
			"only the owner helps: store the file again with a key, by a list of guardians that has their node keys",
		}
	case r.Generations == 0:
		return &advisedError{exitNotFound, errors.New("the guardian keeps nothing of it"), "check the identity, and ask a guardian that holds a share"}
	}
	return nil
}
