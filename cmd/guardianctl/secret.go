package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
)

// maxSecretText bounds words and passphrases as they are read, in bytes.
const maxSecretText = 4096

// fromStandardInput reports a secret that is read from standard input, where
// that is no terminal, and asked for on one.
func fromStandardInput(file string) bool { return file == "" || file == "-" }

// readSecret reads words or a passphrase from a file that is its owner's alone,
// or from standard input.
func readSecret(cmd *cobra.Command, file, flag string) (string, error) {
	var text []byte
	var err error
	if fromStandardInput(file) {
		file = "standard input"
		text, err = readWiping(interruptible{cmd.Context(), cmd.InOrStdin()}, maxSecretText)
	} else {
		text, err = readPrivate(file, maxSecretText)
	}
	defer clear(text)
	if errors.Is(err, fs.ErrNotExist) {
		return "", failure(err, "name the file with "+flag+", or leave it out to be asked")
	}
	if err != nil {
		return "", failure(fmt.Errorf("reading %s: %w", file, err), "make "+flag+" a file that holds just that and is yours alone (chmod 600)")
	}
	return strings.TrimPrefix(string(text), byteOrderMark), nil
}

// oneSource refuses to read two things from standard input. Each is what would
// be read, "" for nothing.
func oneSource(cmd *cobra.Command, advice, first, second string) error {
	if first == "" || second == "" || isTerminal(cmd.InOrStdin()) {
		return nil
	}
	return usageError(advice, "standard input cannot give both %s and %s", first, second)
}
