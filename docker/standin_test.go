//go:build image

package image_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

const standinImage = "localhost/guardian-standin:latest"

// standin is the image that plays those that are not pulled, built once.
func standin(t *testing.T) string {
	t.Helper()
	if err := buildStandin(); err != nil {
		t.Fatalf("building the stand-in: %v", err)
	}
	return standinImage
}

var buildStandin = sync.OnceValue(func() error {
	dir := filepath.Join(theEngine.dir, "standin")
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "rustfs"), "./standin")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return err
	}
	for _, role := range []string{"curl", "aws", "chown"} {
		if err := os.Symlink("rustfs", filepath.Join(dir, role)); err != nil {
			return err
		}
	}
	for name, from := range map[string]string{"sh": tool("gosh", ""), "versitygw": tool("versitygw", "GUARDIAN_TEST_VERSITYGW")} {
		if err := copyProgram(from, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	_, err := theEngine.run("build", "-f", "standin/Dockerfile", "-t", standinImage, dir)
	return err
})

// tool is a program that the Makefile installed as .tools/NAME-VERSION/NAME,
// unless a variable names another.
func tool(name, variable string) string {
	root, err := filepath.Abs("..")
	if err != nil {
		return err.Error()
	}
	found, err := filepath.Glob(filepath.Join(root, ".tools", name+"-*", name))
	if err != nil || len(found) == 0 {
		found = []string{name + ", which make test-image installs"}
	}
	return cmp.Or(os.Getenv(variable), slices.Max(found))
}

func copyProgram(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755)
}
