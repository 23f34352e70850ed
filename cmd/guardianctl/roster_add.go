package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

type rosterAdd struct {
	draftFlags
	registryFlags
	callFlags
	from   string
	key    string
	index  int
	domain string
	yes    bool
}

func newRosterAddCommand() *cobra.Command {
	var a rosterAdd
	cmd := &cobra.Command{
		Use:   "add NODE_ID",
		Short: "Add a guardian to the draft of a roster",
		Long: `Add a guardian to the draft of a roster: its node id, the public key of its node
key, its share index and its failure domain. Either all of it is given with flags,
or the registry (--registry, --registry-file or GUARDIAN_REGISTRY) or the guardian
itself (--from) is asked.

Neither is believed. Compare the key that is shown with what the guardian says
where nobody can come between, that is on its own machine:

  curl -s http://127.0.0.1:7500/v1/vault/status      node_key is the key

and type yes; or pass that key with --key, and another one is refused.

An index that was ever given to another guardian is refused, and so is one that
the registry or the guardian, where it is asked, says is another's.`,
		Example: `  guardianctl roster add g1 --registry s3://bucket/registry
  guardianctl roster add g1 --from https://g1.example:7500 --index 1
  guardianctl roster add g1 --registry ./registry --key 94cb20af...0d090e
  guardianctl roster add g1 --key 94cb20af...0d090e --index 1 --failure-domain eu-1`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	a.registerDraft(cmd)
	flags.StringVar(&a.key, "key", "", "its public node key in hex, as the guardian itself shows it")
	flags.IntVar(&a.index, "index", 0, "its share index, 1 to 255 (default: what it registered)")
	flags.StringVar(&a.domain, "failure-domain", "", "its failure domain, such as a region (default: what it registered)")
	a.registryFlags.register(cmd)
	flags.StringVar(&a.from, "from", "", "ask the guardian at this URL")
	cmd.RegisterFlagCompletionFunc("from", cobra.NoFileCompletions) //nolint:errcheck // the flag is there
	flags.BoolVar(&a.yes, "yes", false, "do not ask for a comparison of the key")
	a.callFlags.register(cmd)
	return cmd
}

func (a *rosterAdd) run(cmd *cobra.Command, node string) error {
	if err := a.check(cmd, node); err != nil {
		return err
	}
	d, err := readDraft(a.draft)
	if err != nil {
		return err
	}
	entry, err := a.entry(cmd, node)
	if err != nil {
		return err
	}
	if err := d.add(entry); err != nil { // before anybody is asked to compare
		return err
	}
	if err := a.confirm(cmd, entry); err != nil {
		return err
	}
	err = withDraft(a.draft, func(d *draft) error {
		if err := d.add(entry); err != nil {
			return err
		}
		return writingDraft(d.write(a.draft, true))
	})
	if err != nil {
		return err
	}
	return a.print(cmd, entry)
}

// check refuses what can be refused before anybody is asked.
func (a *rosterAdd) check(cmd *cobra.Command, node string) error {
	flags := cmd.Flags()
	if err := a.checkTimeout(); err != nil {
		return err
	}
	if a.from != "" && a.registry+a.file != "" {
		return usageError("keep one of them", "--from and --registry are both given")
	}
	if a.key == "" && !flags.Changed("key") && !a.yes && !isTerminal(cmd.InOrStdin()) {
		return usageError("pass with --key the key that the guardian itself shows, or add --yes", "nobody is there to compare the key: standard input is no terminal")
	}
	given := draftEntry{NodeID: node, Index: max(a.index, 1), Key: a.key, FailureDomain: a.domain}
	if !flags.Changed("key") {
		given.Key = strings.Repeat("0", 64)
	}
	if flags.Changed("index") {
		given.Index = a.index
	}
	if err := given.check(); err != nil {
		return usageError("see "+cmd.CommandPath()+" --help", "%w", err)
	}
	a.key = strings.ToLower(a.key)
	return nil
}

// entry is what flags say, and of what they leave open what others do.
func (a *rosterAdd) entry(cmd *cobra.Command, node string) (draftEntry, error) {
	entry := draftEntry{NodeID: node, Key: a.key, Index: a.index, FailureDomain: a.domain}
	if a.key != "" && a.index != 0 && a.from+a.registry+a.file == "" {
		return entry, nil
	}
	known, seats, err := a.askAbout(cmd, node)
	if err != nil {
		return entry, err
	}
	if a.key != "" && known.Key != a.key {
		return entry, &advisedError{
			exitVerification, fmt.Errorf("%s says that %s has the key %s, and not that of --key", a.source(), node, known.Key),
			"look at node_key on the guardian itself; if --key is right, somebody pretends to be " + node,
		}
	}
	entry.Key, entry.Index = known.Key, cmp.Or(a.index, known.Index)
	if !cmd.Flags().Changed("failure-domain") {
		entry.FailureDomain = known.FailureDomain
	}
	if entry.Index == 0 {
		return entry, usageError("pass --index N, or --registry: there it has one", "%s has no share index yet", node)
	}
	if err := clash(seats, []draftSeat{{node, entry.Index}}); err != nil {
		return entry, failure(fmt.Errorf("%s says otherwise: %w", a.source(), err),
			"pass another --index, or leave it out; if what is said there is wrong, pass --key and --index and ask nobody")
	}
	return entry, nil
}

func (a *rosterAdd) confirm(cmd *cobra.Command, e draftEntry) error {
	if a.yes || a.key != "" {
		return nil
	}
	yes, err := askYes(cmd, fmt.Sprintf(`%s has of %s
  key             %s
  index           %d
  failure domain  %s
Is that the node_key that %s shows on its own machine? Type yes: `, a.source(), e.NodeID, e.Key, e.Index, orDash(e.FailureDomain), e.NodeID))
	if err == nil && !yes {
		err = failure(errors.New("not confirmed, nothing was added"), "find out which key is the right one; it can be passed with --key")
	}
	return err
}

type rosterAddResult struct {
	draftEntry
	Draft string `json:"roster"`
}

func (a *rosterAdd) print(cmd *cobra.Command, e draftEntry) error {
	if a.callFlags.json {
		return printJSON(cmd.OutOrStdout(), rosterAddResult{e, a.draft})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "added %s to %s, with index %d and key %s\n%s", e.NodeID, shown(a.draft), e.Index, e.Key, nextSign)
	return err
}
