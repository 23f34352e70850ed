package main

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/envelope"
)

// way is how an owner gets at what is theirs.
type way int

const (
	noWay way = iota
	byKeyFile
	byMnemonic
	byPassphrase
)

// wayFlags say which way in is taken. Secrets themselves are never among them:
// others on the machine can see what a command was started with.
type wayFlags struct {
	keyFile string
	mnemonicFlags
	passphraseFlags
}

func (f *wayFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "the key file that keygen made (or "+keyFileVariable+")")
	f.mnemonicFlags.register(cmd)
	f.passphraseFlags.register(cmd, "file with the passphrase, - for standard input; without it the passphrase is asked for")
}

// chosen returns the way that the flags name, else that of the environment.
// More than one is refused, and a flag that is given but empty, lest an empty
// variable of a script lead elsewhere.
func (f *wayFlags) chosen(cmd *cobra.Command) (way, error) {
	if err := notEmpty(cmd, "key-file", "mnemonic-file", "user", "passphrase-file"); err != nil {
		return noWay, err
	}
	ways := map[string]way{"key-file": byKeyFile, "mnemonic": byMnemonic, "mnemonic-file": byMnemonic, "user": byPassphrase}
	names := given(cmd, "key-file", "mnemonic", "mnemonic-file", "user")
	switch {
	case len(names) > 1:
		return noWay, usageError("keep one of them: each is a way in of its own", "%s are given", strings.Join(names, " and "))
	case f.user == "" && len(given(cmd, "passphrase-file", "realm")) > 0:
		return noWay, usageError("add --user NAME", "--passphrase-file and --realm go with --user")
	case len(names) == 1:
		return ways[strings.TrimPrefix(names[0], "--")], nil
	}
	if f.keyFile = os.Getenv(keyFileVariable); f.keyFile != "" {
		return byKeyFile, nil
	}
	return noWay, nil
}

// given returns those of the flags that are, as they are written.
func given(cmd *cobra.Command, flags ...string) (names []string) {
	for _, name := range flags {
		flag := cmd.Flags().Lookup(name)
		off := flag.Value.Type() == "bool" && flag.Value.String() == "false"
		if flag.Changed && !off {
			names = append(names, "--"+name)
		}
	}
	return names
}

func notEmpty(cmd *cobra.Command, flags ...string) error {
	for _, name := range given(cmd, flags...) {
		if cmd.Flags().Lookup(strings.TrimPrefix(name, "--")).Value.String() == "" {
			return usageError("name what is meant, or leave out "+name, "%s is empty", name)
		}
	}
	return nil
}

// reads names what the way takes from standard input, "" for nothing.
func (f *wayFlags) reads(w way) string {
	switch {
	case w == byMnemonic && fromStandardInput(f.mnemonicFlags.file):
		return theWords
	case w == byPassphrase && fromStandardInput(f.passphraseFlags.file):
		return thePassphrase
	}
	return ""
}

const (
	theWords      = "the words"
	thePassphrase = "the passphrase"
)

// root goes the way, which may ask people and guardians, and returns nil for
// none. The caller wipes it.
func (f *wayFlags) root(cmd *cobra.Command, w way, at *endpoints) (*envelope.Root, error) {
	switch w {
	case byKeyFile:
		return readKey(f.keyFile)
	case byMnemonic:
		return f.mnemonicFlags.root(cmd)
	case byPassphrase:
		return f.passphraseFlags.root(cmd, at)
	}
	return nil, nil
}

// shownWay is the flags with which others get there again.
func (f *wayFlags) shownWay(w way) string {
	switch w {
	case byMnemonic:
		return f.mnemonicFlags.shown()
	case byPassphrase:
		return f.passphraseFlags.shown()
	}
	return "--key-file " + shellWord(f.keyFile)
}

// wayError gives what a way in was refused for its exit code and advice.
func wayError(err error) error {
	switch {
	case errors.Is(err, envelope.ErrMnemonic):
		return usageError("give the 24 words as they were written down, in their order", "%w", err)
	case errors.Is(err, envelope.ErrUser):
		return usageError("correct --user", "%w", err)
	case errors.Is(err, envelope.ErrRealm):
		return usageError("correct --realm, or leave it out", "%w", err)
	case errors.Is(err, envelope.ErrPassphrase):
		return usageError("give the passphrase alone, on one line", "%w", err)
	}
	return err
}
