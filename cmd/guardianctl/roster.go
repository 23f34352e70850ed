package main

import (
	"github.com/spf13/cobra"
)

const (
	defaultDraft  = "roster.json"
	defaultSigned = "roster.signed"
)

func newRosterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roster",
		Short: "Say who the guardians of a cluster are, with the admission key",
		Long: `Say who the guardians of a cluster are. The roster names each of them, with its
share index and the key by which the others know it, and is signed with the
admission key. Guardians that are started with GUARDIAN_ADMISSION_KEY believe in
nobody else, whatever the registry says.

The admission key belongs on a machine that is not connected. So does the draft,
a JSON file that can be edited by hand: it remembers the serial of the last
roster and whose each share index was, which is never given to another guardian.
Keep copies of both. In this order:

  1. guardianctl roster init, once
  2. guardianctl roster add, for each guardian
  3. guardianctl roster sign
  4. guardianctl roster publish, where the registry can be reached
  5. GUARDIAN_ADMISSION_KEY, as init printed it, for every guardian, once
  6. guardianctl status: every guardian shows the new serial

With GUARDIAN_ADMISSION_KEY and no roster a guardian knows nobody, so that is set
last. After a change, 2, 3, 4 and 6.`,
		Example: `  guardianctl roster init
  guardianctl roster add g1 --registry s3://bucket/registry
  guardianctl roster sign --admission-key-file admission.key
  guardianctl roster publish --registry s3://bucket/registry
  guardianctl roster show`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newRosterInitCommand(), newRosterAddCommand(), newRosterRemoveCommand(),
		newRosterSignCommand(), newRosterPublishCommand(), newRosterShowCommand(),
	)
	return cmd
}

// draftFlags say which draft is meant.
type draftFlags struct {
	draft string
	json  bool
}

func (f *draftFlags) register(cmd *cobra.Command) {
	f.registerDraft(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
}

func (f *draftFlags) registerDraft(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.draft, "roster", defaultDraft, "the draft of the roster")
}
