//go:build deploy

// Run by make test-deploy, as it takes openssl and Prometheus.

package docs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDayOne pastes what DEPLOYMENT.md shows to a new operator into one shell, at other
// addresses of loopback.
func TestDayOne(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	build(t, bin)
	recipes, err := filepath.Abs(filepath.Join(root, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		filepath.Join(bin, "versitygw"): os.Getenv("GUARDIAN_TEST_VERSITYGW"), filepath.Join(dir, "deploy"): recipes,
	} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	steps := stepsOf(read(t, "docs/DEPLOYMENT.md"))
	if len(steps) < 10 {
		t.Fatalf("found %d blocks to run", len(steps))
	}
	network := fmt.Sprintf("127.%d.%d.", 1+rand.N(250), 1+rand.N(250))
	for i := range steps {
		steps[i].commands = strings.ReplaceAll(steps[i].commands, "127.0.0.", network)
	}
	outputs, whole := play(t, dir, steps, usualPorts)
	for i, step := range steps {
		if !matches(outputs[i], step.output) {
			t.Errorf("the block\n%s\nprints\n%s\nnot\n%s", step.commands, outputs[i], step.output)
		}
	}
	if t.Failed() {
		t.Log(whole)
	}
}

// usualPorts leave those in a document as they are.
const usualPorts ports = 750
