//go:build image

package image_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

const (
	token    = "the-token-of-the-test"
	identity = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	share    = "dGVzdCBzaGFyZSBkYXRh"
)

// container is one that runs, or ran, and goes with its test.
type container struct {
	*engine
	id string
}

// start runs the image in the background, on the host's network: the S3 server
// of a test listens on loopback only.
func start(t *testing.T, flags, environ []string, args ...string) *container {
	t.Helper()
	command := append([]string{"run", "--detach", "--network=host"}, flags...)
	for _, variable := range environ {
		command = append(command, "--env="+variable)
	}
	command = append(command, theEngine.image)
	c := &container{theEngine, lastLine(theEngine.must(t, append(command, args...)...))}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", c.id[:12], c.log(t))
		}
		_, _ = c.run("rm", "--force", "--volumes", c.id) // it may be gone
	})
	return c
}

func lastLine(text string) string { return text[strings.LastIndex(text, "\n")+1:] }

// log is what the container has printed, stdout and stderr.
func (c *container) log(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := c.command(ctx, "logs", c.id).CombinedOutput()
	if err != nil {
		t.Errorf("reading the log: %v\n%s", err, out)
	}
	return string(out)
}

func (c *container) logged(t *testing.T, text string) {
	t.Helper()
	eventually(t, "logged "+text, func() bool { return strings.Contains(c.log(t), text) })
}

func (c *container) inspect(t *testing.T, format string) string {
	t.Helper()
	return c.must(t, "inspect", "--format", format, c.id)
}

// exitCode waits for the container's end.
func (c *container) exitCode(t *testing.T) string {
	t.Helper()
	return lastLine(c.must(t, "wait", c.id))
}

var listenLine = regexp.MustCompile(`(?m)^GUARDIAN_LISTEN_ADDR=(.+)$`)

// address is where the guardian listens, once it does.
func (c *container) address(t *testing.T) (address string) {
	t.Helper()
	eventually(t, "listening", func() bool {
		found := listenLine.FindStringSubmatch(c.log(t))
		if found == nil && c.inspect(t, "{{.State.Running}}") != "true" {
			t.Fatal("the guardian has ended")
		}
		if found != nil {
			address = found[1]
		}
		return found != nil
	})
	return address
}

// push stores the share of the test as a version.
func push(t *testing.T, address string, version uint64) {
	t.Helper()
	request := api.PushRequest{Identity: identity, Share: share, Version: &version}
	if err := guardianAt(t, address).Push(t.Context(), request); err != nil {
		t.Fatalf("pushing version %d: %v", version, err)
	}
}

// pulled expects the share of the test as a version.
func pulled(t *testing.T, address string, version uint64) {
	t.Helper()
	got, err := guardianAt(t, address).Pull(t.Context(), api.PullRequest{Identity: identity})
	if err != nil || got.Share != share || got.Version != version {
		t.Errorf("pulling version %d: %+v, %v", version, got, err)
	}
}

func guardianAt(t *testing.T, address string) *client.Guardian {
	t.Helper()
	guardian, err := client.New("http://"+address, token)
	if err != nil {
		t.Fatal(err)
	}
	return guardian
}
