//go:build image

package image_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

func TestHealthcheck(t *testing.T) {
	bind := "GUARDIAN_BIND=" + freeAddress(t)
	environ := s3Environ(t, bind)
	well := start(t, theEngine.hardened(), environ)
	well.address(t)
	eventually(t, "healthy", func() bool { return well.health(t) == "healthy" })
	well.must(t, "stop", "--time=40", well.id)

	// One that listens where its environment does not say.
	elsewhere := start(t, theEngine.hardened(), environ, "--port=0")
	elsewhere.address(t)
	eventually(t, "a failed check", func() bool {
		return elsewhere.health(t) != "healthy" && strings.Contains(elsewhere.inspect(t, "{{json .State.Health}}"), "refused")
	})
}

// health is the state that the image's HEALTHCHECK leads to. Podman has systemd
// run the check, which may not be there; so the test runs it too.
func (c *container) health(t *testing.T) string {
	t.Helper()
	if c.name == "podman" {
		_, _ = c.run("healthcheck", "run", c.id) // what it finds is in the state
	}
	return c.inspect(t, "{{.State.Health.Status}}")
}

// freeAddress is a loopback address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// A request that runs when the engine stops the container is finished.
func TestStopDrains(t *testing.T) {
	c := start(t, theEngine.hardened(), s3Environ(t, "GUARDIAN_BIND=127.0.0.1:0"))
	conn, err := net.Dial("tcp", c.address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := fmt.Sprintf(`{"identity":%q,"share":%q,"version":1}`, identity, share)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", api.RoutePush, token, len(body))
	if _, err := io.WriteString(conn, head+body[:10]); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() {
		_, err := c.run("stop", "--time=40", c.id)
		stopped <- err
	}()
	c.logged(t, "stopping: draining requests")
	if _, err := io.WriteString(conn, body[10:]); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") || !strings.Contains(string(answer), `"stored"`) {
		t.Errorf("the request that was running got %q, %v", answer, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if code := c.exitCode(t); code != "0" {
		t.Errorf("exit code %s", code)
	}
}
