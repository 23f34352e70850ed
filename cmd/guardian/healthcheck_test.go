package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

func TestHealthcheckReadsTheBindAddressAlone(t *testing.T) {
	given := func(names ...string) func(string) bool {
		return func(flag string) bool { return strings.Contains(strings.Join(names, " "), flag) }
	}
	for name, test := range map[string]struct {
		flags   flags
		given   func(string) bool
		environ []string
		want    string
	}{
		"default":  {given: noFlags, want: "0.0.0.0:7500"},
		"variable": {given: noFlags, environ: []string{"GUARDIAN_BIND=[::]:7600"}, want: "[::]:7600"},
		"flag":     {flags{bind: "127.0.0.1:1"}, given("bind"), []string{"GUARDIAN_BIND=:7600"}, "127.0.0.1:1"},
		"port":     {flags{port: "7700"}, given("port"), []string{"GUARDIAN_BIND=10.0.0.1:7600"}, "10.0.0.1:7700"},
		"bad rest": {given: noFlags, environ: []string{"GUARDIAN_STORAGE=ftp://x", "GUARDIAN_MAX_REQUESTS=many", "GUARDIAN_TYPO=1"}, want: "0.0.0.0:7500"},
		"no port":  {given: noFlags, environ: []string{"GUARDIAN_BIND=localhost"}, want: "GUARDIAN_BIND: not host:port"},
		"bad port": {flags{port: "x"}, given("port"), nil, "--port: not a port"},
		"no file":  {flags{envFile: "missing.env"}, given("env-file"), nil, "--env-file: reading missing.env"},
	} {
		t.Run(name, func(t *testing.T) {
			bind := ""
			cfg, err := boundTo(test.flags, test.given, test.environ)
			if err != nil {
				bind = err.Error()
			} else {
				bind = cfg.Bind
			}
			if bind != test.want && (err == nil || !strings.HasPrefix(bind, test.want)) {
				t.Errorf("got %q, want %q", bind, test.want)
			}
		})
	}
}

func TestHealthcheckAddresses(t *testing.T) {
	for bind, want := range map[string]string{
		"0.0.0.0:7500":       "http://127.0.0.1:7500/healthz",
		":7500":              "http://127.0.0.1:7500/healthz",
		"[::]:7500":          "http://[::1]:7500/healthz",
		"[::0]:7500":         "http://[::1]:7500/healthz",
		"127.0.0.2:7500":     "http://127.0.0.2:7500/healthz",
		"[fe80::1%eth0]:443": "http://[fe80::1%25eth0]:443/healthz",
		"guardian-1:80":      "http://guardian-1:80/healthz",
	} {
		if got, err := healthcheckURL("http", bind); err != nil || got != want {
			t.Errorf("%s: got %s, %v", bind, got, err)
		}
	}
	if _, err := healthcheckURL("http", "0.0.0.0:0"); err == nil || !strings.Contains(err.Error(), "pass the one of GUARDIAN_LISTEN_ADDR with --port") {
		t.Errorf("port 0: %v", err)
	}
}

// Only a 200 will do, and from there, not from where it points to.
func TestHealthcheckAnswers(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusOK:                  "",
		http.StatusNoContent:           "204 No Content",
		http.StatusFound:               "302 Found",
		http.StatusServiceUnavailable:  "503 Service Unavailable",
		http.StatusInternalServerError: "500 Internal Server Error",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != api.RouteHealthz {
				t.Errorf("it asks %s %s", r.Method, r.URL)
			}
			w.Header().Set("Location", api.RouteReadyz)
			w.WriteHeader(status)
		}))
		defer server.Close()
		err := healthcheck(t.Context(), "http", server.Listener.Addr().String())
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != "GET "+server.URL+"/healthz: "+want) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestHealthcheckOfOneThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = healthcheck(t.Context(), "http", listener.Addr().String())
	if err == nil || !strings.HasSuffix(err.Error(), "/healthz: no answer within 3s") {
		t.Errorf("got %v", err)
	}
}

// While it drains a guardian goes on serving; once it takes no more requests
// it is not healthy, even if one is still running.
func TestHealthcheckOfOneThatDrains(t *testing.T) {
	binary, err := exec.LookPath("guardian")
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(binary, t.TempDir(), bareEnvironment(), "--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	check := func() (int, string) {
		cmd := exec.Command(binary, "healthcheck")
		cmd.Env = bareEnvironment("GUARDIAN_BIND=" + p.address)
		out, _ := cmd.CombinedOutput() // the exit code is in ProcessState
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, out := check(); code != 0 || out != "" {
		t.Fatalf("exit code %d, %q", code, out)
	}
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST "+api.RoutePush+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "unhealthy while draining", func() bool {
		code, out := check()
		return code == exitUnhealthy && strings.HasPrefix(out, "guardian: GET http://"+p.address+"/healthz: ") && strings.Contains(out, "refused")
	})
	select {
	case <-p.exited:
		t.Errorf("it did not wait for the request that runs:\n%s", p.stderr)
	default:
	}
}
