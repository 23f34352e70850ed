package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRecipes: what the units and jobs in deploy start are commands of this build.
func TestRecipes(t *testing.T) {
	t.Parallel()
	var lines []string
	units, err := filepath.Glob("../../deploy/systemd/*.service")
	if err != nil {
		t.Fatal(err)
	}
	started := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/guardianctl (.*)$`)
	for _, unit := range units {
		for _, found := range started.FindAllStringSubmatch(readRecipe(t, unit), -1) {
			for _, kind := range []string{"full", "incremental"} {
				for _, admin := range []string{"", "--admin https://g1.example.org:9090 --admin-token-file token"} { // as split by systemd
					lines = append(lines, strings.NewReplacer("%i", kind, "${BACKUPS}", "kept", "$ADMIN", admin).Replace(found[1]))
				}
			}
		}
	}
	arguments := regexp.MustCompile(`(?m)^ +args:\n((?: +- .*\n)+)`)
	for _, found := range arguments.FindAllStringSubmatch(readRecipe(t, "../../deploy/kubernetes/backup.yaml"), -1) {
		lines = append(lines, strings.NewReplacer("- ", "", `"`, "", "\n", "").Replace(found[1]))
	}
	if len(lines) != 2*6+4 {
		t.Fatalf("found %q", lines)
	}
	for _, line := range lines {
		cmd, args, err := newRootCommand().Find(strings.Fields(line))
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil || cmd.HasSubCommands() {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func readRecipe(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
