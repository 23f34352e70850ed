// Package awsconfig makes the configuration that the AWS clients of this
// project share, from the environment alone: credentials and region by the
// SDK's default chain, an HTTP client that keeps time and memory bounded and
// sends nothing in the clear, and errors that say what to do.
package awsconfig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

const (
	dialTimeout = 2 * time.Second
	// maxConnections to one host. A guardian carries out at most 1,000 requests
	// at once by default, which rarely all talk to the storage; further ones
	// wait for a connection within their own deadline.
	maxConnections = 1024
	idleTimeout    = 90 * time.Second
)

// Load returns the SDK configuration of the environment. It needs no region
// (see RequireRegion) and talks to no service. Errors are *Problem.
//
// Beside what the SDK reads: AWS_ALLOW_HTTP permits plain http:// endpoints
// beyond this machine and beyond single-label host names, as containers of one
// compose file use them.
func Load(ctx context.Context) (aws.Config, error) {
	allowHTTP, err := Flag("AWS_ALLOW_HTTP")
	if err != nil {
		return aws.Config{}, err
	}
	if err := checkEndpoints(); err != nil {
		return aws.Config{}, err
	}
	// A BuildableClient, so that the SDK can add AWS_CA_BUNDLE to it. What the
	// SDK would log comes back as errors.
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(transport(allowHTTP)), config.WithLogger(logging.Nop{}))
	if err != nil {
		return aws.Config{}, &Problem{
			What: "the AWS configuration cannot be read", Config: true, Err: err,
			Advice: "correct the AWS_* variables, and the files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name",
		}
	}
	cfg.HTTPClient = &boundedClient{next: cfg.HTTPClient, allowHTTP: allowHTTP}
	return cfg, nil
}

// checkEndpoints refuses what is no URL: the SDK would fail later, and say less.
func checkEndpoints() error {
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SECRETS_MANAGER"} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
			return &Problem{
				What: name + " is not http:// or https:// with a host", Config: true,
				Advice: "set it for example to http://127.0.0.1:9000",
			}
		}
	}
	return nil
}

// proxy is that of the environment, but for plain http that may not cross a
// network.
func proxy(allowHTTP bool) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		if req.URL.Scheme == "http" && !allowHTTP {
			return nil, nil
		}
		return http.ProxyFromEnvironment(req)
	}
}

func transport(allowHTTP bool) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = maxConnections, maxConnections, maxConnections
			t.IdleConnTimeout = idleTimeout
			t.Proxy = proxy(allowHTTP)
			t.TLSHandshakeTimeout = dialTimeout
			t.DisableCompression = true
		})
}

var regions = regexp.MustCompile(`^[A-Za-z0-9-]{1,63}$`)

// RequireRegion returns a *Problem when no region is configured.
func RequireRegion(cfg aws.Config) error {
	if regions.MatchString(cfg.Region) {
		return nil
	}
	if cfg.Region != "" {
		return &Problem{
			What: "AWS_REGION is no region", Config: true,
			Advice: "set it to a name such as us-east-1",
		}
	}
	return &Problem{
		What: "no AWS region is configured", Config: true,
		Advice: "set AWS_REGION, for example to us-east-1; servers that are not Amazon's take that too unless they were given another",
	}
}

// Flag reads a boolean variable that the SDK does not know: 1 true yes on, 0
// false no off and nothing, in any case. Errors are *Problem.
func Flag(name string) (bool, error) {
	switch strings.ToLower(os.Getenv(name)) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off", "":
		return false, nil
	}
	return false, &Problem{
		What: fmt.Sprintf("%s is not a boolean", name), Config: true,
		Advice: fmt.Sprintf("set %s to true or false", name),
	}
}
