//go:build deploy

// Run by make test-deploy, as it takes systemd's and bubblewrap's programs.

package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

const patience = 60 * time.Second

// TestSandbox: under the system calls, the files and the limits that the unit leaves it
// a guardian does all its work, on a directory and on a bucket. systemd is not asked, as
// it is seldom the init of where this is run: bubblewrap does what it would.
func TestSandbox(t *testing.T) {
	box := newSandbox(t)
	server := s3test.Versity(t)
	for name, environ := range map[string][]string{
		"directory": {"GUARDIAN_STORAGE=" + box.data},
		"bucket":    append(server.Environ(), "GUARDIAN_STORAGE=s3://"+server.NewBucket(t)+"/x", "GUARDIAN_INTEGRITY_KEY="+strings.Repeat("ab", 32), "GUARDIAN_NODE_KEY_FILE="+box.nodeKey),
	} {
		t.Run(name, func(t *testing.T) {
			box.guardian(t, append(environ, "GUARDIAN_NODE_ID="+name, "GUARDIAN_REGISTRY="+box.registry))
		})
	}
}

// TestSandboxHolds: what the unit forbids fails in the sandbox, and not outside.
func TestSandboxHolds(t *testing.T) {
	box := newSandbox(t)
	outside := filepath.Join(t.TempDir(), "outside")
	for _, forbidden := range [][]string{
		{"touch", outside},
		{"unshare", "--user", "true"},
		{"bash", "-c", "ulimit -c unlimited"},
	} {
		if out, err := exec.CommandContext(t.Context(), forbidden[0], forbidden[1:]...).CombinedOutput(); err != nil && forbidden[0] != "bash" {
			t.Errorf("outside %q: %v: %s", forbidden, err, out)
		}
		cmd, _ := box.command(t.Context(), t, forbidden...)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("the sandbox permits %q: %s", forbidden, out)
		}
	}
	cmd, _ := box.command(t.Context(), t, "touch", filepath.Join(box.data, "inside"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the storage cannot be written: %v: %s", err, out)
	}
}

// sandbox is the unit's, with other directories.
type sandbox struct {
	program, data, registry, nodeKey string
	flags, limits                    []string
	filter                           []byte
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	text, err := os.ReadFile("systemd/guardian.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Split(string(text), "\n")
	program, err := filepath.Abs("../bin/guardian")
	if err != nil {
		t.Fatal(err)
	}
	box := &sandbox{program: program, data: t.TempDir(), registry: t.TempDir(), filter: seccompOf(t, unit)}
	box.nodeKey = filepath.Join(box.registry, "node.key")
	if err := os.WriteFile(box.nodeKey, []byte(strings.Repeat("cd", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	// What of the unit stands for what of bubblewrap's. The rest of it is in the filter.
	for setting, flags := range map[string]string{
		"ProtectSystem=strict":   "--ro-bind / /",
		"ProtectHome=yes":        "--tmpfs /home --tmpfs /root",
		"PrivateTmp=yes":         "--tmpfs /tmp --tmpfs /var/tmp",
		"PrivateDevices=yes":     "--dev /dev",
		"ProtectProc=invisible":  "--proc /proc",
		"PrivateUsers=yes":       "--unshare-user",
		"CapabilityBoundingSet=": "--cap-drop ALL",
		"NoNewPrivileges=yes":    "",
		families:                 "", "RestrictNamespaces=yes": "", "MemoryDenyWriteExecute=yes": "", "SystemCallErrorNumber=EPERM": "",
	} {
		if !slices.Contains(unit, setting) {
			t.Errorf("the unit has no line %s", setting)
		}
		if setting == "ProtectSystem=strict" { // what hides parts of it comes behind it
			box.flags = append(strings.Fields(flags), box.flags...)
		} else {
			box.flags = append(box.flags, strings.Fields(flags)...)
		}
	}
	box.flags = append(box.flags, "--ro-bind", program, program, "--bind", box.data, box.data, "--bind", box.registry, box.registry)
	// LimitMEMLOCK may be above what whoever runs this may have.
	for name, flag := range map[string]string{"LimitCORE=": "--core=", "LimitNOFILE=": "--nofile="} {
		i := slices.IndexFunc(unit, func(line string) bool { return strings.HasPrefix(line, name) })
		if i < 0 {
			t.Fatalf("the unit has no line %s", name)
		}
		box.limits = append(box.limits, flag+unit[i][len(name):])
	}
	return box
}

// command is one to be run in the sandbox for as long as ctx, and where its process id is
// told.
func (b *sandbox) command(ctx context.Context, t *testing.T, args ...string) (cmd *exec.Cmd, status *os.File) {
	t.Helper()
	filter, err := os.CreateTemp(t.TempDir(), "filter")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filter.Write(b.filter); err != nil {
		t.Fatal(err)
	}
	if _, err := filter.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	status, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { filter.Close(); told.Close(); status.Close() })
	wrapped := slices.Concat(b.limits, []string{"bwrap", "--die-with-parent", "--seccomp", "3", "--json-status-fd", "4"}, b.flags, []string{"--"}, args)
	cmd = exec.CommandContext(ctx, "prlimit", wrapped...)
	cmd.ExtraFiles = []*os.File{filter, told}
	cmd.Cancel = func() error { return errors.Join(told.Close(), status.Close(), cmd.Process.Kill()) }
	return cmd, status
}

// guardian runs one, gives it all kinds of work, and ends it.
func (b *sandbox) guardian(t *testing.T, environ []string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd, status := b.command(ctx, t, b.program, "--unauthenticated", "--bind", "127.0.0.1:0")
	output := filepath.Join(t.TempDir(), "output")
	file, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.Env = append(environ, "HOME=/nonexistent", "PATH="+os.Getenv("PATH"), "GUARDIAN_ADMIN_BIND=127.0.0.1:0", "GUARDIAN_PEER_BIND=127.0.0.1:0", "GUARDIAN_AUDIT=store")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := func() string {
		text, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	defer func() {
		if t.Failed() {
			t.Logf("it said\n%s", said())
		}
	}()
	var child struct {
		Pid int `json:"child-pid"`
	}
	if err := json.NewDecoder(status).Decode(&child); err != nil {
		t.Fatalf("bubblewrap tells nothing of its child: %v", err)
	}
	// The last of the addresses that it prints.
	adminAddress := regexp.MustCompile(`(?m)^GUARDIAN_ADMIN_LISTEN_ADDR=(.+)$`)
	for !adminAddress.MatchString(said()) {
		if ctx.Err() != nil {
			t.Fatal("it does not listen")
		}
		time.Sleep(20 * time.Millisecond)
	}
	client := "http://" + regexp.MustCompile(`(?m)^GUARDIAN_LISTEN_ADDR=(.+)$`).FindStringSubmatch(said())[1]
	admin := "http://" + adminAddress.FindStringSubmatch(said())[1]
	for i := range 20 {
		identity, version := fmt.Sprintf("%064x", i%5), i/5+1
		call(ctx, t, http.MethodPost, client+api.RoutePush, fmt.Sprintf(`{"identity":%q,"share":"dGVzdCBzaGFyZSBkYXRh","version":%d}`, identity, version))
		call(ctx, t, http.MethodPost, client+api.RoutePull, fmt.Sprintf(`{"identity":%q}`, identity))
	}
	call(ctx, t, http.MethodPost, admin+"/admin/scrub", "")
	call(ctx, t, http.MethodPost, admin+"/admin/reload", "")
	call(ctx, t, http.MethodGet, admin+"/metrics", "")
	call(ctx, t, http.MethodGet, client+api.RouteReadyz, "")
	if err := syscall.Kill(child.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || strings.Contains(said(), "level=ERROR") {
		t.Errorf("it ended with %v", err)
	}
}

// call wants an answer that says yes.
func call(ctx context.Context, t *testing.T, method, url, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %d %s %v", method, url, response.StatusCode, text, err)
	}
}
