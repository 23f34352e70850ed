package rqlitetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const jsonType = "application/json; charset=utf-8"

// answers of a node, in rqlite's words
var (
	errBadJSON      = errors.New("invalid JSON body")
	errBadRequest   = errors.New("invalid request")
	errNoStatements = errors.New("no statements")
)

// statement is a text with its parameters: nil, int64, float64 and string.
type statement struct {
	text       string
	parameters []any
}

// serve answers one request to node i.
func (c *Cluster) serve(i int, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Rqlite-Version", "10")
	if c.options.User != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="rqlite"`)
	}
	if r.URL.Path != "/db/execute" && r.URL.Path != "/db/query" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	switch {
	case !c.admits(r):
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Method != http.MethodPost: // rqlite also takes GET with ?q= for a query
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	statements, err := parseRequest(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.answer(i, w, r, statements)
}

func (c *Cluster) answer(i int, w http.ResponseWriter, r *http.Request, statements []statement) {
	fault := c.fault(i, r, statements)
	if c.waits(i, r) {
		panic(http.ErrAbortHandler)
	}
	results, found := c.apply(i, r, statements, fault.applications())
	if fault != None && fault != Twice {
		c.spoil(w, r, fault, results)
		return
	}
	switch found {
	case noLeader:
		http.Error(w, "leader not found", http.StatusServiceUnavailable)
	case refuses:
		reply(w, nil, "dial tcp 127.0.0.1:4002: connect: connection refused")
	case silent:
		forwardTwice(r)
		reply(w, nil, "read protobuf length: read tcp 127.0.0.1:50000->127.0.0.1:4002: i/o timeout")
	case leads:
		w.Header().Set("X-Rqlite-Served-By", r.Host)
		reply(w, results, "")
	}
}

// forwardTwice waits as long as a follower does for a leader that is silent.
func forwardTwice(r *http.Request) {
	patience, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil {
		patience = 30 * time.Second
	}
	select {
	case <-time.After(2 * patience):
	case <-r.Context().Done():
	}
}

// fault records the request and asks what is to become of it.
func (c *Cluster) fault(i int, r *http.Request, statements []statement) Fault {
	c.mu.Lock()
	call := Call{N: len(c.calls) + 1, Node: i, Path: r.URL.Path, Level: r.URL.Query().Get("level"), SQL: statements[0].text}
	c.calls = append(c.calls, call)
	c.mu.Unlock()
	if c.Inject == nil {
		return None
	}
	return c.Inject(call)
}

// waits holds a request to a paused node, and reports whether it is lost.
func (c *Cluster) waits(i int, r *http.Request) bool {
	c.mu.Lock()
	paused := c.nodes[i].paused
	c.mu.Unlock()
	if paused == nil {
		return false
	}
	select {
	case <-paused:
	case <-r.Context().Done():
	}
	return true
}

// apply carries the request out so many times, if the leader is there, and
// returns what came of the last. Reads at level none need no leader.
func (c *Cluster) apply(i int, r *http.Request, statements []statement, times int) ([]result, state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	parameters := r.URL.Query()
	reads := r.URL.Path == "/db/query"
	found := c.leadership(i)
	if reads && parameters.Get("level") == "none" {
		found = leads
	}
	var results []result
	for range times {
		if found == leads {
			results = c.database.request(statements, reads, parameters.Has("transaction"))
		}
	}
	return results, found
}

// spoil gives another answer than the one that is due.
func (c *Cluster) spoil(w http.ResponseWriter, r *http.Request, fault Fault, results []result) {
	switch fault {
	case NoLeader:
		http.Error(w, "leader not found", http.StatusServiceUnavailable)
	case LeadershipLost, LeadershipLostLate:
		reply(w, []result{}, "leadership lost while committing log")
	case NotLeader:
		reply(w, []result{}, "not leader")
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case NotJSON:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>It works!</html>")
	case Short:
		reply(w, results, "")
	case Endless:
		endless(w)
	case Redirect:
		http.Redirect(w, r, c.Elsewhere+r.URL.Path, http.StatusMovedPermanently) //nolint:gosec // where the test says
	case Refused:
		user, password, _ := r.BasicAuth()
		http.Error(w, fmt.Sprintf("no access for %s with %s (%s)", user, password, r.Header.Get("Authorization")), http.StatusUnauthorized)
	default: // Cut and AnswerLost
		panic(http.ErrAbortHandler)
	}
}

// endless writes until the caller has enough.
func endless(w io.Writer) {
	chunk := strings.Repeat(`{"error":"x"},`, 1000)
	_, err := io.WriteString(w, `{"results":[`)
	for err == nil {
		_, err = io.WriteString(w, chunk)
	}
}

func reply(w io.Writer, results []result, failure string) {
	if results == nil {
		results = []result{}
	}
	text, err := json.Marshal(struct {
		Results []result `json:"results"`
		Error   string   `json:"error,omitempty"`
	}{results, failure})
	if err != nil {
		panic(err) // text and numbers
	}
	_, _ = w.Write(text) // a caller that is gone needs no answer
}

// parseRequest reads statements: texts, or lists of a text and its parameters.
func parseRequest(body io.Reader) ([]statement, error) {
	decoder := json.NewDecoder(body)
	decoder.UseNumber()
	var whole any
	if decoder.Decode(&whole) != nil {
		return nil, errBadJSON
	}
	items, ok := whole.([]any)
	if !ok {
		return nil, errBadRequest
	}
	if len(items) == 0 {
		return nil, errNoStatements
	}
	statements := make([]statement, len(items))
	for i, item := range items {
		if statements[i], ok = parseStatement(item); !ok {
			return nil, errBadRequest
		}
	}
	return statements, nil
}

func parseStatement(item any) (statement, bool) {
	if text, ok := item.(string); ok {
		return statement{text: text}, true
	}
	list, ok := item.([]any)
	if !ok || len(list) == 0 {
		return statement{}, false
	}
	text, ok := list[0].(string)
	s := statement{text: text}
	for _, parameter := range list[1:] {
		value, known := parameterOf(parameter)
		ok = ok && known
		s.parameters = append(s.parameters, value)
	}
	return s, ok
}

func parameterOf(value any) (any, bool) {
	switch v := value.(type) {
	case nil, string:
		return v, true
	case bool:
		if v {
			return int64(1), true
		}
		return int64(0), true
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, true
		}
		f, err := v.Float64()
		return f, err == nil
	default:
		return nil, false
	}
}
