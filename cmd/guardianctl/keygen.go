package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"
)

type keygenCommand struct {
	newFileFlags
	json bool
}

func newKeygenCommand() *cobra.Command {
	var k keygenCommand
	cmd := &cobra.Command{
		Use:   "keygen -o FILE",
		Short: "Make a key file, 24 words, or a passphrase",
		Long: `Make a key file, the way in for servers: a new file (0600) with a random key. What
is stored with it is encrypted and has the identity that is printed, and nobody
reads, replaces or deletes it without the key. The key never leaves this machine.
Keep a copy of the file elsewhere: whoever has it is the owner, and who has lost
it is not.

For people there are 24 words to write down (keygen mnemonic), and a user name and
passphrase to remember (keygen passphrase).`,
		Example: `  guardianctl keygen -o notes.key
  guardianctl store notes.txt --key-file notes.key
  guardianctl recover --key-file notes.key -o notes-again.txt
  guardianctl keygen mnemonic
  guardianctl keygen passphrase --user joe`,
		Args:              knownCommand,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return k.run(cmd) },
	}
	k.register(cmd, "file to write the key to")
	cmd.Flags().BoolVar(&k.json, "json", false, "print the result as JSON")
	cmd.AddCommand(newKeygenMnemonicCommand(), newKeygenPassphraseCommand())
	return cmd
}

type keygenResult struct {
	Identity string `json:"identity"`
	KeyFile  string `json:"key_file"`
}

func (k *keygenCommand) run(cmd *cobra.Command) error {
	if k.output == "" || k.output == "-" {
		return usageError("pass for example -o notes.key", "no file for the key given")
	}
	root, err := createKey(k.output)
	if err != nil {
		return k.refused(err)
	}
	defer root.Wipe()
	result := keygenResult{root.Identity(), k.output}
	if k.json {
		return printJSON(cmd.OutOrStdout(), result)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `identity: %s
key: in %s
keep that file, and a copy elsewhere: without it what is stored with it cannot be had back
to use it: guardianctl store FILE --key-file %s
`, result.Identity, shown(k.output), shellWord(k.output))
	return err
}

// newFileFlags say where a command writes the secret that it makes: a new file,
// or for people a terminal, but nothing else that could keep it.
type newFileFlags struct{ output string }

func (f *newFileFlags) register(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "", usage)
}

// checkNew refuses before a secret is made what would be refused after.
func (f *newFileFlags) checkNew(cmd *cobra.Command, json bool) error {
	switch {
	case f.output == "" && json:
		return usageError("add -o FILE", "--json does not print secrets")
	case f.output == "" && !isTerminal(cmd.OutOrStdout()):
		return usageError("add -o FILE, or run it on a terminal", "a secret is shown on a terminal only, and standard output is none")
	case f.output == "":
		return nil
	case f.output == "-":
		return usageError("pass -o FILE, or leave it out on a terminal", "-o - is no file")
	case exists(f.output):
		return f.refused(fs.ErrExist)
	case !isDir(filepath.Dir(f.output)):
		return failure(fmt.Errorf("%s: there is no directory %s", f.output, filepath.Dir(f.output)), "make that directory, or choose another file with -o")
	}
	return nil
}

func (f *newFileFlags) write(secret string) error {
	text := []byte(secret + "\n")
	defer clear(text)
	if err := writeFile(f.output, text, false); err != nil {
		return f.refused(err)
	}
	return nil
}

func (f *newFileFlags) refused(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return failure(fmt.Errorf("%s exists", f.output), "choose another file with -o: with a key goes what is stored with it")
	}
	return failure(err, "choose another file with -o")
}
