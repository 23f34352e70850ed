package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

type recoverCommand struct {
	keptFlags
	outputFlags
}

func newRecoverCommand() *cobra.Command {
	var r recoverCommand
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Rebuild a file from the guardians",
		Long: `Ask all guardians, rebuild the newest version that has enough shares, and
write it to a new file (0600) or to standard output. Nothing is written when
the file cannot be rebuilt, or is not what its owner stored.

It takes the key file, the words, or the user name and passphrase with which it
was stored, and nothing else. With --identity alone it brings back what another
client stored without a key, which nobody but the shares themselves vouches for.`,
		Example: `  guardianctl recover --key-file notes.key -o notes.txt
  guardianctl recover --mnemonic -o notes.txt
  guardianctl recover --user joe -o notes.txt
  guardianctl recover --key-file notes.key --name monday -o monday.txt
  guardianctl recover --mnemonic-file words.txt | tar x
  guardianctl recover --identity-file theirs.identity -o theirs.txt`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	r.keptFlags.register(cmd)
	r.outputFlags.register(cmd)
	return cmd
}

func (r *recoverCommand) run(cmd *cobra.Command) error {
	if err := r.checkOutput(r.json); err != nil {
		return err
	}
	k, err := r.open(cmd)
	if err != nil {
		return err
	}
	defer k.wipe()
	secret, report, err := r.pull(cmd, k)
	if err != nil {
		return err
	}
	defer clear(secret)
	if err := r.writeOutput(cmd, secret); err != nil {
		return err
	}
	return r.print(cmd, report, len(secret), checkedBy(k, report))
}

func (r *recoverCommand) pull(cmd *cobra.Command, k *kept) (secret []byte, report client.PullReport, err error) {
	err = r.ask(cmd, "recovering", func(ctx context.Context) error {
		secret, report, err = k.vault.Pull(ctx, k.identity)
		return err
	})
	return secret, report, err
}

type recoverResult struct {
	Output    string `json:"output"`
	Bytes     int    `json:"bytes"`
	Version   uint64 `json:"version"`
	Epoch     uint64 `json:"epoch"`
	Threshold int    `json:"threshold"`
	Shares    int    `json:"shares"`
	Checked   bool   `json:"checked"`
	// CheckedBy is manifest, envelope, shares, or empty.
	CheckedBy string `json:"checked_by"`
	// ByEnvelope: more shares were wrong than the shares alone can tell apart.
	ByEnvelope bool `json:"by_envelope"`
	// ByPayload: more redistributed shares were wrong than tell which they are.
	ByPayload bool   `json:"by_payload"`
	Fallback  bool   `json:"fallback"`
	Newest    uint64 `json:"newest_version"`
	// NewerPossible: too few guardians answered to rule out a newer version.
	NewerPossible bool              `json:"newer_possible"`
	Guardians     []guardianOutcome `json:"guardians"`
}

type guardianOutcome struct {
	Guardian string  `json:"guardian"`
	State    string  `json:"state"`
	Version  *uint64 `json:"version,omitempty"`
	Epoch    uint64  `json:"epoch,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func outcomes(answers []client.PullAnswer) []guardianOutcome {
	list := make([]guardianOutcome, 0, len(answers))
	for _, a := range answers {
		outcome := guardianOutcome{Guardian: a.Guardian, State: string(a.State), Version: a.Version, Epoch: a.Epoch}
		if a.Err != nil {
			outcome.Error = problems([]error{a.Err})[0].Error
		}
		list = append(list, outcome)
	}
	return list
}

// What vouches for a file that was rebuilt.
const (
	byManifest = "manifest"
	byEnvelope = "envelope"
	byShares   = "shares"
)

// checkedBy returns "" for nothing.
func checkedBy(k *kept, report client.PullReport) string {
	switch {
	case !report.Checked:
		return ""
	case report.Manifest:
		return byManifest
	case k.root != nil:
		return byEnvelope
	}
	return byShares
}

// voucher says so to people.
func voucher(by string) string {
	return map[string]string{
		byManifest: "; checked by the owner's manifest",
		byEnvelope: "; checked by the envelope, which opened",
		byShares:   "; checked by the shares, which agree",
	}[by]
}

// unchecked says what could go unnoticed.
func unchecked(report client.PullReport) string {
	if report.Used > report.Threshold {
		return "one share was left out as wrong, which two liars could have brought about"
	}
	return fmt.Sprintf("just %d shares were there, so a wrong one among them goes unnoticed", report.Used)
}

// framed tells how far to believe who is named, where few of the redistributed
// shares fit.
const framed = "so many shares do not fit the others that guardians who conspire could make right ones look wrong; what they rebuild is right"

// print reports to people on standard error: standard output may be the file.
func (r *recoverCommand) print(cmd *cobra.Command, report client.PullReport, size int, by string) error {
	w := cmd.ErrOrStderr()
	if !report.Checked {
		fmt.Fprintf(w, "warning: the file could not be checked: %s; %s\n", unchecked(report), waysToCheck(report))
	}
	if report.ByEnvelope {
		fmt.Fprintf(w, "warning: more shares were wrong than the shares alone can tell apart; %d of them opened with the key, so the file is right: store it again, and find out what is wrong with the guardians\n", report.Threshold)
	}
	if report.ByPayload {
		fmt.Fprintf(w, "warning: %s\n", framed)
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), recoverResult{
			r.output, size, report.Version, report.Epoch, report.Threshold, report.Used, report.Checked, by,
			report.ByEnvelope, report.ByPayload, report.Fallback, report.Newest, report.NewerPossible, outcomes(report.Guardians),
		})
	}
	if report.Fallback {
		fmt.Fprintf(w, "warning: version %d, which some guardian holds, could not be rebuilt: this is version %d\n", report.Newest, report.Version)
	}
	if report.NewerPossible && !report.Fallback {
		fmt.Fprintf(w, "warning: of the guardians that did not answer some may hold a newer version, if %d of the others hide it\n", report.Threshold-1)
	}
	for _, g := range outcomes(report.Guardians) {
		if g.State != string(client.StateGood) {
			fmt.Fprintf(w, "warning: the share of %s is %s%s\n", g.Guardian, g.State, detail(g.Error))
		}
	}
	_, err := fmt.Fprintf(w, "recovered %s (%d bytes) from %d shares; %d were needed%s\n", versionText(report.Version, report.Epoch), size, report.Used, report.Threshold, voucher(by))
	return err
}

func waysToCheck(report client.PullReport) string {
	if len(report.Guardians) <= report.Threshold {
		return fmt.Sprintf("store it with more than %d guardians to have that", report.Threshold)
	}
	return "bring more guardians up, recover again and compare"
}

func detail(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}
