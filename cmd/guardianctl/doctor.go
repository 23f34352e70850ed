package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

type doctorCommand struct {
	vaultFlags
	plane   adminFlags
	secrets []string
	storage string
}

func newDoctorCommand() *cobra.Command {
	var d doctorCommand
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the guardians, and say what to do about what is wrong",
		Long: `Examine the guardians: whether each answers and its storage does; its clock by this
machine's; its certificate; whether all run one version, know the same members and
hold as many shares; how many more may be lost; what is in quarantine and waits for
repair. Each line is ok, warn or fail, and says what to do next.

With --admin one running guardian is asked for its last scrub, its repair queue and the
age of its last backup.
Files with secrets are examined here: --token-file, every --secret-file, the key
files in --storage, and what GUARDIAN_*_FILE names, which only their owner may read.
Run it with a guardian's environment on the guardian's machine for all of that.

Exits 0 when nothing failed, also with warnings, and 5 when something did.`,
		Example: `  guardianctl doctor --guardians ` + exampleGuardians + `
  guardianctl doctor --guardians-from http://127.0.0.1:7501 --json
  guardianctl doctor --admin ` + defaultAdmin + ` --storage /var/lib/guardian`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	d.register(cmd)
	d.plane.registerURL(cmd)
	cmd.Flags().Lookup("admin").DefValue = "" // it is asked only where it is named
	cmd.Flags().StringArrayVar(&d.secrets, "secret-file", nil, "a further file that only its owner may read; may be repeated")
	cmd.Flags().StringVar(&d.storage, "storage", os.Getenv("GUARDIAN_STORAGE"), "a guardian's directory, or bolt:///path/guardian.db, whose key files are examined (or GUARDIAN_STORAGE)")
	return cmd
}

// verdict is how an examination ended.
type verdict string

const (
	verdictOK   verdict = "ok"
	verdictWarn verdict = "warn"
	verdictFail verdict = "fail"
)

// finding is one line: what was examined, and what to do about what was found.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"result"`
	// About is the guardian or the file, "" for all of them.
	About string `json:"about,omitempty"`
	Found string `json:"found"`
	Next  string `json:"next,omitempty"`
}

func sound(check, found string, args ...any) finding {
	return finding{Check: check, Verdict: verdictOK, Found: fmt.Sprintf(found, args...)}
}

// diagnosis is all that was found.
type diagnosis struct {
	Findings []finding `json:"checks"`
	OK       int       `json:"ok"`
	Warned   int       `json:"warn"`
	Failed   int       `json:"fail"`
}

func (d *doctorCommand) run(cmd *cobra.Command) error {
	asksAdmin := cmd.Flags().Changed("admin") || os.Getenv(adminVariable) != ""
	if asksAdmin {
		if err := d.plane.check(); err != nil {
			return err
		}
	}
	at, err := d.endpoints(cmd, "")
	if err != nil {
		return err
	}
	vault, err := at.vault(nil, "")
	if err != nil {
		return err
	}
	files, err := d.files()
	if err != nil {
		return err
	}
	var all []finding
	err = d.ask(cmd, "examining", func(ctx context.Context) error {
		all = examineGuardians(vault, visit(ctx, vault, at.roots), at.members)
		return nil
	})
	if err != nil {
		return err
	}
	if asksAdmin {
		all = append(all, d.plane.examine(cmd.Context(), time.Now())...)
	}
	if cmd.Context().Err() != nil {
		return interrupted(cmd.Context()) // what they did not say is no fault of theirs
	}
	return d.report(cmd.OutOrStdout(), append(all, examineFiles(files, time.Now())...))
}

// examineGuardians is what the guardians' open endpoints tell.
func examineGuardians(vault *client.Vault, visits []visited, members []client.Member) []finding {
	views := make([]client.GuardianView, len(visits))
	for i, v := range visits {
		views[i] = v.view
	}
	var all []finding
	for _, check := range []func([]visited) []finding{reachable, clocks, certificates, storages, quarantines, queues} {
		all = append(all, check(visits)...)
	}
	all = append(all, margin(vault, visits))
	if !slices.ContainsFunc(visits, visited.answered) {
		return all
	}
	seen := compare(views, members)
	return append(all, versions(seen.Guardians, visits), membership(seen, visits), shareCounts(seen, visits), keys(seen.Guardians, visits))
}

func (d *doctorCommand) report(out io.Writer, all []finding) error {
	result := diagnosis{Findings: all}
	for _, f := range all {
		switch f.Verdict {
		case verdictFail:
			result.Failed++
		case verdictWarn:
			result.Warned++
		default:
			result.OK++
		}
	}
	if err := printDiagnosis(out, d.json, result); err != nil {
		return err
	}
	if result.Failed > 0 {
		return &advisedError{
			exitVerification, fmt.Errorf("%d of %d checks failed", result.Failed, len(all)),
			"do what the lines above say, and run it again",
		}
	}
	return nil
}

func printDiagnosis(out io.Writer, asJSON bool, result diagnosis) error {
	if asJSON {
		return printJSON(out, result)
	}
	for _, f := range result.Findings {
		about := ""
		if f.About != "" {
			about = f.About + ": "
		}
		fmt.Fprintf(out, "%-4s  %-11s  %s%s\n", f.Verdict, f.Check, about, tamed(f.Found))
		if f.Next != "" {
			fmt.Fprintf(out, "      next: %s\n", f.Next)
		}
	}
	_, err := fmt.Fprintf(out, "%d ok, %d warn, %d fail\n", result.OK, result.Warned, result.Failed)
	return err
}
