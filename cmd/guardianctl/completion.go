package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completions are what a shell offers for flags that take neither a file nor
// any text.
var completions = map[string][]cobra.Completion{
	"timeout": {"10s", "20s", "1m", "5m"},
	"rate":    {"0", "100", "1000"},
	"mix":     {"push=1", "pull=1", "push=1,pull=9", "new=1"},
	"size":    {"100", "1KiB", "64KiB", "512KiB"},
}

// takeFiles are the flags, beside those named -file, for which a shell offers
// files.
var takeFiles = []string{"file", "output", "storage", "from", "to", "roster", "registry"}

// completeAll keeps shells from offering files where none are wanted.
func completeAll(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && !strings.Contains(cmd.Use, "FILE") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) { completeFlag(cmd, flag) })
	for _, below := range cmd.Commands() {
		completeAll(below)
	}
}

func completeFlag(cmd *cobra.Command, flag *pflag.Flag) {
	if strings.HasSuffix(flag.Name, "-file") || slices.Contains(takeFiles, flag.Name) || flag.Value.Type() == "bool" {
		return
	}
	offer := cobra.FixedCompletions(completions[flag.Name], cobra.ShellCompDirectiveNoFileComp)
	cmd.RegisterFlagCompletionFunc(flag.Name, offer) //nolint:errcheck // it fails for flags that are not there, and twice for one
}
