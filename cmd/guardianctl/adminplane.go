package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

const (
	defaultAdmin = "http://127.0.0.1:9090"
	// adminNote says where a command that asks a running guardian is to be run.
	adminNote = `It asks a running guardian through its admin plane, which listens on loopback
unless it was configured otherwise: run it on the same machine, in a container with
docker exec; or name its address with --admin, and a token with --admin-token-file.`
	adminVariable = "GUARDIANCTL_ADMIN"
	// adminTimeout bounds one request, and maxAdminAnswer its answer in bytes:
	// 1000 repairs among 255 holders.
	adminTimeout   = 30 * time.Second
	maxAdminAnswer = 64 << 20
	adviceAdmin    = "pass for example --admin " + defaultAdmin
)

// Variables so that tests need not wait.
var (
	// adminLook is the pause between two looks at what a guardian does.
	adminLook = 500 * time.Millisecond
	// adminStall is how long it may do nothing while it is waited for: longer
	// than it pauses after storage that failed.
	adminStall = 10 * time.Minute
)

// lookFactor keeps what is long to read from being read all the time.
const lookFactor = 4

// adminFlags name the guardian that a command asks on its admin plane.
type adminFlags struct {
	url, tokenFile, caFile string
	json                   bool
	// What follows check reads from the files.
	token string
	roots *x509.CertPool
}

func (f *adminFlags) register(cmd *cobra.Command) {
	f.registerURL(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
}

func (f *adminFlags) registerURL(cmd *cobra.Command) {
	f.registerAs(cmd, cmp.Or(os.Getenv(adminVariable), defaultAdmin),
		"the guardian's admin plane, http://HOST:PORT or https://HOST:PORT (or "+adminVariable+")")
}

func (f *adminFlags) registerAs(cmd *cobra.Command, otherwise, usage string) {
	cmd.Flags().StringVar(&f.url, "admin", otherwise, usage)
	cmd.Flags().StringVar(&f.tokenFile, "admin-token-file", "", "file with the token of an actor whom the admin plane knows")
	cmd.Flags().StringVar(&f.caFile, "admin-ca-file", "", "file with the certificate authorities of an https admin plane, in place of the system's")
}

// check wants a URL that has nothing but a host and maybe a port, and leaves it
// without a slash at its end. It reads the files that are named.
func (f *adminFlags) check() error {
	at, err := url.Parse(f.url)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Hostname() == "" || !validPort(at.Port()) {
		return usageError(adviceAdmin, "--admin, or %s, is not http://HOST:PORT or https://HOST:PORT", adminVariable)
	}
	if f.url = at.Scheme + "://" + at.Host; at.String() != f.url && at.String() != f.url+"/" {
		return usageError(adviceAdmin, "--admin, or %s, has more than a host and a port", adminVariable)
	}
	if f.tokenFile != "" && at.Scheme == "http" && !isLoopback(at.Hostname()) {
		return usageError("name it with https://", "a token is sent to another machine through TLS only, and --admin is %s", f.url)
	}
	if f.roots, err = rootsIn(f.caFile, "--admin-ca-file"); err != nil {
		return err
	}
	return f.readToken()
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
}

func (f *adminFlags) readToken() error {
	if f.tokenFile == "" {
		return nil
	}
	text, err := readSmallFile(f.tokenFile, maxSmallFile)
	if err != nil {
		return failure(err, "make --admin-token-file a readable file that holds just the token")
	}
	if f.token = strings.TrimSpace(text); unfitToken(f.token) {
		return usageError("make it a file that holds just the token", "%s holds no bearer token", f.tokenFile)
	}
	return nil
}

func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil
}

// get and post ask for a path and decode the answer into value.
func (f *adminFlags) get(ctx context.Context, path string, value any) error {
	return f.ask(ctx, http.MethodGet, path, nil, value)
}

func (f *adminFlags) post(ctx context.Context, path string, body, value any) error {
	return f.ask(ctx, http.MethodPost, path, body, value)
}

func (f *adminFlags) ask(ctx context.Context, method, path string, body, value any) error {
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
	}
	status, answer, err := f.exchange(ctx, method, path, &sent)
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case err != nil:
		return failure(fmt.Errorf("asking the guardian at %s: %w", f.url, err), adviceNoAdmin(err))
	case status >= http.StatusMultipleChoices:
		return adminRefusal(status, answer)
	case json.Unmarshal(answer, value) != nil:
		return failure(errors.New("the answer is not a guardian's"), adviceOtherAdmin)
	}
	return nil
}

func (f *adminFlags) exchange(ctx context.Context, method, path string, body io.Reader) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	response, err := f.send(ctx, method, path, body)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	return response.StatusCode, answer, err
}

// send never goes through a proxy, and follows no redirect.
func (f *adminFlags) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, f.url+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if f.token != "" {
		request.Header.Set("Authorization", "Bearer "+f.token)
	}
	return (&http.Transport{
		DisableKeepAlives:  true,
		DisableCompression: true, // what the admin plane says of a length is to be seen
		TLSClientConfig:    &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS13},
	}).RoundTrip(request)
}

const adviceOtherAdmin = "pass the address of a guardian's admin plane with --admin: what it prints behind GUARDIAN_ADMIN_LISTEN_ADDR=, with https:// where it has a certificate"

func adviceNoAdmin(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "look into the guardian's log for what keeps it, and run it again"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "name the authority that signed its certificate with --admin-ca-file, and its host as the certificate does"
	}
	return "start the guardian, or " + adviceOtherAdmin
}

func adminRefusal(status int, answer []byte) error {
	var said api.ErrorResponse
	if json.Unmarshal(answer, &said) != nil || said.Code == "" {
		return failure(fmt.Errorf("what answers there is no guardian's admin plane: HTTP %d", status), adviceOtherAdmin)
	}
	return failure(fmt.Errorf("the guardian answered: %s", shown(said.Error)), adminAdvice(said.Code))
}

func adminAdvice(code string) string {
	switch code {
	case "no_cluster":
		return "give the guardian a GUARDIAN_REGISTRY: alone it has nobody to compare with"
	case "running":
		return "wait for the one that runs, and run it again"
	case "no_snapshot":
		return "leave out --admin, and name the guardian's storage with --storage"
	case "not_sealed":
		return "pass the --integrity-key-file, or --integrity-key-aws-secret, and the --node-id that the guardian runs with, and set this machine's clock"
	case "no_room":
		return "make room on the guardian's disk; or stop the guardian, and run it without --admin"
	case "registry_unavailable":
		return "bring the registry back, and run it again: shares are served as ever meanwhile; a list that is broken is begun anew by the next round"
	case "no_route", "method_not_allowed":
		return "update the guardian, which is too old for this command; or " + adviceOtherAdmin
	case "token_required", "token_invalid", "forbidden":
		return "pass --admin-token-file with the token of an actor of the guardian's GUARDIAN_ADMIN_TOKENS_FILE whose name starts with admin"
	case "forbidden_host":
		return "name its host with an IP address, or as localhost: " + adviceAdmin
	case "invalid_slots", "invalid_threshold", "invalid_members":
		return "update whichever of guardianctl and the guardian is older"
	}
	return "look into the guardian's log"
}

// look is what a look at a guardian that is waited for finds.
type look struct {
	line string // to be shown
	// moving: it is at work. When it is not, and the line stays as it is for too
	// long, it is waited for no longer.
	moving, done bool
}

// until looks again and again until done, showing on a terminal what the last
// look found.
func (f *adminFlags) until(cmd *cobra.Command, at func(context.Context) (look, error)) error {
	var line atomic.Value
	line.Store("waiting ...")
	stop := showLine(cmd.ErrOrStderr(), func(int) string { return line.Load().(string) })
	defer stop()
	moved, last := time.Now(), ""
	for {
		began := time.Now()
		now, err := at(cmd.Context())
		if err != nil || now.done {
			return err
		}
		if now.moving || now.line != last {
			moved, last = time.Now(), now.line
		}
		if time.Since(moved) > adminStall {
			return failure(fmt.Errorf("nothing has happened for %v: %s", adminStall, now.line), "look into the guardian's log: it goes on by itself once it can")
		}
		line.Store(now.line)
		if err := wait(cmd.Context(), max(adminLook, lookFactor*time.Since(began))); err != nil {
			return err
		}
	}
}

// wait is interrupted when ctx ends.
func wait(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return interrupted(ctx)
	case <-time.After(pause):
		return nil
	}
}
