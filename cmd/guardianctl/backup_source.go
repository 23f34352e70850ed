package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backup"
	"github.com/vault-guardian/guardian/backup/hot"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// fetchStall is how long a guardian that is asked for a copy may send nothing: it
// makes one first, and gives up after ten minutes. A variable so that tests need not
// wait.
var fetchStall = 11 * time.Minute

// backupSource is where a backup comes from: the storage, or a copy of it that the
// running guardian has made.
type backupSource struct {
	*backupFlags
	terminal io.Writer
	// copied: it is a copy, of what was stored before asOf.
	copied bool
	asOf   time.Time
}

// source checks the flags that name a running guardian.
func (f *backupFlags) source(cmd *cobra.Command) (*backupSource, error) {
	at, err := location.Parse(f.storage)
	s := &backupSource{backupFlags: f, terminal: cmd.ErrOrStderr()}
	s.copied = err == nil && at.Kind() == location.KindBolt && f.admin.url != ""
	switch {
	case s.copied:
		return s, f.admin.check()
	case err == nil && at.Kind() != location.KindBolt && cmd.Flags().Changed("admin"):
		return nil, usageError("leave out --admin", "--admin is for bolt:// only: %s can be read while the guardian runs", at)
	}
	return s, nil // what is wrong with --storage is said later
}

func (s *backupSource) open(ctx context.Context, at location.Location, keys integrity.KeySource) (backend.Backend, error) {
	if !s.copied {
		return s.openBeside(ctx, at)
	}
	sealer, err := integrity.NewSealer(ctx, s.nodeID, keys, quiet)
	if err != nil {
		return nil, keyError(err)
	}
	request, err := hot.NewRequest(sealer)
	if err != nil {
		return nil, err
	}
	s.asOf = time.Now()
	store, err := s.fetch(ctx, request)
	if err != nil && ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	return store, err
}

// openBeside opens what no guardian has open, or what it shares.
func (s *backupSource) openBeside(ctx context.Context, at location.Location) (backend.Backend, error) {
	store, err := s.openStorage(ctx, "--storage", at)
	if errors.Is(err, bolt.ErrLocked) {
		return nil, &advisedError{exitFailure, err, "while a guardian has it, back it up through that: pass its admin plane, for example --admin " + defaultAdmin + "; while a command has it, wait"}
	}
	return store, err
}

// fetch has the guardian copy its database, and keeps what it sends.
func (s *backupSource) fetch(ctx context.Context, request hot.Request) (backend.Backend, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(fetchStall, func() { cancel(errStalled) })
	defer stalled.Stop()
	response, err := s.admin.send(ctx, http.MethodPost, hot.Path, bytes.NewReader(body))
	if err != nil {
		return nil, s.unfetched(cmp.Or(context.Cause(ctx), err))
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusMultipleChoices {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
		return nil, adminRefusal(response.StatusCode, answer)
	}
	if response.ContentLength < 0 {
		return nil, failure(errors.New("the answer is not a guardian's"), adviceOtherAdmin)
	}
	store, err := s.keep(response, func() { stalled.Reset(fetchStall) })
	_, ofDisk := errors.AsType[*os.PathError](err)
	switch {
	case err == nil:
		return store, nil
	case errors.Is(err, bolt.ErrNoRoom) || ofDisk:
		return nil, failure(err, "name a directory in TMPDIR that has the room, and can be written to")
	}
	return nil, s.unfetched(cmp.Or(context.Cause(ctx), err))
}

// keep keeps what is sent, and shows on a terminal how far it is.
func (s *backupSource) keep(response *http.Response, moving func()) (*bolt.Bolt, error) {
	var fetched atomic.Int64
	stop := showLine(s.terminal, func(int) string {
		return fmt.Sprintf("fetched %d of %d MiB ...", fetched.Load()>>20, response.ContentLength>>20)
	})
	defer stop()
	return bolt.ReadSnapshot(os.TempDir(), watched{response.Body, func(n int) {
		fetched.Add(int64(n))
		moving()
	}}, response.ContentLength)
}

var errStalled = errors.New("it sends nothing")

// unfetched says that there is no copy, or no whole one.
func (s *backupSource) unfetched(err error) error {
	return failure(fmt.Errorf("fetching a copy of the database of the guardian at %s: %w", s.admin.url, err),
		cmp.Or(adviceUnfetched(err), adviceNoAdmin(err)))
}

func adviceUnfetched(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errStalled), errors.Is(err, bolt.ErrDamaged):
		return "nothing was backed up: look into the guardian's log for what has ended it, and run it again"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "while the guardian is stopped, leave out --admin, and " + adminVariable + "; else " + adviceOtherAdmin
	}
	return ""
}

// watched tells of what is read.
type watched struct {
	io.Reader
	read func(n int)
}

func (w watched) Read(data []byte) (int, error) {
	n, err := w.Reader.Read(data)
	w.read(n)
	return n, err
}

// remember has the guardian know of a backup.
func (s *backupSource) remember(ctx context.Context, w *backup.Writer, n *guardian.Node, m backup.Manifest) error {
	if !s.copied {
		return w.Remember(ctx, m)
	}
	sealed, err := last.Seal(n.Sealer(), m.Last())
	if err != nil {
		return err
	}
	var state last.State
	return s.admin.post(ctx, backupPath, hot.Note{Sealed: string(sealed)}, &state)
}
