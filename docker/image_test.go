//go:build image

package image_test

import (
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

// maxCompressed is what the image may weigh on its way to a machine, in bytes.
const maxCompressed = 30 << 20

func TestSize(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	save := theEngine.command(ctx, "save", theEngine.image)
	image, err := save.StdoutPipe()
	if err == nil {
		err = save.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var compressed counter
	squeezed := gzip.NewWriter(&compressed)
	plain, err := io.Copy(squeezed, image)
	if err = errors.Join(err, squeezed.Close(), save.Wait()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d compressed", plain, compressed)
	if compressed > maxCompressed || compressed < maxCompressed/100 {
		t.Errorf("%d bytes compressed, allowed are %d", compressed, maxCompressed)
	}
}

type counter int

func (c *counter) Write(data []byte) (int, error) {
	*c += counter(len(data))
	return len(data), nil
}

// The image has no certificate file, so its binaries must bring the roots.
func TestRootCertificatesAreBuiltIn(t *testing.T) {
	for _, name := range []string{"guardian", "guardianctl"} {
		info, err := buildinfo.ReadFile(filepath.Join("..", "bin", name))
		if err != nil {
			t.Fatal(err)
		}
		roots := func(path string) bool { return path == "golang.org/x/crypto/x509roots/fallback" }
		if !slices.ContainsFunc(modules(info), roots) {
			t.Errorf("%s is built without root certificates", name)
		}
	}
}

func modules(info *buildinfo.BuildInfo) (paths []string) {
	for _, module := range info.Deps {
		paths = append(paths, module.Path)
	}
	return paths
}

func TestArgumentsGoToTheBinary(t *testing.T) {
	out := theEngine.must(t, "run", "--rm", "--network=none", theEngine.image, "--version")
	if out != "guardian version "+api.Version {
		t.Errorf("--version prints %q", out)
	}
	out = theEngine.must(t, "run", "--rm", "--network=none", "--entrypoint=/bin/guardianctl", theEngine.image, "--help")
	if !strings.Contains(out, "guardianctl store") {
		t.Errorf("guardianctl --help prints %q", out)
	}
	refused(t, 1, []string{"GET http://127.0.0.1:1/healthz: "}, nil, "healthcheck", "--port=1")
	refused(t, 64, []string{"unknown flag: --colour"}, nil, "--colour")
}

func TestBareRunSaysWhatToSet(t *testing.T) {
	refused(t, 64, []string{"GUARDIAN_STORAGE", "GUARDIAN_SERVER_BEARER_TOKEN"}, nil)
	refused(t, 64, []string{"GUARDIAN_STORAGE"}, []string{"--env=GUARDIAN_SERVER_BEARER_TOKEN=" + token})
}

// refused expects the image to end at once with an exit code, and one line on
// stderr that has all the texts.
func refused(t *testing.T, code int, texts, flags []string, args ...string) {
	t.Helper()
	_, err := theEngine.run(slices.Concat([]string{"run", "--rm", "--network=none"}, flags, []string{theEngine.image}, args)...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != code {
		t.Errorf("%v: not exit code %d: %v", args, code, err)
		return
	}
	said := lineWith(err.Error(), "guardian: ")
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("%v: %q is not in %q", args, text, said)
		}
	}
}

func lineWith(text, start string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, start) {
			return line
		}
	}
	return ""
}
