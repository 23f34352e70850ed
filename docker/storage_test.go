//go:build image

package image_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

const (
	uid     = "65532"
	dataDir = "/var/lib/guardian"
)

// With a bucket and environment variables alone: nothing is mounted, and what
// one container stored the next one serves.
func TestS3(t *testing.T) {
	environ := s3Environ(t, "GUARDIAN_BIND=127.0.0.1:0")

	c := start(t, nil, environ)
	address := c.address(t)
	push(t, address, 1)
	pulled(t, address, 1)
	c.must(t, "stop", "--time=40", c.id)
	if code := c.exitCode(t); code != "0" {
		t.Errorf("exit code %s", code)
	}
	if left := c.written(t); left != "" {
		t.Errorf("it wrote to its own file system:\n%s", left)
	}

	c = start(t, theEngine.hardened(), environ)
	pulled(t, c.address(t), 1)
	push(t, c.address(t), 2)
	pulled(t, c.address(t), 2)
}

func s3Environ(t *testing.T, extra ...string) []string {
	server := s3test.Versity(t)
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return append(append(server.Environ(),
		"GUARDIAN_STORAGE=s3://"+server.NewBucket(t)+"/prefix",
		"GUARDIAN_NODE_ID=g1",
		"GUARDIAN_INTEGRITY_KEY="+base64.StdEncoding.EncodeToString(key),
		"GUARDIAN_SERVER_BEARER_TOKEN="+token,
	), extra...)
}

// written is what the container changed in its own file system, beyond what
// the engine does there for every container.
func (c *container) written(t *testing.T) string {
	t.Helper()
	idle := start(t, nil, nil, "--version")
	idle.exitCode(t)
	unchanged := strings.Split(idle.must(t, "diff", idle.id), "\n")
	changed := strings.Split(c.must(t, "diff", c.id), "\n")
	return strings.Join(slices.DeleteFunc(changed, func(line string) bool { return slices.Contains(unchanged, line) }), "\n")
}

// With a directory of the host and no cloud. All that is written is there.
func TestMountedDirectory(t *testing.T) {
	dir := t.TempDir()
	owned(t, dir, uid)
	flags := append(theEngine.hardened(), "--volume="+dir+":"+dataDir+":z")
	environ := []string{"GUARDIAN_STORAGE=" + dataDir, "GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_SERVER_BEARER_TOKEN=" + token}

	c := start(t, flags, environ)
	if user := c.inspect(t, "{{.Config.User}}"); user != uid+":"+uid {
		t.Errorf("it is to run as %q", user)
	}
	push(t, c.address(t), 1)
	if got := c.effectiveUser(t); got != uid {
		t.Errorf("it runs as uid %s", got)
	}
	c.must(t, "stop", "--time=40", c.id)

	c = start(t, flags, environ)
	pulled(t, c.address(t), 1)
}

// effectiveUser is what the kernel says of the running process, as seen inside
// the container.
func (c *container) effectiveUser(t *testing.T) string {
	t.Helper()
	proc := "/proc/" + c.inspect(t, "{{.State.Pid}}")
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := os.ReadFile(proc + "/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var real, effective int
	if _, err := fmt.Sscan(lineWith(string(status), "Uid:"), &name, &real, &effective); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mapping)) {
		var inside, outside, length int
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err != nil {
			t.Fatal(err)
		}
		if effective >= outside && effective < outside+length {
			return fmt.Sprint(effective - outside + inside)
		}
	}
	return fmt.Sprintf("%d, which is not mapped", effective)
}

func TestMountThatBelongsToRoot(t *testing.T) {
	dir := t.TempDir()
	owned(t, dir, "0")
	refused(t, 69, []string{"permission denied", "chown -R " + uid + " " + dataDir, "in a container"}, append(theEngine.hardened(), "--volume="+dir+":"+dataDir+":z",
		"--env=GUARDIAN_STORAGE="+dataDir, "--env=GUARDIAN_SERVER_BEARER_TOKEN="+token))
}

// owned gives a directory to a user of containers, and back at the test's end,
// which removes it.
func owned(t *testing.T, dir, user string) {
	t.Helper()
	give := func(to string) {
		theEngine.must(t, "run", "--rm", "--network=none", "--user=0", "--volume="+dir+":/dir:z",
			"--entrypoint=/bin/chown", standin(t), to, "/dir")
	}
	give(user)
	ours := strconv.Itoa(os.Getuid())
	if theEngine.name == "podman" {
		ours = "0" // whoever runs podman
	}
	t.Cleanup(func() { give(ours) })
}
