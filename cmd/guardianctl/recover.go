package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

type recoverCommand struct {
	keptFlags
	output string
	force  bool
}

func newRecoverCommand() *cobra.Command {
	var r recoverCommand
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Rebuild a file from the guardians",
		Long: `Ask all guardians, rebuild the newest version that has enough shares, and
write it to a new file (0600) or to standard output. Nothing is written when
the file cannot be rebuilt.`,
		Example: `  guardianctl recover --identity-file notes.txt.identity -o notes.txt
  guardianctl recover --key-file notes.key -o notes.txt
  guardianctl recover --key-file notes.key --name monday -o monday.txt
  guardianctl recover --identity-file notes.identity | tar x`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	r.register(cmd)
	cmd.Flags().StringVarP(&r.output, "output", "o", "-", "file to write, - for standard output")
	cmd.Flags().BoolVar(&r.force, "force", false, "overwrite the output file")
	return cmd
}

func (r *recoverCommand) run(cmd *cobra.Command) error {
	vault, identity, err := r.open(cmd)
	if err != nil {
		return err
	}
	if err := r.checkOutput(); err != nil {
		return err
	}
	secret, report, err := r.pull(cmd, vault, identity)
	if err != nil {
		return err
	}
	defer clear(secret)
	if err := r.write(cmd, secret); err != nil {
		return err
	}
	return r.print(cmd, report, len(secret))
}

// checkOutput refuses before anything is asked what would be refused after.
func (r *recoverCommand) checkOutput() error {
	switch {
	case r.output == "-" && r.json:
		return usageError("add -o FILE", "--json and the file cannot both go to standard output")
	case r.output == "-":
		return nil
	}
	if dir := filepath.Dir(r.output); !isDir(dir) {
		return failure(fmt.Errorf("%s: there is no directory %s", r.output, dir), "make that directory, or choose another file with -o")
	}
	switch info, err := os.Stat(r.output); {
	case err == nil && info.IsDir():
		return failure(fmt.Errorf("%s is a directory", r.output), "name a file in it: -o "+shellWord(filepath.Join(r.output, "FILE")))
	case err == nil && !info.Mode().IsRegular():
		return failure(fmt.Errorf("%s is not a regular file", r.output), "choose another file with -o, or leave -o out and redirect the output")
	case !r.force && exists(r.output):
		return r.refuseOverwrite()
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (r *recoverCommand) refuseOverwrite() error {
	return failure(fmt.Errorf("%s exists", r.output), "choose another file with -o, or add --force to overwrite it")
}

func (r *recoverCommand) pull(cmd *cobra.Command, vault *client.Vault, identity string) (secret []byte, report client.PullReport, err error) {
	err = r.ask(cmd, "recovering", func(ctx context.Context) error {
		secret, report, err = vault.Pull(ctx, identity)
		return err
	})
	return secret, report, err
}

func (r *recoverCommand) write(cmd *cobra.Command, secret []byte) error {
	if r.output != "-" {
		err := writeFile(r.output, secret, r.force)
		if errors.Is(err, fs.ErrExist) {
			return r.refuseOverwrite()
		}
		if err != nil {
			return failure(err, "choose another file with -o")
		}
		return nil
	}
	out := cmd.OutOrStdout()
	if isTerminal(out) && !printableText(secret) {
		return usageError("add -o FILE, or redirect the output", "the file is binary and standard output is a terminal")
	}
	_, err := out.Write(secret)
	return err
}

type recoverResult struct {
	Output    string            `json:"output"`
	Bytes     int               `json:"bytes"`
	Version   uint64            `json:"version"`
	Threshold int               `json:"threshold"`
	Shares    int               `json:"shares"`
	Checked   bool              `json:"checked"`
	Fallback  bool              `json:"fallback"`
	Newest    uint64            `json:"newest_version"`
	Guardians []guardianOutcome `json:"guardians"`
}

type guardianOutcome struct {
	Guardian string  `json:"guardian"`
	State    string  `json:"state"`
	Version  *uint64 `json:"version,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func outcomes(answers []client.PullAnswer) []guardianOutcome {
	list := make([]guardianOutcome, 0, len(answers))
	for _, a := range answers {
		outcome := guardianOutcome{Guardian: a.Guardian, State: string(a.State), Version: a.Version}
		if a.Err != nil {
			outcome.Error = problems([]error{a.Err})[0].Error
		}
		list = append(list, outcome)
	}
	return list
}

// unchecked says what could go unnoticed.
func unchecked(report client.PullReport) string {
	if report.Used > report.Threshold {
		return "one share was left out as wrong, which two liars could have brought about"
	}
	return fmt.Sprintf("just %d shares were there, so a wrong one among them goes unnoticed", report.Used)
}

// print reports to people on standard error: standard output may be the file.
func (r *recoverCommand) print(cmd *cobra.Command, report client.PullReport, size int) error {
	if !report.Checked {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the file could not be checked: %s; %s\n", unchecked(report), waysToCheck(report))
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), recoverResult{
			r.output, size, report.Version, report.Threshold, report.Used,
			report.Checked, report.Fallback, report.Newest, outcomes(report.Guardians),
		})
	}
	w := cmd.ErrOrStderr()
	if report.Fallback {
		fmt.Fprintf(w, "warning: version %d, which some guardian holds, could not be rebuilt: this is version %d\n", report.Newest, report.Version)
	}
	for _, g := range outcomes(report.Guardians) {
		if g.State != string(client.StateGood) {
			fmt.Fprintf(w, "warning: the share of %s is %s%s\n", g.Guardian, g.State, detail(g.Error))
		}
	}
	_, err := fmt.Fprintf(w, "recovered version %d (%d bytes) from %d shares; %d were needed\n", report.Version, size, report.Used, report.Threshold)
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
