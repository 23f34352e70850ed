package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backup/hot"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/integrity"
)

// copyable is a plane whose storage can be copied.
type copyable struct {
	handler http.Handler
	sealer  *integrity.Sealer
	log     *logBuffer
}

func newCopyable(t *testing.T, snapshot func(context.Context) (*os.File, error)) copyable {
	t.Helper()
	_, sealer, watch := backupWorld(t)
	tokens, err := auth.NewTokens(map[string]string{"admin": operatorToken, "prometheus": scraperToken})
	if err != nil {
		t.Fatal(err)
	}
	lines := &logBuffer{}
	log := slog.New(slog.NewTextHandler(lines, nil))
	kept, err := audit.Open(audit.Config{Mode: audit.ToLog, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return copyable{admin.New(admin.Config{
		Registry: admin.NewRegistry(), Tokens: auth.NewTokenSet(tokens), Audit: kept, Logger: log,
		Backup: watch, Snapshot: snapshot, Sealer: sealer,
	}), sealer, lines}
}

// ask posts what is asked with a token.
func (c copyable) ask(t *testing.T, path, token string, asked any) answer {
	t.Helper()
	body, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	return call(c.handler, http.MethodPost, path, bearer(token), func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader(body)) })
}

func (c copyable) request(t *testing.T) hot.Request {
	t.Helper()
	request, err := hot.NewRequest(c.sealer)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// Without a token of an operator, or without the keyring, nobody gets a copy, and
// none is made.
func TestSnapshotIsForWhoHasTokenAndKeyring(t *testing.T) {
	t.Parallel()
	c := newCopyable(t, func(context.Context) (*os.File, error) {
		t.Error("a copy was made")
		return nil, errors.New("x")
	})
	c.ask(t, hot.Path, "another-token-of-the-test", c.request(t)).refused(t, http.StatusUnauthorized, "token_invalid")
	c.ask(t, hot.Path, scraperToken, c.request(t)).refused(t, http.StatusForbidden, "forbidden")
	c.ask(t, hot.Path, operatorToken, hot.Request{AskedNS: time.Now().UnixNano(), KeyID: "default"}).refused(t, http.StatusForbidden, "not_sealed")
	c.ask(t, hot.Path, operatorToken, struct{}{}).refused(t, http.StatusForbidden, "not_sealed")
	c.ask(t, hot.Path, operatorToken, []int{1}).refused(t, http.StatusBadRequest, "invalid_json")
	call(c.handler, http.MethodGet, hot.Path, bearer(operatorToken)).refused(t, http.StatusMethodNotAllowed, "method_not_allowed")
	for _, want := range []string{`action="POST /admin/backup/snapshot" code=admitted`, `action="POST /admin/backup/snapshot" code=forbidden`} {
		if log := c.log.String(); !strings.Contains(log, want) {
			t.Errorf("no %s in the log:\n%s", want, log)
		}
	}
}

// What keeps a copy from being made is said.
func TestNoSnapshot(t *testing.T) {
	t.Parallel()
	c := newCopyable(t, nil)
	c.ask(t, hot.Path, operatorToken, c.request(t)).refused(t, http.StatusConflict, "no_snapshot")
	for _, test := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("copying: %w: it takes 7 bytes", bolt.ErrNoRoom), http.StatusInsufficientStorage, "no_room"},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, http.StatusInsufficientStorage, "no_room"},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EIO}, http.StatusServiceUnavailable, "storage_unavailable"},
	} {
		c := served(t, func(context.Context) (*os.File, error) { return nil, test.err })
		c.fetch(t).refused(t, test.status, test.code)
	}
}

// To make a copy may take longer than the server waits for anything else.
func TestSnapshotThatTakesLong(t *testing.T) {
	t.Parallel()
	const others = 2 * time.Second
	p := served(t, func(ctx context.Context) (*os.File, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * others):
		}
		return fileOf(t, 7)(ctx)
	}, func(server *http.Server) { server.ReadTimeout, server.WriteTimeout = others, others })
	if got := p.fetch(t); got.status != http.StatusOK || len(got.body) != 7 {
		t.Errorf("answered %d %s", got.status, got.body)
	}
}

// servedPlane is a copyable one on a port of its own.
type servedPlane struct {
	copyable
	url string
}

func served(t *testing.T, snapshot func(context.Context) (*os.File, error), options ...func(*http.Server)) servedPlane {
	t.Helper()
	c := newCopyable(t, snapshot)
	server := httptest.NewUnstartedServer(c.handler)
	for _, o := range options {
		o(server.Config)
	}
	server.Start()
	t.Cleanup(server.Close)
	return servedPlane{c, server.URL}
}

func (p servedPlane) post(t *testing.T) *http.Response {
	t.Helper()
	body, err := json.Marshal(p.request(t))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+hot.Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+operatorToken)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (p servedPlane) fetch(t *testing.T) answer {
	t.Helper()
	response := p.post(t)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// fileOf makes a file of its own for each call.
func fileOf(t *testing.T, size int64) func(context.Context) (*os.File, error) {
	dir := t.TempDir()
	return func(context.Context) (*os.File, error) {
		file, err := os.CreateTemp(dir, "copy")
		if err != nil {
			return nil, err
		}
		return file, file.Truncate(size)
	}
}

// The answer is as long as it says. While one copy is fetched there is no second one,
// and afterwards there is.
func TestSnapshotOneAtATime(t *testing.T) {
	t.Parallel()
	const size = 64 << 20 // more than connections hold
	p := served(t, fileOf(t, size))
	slow := p.post(t)
	defer slow.Body.Close()
	if slow.StatusCode != http.StatusOK || slow.ContentLength != size {
		t.Fatalf("answered %d, of %d bytes", slow.StatusCode, slow.ContentLength)
	}
	p.fetch(t).refused(t, http.StatusConflict, "running")
	if n, err := io.Copy(io.Discard, slow.Body); n != size || err != nil {
		t.Errorf("fetched %d, %v", n, err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		again := p.post(t)
		_ = again.Body.Close() // who goes away leaves it to others, too
		if again.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it goes on to be copied")
		}
	}
	for deadline := time.Now().Add(patience); p.fetch(t).status != http.StatusOK; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it goes on to be copied")
		}
	}
}

// Who takes nothing of a copy any more does not keep it from others for ever.
func TestSnapshotNotFetched(t *testing.T) {
	t.Parallel()
	p := served(t, fileOf(t, 64<<20))
	stuck := p.post(t)
	defer stuck.Body.Close()
	if stuck.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", stuck.StatusCode)
	}
	for deadline := time.Now().Add(patience); p.fetch(t).status != http.StatusOK; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it goes on to be copied")
		}
	}
	if log := p.log.String(); !strings.Contains(log, "was not fetched to its end") {
		t.Errorf("nothing is said of it:\n%s", log)
	}
}

// A copy that cannot be read to its end is seen to be cut.
func TestSnapshotCut(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	var copied *os.File
	p := served(t, func(ctx context.Context) (file *os.File, err error) {
		copied, err = fileOf(t, size)(ctx)
		return copied, err
	})
	response := p.post(t)
	defer response.Body.Close()
	if err := os.Truncate(copied.Name(), size/2); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("fetched %d, %v", n, err)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(p.log.String(), "was not fetched to its end"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is said of it:\n%s", p.log)
		}
	}
}

// A backup is noted that the keyring has sealed, and no other.
func TestNoteOfABackup(t *testing.T) {
	t.Parallel()
	c := newCopyable(t, nil)
	sealed, err := last.Seal(c.sealer, last.Backup{ID: "20260308T020000.123Z-5be0f2", Kind: "full", FinishedNS: time.Now().UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	note := hot.Note{Sealed: string(sealed)}
	c.ask(t, "/admin/backup", scraperToken, note).refused(t, http.StatusForbidden, "forbidden")
	c.ask(t, "/admin/backup", operatorToken, hot.Note{Sealed: strings.Replace(note.Sealed, "full", "null", 1)}).refused(t, http.StatusForbidden, "not_sealed")
	c.ask(t, "/admin/backup", operatorToken, hot.Note{}).refused(t, http.StatusForbidden, "not_sealed")
	c.ask(t, "/admin/backup", operatorToken, map[string]string{"id": "x"}).refused(t, http.StatusBadRequest, "invalid_json")
	if got := c.ask(t, "/admin/backup", operatorToken, note); got.status != http.StatusOK || !strings.Contains(got.body, `"kind":"full"`) {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if got := call(c.handler, http.MethodGet, "/admin/backup", bearer(operatorToken)); !strings.Contains(got.body, "20260308T020000.123Z-5be0f2") {
		t.Errorf("answered %d %s", got.status, got.body)
	}
}
