package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

type listCommand struct {
	vaultFlags
	wayFlags
}

func newListCommand() *cobra.Command {
	var l listCommand
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the names that a key keeps",
		Long: `Ask all guardians what the owner of the key keeps with --name. Each name is
listed at the highest version that a guardian holds, with the length of a share
and the number of guardians that hold just that version. Nothing is rebuilt, so
this is what the guardians say, unchecked. What is kept without a name is not
listed.`,
		Example: `  guardianctl list --key-file notes.key
  guardianctl list --mnemonic
  guardianctl list --user joe --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd) },
	}
	l.vaultFlags.register(cmd)
	l.wayFlags.register(cmd)
	return cmd
}

func (l *listCommand) run(cmd *cobra.Command) error {
	w, err := l.chosen(cmd)
	if err != nil {
		return err
	}
	if w == noWay {
		return usageError("pass --key-file FILE, --mnemonic or --user NAME", "no key given")
	}
	at, err := l.endpoints(cmd, "")
	if err != nil {
		return err
	}
	root, err := l.root(cmd, w, at)
	if err != nil {
		return err
	}
	defer root.Wipe()
	vault, err := at.vault(root, "")
	if err != nil {
		return err
	}
	var report client.ListReport
	err = l.ask(cmd, "asking", func(ctx context.Context) error {
		report, err = vault.List(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return l.print(cmd, report)
}

type listResult struct {
	Secrets []listedSecret    `json:"secrets"`
	Lacking []guardianProblem `json:"lacking"`
}

type listedSecret struct {
	Name      string `json:"name"`
	Version   uint64 `json:"version"`
	Bytes     int    `json:"bytes"`
	Guardians int    `json:"guardians"`
}

func (l *listCommand) print(cmd *cobra.Command, report client.ListReport) error {
	result := listResult{make([]listedSecret, 0, len(report.Secrets)), problems(report.Lacking)}
	for _, s := range report.Secrets {
		result.Secrets = append(result.Secrets, listedSecret{s.Name, s.Version, s.Size, s.Guardians})
	}
	if l.json {
		return printJSON(cmd.OutOrStdout(), result)
	}
	for _, lacking := range result.Lacking {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s did not answer: %s\n", lacking.Guardian, lacking.Error)
	}
	return printSecrets(cmd.OutOrStdout(), result.Secrets)
}

func printSecrets(out io.Writer, list []listedSecret) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tVERSION\tBYTES\tGUARDIANS")
	for _, s := range list {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", s.Name, s.Version, s.Bytes, s.Guardians)
	}
	return table.Flush()
}
