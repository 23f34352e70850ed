package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

type keygenPassphraseCommand struct {
	vaultFlags
	mnemonicFlags
	passphraseFlags
	output newFileFlags
	own    bool
}

func newKeygenPassphraseCommand() *cobra.Command {
	var k keygenPassphraseCommand
	cmd := &cobra.Command{
		Use:   "passphrase --user NAME",
		Short: "Make a passphrase that opens what 24 words open",
		Long: `Make a passphrase of seven words (90 bits) for a user name, and keep 24 words with
the guardians so that --user NAME brings them back: it then opens whatever the
words open, with nothing else kept. Afterwards the passphrase is shown on the
terminal, or written to a new file (0600) with -o.

Give words that you have with --mnemonic or --mnemonic-file: then either of the two,
words or passphrase, opens what is stored. Without, new words are made, which exist
nowhere but with the guardians: what is stored is lost with the passphrase. Running
it again makes another passphrase, and the one before stays good until it is
deleted (delete --user NAME --passphrase-only).

A passphrase of your own (--own-passphrase) is easier to guess. The identity that
follows from it lets whoever sees that, be it one guardian or a log, test guesses
without asking anybody.`,
		Example: `  guardianctl keygen passphrase --user joe
  guardianctl keygen mnemonic -o words.txt && guardianctl keygen passphrase --user joe --mnemonic-file words.txt
  guardianctl keygen passphrase --user joe --mnemonic -o joe.passphrase
  guardianctl keygen passphrase --user joe --own-passphrase
  guardianctl store notes.txt --user joe`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return k.run(cmd) },
	}
	k.vaultFlags.register(cmd)
	k.writes = true
	k.mnemonicFlags.register(cmd)
	k.passphraseFlags.register(cmd, "file with a passphrase of your own, - for standard input; needs --own-passphrase")
	k.output.register(cmd, "file to write the passphrase to, in place of the terminal")
	cmd.Flags().BoolVar(&k.own, "own-passphrase", false, "use a passphrase of your own, which is asked for: weaker than one made here")
	return cmd
}

func (k *keygenPassphraseCommand) run(cmd *cobra.Command) error {
	if err := k.check(cmd); err != nil {
		return err
	}
	at, err := k.endpoints(cmd, "")
	if err != nil {
		return err
	}
	entropy, fresh, err := k.entropy(cmd)
	defer clear(entropy)
	if err != nil {
		return err
	}
	passphrase, err := k.choose(cmd)
	if err != nil {
		return err
	}
	report, err := k.keep(cmd, at, passphrase, entropy, fresh)
	if err != nil {
		return err
	}
	return k.finish(cmd, passphrase, entropy, fresh, report)
}

// check refuses what can be refused before anything is read or made.
func (k *keygenPassphraseCommand) check(cmd *cobra.Command) error {
	if err := notEmpty(cmd, "user", "mnemonic-file", "passphrase-file", "output"); err != nil {
		return err
	}
	words, passphrase := "", ""
	if k.gives() && fromStandardInput(k.mnemonicFlags.file) {
		words = theWords
	}
	if k.own && fromStandardInput(k.passphraseFlags.file) {
		passphrase = thePassphrase
	}
	switch {
	case k.user == "":
		return usageError("pass for example --user joe", "no user name given")
	case len(given(cmd, "mnemonic", "mnemonic-file")) > 1:
		return usageError("keep one of them", "--mnemonic and --mnemonic-file are given")
	case k.passphraseFlags.file != "" && !k.own:
		return usageError("add --own-passphrase, or better leave --passphrase-file out and have one made", "--passphrase-file is for a passphrase of your own, which is weaker")
	case k.own && k.output.output != "":
		return usageError("leave out -o", "-o is for a passphrase that is made here")
	case k.own:
		return oneSource(cmd, "put one of them in a file that is yours alone (--mnemonic-file, --passphrase-file)", words, passphrase)
	}
	return k.output.checkNew(cmd, k.json)
}

// gives reports that the words are given.
func (k *keygenPassphraseCommand) gives() bool { return k.asked || k.mnemonicFlags.file != "" }

// entropy returns that of the words, which are fresh when none are given.
func (k *keygenPassphraseCommand) entropy(cmd *cobra.Command) (entropy []byte, fresh bool, err error) {
	var words string
	if k.gives() {
		words, err = k.words(cmd)
	} else {
		words, err = envelope.NewMnemonic()
	}
	if err != nil {
		return nil, false, err
	}
	entropy, err = envelope.EntropyOf(words)
	return entropy, !k.gives(), wayError(err)
}

// choose makes a passphrase, or takes the user's own.
func (k *keygenPassphraseCommand) choose(cmd *cobra.Command) (string, error) {
	if !k.own {
		return envelope.NewPassphrase()
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "warning: a passphrase of your own is easier to guess than one made here: whoever sees the identity that follows from it, be it one guardian or a log, can test guesses without asking anybody")
	return k.passphrase(cmd, true)
}

// keep stores the entropy where user name and passphrase lead. Other words that
// are there already stay.
func (k *keygenPassphraseCommand) keep(cmd *cobra.Command, at *endpoints, passphrase string, entropy []byte, fresh bool) (client.PushReport, error) {
	own, err := k.stretch(cmd, passphrase)
	if err != nil {
		return client.PushReport{}, err
	}
	defer own.Wipe()
	kept, err := keptEntropy(cmd, at, own)
	defer clear(kept)
	switch {
	case err == nil && subtle.ConstantTimeCompare(kept, entropy) == 0:
		return client.PushReport{}, k.taken(fresh)
	case err != nil && !errors.Is(err, api.ErrNotFound):
		return client.PushReport{}, err
	}
	vault, err := at.vault(own, "")
	if err != nil {
		return client.PushReport{}, err
	}
	var report client.PushReport
	err = k.ask(cmd, "storing the words", func(ctx context.Context) error {
		report, err = vault.Store(ctx, own.Identity(), entropy)
		return err
	})
	return report, err
}

func (k *keygenPassphraseCommand) taken(fresh bool) error {
	advice := "choose another passphrase, or first remove this one: guardianctl delete --user " + quoted(k.user) + " --passphrase-only"
	if fresh {
		advice = "use it as it is: guardianctl store FILE --user " + quoted(k.user) + "; or " + advice
	}
	return failure(errors.New("this user name and passphrase open other words already, and nothing was changed"), advice)
}

type keygenPassphraseResult struct {
	Identity       string            `json:"identity"`
	User           string            `json:"user"`
	PassphraseFile string            `json:"passphrase_file,omitempty"`
	NewWords       bool              `json:"new_words"`
	Acknowledged   int               `json:"acknowledged"`
	Needed         int               `json:"needed"`
	Lacking        []guardianProblem `json:"lacking"`
}

// finish gives out the passphrase, which opens something now.
func (k *keygenPassphraseCommand) finish(cmd *cobra.Command, passphrase string, entropy []byte, fresh bool, report client.PushReport) error {
	if k.output.output != "" {
		if err := k.output.write(passphrase); err != nil {
			return fmt.Errorf("the passphrase is lost, make another: %w", err)
		}
	}
	identity, err := mnemonicIdentity(entropy)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if k.json {
		return printJSON(out, keygenPassphraseResult{
			identity, k.user, k.output.output, fresh, report.Got, report.Need, problems(report.Lacking),
		})
	}
	fmt.Fprintf(out, "kept the words with %d guardians; any %d of them and the passphrase bring them back\n", report.Got, report.Threshold)
	printLacking(out, problems(report.Lacking))
	k.printPassphrase(out, passphrase)
	fmt.Fprintln(out, whereWordsAre(fresh))
	_, err = fmt.Fprintf(out, "identity: %s\nto use it: guardianctl store FILE %s\n", identity, k.usage())
	return err
}

func (k *keygenPassphraseCommand) printPassphrase(out io.Writer, passphrase string) {
	switch {
	case k.own:
		fmt.Fprintf(out, "passphrase of %s: your own\n", shown(k.user))
	case k.output.output != "":
		fmt.Fprintf(out, "passphrase of %s: in %s\n", shown(k.user), shown(k.output.output))
	default:
		fmt.Fprintf(out, "\npassphrase of %s:  %s\n\nWrite it down, or learn it before you clear the screen: it is shown this once.\n", shown(k.user), passphrase)
	}
}

func whereWordsAre(fresh bool) string {
	if fresh {
		return "the words it opens were made now and are kept with the guardians alone: lose the passphrase, and what is stored with it is lost. To have both, make words first (guardianctl keygen mnemonic -o FILE) and run this again with --mnemonic-file FILE"
	}
	return "the words open the same as before: keep them, and either of the two is enough"
}

// usage is the flags with which the passphrase is used.
func (k *keygenPassphraseCommand) usage() string {
	used := k.passphraseFlags
	if !k.own {
		used.file = k.output.output
	}
	return used.shown()
}

// mnemonicIdentity is the identity of the words.
func mnemonicIdentity(entropy []byte) (string, error) {
	words, err := envelope.MnemonicOf(entropy)
	if err != nil {
		return "", err
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		return "", err
	}
	defer root.Wipe()
	return root.Identity(), nil
}
