package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
)

type keygenCommand struct {
	output string
	json   bool
}

func newKeygenCommand() *cobra.Command {
	var k keygenCommand
	cmd := &cobra.Command{
		Use:   "keygen -o FILE",
		Short: "Make an owner's key",
		Long: `Make a key and write it to a new file (0600). What is stored with it has the
identity that is printed, and guardians that heed ownership let nobody read,
replace or delete it without the key. One key keeps one file: make one for each.
The key never leaves this machine. Keep a copy of the file elsewhere: whoever has
it is the owner, and who has lost it is not.`,
		Example: `  guardianctl keygen -o notes.key
  guardianctl store notes.txt --key-file notes.key
  guardianctl recover --key-file notes.key -o notes-again.txt`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return k.run(cmd) },
	}
	cmd.Flags().StringVarP(&k.output, "output", "o", "", "file to write the key to")
	cmd.Flags().BoolVar(&k.json, "json", false, "print the result as JSON")
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
	key, err := createKey(k.output)
	if errors.Is(err, fs.ErrExist) {
		return failure(fmt.Errorf("%s exists", k.output), "choose another file with -o: with a key goes what is stored with it")
	}
	if err != nil {
		return failure(err, "choose another file with -o")
	}
	result := keygenResult{ownedBy(key), k.output}
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
