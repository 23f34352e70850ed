package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

func newVerifyCommand() *cobra.Command {
	var f keptFlags
	var audit auditFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check every guardian's share; nothing is rebuilt",
		Long: `Ask every guardian for its share and compare it with the manifest that the owner
signed when it was stored. Nothing is decrypted. Where guardians ask for no proof
of ownership, --identity is enough. What the owner lets guardians do with the
shares by themselves is shown too.

Where guardians have made new shares since, as the epoch counts, a share is good
when it fits others that make what the owner signed, and untold where too few
others were shown.

With --cluster a guardian is asked to audit its shares and those of the others
instead: they prove to each other that their shares fit together, and none learns
anything. It needs nobody's key, and a running guardian of one's own: see --admin.
Who is named as wrong is, while at most (n-K)/2 of the n that answer are.

Exits 0 when no share is wrong and enough are good to rebuild the file, 5 when one
is wrong or there is no manifest to compare with, 4 when too few are good, and 3
when nothing is kept.`,
		Example: `  guardianctl verify --key-file notes.key
  guardianctl verify --mnemonic --name monday
  guardianctl verify --user joe --json
  guardianctl verify --cluster
  guardianctl verify --cluster --audit 3f9c...e1`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := audit.together(cmd); err != nil {
				return err
			}
			if audit.cluster {
				audit.json = f.json
				return audit.run(cmd)
			}
			return verify(cmd, &f)
		},
	}
	f.register(cmd)
	audit.register(cmd)
	return cmd
}

type verifyResult struct {
	Version   uint64 `json:"version"`
	Epoch     uint64 `json:"epoch"`
	Threshold int    `json:"threshold"`
	Shares    int    `json:"shares"`
	Good      int    `json:"good"`
	// ByPayload: more redistributed shares were wrong than tell which they are.
	ByPayload bool            `json:"by_payload"`
	Policy    *shownPolicy    `json:"policy,omitempty"`
	Guardians []verifiedShare `json:"guardians"`
}

// verifiedShare is one guardian's, as the manifest has it.
type verifiedShare struct {
	guardianOutcome
	// Point is the evaluation point, 0 where no share was shown.
	Point int `json:"x"`
	Bytes int `json:"bytes"`
}

func verify(cmd *cobra.Command, f *keptFlags) error {
	k, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer k.wipe()
	var report client.VerifyReport
	err = f.ask(cmd, "verifying", func(ctx context.Context) error {
		report, err = k.vault.Verify(ctx, k.identity)
		return err
	})
	if report.Holders == 0 && !errors.Is(err, client.ErrNoManifest) || cmd.Context().Err() != nil {
		return err
	}
	return errors.Join(printVerified(cmd.OutOrStdout(), f.json, resultOf(report)), unverified(report, err))
}

func resultOf(report client.VerifyReport) verifyResult {
	result := verifyResult{
		Version: report.Version, Epoch: report.Epoch, Threshold: report.Threshold,
		Shares: report.Holders, Good: report.Good, ByPayload: report.ByPayload,
	}
	if report.Holders > 0 {
		policy := showPolicy(report.Policy)
		result.Policy = &policy
	}
	for i, outcome := range outcomes(report.Guardians) {
		result.Guardians = append(result.Guardians, verifiedShare{outcome, report.Guardians[i].X, report.Guardians[i].Size})
	}
	return result
}

func printVerified(out io.Writer, asJSON bool, r verifyResult) error {
	if asJSON {
		return printJSON(out, r)
	}
	epochs := slices.ContainsFunc(r.Guardians, func(g verifiedShare) bool { return g.Epoch > 0 })
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(columns(epochs, []string{"GUARDIAN", "STATE", "VERSION"}, "EPOCH", "SHARE", "DETAIL"), "\t"))
	for _, g := range r.Guardians {
		fmt.Fprintln(table, strings.Join(g.cells(epochs), "\t"))
	}
	if err := table.Flush(); err != nil || r.Shares == 0 {
		return err
	}
	if r.ByPayload {
		fmt.Fprintln(out, framed)
	}
	_, err := fmt.Fprintf(out, "%s: %d of %d shares are good, %d rebuild it\npolicy: %s\n",
		versionText(r.Version, r.Epoch), r.Good, r.Shares, r.Threshold, r.Policy)
	return err
}

func (g verifiedShare) cells(withEpoch bool) []string {
	version, epoch, point := "-", "-", "-"
	if g.Version != nil {
		version, epoch, point = strconv.FormatUint(*g.Version, 10), strconv.FormatUint(g.Epoch, 10), "x="+strconv.Itoa(g.Point)
	}
	return columns(withEpoch, []string{g.Guardian, g.State, version}, epoch, point, orDash(g.Error))
}

// unverified says in a line what the table shows.
func unverified(report client.VerifyReport, err error) error {
	if _, explained := errors.AsType[*advisedError](err); explained {
		return err
	}
	wrong := 0
	for _, g := range report.Guardians {
		if g.State == client.StateWrong {
			wrong++
		}
	}
	_, tooFew := errors.AsType[*client.QuorumError](err)
	switch {
	case errors.Is(err, client.ErrNoManifest):
		return &advisedError{exitVerification, err, "guardianctl recover still checks what it rebuilds; store the file again with a key file, words or a passphrase, and there will be a manifest"}
	case tooFew && report.Holders > 0:
		return &advisedError{
			exitQuorum, fmt.Errorf("too few shares are good to rebuild it: needed %d, got %d", report.Threshold, report.Good),
			"bring the guardians named above back; an older version may still be there: guardianctl recover",
		}
	case !tooFew && errors.Is(err, client.ErrAuthentication):
		return &advisedError{
			exitVerification, fmt.Errorf("%d of the guardians show a wrong share", wrong),
			"store the file again, which replaces the shares, and find out what is wrong with the guardians named above",
		}
	}
	return err
}
