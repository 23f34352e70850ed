//go:build image

package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// composePatience is how long one command of Compose may take.
const composePatience = 3 * time.Minute

var guardians = []string{"g1", "g2", "g3", "g4", "g5"}

// project is compose.yaml in the hands of Docker Compose.
type project struct {
	*engine
	name  string
	files []string
}

// command is one of Compose, blind to a file .env that somebody has here.
func (p *project) command(ctx context.Context, args ...string) *exec.Cmd {
	all := []string{"--project-name", p.name, "--env-file", os.DevNull}
	for _, file := range p.files {
		all = append(all, "--file", file)
	}
	cmd := exec.CommandContext(ctx, tool("compose", ""), append(all, args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = "..", p.environ, time.Second
	return cmd
}

// compose returns what a command prints on stdout.
func (p *project) compose(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), composePatience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := p.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.String()
}

// composed is what Compose understands of the file.
type composed struct {
	Services map[string]struct {
		Image       string
		ReadOnly    bool     `json:"read_only"`
		CapDrop     []string `json:"cap_drop"`
		SecurityOpt []string `json:"security_opt"`
		Environment map[string]string
		Ports       []struct {
			HostIP    string `json:"host_ip"`
			Published string
		}
	}
	Configs map[string]struct{ Content string }
}

func configured(t *testing.T, environ []string, args ...string) (c composed) {
	t.Helper()
	p := &project{engine: &engine{environ: append(os.Environ(), environ...)}, name: "guardian", files: []string{"compose.yaml"}}
	text := p.compose(t, append(args, "config", "--format", "json")...)
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeFile(t *testing.T) {
	plain := configured(t, nil)
	for name, service := range configured(t, nil, "--profile", "minio").Services {
		if _, ok := plain.Services[name]; ok == (name == "minio") {
			t.Errorf("%s is in the wrong profile", name)
		}
		_, tag, _ := strings.Cut(service.Image, ":")
		if service.Image != "guardian:latest" && (tag == "" || tag == "latest") {
			t.Errorf("%s: the image %s is not pinned", name, service.Image)
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to %q", name, port.Published, port.HostIP)
			}
		}
	}
	for i, name := range guardians {
		g := plain.Services[name]
		if !g.ReadOnly || !slices.Contains(g.CapDrop, "ALL") || !slices.Contains(g.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do too much: %+v", name, g)
		}
		if len(g.Ports) != 1 || g.Ports[0].Published != fmt.Sprint(7501+i) {
			t.Errorf("%s: ports %+v", name, g.Ports)
		}
	}
	for _, variable := range []string{"GUARDIAN_NODE_ID", "GUARDIAN_SERVER_BEARER_TOKEN", "GUARDIAN_INTEGRITY_KEY"} {
		var values []string
		for _, name := range guardians {
			values = append(values, plain.Services[name].Environment[variable])
		}
		slices.Sort(values)
		if len(slices.Compact(values)) != len(guardians) || values[0] == "" {
			t.Errorf("%s is shared or not set", variable)
		}
	}
}

// Somebody's own tokens reach the guardian and the client.
func TestComposeFileTakesTokens(t *testing.T) {
	c := configured(t, []string{"G2_TOKEN=another"})
	if got := c.Services["g2"].Environment["GUARDIAN_SERVER_BEARER_TOKEN"]; got != "another" {
		t.Errorf("g2 has token %q", got)
	}
	lines := strings.Split(c.Configs["tokens"].Content, "\n")
	if len(lines) < len(guardians) || lines[1] != "another" {
		t.Errorf("the client has tokens %q", lines)
	}
}

// The whole of compose.yaml runs, but for the images of others, which
// docker/standin plays: the store, and the command line that makes the bucket.
func TestCompose(t *testing.T) {
	p := newProject(t)
	p.compose(t, "up", "--detach")
	p.recovered(t, "recovered version 1 ", "from 5 shares")
	for _, name := range guardians {
		status := p.status(t, name)
		if status.NodeID != name || status.Storage != "s3" || status.DataDir != "s3://guardian/development/nodes/"+name {
			t.Errorf("%s: %+v", name, status)
		}
	}

	p.compose(t, "stop", "g4", "g5")
	p.sees(t, "from 3 shares")
	p.compose(t, "start", "g4", "g5")
	p.compose(t, "up", "--detach", "--force-recreate", "--no-deps", "g1")
	eventually(t, "all five again", func() bool { return strings.Contains(p.recover(t), "from 5 shares") })

	// What is stored outlives everything but its volume.
	p.compose(t, "down")
	p.compose(t, "up", "--detach")
	p.recovered(t, "recovered version 2 ", "from 5 shares")
}

// newProject is the file with its stand-ins, and gone at the end of the test.
func newProject(t *testing.T) *project {
	t.Helper()
	const image = "localhost/guardian-under-test:latest"
	theEngine.must(t, "tag", theEngine.must(t, "image", "inspect", "--format", "{{.Id}}", theEngine.image), image)
	e := *theEngine
	e.environ = append(slices.Clone(e.environ), "STANDIN_GUARDIAN="+image, "STANDIN_STORE="+standin(t))
	p := &project{&e, fmt.Sprintf("guardian-test-%d", os.Getpid()), []string{"compose.yaml", "docker/standin/compose.yaml"}}
	if p.engine.name == "podman" {
		p.serveDockerAPI(t)
		p.checkHealth(t)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), composePatience)
		defer cancel()
		if t.Failed() {
			log, _ := p.command(ctx, "logs").CombinedOutput()
			t.Logf("%s", log)
		}
		if out, err := p.command(ctx, "down", "--volumes", "--timeout", "5").CombinedOutput(); err != nil {
			t.Errorf("compose down: %v\n%s", err, out)
		}
		_, _ = theEngine.run("rmi", image) // just a name
	})
	return p
}

// serveDockerAPI has podman answer Compose in place of a Docker daemon.
func (p *project) serveDockerAPI(t *testing.T) {
	t.Helper()
	socket := filepath.Join(p.dir, "podman.sock")
	p.environ = append(p.environ, "DOCKER_HOST=unix://"+socket)
	ctx, cancel := context.WithCancel(context.Background())
	service := p.engine.command(ctx, "system", "service", "--time=0", "unix://"+socket)
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = service.Wait() // killed
	})
	eventually(t, "podman answers on its socket", func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
}

// checkHealth does what podman has systemd do, which may not be there: it runs
// each container's check again and again.
func (p *project) checkHealth(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			running, _ := p.run("ps", "--quiet", "--filter", "label=com.docker.compose.project="+p.name)
			for _, id := range strings.Fields(running) {
				_, _ = p.run("healthcheck", "run", id) // what it finds is in the state
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// recovered waits for the end of the demonstration.
func (p *project) recovered(t *testing.T, texts ...string) {
	t.Helper()
	eventually(t, "the demonstration is over", func() bool {
		said := p.compose(t, "logs", "--no-log-prefix", "demo-recover")
		missing := func(text string) bool { return !strings.Contains(said, text) }
		return strings.Contains(said, "what one of them says of itself") && !slices.ContainsFunc(texts, missing)
	})
}

// recover runs the client once more, and returns what it says.
func (p *project) recover(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), composePatience)
	defer cancel()
	out, err := p.command(ctx, "run", "--rm", "--no-deps", "--no-TTY", "demo-recover").CombinedOutput()
	if err != nil {
		t.Fatalf("recovering: %v\n%s", err, out)
	}
	return string(out)
}

func (p *project) sees(t *testing.T, text string) {
	t.Helper()
	if said := p.recover(t); !strings.Contains(said, text) {
		t.Errorf("%q is not in:\n%s", text, said)
	}
}

// status asks one guardian through its published port.
func (p *project) status(t *testing.T, name string) api.StatusResponse {
	t.Helper()
	address := strings.TrimSpace(p.compose(t, "port", name, "7500"))
	status, err := guardianAt(t, address).Status(t.Context())
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return status
}
