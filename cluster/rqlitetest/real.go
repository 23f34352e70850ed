//go:build rqlite

package rqlitetest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	realTimeout  = time.Minute // for a cluster to have a leader
	realPoll     = 50 * time.Millisecond
	realAttempts = 5

	// realUser has no more rights than a guardian needs, realOperator has all.
	realUser     = "guardian"
	realOperator = "operator"
)

// Real is a cluster of rqlited processes, on loopback and in temporary
// directories. It ends with its test. It stands where a [Cluster] does, but
// holds its elections itself. It is safe for concurrent use.
type Real struct {
	binary    string
	password  string // of realUser
	operator  string // password of realOperator
	auth      string // file of both
	cert, key string // files; empty without TLS
	client    *http.Client
	nodes     []*realNode
}

// NewReal starts n processes of the binary that GUARDIAN_TEST_RQLITED names, and
// returns once each of them knows a leader. They want a password.
func NewReal(t testing.TB, n int) *Real {
	t.Helper()
	r := &Real{binary: os.Getenv("GUARDIAN_TEST_RQLITED"), password: rand.Text() + "@/,:?#% ", operator: rand.Text(), client: &http.Client{}}
	r.boot(t, n)
	return r
}

// NewRealTLS is NewReal over HTTPS, by the authority in CAFile.
func NewRealTLS(t testing.TB, n int) *Real {
	t.Helper()
	r := &Real{binary: os.Getenv("GUARDIAN_TEST_RQLITED"), password: rand.Text(), operator: rand.Text()}
	r.certify(t)
	r.boot(t, n)
	return r
}

// certify takes the certificate for loopback addresses that httptest has.
func (r *Real) certify(t testing.TB) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	r.cert = write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	r.key = write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	r.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// boot starts all nodes. Somebody else may take a port before the process has
// it, hence several attempts.
func (r *Real) boot(t testing.TB, n int) {
	t.Helper()
	if r.binary == "" {
		t.Fatal("name a binary of rqlited in GUARDIAN_TEST_RQLITED")
	}
	auth, err := json.Marshal([]map[string]any{
		{"username": realUser, "password": r.password, "perms": []string{"execute", "query"}},
		{"username": realOperator, "password": r.operator, "perms": []string{"all"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.auth = write(t, "auth.json", auth)
	t.Cleanup(r.client.CloseIdleConnections)
	for range realAttempts {
		r.nodes = newRealNodes(t, n)
		for i := range n {
			r.Start(t, i)
		}
		if err = r.awaitReady(); err == nil {
			return
		}
		for i := range n {
			r.Stop(i)
		}
	}
	t.Fatalf("rqlited does not serve: %v\n%s", err, r.nodes[0].output(t))
}

// awaitReady waits until every node knows a leader.
func (r *Real) awaitReady() error {
	deadline := time.Now().Add(realTimeout)
	for i, n := range r.nodes {
		for {
			status, _, text, err := r.ask(realOperator, http.MethodGet, i, "/readyz", "")
			if err == nil && status == http.StatusOK {
				break
			}
			if n.state() != running || time.Now().After(deadline) {
				return errors.Join(fmt.Errorf("node %d answers %d %q", i, status, text), err)
			}
			time.Sleep(realPoll)
		}
	}
	return nil
}

// Start starts process i, again after Stop. One that runs is left as it is.
func (r *Real) Start(t testing.TB, i int) {
	t.Helper()
	n := r.nodes[i]
	arguments := []string{"-node-id", n.id, "-http-addr", n.http, "-raft-addr", n.raft, "-auth", r.auth}
	if r.cert != "" {
		arguments = append(arguments, "-http-cert", r.cert, "-http-key", r.key)
	}
	if len(r.nodes) > 1 {
		var all []string
		for _, other := range r.nodes {
			all = append(all, other.raft)
		}
		arguments = append(arguments, "-bootstrap-expect", fmt.Sprint(len(r.nodes)), "-join", strings.Join(all, ","), "-join-as", realOperator)
	}
	n.start(t, r.binary, append(arguments, n.dir))
}

// Stop kills process i. Stopping twice is no error.
func (r *Real) Stop(i int) { r.nodes[i].stop() }

// Pause stops process i as kill -STOP does.
func (r *Real) Pause(i int) { r.nodes[i].pause() }

// Resume continues process i.
func (r *Real) Resume(i int) { r.nodes[i].resume() }

// URL is the cluster's, with all nodes and the credentials of a user who may
// execute and query, and nothing else.
func (r *Real) URL() string {
	return "rqlite+" + r.scheme() + url.UserPassword(realUser, r.password).String() + "@" + strings.Join(r.Addresses(), ",")
}

func (r *Real) scheme() string {
	if r.cert != "" {
		return "https://"
	}
	return "http://"
}

// Login returns the user and password that URL names.
func (r *Real) Login() (user, password string) { return realUser, r.password }

// CAFile is the file of the certificate authority of a cluster with TLS.
func (r *Real) CAFile() string { return r.cert }

// Addresses returns host:port of every node.
func (r *Real) Addresses() []string {
	var all []string
	for _, n := range r.nodes {
		all = append(all, n.http)
	}
	return all
}

// Leader returns the number of the leader that most of the nodes name, or -1.
func (r *Real) Leader() int {
	votes := make([]int, len(r.nodes))
	for i := range r.nodes {
		if leader := r.leaderBy(i); leader >= 0 {
			votes[leader]++
		}
	}
	for i, n := range votes {
		if 2*n > len(r.nodes) {
			return i
		}
	}
	return -1
}

// leaderBy returns the leader that node i names, or -1.
func (r *Real) leaderBy(i int) int {
	_, _, text, err := r.ask(realOperator, http.MethodGet, i, "/nodes?timeout=1s", "")
	var nodes map[string]struct{ Leader bool }
	if err != nil || json.Unmarshal([]byte(text), &nodes) != nil {
		return -1
	}
	for i, n := range r.nodes {
		if nodes[n.id].Leader {
			return i
		}
	}
	return -1
}

// AwaitLeader waits until most of the nodes name a leader, and returns its
// number.
func (r *Real) AwaitLeader(t testing.TB) int {
	t.Helper()
	for deadline := time.Now().Add(realTimeout); time.Now().Before(deadline); time.Sleep(realPoll) {
		if leader := r.Leader(); leader >= 0 {
			return leader
		}
	}
	t.Fatal("rqlited elects no leader")
	return -1
}

// Execute carries a statement out, by the first node that will. A row that is
// there already is no error, as rqlite itself may repeat an INSERT.
func (r *Real) Execute(t testing.TB, sql string, parameters ...any) {
	t.Helper()
	body, err := json.Marshal([][]any{append([]any{sql}, parameters...)})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(realTimeout); time.Now().Before(deadline); time.Sleep(realPoll) {
		for i := range r.nodes {
			var done bool
			if done, err = r.execute(i, string(body)); done && err == nil {
				return
			}
			if done {
				t.Fatalf("%s: %v", sql, err)
			}
		}
	}
	t.Fatalf("%s: %v", sql, err)
}

// execute has node i carry a statement out, and reports whether it did; the
// error may be the statement's.
func (r *Real) execute(i int, body string) (bool, error) {
	status, _, text, err := r.ask(realOperator, http.MethodPost, i, "/db/execute?timeout=1s", body)
	switch {
	case err != nil:
		return false, err
	case status != http.StatusOK || !strings.HasPrefix(text, `{"results":[{`):
		return false, errors.New(text)
	case strings.Contains(text, `"error"`) && !strings.Contains(text, "UNIQUE constraint failed"):
		return true, errors.New(text)
	}
	return true, nil
}

// Ask posts to node i, with the credentials of URL.
func (r *Real) Ask(i int, path, body string) (status int, header http.Header, text string, err error) {
	return r.ask(realUser, http.MethodPost, i, path, body)
}

func (r *Real) ask(user, method string, i int, path, body string) (int, http.Header, string, error) {
	if s := r.nodes[i].state(); s != running {
		return 0, nil, "", fmt.Errorf("node %d is %s", i, s)
	}
	request, err := http.NewRequest(method, r.scheme()+r.nodes[i].http+path, strings.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, nil, "", err
	}
	password := r.password
	if user == realOperator {
		password = r.operator
	}
	request.SetBasicAuth(user, password)
	request.Header.Set("Content-Type", "application/json")
	client := *r.client
	client.Timeout = 5 * time.Second
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(text), err
}
