package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// binaries is where TestMain builds the two programs.
var binaries string

func TestMain(m *testing.M) {
	testscript.Main(building{m}, map[string]func(){"guardianctl": main})
}

// building builds the real programs before the tests of the package run, but
// not where testscript runs this test binary as guardianctl.
type building struct{ *testing.M }

func (b building) Run() int {
	dir, err := os.MkdirTemp("", "guardianctl-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	build := exec.CommandContext(context.Background(), "go", "build", "-o", dir+string(filepath.Separator), ".", "../guardian")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs: %v\n%s", err, output)
		return 1
	}
	return b.M.Run()
}
