package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

type deleteCommand struct {
	keptFlags
	yes            bool
	passphraseOnly bool
}

func newDeleteCommand() *cobra.Command {
	var d deleteCommand
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a file from the guardians, for good",
		Long: `Ask all guardians to delete what they keep for the key. They remember that there
was a version, so a replayed push stays refused. A delete that reached too few
guardians is finished by running it again.

With --user NAME it is the file that goes, and the passphrase stays good for what
else is stored with it. With --passphrase-only it is the other way round: for a
passphrase that others have come to know. The words then open everything as
before, so be sure to have them.`,
		Example: `  guardianctl delete --key-file notes.key
  guardianctl delete --key-file notes.key --name monday --yes
  guardianctl delete --mnemonic
  guardianctl delete --user joe --passphrase-only`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	d.register(cmd)
	d.writes = true
	cmd.Flags().BoolVar(&d.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&d.passphraseOnly, "passphrase-only", false, "delete what the passphrase opens the words with, and nothing else")
	return cmd
}

func (d *deleteCommand) run(cmd *cobra.Command) error {
	k, err := d.openWhole(cmd)
	if err != nil {
		return err
	}
	defer k.wipe()
	if err := d.confirm(cmd, len(k.vault.Guardians())); err != nil {
		return err
	}
	report, err := d.delete(cmd, k)
	if d.passphraseOnly && errors.Is(err, api.ErrNotFound) {
		return d.unknown(err)
	}
	if err != nil {
		return err
	}
	return d.print(cmd, report)
}

// openWhole opens what is to be deleted.
func (d *deleteCommand) openWhole(cmd *cobra.Command) (*kept, error) {
	if !d.passphraseOnly {
		return d.open(cmd)
	}
	if w, err := d.chosen(cmd); err != nil {
		return nil, err
	} else if w != byPassphrase || len(given(cmd, "name", "identity", "identity-file")) > 0 {
		return nil, usageError("pass --user NAME --passphrase-only", "--passphrase-only goes with --user, and with none of --name, --identity and --identity-file")
	}
	at, err := d.endpoints(cmd, "")
	if err != nil {
		return nil, err
	}
	own, err := d.passphraseFlags.open(cmd)
	if err != nil {
		return nil, err
	}
	return d.keptBy(at, own, "")
}

func (d *deleteCommand) confirm(cmd *cobra.Command, guardians int) error {
	if d.yes {
		return nil
	}
	if !isTerminal(cmd.InOrStdin()) {
		return usageError("add --yes", "nobody is there to confirm the delete: standard input is no terminal")
	}
	yes, err := askYes(cmd, fmt.Sprintf("Delete %s for good from %d guardians? Type yes: ", d.what(), guardians))
	if err != nil {
		return err
	}
	if !yes {
		return failure(fmt.Errorf("not confirmed, nothing was deleted"), "run it again and type yes, or add --yes")
	}
	return nil
}

func (d *deleteCommand) what() string {
	if d.passphraseOnly {
		return "this passphrase"
	}
	return "this"
}

func (d *deleteCommand) delete(cmd *cobra.Command, k *kept) (report client.DeleteReport, err error) {
	err = d.ask(cmd, "deleting", func(ctx context.Context) error {
		report, err = k.vault.Delete(ctx, k.identity)
		return err
	})
	return report, err
}

type deleteResult struct {
	Deleted int               `json:"deleted"`
	Needed  int               `json:"needed"`
	Lacking []guardianProblem `json:"lacking"`
}

func (d *deleteCommand) print(cmd *cobra.Command, report client.DeleteReport) error {
	result := deleteResult{report.Got, report.Need, problems(report.Lacking)}
	out := cmd.OutOrStdout()
	if d.json {
		return printJSON(out, result)
	}
	_, err := fmt.Fprintf(out, "deleted: %d guardians hold nothing any more\n", result.Deleted)
	for _, lacking := range result.Lacking {
		fmt.Fprintf(out, "may still hold a share: %s: %s (run the command again)\n", lacking.Guardian, lacking.Error)
	}
	return err
}
