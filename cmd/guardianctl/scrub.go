package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/repair"
)

const scrubPath = "/admin/scrub"

func newScrubCommand() *cobra.Command {
	var f scrubFlags
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "Have a guardian look through all that it stores",
		Long: `Have a running guardian read and check all that it stores, now, and wait for what
it finds. Shares that are lost or damaged are queued for repair (guardianctl
repair status); what no version names is removed. Ctrl-C ends the waiting, not
the scrub, which goes on where it was even after a restart.

It takes a tenth of one processor at most, whoever asks for it. What other guardians
have and this one has not shows a moment after the end: see --no-start. ` + adminNote + `

Exits 5 when the last one found something that is not as it should be.`,
		Example: `  guardianctl scrub
  guardianctl scrub --no-wait
  guardianctl scrub --no-start --json          how far it is, and what the last one found
  docker exec guardian guardianctl scrub`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.noStart, "no-start", false, "show how far it is, and begin nothing")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "begin, and do not wait for the end")
	return cmd
}

type scrubFlags struct {
	adminFlags
	noStart, noWait bool
}

func (f *scrubFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.noStart && f.noWait {
		return usageError("keep one of them: what is not begun need not be waited for", "--no-start and --no-wait are both given")
	}
	if f.noStart {
		var p repair.ScrubProgress
		if err := f.get(cmd.Context(), scrubPath, &p); err != nil {
			return err
		}
		return f.print(cmd, p)
	}
	return f.start(cmd)
}

func (f *scrubFlags) start(cmd *cobra.Command) error {
	// What finishes next may have begun before it was asked for: it goes on, and
	// counts.
	var before, p repair.ScrubProgress
	if err := f.get(cmd.Context(), scrubPath, &before); err != nil {
		return err
	}
	if err := f.post(cmd.Context(), scrubPath, nil, &p); err != nil {
		return err
	}
	if f.noWait {
		return f.printBegun(cmd.OutOrStdout(), p)
	}
	err := f.until(cmd, func(ctx context.Context) (look, error) {
		p = repair.ScrubProgress{}
		err := f.get(ctx, scrubPath, &p)
		return look{scrubLine(p.Now), p.Running, p.Last.FinishedNS != before.Last.FinishedNS}, err
	})
	if err != nil {
		return err
	}
	return f.print(cmd, p)
}

func (f *scrubFlags) printBegun(out io.Writer, p repair.ScrubProgress) error {
	if f.json {
		return printJSON(out, p)
	}
	_, err := fmt.Fprintln(out, "asked for; guardianctl scrub --no-start shows how far it is")
	return err
}

func scrubLine(now repair.ScrubReport) string {
	if now.Estimated == 0 {
		return fmt.Sprintf("scrubbed %d", now.Slots)
	}
	return fmt.Sprintf("scrubbed %d of about %d (%d%%)", now.Slots, now.Estimated, min(100, 100*now.Slots/now.Estimated))
}

func (f *scrubFlags) print(cmd *cobra.Command, p repair.ScrubProgress) error {
	var err error
	if f.json {
		err = printJSON(cmd.OutOrStdout(), p)
	} else {
		err = printScrub(cmd.OutOrStdout(), p)
	}
	if err != nil {
		return err
	}
	return scrubProblem(p.Last)
}

func scrubProblem(last repair.ScrubReport) error {
	wrong := last.Corrupt + last.Missing + last.Stale + last.Lacking
	switch {
	case last.Unreadable > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d could not be read, %d are not as they should be", last.Unreadable, wrong),
			"look into the guardian's log: its storage fails, or a key is missing that sealed them",
		}
	case wrong > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d are not as they should be", wrong),
			"they are queued: guardianctl repair status says how that goes",
		}
	}
	return nil
}

func printScrub(out io.Writer, p repair.ScrubProgress) error {
	if p.Running {
		fmt.Fprintln(out, scrubLine(p.Now)+", and going on")
	}
	last := p.Last
	if last.FinishedNS == 0 {
		_, err := fmt.Fprintln(out, "no scrub was finished yet")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, value any, about string) { fmt.Fprintf(table, "%s\t%v\t%s\n", name, value, about) }
	row("finished", time.Unix(0, last.FinishedNS).UTC().Format(time.RFC3339), "")
	row("took", time.Duration(last.ElapsedNS).Round(time.Millisecond), fmt.Sprintf("at most %.1f%% of a core", 100*last.CPUShare))
	row("good", last.Good, "")
	row("unreadable", last.Unreadable, "the storage would not give them, or no key opens them")
	row("corrupt", last.Corrupt, "not what was sealed")
	row("missing", last.Missing, "named, and gone")
	row("stale", last.Stale, "a later version is elsewhere")
	row("lacking", last.Lacking, "known elsewhere only")
	row("moved", last.Moved, "other guardians hold these now")
	row("deleted", last.Deleted, "")
	row("orphaned", last.Orphaned, "named by nothing, removed")
	row("alone", last.Alone, "another guardian should have it too, and has not")
	row("without manifest", last.WithoutManifest, "no guardian can repair these")
	row("bytes", last.Bytes, fmt.Sprintf("%d for each identity", last.BytesPerIdentity))
	row("compared", comparedText(p), "with other guardians, which finds stale, lacking and alone")
	return table.Flush()
}

// comparedText says when something was last heard of other guardians.
func comparedText(p repair.ScrubProgress) string {
	switch at := p.Exchange.LastNS; {
	case at == 0:
		return "never"
	case at < p.Last.FinishedNS:
		return "not since"
	default:
		return time.Unix(0, at).UTC().Format(time.RFC3339)
	}
}
