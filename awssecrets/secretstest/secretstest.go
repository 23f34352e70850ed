// Package secretstest stands in for AWS Secrets Manager, which cannot be had in
// a test. It takes the requests of the real SDK over HTTP on loopback, checks
// their signatures, and answers as Secrets Manager does, its errors included.
//
// It knows one operation, GetSecretValue, and of each secret the current
// version. It has no policies and no KMS (Fail answers in their stead), no
// older versions or staging labels, no partial ARNs, no session tokens, no
// quotas and no TLS, and it accepts signatures of any age.
package secretstest

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// Region is the one region that a Server is in.
const Region = "eu-central-1"

// Server is one Secrets Manager of one account. It is safe for concurrent use.
type Server struct {
	url                  string
	accessKey, secretKey string

	mu      sync.Mutex // guards what follows
	secrets map[string]secret
	puts    int
	fetches int
	failure *apiError
	hanging bool
}

type secret struct {
	text    *string
	binary  []byte
	version string
	created time.Time
}

// New starts a Server without secrets on loopback, with credentials of its own.
// It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{accessKey: "AKIA" + rand.Text()[:16], secretKey: rand.Text(), secrets: map[string]secret{}}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections() // Close waits for requests that hang
		server.Close()
	})
	s.url = server.URL
	return s
}

// Trust replaces the credentials, so that a process can use them for another
// service of the test as well. It is called before the first request.
func (s *Server) Trust(accessKey, secretKey string) { s.accessKey, s.secretKey = accessKey, secretKey }

// Put makes text the current version of the secret.
func (s *Server) Put(name, text string) { s.put(name, secret{text: &text}) }

// PutBinary makes data the current version of the secret.
func (s *Server) PutBinary(name string, data []byte) { s.put(name, secret{binary: data}) }

func (s *Server) put(name string, value secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	value.version = fmt.Sprintf("%08x-5ec2-4e00-8000-000000000000", s.puts)
	value.created = time.Now()
	s.secrets[name] = value
}

// Remove makes the secret one that does not exist.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, name)
}

// ARN is the ARN of the secret.
func (s *Server) ARN(name string) string {
	return "arn:aws:secretsmanager:" + Region + ":123456789012:secret:" + name + "-a1B2c3"
}

// Fail makes this error every answer from now on, whoever asks for whatever,
// until Fail("", 0).
func (s *Server) Fail(code string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = nil
	if code != "" {
		s.failure = &apiError{status, code, messages[code]}
	}
}

// Hang says whether requests from now on are accepted and never answered, until
// the client goes away.
func (s *Server) Hang(hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging = hang
}

// Fetches counts the requests so far, whatever became of them.
func (s *Server) Fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// Environ is what a process needs in its environment to use this Server, and to
// take credentials from nowhere else.
func (s *Server) Environ() []string {
	return []string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER=" + s.url,
		"AWS_REGION=" + Region,
		"AWS_ACCESS_KEY_ID=" + s.accessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.secretKey,
		"AWS_SESSION_TOKEN=",
		"AWS_PROFILE=",
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
	}
}
