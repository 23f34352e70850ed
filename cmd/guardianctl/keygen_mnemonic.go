package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/envelope"
)

type keygenMnemonicCommand struct {
	newFileFlags
	json bool
}

func newKeygenMnemonicCommand() *cobra.Command {
	var k keygenMnemonicCommand
	cmd := &cobra.Command{
		Use:   "mnemonic",
		Short: "Make 24 words",
		Long: `Make 24 words (BIP-39, English, 256 bits) that are the key to what is stored with
them. They are shown on the terminal, this once, and nothing is kept; with -o they
go to a new file (0600) instead. Nothing is asked of any guardian.

Write them on paper and keep that, and a copy at another place: whoever has the
words is the owner, and who has lost them is not.`,
		Example: `  guardianctl keygen mnemonic
  guardianctl keygen mnemonic -o words.txt
  guardianctl store notes.txt --mnemonic
  guardianctl recover --mnemonic -o notes-again.txt`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return k.run(cmd) },
	}
	k.register(cmd, "file to write the words to, in place of the terminal")
	cmd.Flags().BoolVar(&k.json, "json", false, "print the result as JSON")
	return cmd
}

type keygenMnemonicResult struct {
	Identity     string `json:"identity"`
	MnemonicFile string `json:"mnemonic_file"`
}

func (k *keygenMnemonicCommand) run(cmd *cobra.Command) error {
	if err := k.checkNew(cmd, k.json); err != nil {
		return err
	}
	words, err := envelope.NewMnemonic()
	if err != nil {
		return err
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		return err
	}
	defer root.Wipe()
	if k.output == "" {
		return showWords(cmd.OutOrStdout(), words, root.Identity())
	}
	if err := k.write(words); err != nil {
		return err
	}
	if k.json {
		return printJSON(cmd.OutOrStdout(), keygenMnemonicResult{root.Identity(), k.output})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `identity: %s
words: in %s
keep that file, or better the words on paper, and a copy elsewhere: without them what is stored with them cannot be had back
to use them: guardianctl store FILE --mnemonic-file %s
`, root.Identity(), shown(k.output), shellWord(k.output))
	return err
}

// showWords numbers the words down the columns, for who copies them by hand.
func showWords(out io.Writer, words, identity string) error {
	const rows = 6
	list := strings.Fields(words)
	fmt.Fprint(out, "Write these words on paper, with their numbers. They are shown this once.\n\n")
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for row := range rows {
		for i := row; i < len(list); i += rows {
			fmt.Fprintf(table, "  %2d %s\t", i+1, list[i])
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `
Keep the paper, and a copy at another place. Whoever has the words is the owner of
what is stored with them; without them it cannot be had back. Compare what you wrote
before you clear the screen.

identity: %s
to use them: guardianctl store FILE --mnemonic
`, identity)
	return err
}
