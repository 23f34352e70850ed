package awsconfig

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func bare(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": "us-east-1", "AWS_PROFILE": "", "AWS_ALLOW_HTTP": "", "AWS_CA_BUNDLE": "",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "",
	} {
		t.Setenv(name, value)
	}
}

func TestConfigurationProblems(t *testing.T) {
	for _, c := range [][2]string{
		{"AWS_ALLOW_HTTP=perhaps", "AWS_ALLOW_HTTP is not a boolean"},
		{"AWS_ENDPOINT_URL=localhost:9000", "AWS_ENDPOINT_URL is not http"},
		{"AWS_ENDPOINT_URL_S3=ftp://host", "AWS_ENDPOINT_URL_S3 is not http"},
		{"AWS_ENDPOINT_URL_S3=http://", "AWS_ENDPOINT_URL_S3 is not http"},
		{"AWS_ENDPOINT_URL_S3=http://key:secret@host", "AWS_ENDPOINT_URL_S3 is not http"},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER=//host", "AWS_ENDPOINT_URL_SECRETS_MANAGER is not http"},
		{"AWS_REGION=", "no AWS region"},
		{"AWS_REGION=us east", "AWS_REGION is no region"},
		{"AWS_PROFILE=nobody", "cannot be read"},
		{"AWS_CA_BUNDLE=/dev/null/no-such-file", "cannot be read"},
	} {
		variable, what := c[0], c[1]
		t.Run(variable, func(t *testing.T) {
			bare(t)
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
			cfg, err := Load(t.Context())
			if err == nil {
				err = RequireRegion(cfg)
			}
			problem, ok := errors.AsType[*Problem](err)
			if !ok || !problem.Config || problem.Advice == "" || !strings.Contains(problem.What, what) {
				t.Errorf("got %#v, %v", problem, err)
			}
			if strings.Contains(problem.Error()+problem.Advice, "secret@") {
				t.Errorf("credentials are quoted: %v", err)
			}
		})
	}
}

func TestFlag(t *testing.T) {
	for text, want := range map[string]bool{"1": true, "TRUE": true, "yes": true, "on": true, "": false, "0": false, "False": false, "no": false, "off": false} {
		t.Setenv("AWS_ALLOW_HTTP", text)
		if got, err := Flag("AWS_ALLOW_HTTP"); got != want || err != nil {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// Only this machine and what has a single label is reached in the clear.
func TestPlainHTTP(t *testing.T) {
	reached := clientFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	for target, ok := range map[string]bool{
		"http://127.0.0.1:9000": true, "http://[::1]:9000": true, "http://localhost": true, "http://bucket.localhost:1": true,
		"http://rustfs:9000": true, "https://s3.example.com": true,
		"http://s3.example.com": false, "http://10.0.0.1:9000": false, "http://[fd00::1]:9000": false,
		"http://169.254.169.254": false, "http://localhost.example.com": false, "http://127.0.0.1.example.com": false,
	} {
		for _, allow := range []bool{false, true} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&boundedClient{next: reached, allowHTTP: allow}).Do(req)
			if sent := err == nil; sent != (ok || allow) {
				t.Errorf("%s with AWS_ALLOW_HTTP %v: %v", target, allow, err)
			}
			if err == nil {
				_ = resp.Body.Close()
			} else if problem := Explain(err); problem == nil || !problem.Config {
				t.Errorf("%s: nothing says what to do about %v", target, err)
			}
		}
	}
}

// What may go in the clear to a neighbour goes to it, not to a proxy.
func TestPlainHTTPPassesNoProxy(t *testing.T) {
	for _, allow := range []bool{false, true} {
		target, err := proxy(allow)(&http.Request{URL: &url.URL{Scheme: "http", Host: "rustfs:9000"}})
		if !allow && (target != nil || err != nil) {
			t.Errorf("proxy %v, %v", target, err)
		}
	}
}

func TestAttemptsLeaveTimeForAnother(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := &boundedClient{next: http.DefaultClient}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, ErrSlow) || ctx.Err() != nil {
		t.Errorf("got %v, the caller's context %v", err, ctx.Err())
	}
}

func TestAnswersAreReadWhole(t *testing.T) {
	for name, c := range map[string]struct {
		send func(http.ResponseWriter)
		want int
	}{
		"whole":     {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "answer") }, len("answer")},
		"too long":  {func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, maxAnswer+1)) }, maxAnswer},
		"truncated": {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "10"); _, _ = io.WriteString(w, "half") }, -1},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.send(w) }))
			defer server.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&boundedClient{next: http.DefaultClient}).Do(req)
			if err != nil {
				if c.want >= 0 {
					t.Error(err)
				}
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || len(body) != c.want {
				t.Errorf("%d bytes, %v; want %d", len(body), err, c.want)
			}
		})
	}
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

var _ aws.HTTPClient = clientFunc(nil)
