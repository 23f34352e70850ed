package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

const (
	// exitUnhealthy is what container engines expect of a failed check.
	exitUnhealthy = 1
	// healthcheckTimeout is how long the guardian may take to answer.
	healthcheckTimeout = 3 * time.Second
)

const healthcheckHelp = `healthcheck asks the guardian that runs here, with the same environment, whether
it serves: GET /healthz at its bind address, through loopback where that is
every address. Exit 0 when it answers 200 within 3 s, else 1.

Nothing but the bind address, and whether there is TLS, is read. A guardian that was given it as a flag
needs the same flag here; in a container, set GUARDIAN_BIND.`

func newHealthcheckCommand() *cobra.Command {
	var flags flags
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the guardian that runs here whether it serves",
		Long:  healthcheckHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := boundTo(flags, cmd.Flags().Changed, os.Environ())
			if err == nil {
				err = healthcheck(cmd.Context(), cfg.scheme(), cfg.Bind)
			}
			if err != nil {
				return &exitError{code: exitUnhealthy, err: err}
			}
			return nil
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringVar(&flags.bind, "bind", "", "the guardian's bind address (GUARDIAN_BIND, default 0.0.0.0:7500)")
	set.StringVar(&flags.port, "port", "", "the guardian's port, in place of the one of the bind address")
	set.StringVar(&flags.envFile, "env-file", "", "the guardian's dotenv file")
	return cmd
}

// boundTo is the configuration of a guardian with these flags and variables, in
// which the bind address is valid. What else is wrong with it is for that
// guardian to say.
func boundTo(f flags, given func(flag string) bool, environ []string) (*Config, error) {
	cfg, err := load(f, given, environ)
	if cfg == nil {
		return nil, err
	}
	if given("port") {
		if err := cfg.replacePort(f.port); err != nil {
			return nil, err
		}
	}
	if err := checkBind(cfg.Bind); err != nil {
		return nil, &variableError{"GUARDIAN_BIND", err.Error()}
	}
	return cfg, nil
}

// healthcheck asks the guardian that is bound to an address whether it serves.
func healthcheck(ctx context.Context, scheme, bind string) error {
	target, err := healthcheckURL(scheme, bind)
	if err != nil {
		return err
	}
	status, err := statusOf(ctx, target)
	if err != nil {
		return fmt.Errorf("GET %s: %w", target, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", target, status, http.StatusText(status))
	}
	return nil
}

func healthcheckURL(scheme, bind string) (string, error) {
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", fmt.Errorf("%s stands for a port that the system picked: pass the one of GUARDIAN_LISTEN_ADDR with --port", bind)
	}
	target := url.URL{Scheme: scheme, Host: net.JoinHostPort(reachable(host), port), Path: api.RouteHealthz}
	return target.String(), nil
}

// reachable is an address at which this machine reaches what listens on host.
func reachable(host string) string {
	ip := net.ParseIP(host)
	switch {
	case host == "" || ip.Equal(net.IPv4zero):
		return "127.0.0.1"
	case ip.Equal(net.IPv6unspecified):
		return net.IPv6loopback.String()
	}
	return host
}

// unverified takes any certificate. The check dials an address of this machine,
// by another name than the certificate's, sends no secret and believes nothing
// but a status; whoever could answer in the guardian's place can at worst hide
// that it does not serve. A certificate that was verified, or compared with the
// file, would let a guardian be killed over an expiry or a replacement.
var unverified = &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // see above

// statusOf asks directly, whatever proxy the environment names, and follows no
// redirection.
func statusOf(ctx context.Context, target string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := (&http.Transport{DisableKeepAlives: true, TLSClientConfig: unverified}).RoundTrip(request)
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, fmt.Errorf("no answer within %s", healthcheckTimeout)
	}
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
