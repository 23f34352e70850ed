package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

type deleteCommand struct {
	keptFlags
	yes bool
}

func newDeleteCommand() *cobra.Command {
	var d deleteCommand
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a file from the guardians, for good",
		Long: `Ask all guardians to delete what they keep under the identity. They remember
that there was a version, so a replayed push stays refused. A delete that
reached too few guardians is finished by running it again.`,
		Example: `  guardianctl delete --identity-file notes.txt.identity
  guardianctl delete --key-file notes.key --yes
  guardianctl delete --key-file notes.key --name monday`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	d.register(cmd)
	cmd.Flags().BoolVar(&d.yes, "yes", false, "do not ask")
	return cmd
}

func (d *deleteCommand) run(cmd *cobra.Command) error {
	vault, identity, err := d.open(cmd)
	if err != nil {
		return err
	}
	if err := d.confirm(cmd, len(vault.Guardians())); err != nil {
		return err
	}
	report, err := d.delete(cmd, vault, identity)
	if err != nil {
		return err
	}
	return d.print(cmd, report)
}

func (d *deleteCommand) confirm(cmd *cobra.Command, guardians int) error {
	if d.yes {
		return nil
	}
	if !isTerminal(cmd.InOrStdin()) {
		return usageError("add --yes", "nobody is there to confirm the delete: standard input is no terminal")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Delete this for good from %d guardians? Type yes: ", guardians)
	answer, err := bufio.NewReader(interruptible{cmd.Context(), cmd.InOrStdin()}).ReadString('\n')
	if err != nil && err != io.EOF {
		return failure(fmt.Errorf("reading the confirmation: %w", err), "add --yes")
	}
	if strings.TrimSpace(answer) != "yes" {
		return failure(fmt.Errorf("not confirmed, nothing was deleted"), "run it again and type yes, or add --yes")
	}
	return nil
}

func (d *deleteCommand) delete(cmd *cobra.Command, vault *client.Vault, identity string) (report client.DeleteReport, err error) {
	err = d.ask(cmd, "deleting", func(ctx context.Context) error {
		report, err = vault.Delete(ctx, identity)
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
