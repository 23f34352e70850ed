//go:build rqlite

package cluster_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vault-guardian/guardian/cluster/clustertest"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// mirror is a node that has every request carried out by the stand-in and by
// rqlite itself, and fails the test where they do not answer alike. Its answers
// are rqlite's.
type mirror struct {
	t             *testing.T
	standIn, real string // addresses
	client        *http.Client
	asked         *atomic.Int64
	mu            sync.Mutex // held while both answer, so that both see one order
}

// response is an answer that has been read.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone before it asked
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked.Add(1)
	want, err := m.ask(m.real, r, body)
	if err != nil {
		m.t.Errorf("rqlite: %v", err)
		return
	}
	got, err := m.ask(m.standIn, r, body)
	if err != nil || !alike(got, want) {
		m.t.Errorf("%s %.1000s:\nthe stand-in answers %d %.1000q, %v\nrqlite %d %.1000q", r.URL, body, got.status, got.body, err, want.status, want.body)
	}
	w.Header().Set("Content-Type", want.header.Get("Content-Type"))
	w.WriteHeader(want.status)
	_, _ = w.Write(want.body) // a caller that is gone needs no answer
}

// ask asks one of both, whether or not the caller waits for it.
func (m *mirror) ask(address string, r *http.Request, body []byte) (response, error) {
	request, err := http.NewRequest(r.Method, "http://"+address+r.URL.String(), bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	request.Header = r.Header.Clone()
	answer, err := m.client.Do(request)
	if err != nil {
		return response{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return response{answer.StatusCode, answer.Header, text}, err
}

func alike(a, b response) bool {
	return a.status == b.status && bytes.Equal(a.body, b.body) &&
		a.header.Get("Content-Type") == b.header.Get("Content-Type") &&
		a.header.Get("X-Rqlite-Version") == b.header.Get("X-Rqlite-Version")
}

// TestRealRqliteMirrored runs the conformance suite on the stand-in and on
// rqlite at once.
func TestRealRqliteMirrored(t *testing.T) {
	r := rqlitetest.NewReal(t, 1)
	user, password := r.Login()
	standIn := rqlitetest.New(t, 1, rqlitetest.Options{User: user, Password: password})
	both := func(t testing.TB, sql string, parameters ...any) {
		t.Helper()
		r.Execute(t, sql, parameters...)
		standIn.Execute(t, sql, parameters...)
	}
	client := &http.Client{Transport: &http.Transport{}}
	var asked atomic.Int64
	clustertest.Run(t, func(t *testing.T) clustertest.Database {
		server := httptest.NewServer(&mirror{
			t: t, standIn: standIn.Addresses()[0], real: r.Addresses()[0], client: client, asked: &asked,
		})
		t.Cleanup(server.Close)
		t.Cleanup(client.CloseIdleConnections)
		login, _, _ := strings.Cut(r.URL(), "@")
		mirrored := rqlite{login + "@" + server.Listener.Addr().String(), nil, both}
		mirrored.prepare(t)
		for _, table := range []string{"guardians", "guardian_indices", "guardian_records"} {
			both(t, "DELETE FROM "+table)
		}
		return mirrored
	})
	t.Logf("%d requests were answered alike", asked.Load())
}
