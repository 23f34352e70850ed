package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHelps: with an example that names the command.
func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	var all func(cmd *cobra.Command)
	all = func(cmd *cobra.Command) {
		if cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example: %q", cmd.CommandPath(), cmd.Example)
		}
		var out bytes.Buffer
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if code := run(t.Context(), args, streams{strings.NewReader(""), &out, &out}); code != exitOK || !strings.Contains(out.String(), "Examples:") {
			t.Errorf("%v exits %d: %s", args, code, &out)
		}
		for _, below := range cmd.Commands() {
			all(below)
		}
	}
	all(newRootCommand())
}

// TestNoFlagTakesASecret: others can see what a command is started with.
func TestNoFlagTakesASecret(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"recover", "--passphrase", "x"},
		{"recover", "--words", "x"},
		{"recover", "--key", "x"},
		{"store", "--password", "x"},
		{"keygen", "passphrase", "--passphrase", "x"},
		{"recover", "--mnemonic=zoo zoo"},
	} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), args, streams{strings.NewReader(""), &out, &errOut}); code != exitUsage {
			t.Errorf("%v exits %d: %s", args, code, &errOut)
		}
	}
}
