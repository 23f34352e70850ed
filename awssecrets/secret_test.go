package awssecrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/awssecrets/secretstest"
	"github.com/vault-guardian/guardian/integrity"
)

// keyText is a key that no error and no print may show.
var keyText = strings.Repeat("5ec2e7", 10) + "0001"

func newServer(t *testing.T) *secretstest.Server {
	t.Helper()
	server := secretstest.New(t)
	for _, variable := range server.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return server
}

func newKeyring(t *testing.T, id string) Keyring {
	t.Helper()
	secret, err := New(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return Keyring{secret}
}

func TestText(t *testing.T) {
	server := newServer(t)
	server.Put("guardian/tokens", "{\"alice\":\"1\"}\n")
	for _, id := range []string{"guardian/tokens", server.ARN("guardian/tokens")} {
		secret := newKeyring(t, id).Secret
		if text, err := secret.Text(t.Context()); err != nil || string(text) != "{\"alice\":\"1\"}\n" {
			t.Errorf("%s: %q, %v", id, text, err)
		}
	}
	secret := newKeyring(t, "guardian/tokens").Secret
	for _, want := range []string{"one", "two", ""} {
		server.Put("guardian/tokens", want)
		if text, err := secret.Text(t.Context()); err != nil || string(text) != want {
			t.Errorf("%q, %v, want %q", text, err, want)
		}
	}
	server.PutBinary("guardian/tokens", []byte("three"))
	if _, err := secret.Text(t.Context()); !errors.Is(err, ErrNoText) {
		t.Error(err)
	}
}

// The region of an ARN is the one that is asked, and signed for, whatever
// AWS_REGION says.
func TestRegion(t *testing.T) {
	server := newServer(t)
	server.Put("ring", keyText)
	for _, region := range []string{"us-west-2", ""} {
		t.Setenv("AWS_REGION", region)
		t.Setenv("AWS_DEFAULT_REGION", "")
		if _, err := newKeyring(t, server.ARN("ring")).Keyring(t.Context()); err != nil {
			t.Errorf("AWS_REGION=%q: %v", region, err)
		}
	}
	t.Setenv("AWS_REGION", "us-west-2")
	if _, err := newKeyring(t, "ring").Keyring(t.Context()); err == nil {
		t.Error("a name was looked up in another region than AWS_REGION")
	}
}

func TestNewRefusesConfiguration(t *testing.T) {
	newServer(t)
	for name, tc := range map[string]struct{ id, region, want string }{
		"no region":         {"ring", "", "region"},
		"another service":   {"arn:aws:s3:::bucket", "us-east-1", "not the ARN of a secret"},
		"ARN cut off":       {"arn:aws:secretsmanager:us-east-1", "us-east-1", "not the ARN of a secret"},
		"ARN of no region":  {"arn:aws:secretsmanager::123456789012:secret:ring-a1B2c3", "us-east-1", "not the ARN of a secret"},
		"a parameter's ARN": {"arn:aws:ssm:us-east-1:123456789012:parameter/ring", "us-east-1", "not the ARN of a secret"},
	} {
		t.Setenv("AWS_REGION", tc.region)
		t.Setenv("AWS_DEFAULT_REGION", "")
		_, err := New(t.Context(), tc.id)
		problem, ok := errors.AsType[*awsconfig.Problem](err)
		if !ok || !problem.Config || problem.Advice == "" || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A service that fails, and secrets that are none: each with what to do, and
// asked again only where that may help.
func TestServiceErrors(t *testing.T) {
	answers := func(code string, status int) func(*testing.T, *secretstest.Server) {
		return func(_ *testing.T, s *secretstest.Server) { s.Fail(code, status) }
	}
	for name, tc := range map[string]struct {
		prepare      func(*testing.T, *secretstest.Server)
		want         error
		what, advice string
		fetches      int
	}{
		"missing": {
			func(_ *testing.T, s *secretstest.Server) { s.Remove("ring") },
			integrity.ErrSourceUnavailable, `secret "ring" is not in AWS Secrets Manager (region eu-central-1)`, "create it", 1,
		},
		"denied": {
			answers("AccessDeniedException", 400), integrity.ErrSourceUnavailable,
			"may not be read", "secretsmanager:GetSecretValue", 1,
		},
		"KMS": {
			answers("DecryptionFailure", 400), integrity.ErrSourceUnavailable,
			"cannot be decrypted", "kms:Decrypt", 1,
		},
		"marked for deletion": {
			answers("InvalidRequestException", 400), integrity.ErrSourceUnavailable,
			"marked for deletion", "restore it", 1,
		},
		"impossible name": {
			answers("ValidationException", 400), integrity.ErrSourceUnavailable,
			`"ring" is not an id`, "ARN", 1,
		},
		"throttled": {
			answers("ThrottlingException", 400), integrity.ErrSourceUnavailable,
			"asked too often", "later", maxAttempts,
		},
		"internal error": {
			answers("InternalServiceError", 500), integrity.ErrSourceUnavailable,
			"cannot be read", "later", maxAttempts,
		},
		"unknown key id": {
			func(t *testing.T, _ *secretstest.Server) { t.Setenv("AWS_ACCESS_KEY_ID", "AKIAnobody") },
			integrity.ErrSourceUnavailable, "credentials are refused", "AWS_ACCESS_KEY_ID", 1,
		},
		"wrong secret key": {
			func(t *testing.T, _ *secretstest.Server) { t.Setenv("AWS_SECRET_ACCESS_KEY", "guessed") },
			integrity.ErrSourceUnavailable, "credentials are refused", "AWS_SECRET_ACCESS_KEY", 1,
		},
		"no credentials": {
			func(t *testing.T, _ *secretstest.Server) {
				t.Setenv("AWS_ACCESS_KEY_ID", "")
				t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			},
			integrity.ErrSourceUnavailable, "no AWS credentials", "AWS_ACCESS_KEY_ID", 0,
		},
		"binary": {
			func(_ *testing.T, s *secretstest.Server) { s.PutBinary("ring", []byte(keyText)) },
			integrity.ErrKeyRefused, "holds no text", "SecretString", 1,
		},
		"empty": {
			func(_ *testing.T, s *secretstest.Server) { s.Put("ring", "") },
			integrity.ErrKeyRefused, "it is empty", "primary", 1,
		},
		"malformed": {
			func(_ *testing.T, s *secretstest.Server) { s.Put("ring", `{"primary":"k1","keys":{"k1":"`+keyText) },
			integrity.ErrKeyRefused, `secret "ring" (region eu-central-1) is no keyring`, "primary", 1,
		},
		"short key": {
			func(_ *testing.T, s *secretstest.Server) { s.Put("ring", keyText[:62]) },
			integrity.ErrKeyRefused, "is no keyring", "32 random bytes", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			server.Put("ring", keyText)
			tc.prepare(t, server)
			_, err := newKeyring(t, "ring").Keyring(t.Context())
			checkProblem(t, err, tc.want, tc.what, tc.advice)
			if n := server.Fetches(); n != tc.fetches {
				t.Errorf("asked %d times, want %d", n, tc.fetches)
			}
		})
	}
}

func checkProblem(t *testing.T, err, sentinel error, what, advice string) {
	t.Helper()
	problem, ok := errors.AsType[*awsconfig.Problem](err)
	if !ok {
		t.Fatalf("no problem: %v", err)
	}
	if !errors.Is(err, sentinel) || !strings.Contains(err.Error(), what) || !strings.Contains(problem.Advice, advice) {
		t.Errorf("%v; %s", err, problem.Advice)
	}
	for _, other := range []error{integrity.ErrSourceUnavailable, integrity.ErrKeyRefused} {
		if !errors.Is(sentinel, other) && errors.Is(err, other) {
			t.Errorf("it is %v too", other)
		}
	}
	for _, hidden := range []string{keyText[:16], os.Getenv("AWS_SECRET_ACCESS_KEY")} {
		if hidden != "" && strings.Contains(fmt.Sprintf("%v %+v %#v %s", err, err, err, problem.Advice), hidden) {
			t.Errorf("it shows %q: %v", hidden, err)
		}
	}
}

// What stands where Secrets Manager should.
func TestTransportErrors(t *testing.T) {
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	answering := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	for name, tc := range map[string]struct{ endpoint, what, advice string }{
		"nobody listens":     {"http://" + closed.Addr().String(), "cannot be reached: dial", "interface endpoint"},
		"plain http":         {"http://secrets.example.com", "plain http to secrets.example.com is refused", "AWS_ALLOW_HTTP"},
		"untrusted":          {untrusted.URL, "certificate", "AWS_CA_BUNDLE"},
		"another service":    {answering(405, "<Error><Code>MethodNotAllowed</Code></Error>"), "is not AWS Secrets Manager", "AWS_ENDPOINT_URL_SECRETS_MANAGER"},
		"answer cut off":     {answering(200, `{"Name":"ring","SecretString":"`+keyText), "not in full", "proxies"},
		"answer of no shape": {answering(200, `{"SecretString":{"`+keyText+`":1}}`), "is not AWS Secrets Manager", "proxies"},
	} {
		t.Run(name, func(t *testing.T) {
			newServer(t)
			t.Setenv("AWS_ALLOW_HTTP", "")
			t.Setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", tc.endpoint)
			_, err := newKeyring(t, "ring").Keyring(t.Context())
			checkProblem(t, err, integrity.ErrSourceUnavailable, tc.what, tc.advice)
		})
	}
}

func TestNoAnswer(t *testing.T) {
	server := newServer(t)
	server.Put("ring", keyText)
	ring := newKeyring(t, "ring")
	server.Hang(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := ring.Keyring(ctx)
	checkProblem(t, err, integrity.ErrSourceUnavailable, "cannot be reached", "network")
	server.Hang(false)
	if _, err := ring.Keyring(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := ring.Keyring(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, integrity.ErrSourceUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// Without any deadline of the caller's, a fetch ends by itself.
func TestFetchIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		hangs    time.Duration
		attempts int
	}{
		"for ever":   {time.Hour, 1},
		"an attempt": {2 * time.Second, maxAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				secret, err := newSecret(aws.Config{
					Region: "eu-central-1",
					Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
						return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
					}),
					HTTPClient: clientFunc(func(r *http.Request) (*http.Response, error) {
						attempts++
						select {
						case <-r.Context().Done():
							return nil, r.Context().Err()
						case <-time.After(tc.hangs):
							return nil, awsconfig.ErrSlow
						}
					}),
				}, "ring")
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now() // of the bubble's clock
				_, err = secret.Text(t.Context())
				if _, ok := errors.AsType[*awsconfig.Problem](err); !ok || time.Since(start) > fetchTimeout || attempts != tc.attempts {
					t.Errorf("%d attempts in %v: %v", attempts, time.Since(start), err)
				}
			})
		})
	}
}

// Credentials that never come are told from a Secrets Manager that does not
// answer.
func TestCredentialsNeverCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret, err := newSecret(aws.Config{
			Region: "eu-central-1",
			Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				<-ctx.Done()
				return aws.Credentials{}, ctx.Err()
			}),
		}, "ring")
		if err != nil {
			t.Fatal(err)
		}
		_, err = Keyring{secret}.Keyring(t.Context())
		checkProblem(t, err, integrity.ErrSourceUnavailable, "no AWS credentials", "AWS_ACCESS_KEY_ID")
	})
}

func TestPrint(t *testing.T) {
	server := newServer(t)
	server.Put("ring", keyText)
	ring := newKeyring(t, "ring")
	if _, err := ring.Keyring(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{ring, &ring, ring.Secret, *ring.Secret} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			printed := fmt.Sprintf(format, v)
			if strings.Contains(printed, keyText[:16]) || strings.Contains(printed, os.Getenv("AWS_SECRET_ACCESS_KEY")) {
				t.Errorf("%s of %T: %s", format, v, printed)
			}
		}
	}
	if printed := fmt.Sprint(ring, ring.Secret); printed != "ring ring" {
		t.Error(printed)
	}
}
