package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	defaultPatience = 10 * time.Second
	// attempts is how many nodes that do not answer at all fit into a call.
	attempts = 3
	// forwardTimeout is how long a follower waits for the leader. It tries
	// twice, and gives up before the caller does.
	forwardTimeout = "1s"
	firstPause     = 50 * time.Millisecond
	longestPause   = time.Second
	maxAnswer      = 16 << 20
	defaultPort    = "4001"
)

// rqliteClient sends statements to whichever node takes them. It is safe for
// concurrent use.
type rqliteClient struct {
	hosts          []string // scheme://host:port
	user, password string
	http           *http.Client
	transport      *http.Transport
	patience       time.Duration
	last           atomic.Int32 // the host that answered last
}

// statement is a text of SQL and its parameters.
type statement []any

// sqlResult is the answer to one statement. RowsAffected is absent, so 0, where
// no row was.
type sqlResult struct {
	Error        string   `json:"error"`
	RowsAffected int64    `json:"rows_affected"`
	Values       []sqlRow `json:"values"`
	// repeated: an earlier sending may have been carried out. What a follower
	// repeats by itself is not known.
	repeated bool
}

// refusedError is an answer that repeating the request would not change.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

func newRqliteClient(rawURL string) (*rqliteClient, error) {
	c := &rqliteClient{patience: defaultPatience}
	if err := c.parse(rawURL); err != nil {
		return nil, err
	}
	c.transport = &http.Transport{
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
	c.http = &http.Client{
		Transport: c.transport,
		// A redirect is answered, not followed: it would carry the password
		// wherever a node says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// parse reads a URL of several hosts. Its errors quote nothing of it, as no part
// is sure not to be the password.
func (c *rqliteClient) parse(rawURL string) error {
	scheme, rest, found := strings.Cut(rawURL, "://")
	plain, ok := strings.CutPrefix(scheme, "rqlite+")
	if !found || !ok || plain != "http" && plain != "https" {
		return errors.New("a registry in rqlite is rqlite+http:// or rqlite+https://")
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		if err := c.login(rest[:at]); err != nil {
			return err
		}
		rest = rest[at+1:]
	}
	return c.name(plain, strings.TrimSuffix(rest, "/"))
}

func (c *rqliteClient) name(scheme, hosts string) error {
	for host := range strings.SplitSeq(hosts, ",") {
		u, err := url.Parse(scheme + "://" + host)
		if err != nil || u.Host != host || u.Hostname() == "" {
			return errors.New("the URL of a registry in rqlite is not rqlite+http://user:password@host:port,host:port")
		}
		if u.Port() == "" {
			u.Host = strings.TrimSuffix(u.Host, ":") + ":" + defaultPort
		}
		c.hosts = append(c.hosts, u.String())
	}
	return nil
}

func (c *rqliteClient) login(userinfo string) (err error) {
	user, password, _ := strings.Cut(userinfo, ":")
	if c.user, err = url.PathUnescape(user); err == nil {
		c.password, err = url.PathUnescape(password)
	}
	if err != nil || c.user == "" || strings.ContainsAny(userinfo, "@/?#") {
		return errors.New("the URL of a registry in rqlite has a user or password that is not percent-encoded, or no user")
	}
	return nil
}

func (c *rqliteClient) trust(path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the certificate authority of rqlite: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("reading the certificate authority of rqlite: no certificate in %s", path)
	}
	c.transport.TLSClientConfig.RootCAs = pool
	return nil
}

// send sends the statements to one node after the other, over and over, until
// one has carried them out, every one refuses, or patience or ctx ends. After
// an error they may have been carried out, after success more than once.
func (c *rqliteClient) send(ctx context.Context, path, level string, statements []statement) ([]sqlResult, error) {
	body, err := json.Marshal(statements)
	if err != nil {
		panic(err) // text and numbers
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	var last error
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		results, err := c.askAll(bounded, path, level, body, len(statements))
		for i := range results {
			results[i].repeated = results[i].repeated || last != nil
		}
		if err == nil || errors.As(err, new(*refusedError)) {
			return results, err
		}
		if last == nil || bounded.Err() == nil { // the end of patience explains less
			last = err
		}
		select {
		case <-bounded.Done():
			return nil, because(ctx.Err(), last)
		case <-time.After(pause):
		}
	}
}

// because is the context's error, where there is one, with what went before.
func because(ended, last error) error {
	if ended == nil {
		return last
	}
	return fmt.Errorf("%w, after %w", ended, last)
}

// askAll asks each node once, the one that answered last first. The error is a
// refusal only if all refused.
func (c *rqliteClient) askAll(ctx context.Context, path, level string, body []byte, n int) ([]sqlResult, error) {
	var failure error
	start := int(c.last.Load())
	for i := range c.hosts {
		host := (start + i) % len(c.hosts)
		results, err := c.ask(ctx, c.hosts[host]+path, level, body, n)
		if err == nil {
			c.last.Store(int32(host))
			for i := range results {
				results[i].repeated = failure != nil && !errors.As(failure, new(*refusedError))
			}
			return results, nil
		}
		if failure == nil || !errors.As(err, new(*refusedError)) {
			failure = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failure
}

func (c *rqliteClient) ask(ctx context.Context, address, level string, body []byte, n int) ([]sqlResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience/attempts)
	defer cancel()
	query := url.Values{"timeout": {forwardTimeout}}
	if level != "" {
		query.Set("level", level)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.user != "" {
		request.SetBasicAuth(c.user, c.password)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	// Who refuses a request unread may cut the connection behind the status.
	if err != nil && answer.StatusCode == http.StatusOK {
		return nil, fmt.Errorf("reading the answer of %s: %w", request.URL.Host, err)
	}
	return c.read(answer, text, n)
}

// read reads the results of n statements out of an answer.
func (c *rqliteClient) read(answer *http.Response, text []byte, n int) ([]sqlResult, error) {
	host := answer.Request.URL.Host
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 500 &&
		answer.StatusCode != http.StatusRequestTimeout && answer.StatusCode != http.StatusTooManyRequests:
		return nil, &refusedError{fmt.Sprintf("rqlite at %s answered %d: %q", host, answer.StatusCode, c.presentable(string(text)))}
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("rqlite at %s answered %d: %q", host, answer.StatusCode, c.presentable(string(text)))
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("rqlite at %s answered more than %d bytes", host, maxAnswer)
	}
	var parsed struct {
		Results []sqlResult `json:"results"`
		Error   string      `json:"error"`
	}
	if err := json.Unmarshal(text, &parsed); err != nil {
		return nil, fmt.Errorf("rqlite at %s answered what is not its JSON", host)
	}
	if parsed.Error != "" || len(parsed.Results) != n {
		return nil, fmt.Errorf("rqlite at %s answered %d results to %d statements: %q", host, len(parsed.Results), n, c.presentable(parsed.Error))
	}
	return parsed.Results, nil
}

// presentable cuts what a node says, and takes out the password, should it be
// quoted there.
func (c *rqliteClient) presentable(text string) string {
	if c.password != "" {
		login := base64.StdEncoding.EncodeToString([]byte(c.user + ":" + c.password))
		text = strings.NewReplacer(c.password, "***", login, "***").Replace(text)
	}
	return clip(strings.TrimSpace(text))
}
