package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backup/hot"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// copied is a guardian process that somebody asks for a copy of its storage.
type copied struct {
	*process
	*crashClient
	admin  string
	sealer *integrity.Sealer
}

// launchCopied starts a guardian whose key is in a file, beside its storage where
// that is its own.
func launchCopied(t *testing.T, environ []string, key integrity.KeySource, nodeID string) copied {
	t.Helper()
	p, err := launch(thisProgram(t), t.TempDir(), bareEnvironment(append(environ, "GUARDIAN_ADMIN_BIND=127.0.0.1:0")...),
		"--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	c := copied{process: p, crashClient: newCrashClient(p)}
	t.Cleanup(c.close)
	eventually(t, "the address of the admin plane", func() bool {
		c.admin = p.printed("GUARDIAN_ADMIN_LISTEN_ADDR")
		return c.admin != ""
	})
	if c.sealer, err = integrity.NewSealer(t.Context(), nodeID, key, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return c
}

// launchFile is launchCopied for a guardian on a file.
func launchFile(t *testing.T, path string) copied {
	t.Helper()
	return launchCopied(t, []string{"GUARDIAN_STORAGE=bolt://" + path}, integrity.FileSource{Path: filepath.Join(filepath.Dir(path), "integrity.key")}, "local")
}

// request is the body of a request for a copy.
func (c copied) request(t *testing.T) []byte {
	t.Helper()
	request, err := hot.NewRequest(c.sealer)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// ask asks for a copy.
func (c copied) ask(t *testing.T) *http.Response {
	t.Helper()
	response, err := http.Post("http://"+c.admin+hot.Path, "application/json", bytes.NewReader(c.request(t)))
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// refuses wants an answer that there is no copy.
func (c copied) refuses(t *testing.T, status int, code string) {
	t.Helper()
	response := c.ask(t)
	defer response.Body.Close()
	var said api.ErrorResponse
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil || response.StatusCode != status || said.Code != code {
		t.Errorf("answered %d %+v, %v", response.StatusCode, said, err)
	}
}

// fill has so many shares stored, the largest there are, each other than all others.
func (c copied) fill(t *testing.T, kind byte, shares int) {
	t.Helper()
	for i := range shares {
		c.store(t, kind, i)
	}
}

func (c copied) store(t *testing.T, kind byte, i int) {
	t.Helper()
	if status, answer, err := c.send(identityOfFill(kind, i), shareOfFill(kind, i)); err != nil || status != http.StatusOK {
		t.Fatalf("storing %d is answered %d %s, %v", i, status, answer, err)
	}
}

func identityOfFill(kind byte, i int) string { return fmt.Sprintf("%02x%062x", kind, i) }

func shareOfFill(kind byte, i int) state {
	const largest = 512 << 10
	return state{uint64(i), true, bytes.Repeat([]byte{kind, byte(i)}, largest/2)}
}

// A copy holds all that was acknowledged before it was asked for. Whoever fetches it
// and takes his time holds nobody up: while he reads a quarter of it, the file becomes
// three times as large, which takes a new mapping of it into memory.
func TestSlowConsumerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const before, after = 20, 40
	dir := t.TempDir()
	c := launchFile(t, filepath.Join(dir, "guardian.db"))
	c.fill(t, 'b', before)
	response := c.ask(t)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", response.StatusCode)
	}
	// As much as on a busy machine keeps the guardian from giving up on him.
	const little = 32 << 10
	var first bytes.Buffer
	readOn := func() {
		if _, err := io.CopyN(&first, response.Body, little); err != nil {
			t.Fatal(err)
		}
	}
	for i := range after {
		readOn()
		c.store(t, 'a', i)
	}
	for i := range after {
		readOn()
		if got, err := c.pull(identityOfFill('a', i)); err != nil || got.version != uint64(i) {
			t.Fatalf("%d is %d, %v", i, got.version, err)
		}
	}
	c.refuses(t, http.StatusConflict, "running")

	store, err := bolt.ReadSnapshot(t.TempDir(), io.MultiReader(&first, response.Body), response.ContentLength)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	n, err := guardian.Open(t.Context(), store, c.sealer, guardian.Config{Retain: 1, RequestTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range before {
		share, err := n.Pull(t.Context(), guardian.Slot{Identity: identityOfFill('b', i)}, nil, nil, guardian.Caller{})
		if want := shareOfFill('b', i); err != nil || share.Version != want.version || !bytes.Equal(share.Data, want.share) {
			t.Errorf("of %d the copy has version %d, %v", i, share.Version, err)
		}
	}
	if _, err := n.Pull(t.Context(), guardian.Slot{Identity: identityOfFill('a', 0)}, nil, nil, guardian.Caller{}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("what came later is in it: %v", err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What can be read beside the guardian is not copied by it.
func TestNoSnapshotOfDirectoryAndBucket(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "storage")
	c := launchCopied(t, []string{"GUARDIAN_STORAGE=" + directory}, integrity.FileSource{Path: filepath.Join(directory, "integrity.key")}, "local")
	c.refuses(t, http.StatusConflict, "no_snapshot")
	c = launchCopied(t, emptyBucket(t), integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}, bucketNodeID)
	c.refuses(t, http.StatusConflict, "no_snapshot")
}
