package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	programs := map[string]func(){"guardian": main}
	if _, err := exec.LookPath("curl"); err != nil {
		programs["curl"] = curl
	}
	testscript.Main(m, programs)
}

// The scripts read like sessions. Beside the commands of testscript:
//
//	serve ARG...        starts a guardian, sets $ADDR, returns once it listens
//	signal NAME         sends it TERM, INT or HUP
//	exited CODE         waits for its end; what it logged is then in stderr
//	logged TEXT         waits until it has logged the text
//	exits CODE ARG...   runs a guardian to its end; output in stdout and stderr
//	answers STATUS[*N] ROUTE [TOKEN [CLIENT]]
//	                    makes a call (N times) with a body that any V1 route
//	                    takes, as a proxy would for the client's address
//	certificate NAME    makes NAME.pem and NAME.key for 127.0.0.1
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			s := &session{}
			env.Values[sessionKey{}] = s
			env.Defer(func() {
				if s.process != nil {
					s.process.kill()
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveCommand, "signal": signalCommand, "exited": exitedCommand,
			"logged": loggedCommand, "exits": exitsCommand,
			"answers": answersCommand, "certificate": certificateCommand,
		},
	})
}

type sessionKey struct{}

// session is what one script has running.
type session struct{ process *process }

func sessionOf(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

// environment is the script's, as far as it concerns a guardian.
func environment(ts *testscript.TestScript) []string {
	environ := bareEnvironment(awsEnvironment(ts)...)
	names := []string{"GUARDIAN_TYPO"}
	for _, name := range variables() {
		names = append(names, name)
	}
	for _, name := range names {
		if value := ts.Getenv(name); value != "" {
			environ = append(environ, name+"="+value)
		}
	}
	return environ
}

// awsEnvironment is the script's, over nothing of this machine's.
func awsEnvironment(ts *testscript.TestScript) []string {
	return []string{
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_REGION=" + ts.Getenv("AWS_REGION"), "AWS_ENDPOINT_URL_S3=" + ts.Getenv("AWS_ENDPOINT_URL_S3"),
	}
}

func serveCommand(ts *testscript.TestScript, _ bool, args []string) {
	binary, err := exec.LookPath("guardian")
	ts.Check(err)
	p, err := launch(binary, ts.Getenv("WORK"), environment(ts), args...)
	ts.Check(err)
	sessionOf(ts).process = p
	ts.Setenv("ADDR", p.address)
}

func signalCommand(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}
	ts.Check(sessionOf(ts).process.signal(signals[args[0]]))
}

func exitedCommand(ts *testscript.TestScript, _ bool, args []string) {
	p := sessionOf(ts).process
	code, err := p.wait()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("stderr"), []byte(p.stderr.String()), 0o600))
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d:\n%s", code, p.stderr)
	}
}

func loggedCommand(ts *testscript.TestScript, _ bool, args []string) {
	p := sessionOf(ts).process
	for deadline := time.Now().Add(patience); !strings.Contains(p.stderr.String(), args[0]); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("never logged %q:\n%s", args[0], p.stderr)
		}
	}
}

func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command("guardian", args[1:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environment(ts)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit code is in ProcessState
	ts.Check(os.WriteFile(ts.MkAbs("stdout"), []byte(stdout.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("stderr"), []byte(stderr.String()), 0o600))
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("exit code %s:\n%s", code, &stderr)
	}
}

func answersCommand(ts *testscript.TestScript, _ bool, args []string) {
	status, count, repeated := strings.Cut(args[0], "*")
	times := 1
	if repeated {
		var err error
		times, err = strconv.Atoi(count)
		ts.Check(err)
	}
	for range times {
		if got := askStatus(ts, args[1:]); got != status {
			ts.Fatalf("answered %s", got)
		}
	}
}

func askStatus(ts *testscript.TestScript, args []string) string {
	body := `{"identity":"` + strings.Repeat("a", 64) + `","share":"eA==","version":1}`
	request, err := http.NewRequest(http.MethodPost, "http://"+ts.Getenv("ADDR")+args[0], strings.NewReader(body))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	if len(args) > 1 {
		request.Header.Set("Authorization", "Bearer "+args[1])
	}
	if len(args) > 2 {
		request.Header.Set("X-Forwarded-For", args[2])
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	ts.Check(response.Body.Close())
	return strconv.Itoa(response.StatusCode)
}

func certificateCommand(ts *testscript.TestScript, _ bool, args []string) {
	certificate, key, err := newCertificate()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), certificate, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), key, 0o600))
}

// curl stands in where there is none, for the options that the scripts use.
func curl() {
	method, body, header, url, authorities := http.MethodGet, "", http.Header{}, "", ""
	args := os.Args[1:]
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-X":
			i++
			method = args[i]
		case args[i] == "-H":
			i++
			name, value, _ := strings.Cut(args[i], ":")
			header.Set(name, strings.TrimSpace(value))
		case args[i] == "-d":
			i++
			method, body = http.MethodPost, args[i]
		case args[i] == "--cacert":
			i++
			authorities = args[i]
		case slices.Contains([]string{"-s", "-sS"}, args[i]):
		default:
			url = args[i]
		}
	}
	if err := exchange(method, url, body, header, authorities); err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		os.Exit(1)
	}
}

func exchange(method, url, body string, header http.Header, authorities string) error {
	client, err := trusting(authorities)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

// trusting trusts the certificates in a file, all the usual where there is none.
func trusting(path string) (*http.Client, error) {
	if path == "" {
		return http.DefaultClient, nil
	}
	certificates, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificates)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}, nil
}
