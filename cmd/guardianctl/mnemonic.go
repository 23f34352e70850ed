package main

import (
	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/envelope"
)

const mnemonicWords = 24

// mnemonicFlags say where 24 words come from.
type mnemonicFlags struct {
	asked bool
	file  string
}

func (f *mnemonicFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.asked, "mnemonic", false, "the 24 words: they are asked for, or read from standard input where that is no terminal")
	flags.StringVar(&f.file, "mnemonic-file", "", "file with the 24 words, - for standard input")
}

func (f *mnemonicFlags) words(cmd *cobra.Command) (string, error) {
	if fromStandardInput(f.file) && isTerminal(cmd.InOrStdin()) {
		return promptWords(cmd)
	}
	return readSecret(cmd, f.file, "--mnemonic-file")
}

func (f *mnemonicFlags) root(cmd *cobra.Command) (*envelope.Root, error) {
	words, err := f.words(cmd)
	if err != nil {
		return nil, err
	}
	root, err := envelope.FromMnemonic(words)
	return root, wayError(err)
}

func (f *mnemonicFlags) shown() string {
	if fromStandardInput(f.file) {
		return "--mnemonic"
	}
	return "--mnemonic-file " + shellWord(f.file)
}
