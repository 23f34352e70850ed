package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/manifest"
)

type storeCommand struct {
	vaultFlags
	wayFlags
	nameFlags
	policyFlags
}

func newStoreCommand() *cobra.Command {
	var s storeCommand
	cmd := &cobra.Command{
		Use:   "store [FILE|-]",
		Short: "Encrypt a file and split it over the guardians",
		Long: `Encrypt a file (or standard input), split it and give one share to each guardian,
as a new version of what is kept there. The guardians see neither the file nor a
key, and without the key nobody reads, replaces or deletes it.

There are three ways to be the owner, and one is needed: a key file (--key-file,
made by keygen), 24 words (--mnemonic, made by keygen mnemonic), or a user name
and passphrase (--user, made by keygen passphrase). Each finds and opens the file
again with nothing else kept. One key keeps one file, and any number with --name.

The owner signs what guardians may do with the shares by themselves, as the years
go by. Unless told otherwise they may replace them by new ones of the same file,
so that a share that was stolen before is worth nothing (--refresh), and neither
lower the threshold (--min-threshold) nor give shares to more guardians
(--max-holders) or to others than now (--admission-key). What is stored anew has
the policy that it had before, but for what a flag changes; least threshold and
most guardians follow those of the new version unless they were chosen. verify
shows it.`,
		Example: `  guardianctl keygen -o notes.key
  guardianctl store notes.txt --key-file notes.key
  guardianctl store monday.txt --key-file notes.key --name monday
  guardianctl store notes.txt --mnemonic
  guardianctl store notes.txt --user joe
  guardianctl store notes.txt --key-file notes.key --max-holders 7 --admission-key admission.pub
  guardianctl store notes.txt --key-file notes.key --threshold 4 --min-threshold 3
  guardianctl store notes.txt --key-file notes.key --refresh=false
  tar c notes | guardianctl store - --key-file notes.key --json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, append(args, "-")[0]) },
	}
	s.vaultFlags.register(cmd)
	s.writes = true
	s.wayFlags.register(cmd)
	s.nameFlags.register(cmd)
	s.policyFlags.register(cmd)
	return cmd
}

func (s *storeCommand) run(cmd *cobra.Command, input string) error {
	w, at, err := s.check(cmd, input)
	if err != nil {
		return err
	}
	secret, err := s.readFitting(cmd, at, input)
	defer clear(secret)
	if err != nil {
		return err
	}
	root, err := s.root(cmd, w, at)
	if err != nil {
		return err
	}
	defer root.Wipe()
	vault, err := at.vault(root, s.name)
	if err != nil {
		return err
	}
	if warning := vault.Warning(); warning != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
	}
	report, err := s.push(cmd, vault, root.Identity(), secret)
	if err != nil {
		return err
	}
	s.warnOfAdmission(cmd, at.roster, report.Policy)
	return s.print(cmd, storeResult{
		Identity: root.Identity(), KeyFile: s.keyFile, User: s.user, Name: s.name, Version: report.Version,
		Bytes: len(secret), Guardians: len(vault.Guardians()), Threshold: report.Threshold,
		Acknowledged: report.Got, Needed: report.Need, Split: report.Split, Lacking: problems(report.Lacking),
		Policy: showPolicy(report.Policy),
	}, s.shownWay(w))
}

// check refuses what can be refused before anything is read.
func (s *storeCommand) check(cmd *cobra.Command, input string) (way, *endpoints, error) {
	w, err := s.chosen(cmd)
	if err != nil {
		return w, nil, err
	}
	if w == noWay {
		return w, nil, noOwner(input)
	}
	if err := s.checkName(cmd, w); err != nil {
		return w, nil, err
	}
	file := ""
	if input == "-" {
		file = "the file"
	}
	if err := oneSource(cmd, "name the file to store, or put the words or passphrase in a file that is yours alone (--mnemonic-file, --passphrase-file)", file, s.reads(w)); err != nil {
		return w, nil, err
	}
	at, err := s.endpoints(cmd, s.name)
	if err == nil {
		at.policy, err = s.policy(cmd, at.roster)
	}
	return w, at, err
}

// warnOfAdmission tells of a policy that was kept and does not fit the cluster.
func (s *storeCommand) warnOfAdmission(cmd *cobra.Command, roster ed25519.PublicKey, p manifest.Policy) {
	if p.Admission == nil || roster == nil || roster.Equal(p.Admission) {
		return
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "warning: the policy names an admission key that is not the roster key in use, so no guardian that joins will get a share; if that is not meant: --admission-key %x\n", []byte(roster))
}

func noOwner(input string) error {
	return usageError(fmt.Sprintf(`choose how you will get it back, for example
  a key file:    guardianctl keygen -o notes.key && guardianctl store %[1]s --key-file notes.key
  24 words:      guardianctl keygen mnemonic && guardianctl store %[1]s --mnemonic
  a passphrase:  guardianctl keygen passphrase --user NAME && guardianctl store %[1]s --user NAME`, shellWord(input)),
		"no owner given: nothing is stored unencrypted")
}

// readFitting reads what is to be stored, and refuses what would not fit or
// could not be split before anybody is asked for a secret.
func (s *storeCommand) readFitting(cmd *cobra.Command, at *endpoints, input string) ([]byte, error) {
	secret, err := readInput(cmd, input)
	if err != nil {
		return nil, err
	}
	rehearsal, err := at.rehearsal(s.name)
	if err != nil {
		return secret, err
	}
	err = rehearsal.CheckSecret(secret)
	if errors.Is(err, client.ErrPolicy) {
		err = usageError("correct --min-threshold and --max-holders, or --threshold", "%w", err)
	}
	return secret, err
}

func (s *storeCommand) push(cmd *cobra.Command, vault *client.Vault, identity string, secret []byte) (report client.PushReport, err error) {
	err = s.ask(cmd, "storing", func(ctx context.Context) error {
		report, err = vault.Store(ctx, identity, secret)
		return err
	})
	return report, err
}

// maxSecret is the size of the largest file that fits into a share, in bytes:
// there is a byte for the point, and the envelope.
const maxSecret = api.MaxShareSize - 1 - envelope.Overhead

// readInput reads what is to be stored, which must not be empty.
func readInput(cmd *cobra.Command, input string) ([]byte, error) {
	secret, err := readBounded(cmd, input, maxSecret)
	switch {
	case errors.Is(err, errTooLong):
		return nil, fmt.Errorf("reading %s: %w: it does not fit into a share, the limit is %d bytes", input, client.ErrSecretSize, maxSecret)
	case err == nil && len(secret) == 0:
		return nil, failure(fmt.Errorf("reading %s: it is empty", input), "name a file that holds something: an empty one cannot be stored")
	}
	return secret, err
}

type storeResult struct {
	Identity     string            `json:"identity"`
	KeyFile      string            `json:"key_file,omitempty"`
	User         string            `json:"user,omitempty"`
	Name         string            `json:"name,omitempty"`
	Version      uint64            `json:"version"`
	Bytes        int               `json:"bytes"`
	Guardians    int               `json:"guardians"`
	Threshold    int               `json:"threshold"`
	Acknowledged int               `json:"acknowledged"`
	Needed       int               `json:"needed"`
	Split        string            `json:"split"`
	Policy       shownPolicy       `json:"policy"`
	Lacking      []guardianProblem `json:"lacking"`
}

func (s *storeCommand) print(cmd *cobra.Command, r storeResult, owner string) error {
	out := cmd.OutOrStdout()
	if s.json {
		return printJSON(out, r)
	}
	_, err := fmt.Fprintf(out, "stored %d bytes as version %d with %d of %d guardians; any %d of them rebuild it\n",
		r.Bytes, r.Version, r.Acknowledged, r.Guardians, r.Threshold)
	printLacking(out, r.Lacking)
	if !r.Policy.usual(r.Threshold, r.Guardians) {
		fmt.Fprintf(out, "policy: %s\n", r.Policy)
	}
	if r.Name != "" {
		owner += " --name " + quoted(r.Name)
	}
	_, errNext := fmt.Fprintf(out, "to bring it back: guardianctl recover %s -o FILE\n", owner)
	return errors.Join(err, errNext)
}

// printLacking names the guardians that a push did not reach.
func printLacking(out io.Writer, list []guardianProblem) {
	for _, lacking := range list {
		fmt.Fprintf(out, "without a share: %s: %s\n", lacking.Guardian, lacking.Error)
	}
}
