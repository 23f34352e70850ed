package rqlitetest_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

const (
	createTable = `[["CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)"]]`
	insertOne   = `[["INSERT INTO t (n) VALUES (?)",1]]`
	selectAll   = `[["SELECT n FROM t"]]`
	oneRow      = `{"results":[{"columns":["n"],"types":["integer"],"values":[[1]]}]}`
	noRow       = `{"results":[{"columns":["n"],"types":["integer"]}]}`
	noLeader    = "leader not found\n"
)

// cluster is a stand-in with a node that a test talks to.
type cluster struct {
	*rqlitetest.Cluster
}

func newCluster(t *testing.T, n int) cluster {
	t.Helper()
	c := cluster{rqlitetest.New(t, n, rqlitetest.Options{})}
	c.Execute(t, "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
	return c
}

// want fails unless node i gives the answer.
func (c cluster) want(t *testing.T, i int, path, body string, status int, answer string) {
	t.Helper()
	got, header, text, err := post(t, c.Addresses()[i])(path, body)
	if err != nil || got != status || text != answer {
		t.Fatalf("node %d answers %s with %d %q, %v, want %d %q", i, path, got, text, err, status, answer)
	}
	if status == http.StatusServiceUnavailable && header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatalf("503 comes as %q", header.Get("Content-Type"))
	}
}

// wantCut fails unless node i closes the connection.
func (c cluster) wantCut(t *testing.T, i int, path, body string) {
	t.Helper()
	if status, _, text, err := post(t, c.Addresses()[i])(path, body); err == nil {
		t.Fatalf("node %d answers %d %q", i, status, text)
	}
}

func TestFollowersForward(t *testing.T) {
	c := newCluster(t, 3)
	c.want(t, 2, execute, insertOne, 200, `{"results":[{"last_insert_id":1,"rows_affected":1}]}`)
	for i := range 3 {
		c.want(t, i, strong, selectAll, 200, oneRow)
	}
}

func TestLeaderStops(t *testing.T) {
	c := newCluster(t, 3)
	c.Stop(0)
	c.wantCut(t, 0, strong, selectAll)
	const refused = `{"results":[],"error":"dial tcp 127.0.0.1:4002: connect: connection refused"}`
	c.want(t, 1, execute, insertOne, 200, refused)
	c.want(t, 2, strong, selectAll, 200, refused)
	c.Elect(-1)
	for i := 1; i < 3; i++ {
		c.want(t, i, execute, insertOne, 503, noLeader)
		c.want(t, i, strong, selectAll, 503, noLeader)
		c.want(t, i, "/db/query?level=weak", selectAll, 503, noLeader)
		c.want(t, i, "/db/query", selectAll, 503, noLeader)
		c.want(t, i, "/db/query?level=none", selectAll, 200, noRow)
	}
	c.Elect(1)
	c.want(t, 2, strong, selectAll, 200, noRow)
	c.Stop(2)
	c.want(t, 1, strong, selectAll, 503, noLeader)
	c.Start(t, 0)
	c.want(t, 0, strong, selectAll, 200, noRow)
}

func TestLeaderPauses(t *testing.T) {
	c := newCluster(t, 3)
	c.Pause(0)
	c.want(t, 1, execute+"?timeout=10ms", insertOne, 200, `{"results":[],"error":"read protobuf length: read tcp 127.0.0.1:50000-\u003e127.0.0.1:4002: i/o timeout"}`)
	c.Resume(0)
	c.want(t, 1, strong, selectAll, 200, noRow)
}

func TestPause(t *testing.T) {
	c := newCluster(t, 1)
	c.Pause(0)
	done := make(chan error)
	go func() {
		_, _, _, err := post(t, c.Addresses()[0])(execute, insertOne)
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("a paused node answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	c.Resume(0)
	if err := <-done; err == nil {
		t.Error("a request to a paused node was answered after all")
	}
	c.want(t, 0, strong, selectAll, 200, noRow)
}

func TestFaults(t *testing.T) {
	lost := `{"results":[],"error":"leadership lost while committing log"}`
	for _, test := range []struct {
		name   string
		fault  rqlitetest.Fault
		status int // 0 for a connection that is cut
		answer string
		after  string
	}{
		{"none", rqlitetest.None, 200, `{"results":[{"last_insert_id":1,"rows_affected":1}]}`, oneRow},
		{"no leader", rqlitetest.NoLeader, 503, noLeader, noRow},
		{"cut", rqlitetest.Cut, 0, "", noRow},
		{"answer lost", rqlitetest.AnswerLost, 0, "", oneRow},
		{"twice", rqlitetest.Twice, 200, `{"results":[{"error":"UNIQUE constraint failed: t.n"}]}`, oneRow},
		{"leadership lost", rqlitetest.LeadershipLost, 200, lost, noRow},
		{"leadership lost late", rqlitetest.LeadershipLostLate, 200, lost, oneRow},
		{"not leader", rqlitetest.NotLeader, 200, `{"results":[],"error":"not leader"}`, noRow},
		{"not JSON", rqlitetest.NotJSON, 200, "<html>It works!</html>", noRow},
		{"short", rqlitetest.Short, 200, `{"results":[]}`, noRow},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t, 1)
			c.Inject = func(call rqlitetest.Call) rqlitetest.Fault {
				if call.N == 1 {
					return test.fault
				}
				return rqlitetest.None
			}
			if test.status == 0 {
				c.wantCut(t, 0, execute, insertOne)
			} else {
				c.want(t, 0, execute, insertOne, test.status, test.answer)
			}
			c.want(t, 0, strong, selectAll, 200, test.after)
			if calls := c.Calls(); len(calls) != 2 || calls[0].SQL != "INSERT INTO t (n) VALUES (?)" || calls[0].Path != execute {
				t.Errorf("calls are %+v", calls)
			}
		})
	}
}

func TestPassword(t *testing.T) {
	c := rqlitetest.New(t, 1, rqlitetest.Options{User: "u", Password: "p:@/"})
	status, header, text, err := post(t, c.Addresses()[0])(execute, createTable)
	if err != nil || status != 401 || text != "" || header.Get("WWW-Authenticate") != `Basic realm="rqlite"` {
		t.Errorf("without a password: %d %q, %v", status, text, err)
	}
	u, err := url.Parse(strings.TrimPrefix(c.URL(), "rqlite+"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Post(u.String()+execute, "application/json", strings.NewReader(createTable))
	if err != nil || answer.StatusCode != 200 {
		t.Errorf("with the password: %v, %v", answer, err)
	}
	answer.Body.Close()
}

func TestTLS(t *testing.T) {
	c := rqlitetest.New(t, 2, rqlitetest.Options{TLS: true})
	pem, err := os.ReadFile(c.CAFile(t))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	for _, address := range c.Addresses() {
		answer, err := client.Post("https://"+address+execute, "application/json", strings.NewReader(createTable))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	if !strings.HasPrefix(c.URL(), "rqlite+https://127.0.0.1:") {
		t.Errorf("URL is %s", c.URL())
	}
}
