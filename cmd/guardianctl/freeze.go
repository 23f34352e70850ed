package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/freeze"
)

const (
	freezePath = "/admin/freeze"
	thawPath   = "/admin/thaw"
)

func newFreezeCommand() *cobra.Command {
	return freezeCommand(&cobra.Command{
		Use:   "freeze",
		Short: "Have a guardian refuse what users write, while reads go on",
		Long: `Have a running guardian refuse pushes and deletes (503 frozen), as before a change of
its storage; reads go on, and so do scrub, repair and rounds. It holds for all replicas
of that guardian and over restarts, until guardianctl thaw. The one that is asked
refuses at once, the others within 10 s; what was begun before may take 5 s more.
` + adminNote,
		Example: `  guardianctl freeze
  guardianctl freeze --admin https://g1.example:9090 --admin-token-file token`,
	}, freezePath)
}

func newThawCommand() *cobra.Command {
	return freezeCommand(&cobra.Command{
		Use:   "thaw",
		Short: "Have a guardian take again what users write",
		Long: `Take back guardianctl freeze, at all replicas of the guardian that is asked.
` + adminNote,
		Example: `  guardianctl thaw`,
	}, thawPath)
}

func freezeCommand(cmd *cobra.Command, path string) *cobra.Command {
	var f adminFlags
	cmd.Args = takes(0, 0)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return f.switchWrites(cmd.Context(), cmd.OutOrStdout(), path)
	}
	f.register(cmd)
	return cmd
}

func (f *adminFlags) switchWrites(ctx context.Context, out io.Writer, path string) error {
	var state freeze.State
	if err := f.post(ctx, path, nil, &state); err != nil {
		return err
	}
	if f.json {
		return printJSON(out, state)
	}
	line := "writes are taken; by every replica within 10 s"
	if state.Frozen {
		line = fmt.Sprintf("writes are frozen since %s; at every replica within 10 s", time.Unix(0, state.SinceNS).UTC().Format(time.RFC3339))
		if state.By != "" {
			line += ", by " + shown(state.By)
		}
	}
	_, err := fmt.Fprintln(out, line)
	return err
}
