package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

const longHelp = `guardian keeps one share of each user's secret and hands it back.

Everything is configured by environment variables (docs/CONFIGURATION.md); the
flags below set the same things and win over them.

Exit codes: 0 clean stop, 64 configuration, 69 storage or secret store
unreachable or unsafe, 70 internal, 71 cannot bind, 77 key refused.`

const examples = `  # On this machine only, open to everybody on it
  guardian --storage ./x --bind 127.0.0.1:7500 --unauthenticated

  # With a bearer token
  GUARDIAN_SERVER_BEARER_TOKEN="$(cat token)" guardian --storage /var/lib/guardian

  # In one file, which no other process can use meanwhile
  GUARDIAN_SERVER_BEARER_TOKEN="$(cat token)" guardian --storage bolt:///var/lib/guardian/guardian.db

  # In a bucket, any number of replicas; AWS credentials and AWS_REGION as usual
  GUARDIAN_STORAGE=s3://bucket/prefix GUARDIAN_NODE_ID=g1 \
  GUARDIAN_INTEGRITY_KEY_AWS_SECRET=guardian/g1 \
  GUARDIAN_SERVER_BEARER_TOKEN="$(cat token)" guardian

  # From a file of KEY=value lines, on a port that the system picks
  guardian --env-file guardian.env --port 0`

func newCommand() *cobra.Command {
	var flags flags
	cmd := &cobra.Command{
		Use:           "guardian",
		Short:         "Keep one share of each secret",
		Long:          longHelp,
		Example:       examples,
		Version:       api.Version,
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(flags, cmd.Flags().Changed, os.Environ())
			if err != nil {
				return &exitError{code: exitConfig, err: err}
			}
			unsetSecrets()
			return run(cmd.Context(), cfg)
		},
	}
	flags.register(cmd)
	cmd.AddCommand(newHealthcheckCommand())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &exitError{exitConfig, err, "see guardian --help"}
	})
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return &exitError{exitConfig, err, "see guardian --help"}
	}
	return nil
}

// flags are the variables that have a flag, and --env-file.
type flags struct {
	storage, bind, nodeID, port, envFile string
	unauthenticated                      bool
}

func (f *flags) register(cmd *cobra.Command) {
	set := cmd.Flags()
	set.SortFlags = false
	set.StringVar(&f.storage, "storage", "", "directory that holds everything, bolt:///path/guardian.db, or s3://bucket/prefix (GUARDIAN_STORAGE, default ./data)")
	set.StringVar(&f.bind, "bind", "", "address to listen on (GUARDIAN_BIND, default 0.0.0.0:7500)")
	set.StringVar(&f.port, "port", "", "port to listen on, in place of the one of the bind address; 0 picks one")
	set.StringVar(&f.nodeID, "node-id", "", "name of this node (GUARDIAN_NODE_ID, default local; needed with s3://)")
	set.BoolVar(&f.unauthenticated, "unauthenticated", false, "let everybody in, for local development (GUARDIAN_UNAUTHENTICATED)")
	set.StringVar(&f.envFile, "env-file", "", "read variables from a dotenv file; the environment wins over it")
}

// over puts the flags that were given on top of the variables.
func (f *flags) over(vars map[string]string, given func(flag string) bool) {
	for flag, value := range map[string]string{"storage": f.storage, "bind": f.bind, "node-id": f.nodeID} {
		if given(flag) {
			vars[variableOf[flag]] = value
		}
	}
	if given("unauthenticated") {
		vars[variableOf["unauthenticated"]] = "false"
		if f.unauthenticated {
			vars[variableOf["unauthenticated"]] = "true"
		}
	}
}

var variableOf = map[string]string{
	"storage":         "GUARDIAN_STORAGE",
	"bind":            "GUARDIAN_BIND",
	"node-id":         "GUARDIAN_NODE_ID",
	"unauthenticated": "GUARDIAN_UNAUTHENTICATED",
}
