package main

import (
	"errors"
	"testing"

	"github.com/spf13/pflag"

	"github.com/vault-guardian/guardian/docs/docstest"
)

// TestDocumentedCommands: every line of guardianctl in the documents names a command and
// flags that there are; one in a block of commands has the arguments that it takes.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	lines := docstest.CommandLines(t, "guardianctl")
	if len(lines) < 100 {
		t.Fatalf("found %d lines only", len(lines))
	}
	for _, line := range lines {
		root := newRootCommand()
		root.InitDefaultCompletionCmd()
		cmd, args, err := root.Find(line.Args)
		if err == nil {
			cmd.InitDefaultHelpFlag()
			cmd.InitDefaultVersionFlag()
			err = cmd.ParseFlags(args)
		}
		if errors.Is(err, pflag.ErrHelp) {
			continue
		}
		if err == nil && (line.Whole || cmd.HasSubCommands()) {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %s: %v", line.Document, line.Text, err)
		}
	}
}
