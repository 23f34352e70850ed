package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

type storeCommand struct {
	vaultFlags
	identityFlags
}

func newStoreCommand() *cobra.Command {
	var s storeCommand
	cmd := &cobra.Command{
		Use:   "store [FILE|-]",
		Short: "Split a file over the guardians",
		Long: `Split a file (or standard input) over the guardians, as a new version of what
is kept under the identity.

Better with --key-file: guardians that heed ownership then let nobody read,
replace or delete it without that key, and the identity is no secret. It follows
from the key, so one key keeps one file (guardianctl keygen makes them), and any
number of them with --name.

Without a key whoever knows the identity and may speak to the guardians can do
all of that, and guardians that require a proof refuse it. Without --identity or
--identity-file a random one is made and written to FILE.identity
(guardian.identity for standard input).`,
		Example: `  guardianctl keygen -o notes.key
  guardianctl store notes.txt --key-file notes.key
  guardianctl store monday.txt --key-file notes.key --name monday
  guardianctl store notes.txt --guardians ` + exampleGuardians + `
  guardianctl store notes.txt --identity-file notes.txt.identity
  tar c notes | guardianctl store - --identity-file notes.identity --json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, append(args, "-")[0]) },
	}
	s.vaultFlags.register(cmd)
	s.identityFlags.register(cmd, "file with the identity; made with a random one if it does not exist")
	return cmd
}

func (s *storeCommand) run(cmd *cobra.Command, input string) error {
	key, err := s.owner(cmd)
	if err != nil {
		return err
	}
	vault, err := s.vault(key, s.name)
	if err != nil {
		return err
	}
	identity, newFile, err := s.prepare(cmd, input, key)
	if err != nil {
		return err
	}
	secret, err := readInput(cmd, input)
	if err != nil {
		return err
	}
	defer clear(secret)
	if err := vault.CheckSecret(secret); err != nil {
		return err
	}
	if newFile != "" {
		if identity, err = createIdentity(newFile); err != nil {
			return err
		}
	}
	s.warn(cmd, vault)
	report, err := s.push(cmd, vault, identity, secret)
	if err != nil {
		return keptIdentity(err, newFile, input)
	}
	return s.print(cmd, storeResult{
		Identity: identity, IdentityFile: s.identityFile(newFile), KeyFile: s.keyFile, Name: s.name, Version: report.Version,
		Bytes: len(secret), Guardians: len(vault.Guardians()), Threshold: report.Threshold,
		Acknowledged: report.Got, Needed: report.Need, Split: report.Split, Lacking: problems(report.Lacking),
	}, newFile != "")
}

func (s *storeCommand) identityFile(newFile string) string {
	if newFile != "" {
		return newFile
	}
	return s.file
}

func (s *storeCommand) push(cmd *cobra.Command, vault *client.Vault, identity string, secret []byte) (report client.PushReport, err error) {
	err = s.ask(cmd, "storing", func(ctx context.Context) error {
		report, err = vault.Store(ctx, identity, secret)
		return err
	})
	return report, err
}

func (s *storeCommand) warn(cmd *cobra.Command, vault *client.Vault) {
	fmt.Fprintf(cmd.ErrOrStderr(), "warning: the file is split without being encrypted: any %d of the guardians together can read it\n", vault.Threshold())
	if warning := vault.Warning(); warning != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
}

// keptIdentity adds how to try again under the identity that was just made.
func keptIdentity(err error, newFile, input string) error {
	if newFile == "" {
		return err
	}
	problem := advised(err)
	if errors.Is(err, api.ErrOwnershipRequired) {
		problem.advice += fmt.Sprintf("; %s is then of no use", shown(newFile))
		return problem
	}
	problem.advice += fmt.Sprintf(": guardianctl store %s --identity-file %s (the identity is kept there)", shellWord(input), shellWord(newFile))
	return problem
}

// readInput refuses an empty file. It reads no more than one byte above the limit, which is enough to
// refuse what is too large.
func readInput(cmd *cobra.Command, input string) ([]byte, error) {
	if input == "-" && isTerminal(cmd.InOrStdin()) {
		return nil, usageError("name a file: guardianctl store FILE", "standard input is a terminal")
	}
	var source io.Reader = interruptible{cmd.Context(), cmd.InOrStdin()}
	if input != "-" {
		file, err := os.Open(input)
		if err != nil {
			return nil, failure(err, "name a file that can be read")
		}
		defer file.Close()
		source = file
	}
	secret, err := io.ReadAll(io.LimitReader(source, api.MaxShareSize))
	if err != nil {
		return nil, failure(fmt.Errorf("reading %s: %w", input, err), "name a file that can be read")
	}
	if len(secret) == api.MaxShareSize {
		return nil, tooLarge(input)
	}
	if len(secret) == 0 {
		return nil, failure(fmt.Errorf("reading %s: it is empty", input), "name a file that holds something: an empty one cannot be stored")
	}
	return secret, nil
}

func tooLarge(input string) error {
	return fmt.Errorf("reading %s: %w: it does not fit into a share, the limit is %d bytes", input, client.ErrSecretSize, api.MaxShareSize-1)
}

type storeResult struct {
	Identity     string            `json:"identity"`
	IdentityFile string            `json:"identity_file,omitempty"`
	KeyFile      string            `json:"key_file,omitempty"`
	Name         string            `json:"name,omitempty"`
	Version      uint64            `json:"version"`
	Bytes        int               `json:"bytes"`
	Guardians    int               `json:"guardians"`
	Threshold    int               `json:"threshold"`
	Acknowledged int               `json:"acknowledged"`
	Needed       int               `json:"needed"`
	Split        string            `json:"split"`
	Lacking      []guardianProblem `json:"lacking"`
}

func (s *storeCommand) print(cmd *cobra.Command, r storeResult, created bool) error {
	out := cmd.OutOrStdout()
	if s.json {
		return printJSON(out, r)
	}
	_, err := fmt.Fprintf(out, "stored %d bytes as version %d with %d of %d guardians; any %d of them rebuild it\n",
		r.Bytes, r.Version, r.Acknowledged, r.Guardians, r.Threshold)
	for _, lacking := range r.Lacking {
		fmt.Fprintf(out, "without a share: %s: %s\n", lacking.Guardian, lacking.Error)
	}
	if created {
		fmt.Fprintf(out, "identity: in %s\nkeep that file, and a copy elsewhere: without it the stored file cannot be found again\n", r.IdentityFile)
	}
	_, errNext := fmt.Fprintf(out, "to bring it back: guardianctl recover %s -o FILE\n", r.kept())
	return errors.Join(err, errNext)
}

// kept is the flags that name what was stored.
func (r storeResult) kept() string {
	switch {
	case r.Name != "":
		return "--key-file " + shellWord(r.KeyFile) + " --name " + shellWord(r.Name)
	case r.KeyFile != "":
		return "--key-file " + shellWord(r.KeyFile)
	case r.IdentityFile != "":
		return "--identity-file " + shellWord(r.IdentityFile)
	}
	return "--identity " + r.Identity
}
