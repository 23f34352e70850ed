package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backend/location"
)

func newCompactCommand() *cobra.Command {
	var f compactFlags
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Give back the room that deleted shares have left in a file of bolt://",
		Long: `Give back the room that deleted shares have left in a file of bolt://, which never
shrinks by itself. The guardian must be stopped. All is copied to a new file beside
the old one, which takes as much room as what is stored; that is put on disk and
compared, and then takes the name of the old one in one step. It can be stopped or
killed at any moment. No key is needed, and no share is verified.`,
		Example: `  guardianctl compact --storage bolt:///var/lib/guardian/guardian.db`,
		Args:    takes(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.storage, "storage", os.Getenv("GUARDIAN_STORAGE"), "the guardian's storage, bolt:///path/guardian.db (or GUARDIAN_STORAGE)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

type compactFlags struct {
	storage string
	json    bool
}

func (f *compactFlags) run(cmd *cobra.Command) error {
	const advice = "pass for example --storage bolt:///var/lib/guardian/guardian.db"
	if f.storage == "" {
		return usageError(advice, "no storage given")
	}
	at, err := parseLocation("--storage", f.storage)
	if err != nil {
		return err
	}
	if at.Kind() != location.KindBolt {
		return usageError(advice, "%s is no file of bolt://, and nothing else needs it", at)
	}
	if !at.Exists() {
		return notAStorage("--storage", at)
	}
	done, err := bolt.Compact(cmd.Context(), at.Path())
	if err != nil {
		return openError(err, "look whether there is room for a second file beside it, and run this as the user that the guardian runs as")
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "compacted %s: %d objects, %d bytes before, %d bytes now\n", at, done.Objects, done.BytesBefore, done.BytesAfter)
	return err
}
