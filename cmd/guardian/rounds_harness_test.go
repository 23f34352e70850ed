package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
	"github.com/vault-guardian/guardian/shamir"
)

// moveK is the threshold of what a league keeps, and movePatience how long a test
// waits for what rounds come to.
const (
	moveK        = 3
	movePatience = 2 * time.Minute
)

// league is guardians under a signed roster, and a secret that the first of them
// keep for an owner who lets them move it.
type league struct {
	*guardians
	*hostile
	root     *envelope.Root
	identity string
	secret   []byte
	version  uint64

	mu      sync.Mutex // guards the processes' addresses while one is started again
	reading sync.WaitGroup
	stop    chan struct{}
	reads   int
}

// newLeague starts n guardians, and stores a secret with the first holders of
// them.
func newLeague(t *testing.T, n, holders int, environ ...string) *league {
	t.Helper()
	l := makeLeague(t, n, environ...)
	l.begin(t, holders)
	return l
}

func makeLeague(t *testing.T, n int, environ ...string) *league {
	t.Helper()
	admission := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	dir := filepath.Join(t.TempDir(), "registry")
	l := &league{
		guardians: newGuardians(t, n, dir, append(environ, "GUARDIAN_ADMISSION_KEY="+hex.EncodeToString(admission.Public().(ed25519.PublicKey)))...),
		stop:      make(chan struct{}), secret: bytes.Repeat([]byte("a secret that moves "), 5000),
	}
	l.hostile = newHostile(t, dir)
	var entries []cluster.Entry
	for i, neighbour := range l.all {
		path := filepath.Join(l.dir, neighbour.id+".key")
		if err := os.WriteFile(path, []byte(testKey('A'+byte(i))), 0o600); err != nil {
			t.Fatal(err)
		}
		neighbour.environ = append(neighbour.environ, "GUARDIAN_NODE_KEY_FILE="+path)
		entries = append(entries, entryOf(t, l.guardians, i))
	}
	l.setRoster(t, signed(t, admission, 1, entries...))
	l.newOwner(t, 9) // whose storages of earlier builds are kept
	return l
}

func (l *league) newOwner(t *testing.T, number byte) {
	t.Helper()
	root, err := envelope.FromKeyFile(bytes.Repeat([]byte{9, number}, 16))
	if err != nil {
		t.Fatal(err)
	}
	l.root, l.identity = root, root.Identity()
}

func (l *league) begin(t *testing.T, holders int) {
	t.Helper()
	l.startAll(t)
	l.allSee(t, l.states(nobody, ""))
	admission := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	for try := range byte(5) { // a busy machine has a guardian miss one
		vault, err := l.vaultOf(everyone(holders), client.WithPolicy(client.Policy{MaxHolders: 255, MinThreshold: 2, Admission: admission}))
		if err != nil {
			t.Fatal(err)
		}
		report, err := vault.Store(t.Context(), l.identity, l.secret)
		if err == nil && len(report.Lacking) == 0 {
			l.version = report.Version
			return
		}
		t.Logf("storing: %+v, %v", report, err)
		// What some have of it would be moved, and retained, and its share may still be
		// on the way to the others: it goes, and another owner begins.
		if _, err := vault.Delete(t.Context(), l.identity); err != nil && !errors.Is(err, api.ErrNotFound) {
			t.Logf("deleting what not all have stored: %v", err)
		}
		l.newOwner(t, try)
	}
	t.Fatal("no secret is stored at all guardians")
}

// vaultOf is what an owner sees of guardians, at the addresses of now.
func (l *league) vaultOf(which []int, with ...client.Option) (*client.Vault, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var urls []string
	var indices []int
	for _, i := range which {
		urls, indices = append(urls, "http://"+l.all[i].address), append(indices, 11+i)
	}
	return client.NewVault(urls, nil, 0, append(with, client.WithRoot(l.root), client.WithIndices(indices))...)
}

// again starts a guardian again that was killed.
func (l *league) again(t *testing.T, i int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start(t, i)
}

// keepReading recovers the secret again and again until the test says that it is
// over. One try may fail, as on a busy machine; for half a minute none may.
func (l *league) keepReading(t *testing.T) {
	l.reading.Go(func() {
		last := time.Now()
		for {
			select {
			case <-l.stop:
				return
			case <-time.After(200 * time.Millisecond):
			}
			err := l.recover()
			if err == nil {
				last = time.Now()
				l.reads++
			} else if time.Since(last) > patience {
				t.Errorf("for %v the secret could not be recovered: %v", patience, err)
				return
			}
		}
	})
	t.Cleanup(func() { l.stopReading(t) })
}

func (l *league) stopReading(t *testing.T) {
	t.Helper()
	select {
	case <-l.stop:
		return
	default:
	}
	close(l.stop)
	l.reading.Wait()
	if l.reads == 0 {
		t.Error("it was never recovered")
	}
}

// recover wants the secret and its version from all guardians together.
func (l *league) recover() error {
	vault, err := l.vaultOf(everyone(len(l.all)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, report, err := vault.Pull(ctx, l.identity)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(got, l.secret) || report.Version != l.version:
		return fmt.Errorf("version %d was recovered, of %d bytes", report.Version, len(got))
	}
	return nil
}

// order has a guardian begin rounds.
func (l *league) order(t *testing.T, i int, body string) {
	t.Helper()
	response, err := http.Post("http://"+l.all[i].printed("GUARDIAN_ADMIN_LISTEN_ADDR")+"/admin/rounds", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("the order is answered with %s", response.Status)
	}
}

// roundsOf is what the rounds of a guardian have come to.
type roundsOf struct {
	Progress repair.RoundsReport
	Open     []repair.OpenEpoch
}

func (l *league) rounds(t *testing.T, i int) roundsOf {
	return asksAdmin[roundsOf](t, l.all[i], http.MethodGet, "/admin/rounds", "")
}

// move has a guardian carry out an order until it has come to its end, again if
// it could not be done the first time. A push that was repeated under load has made two
// versions, and both move.
func (l *league) move(t *testing.T, i int, body string) {
	t.Helper()
	var last repair.RoundsReport
	for deadline := time.Now().Add(movePatience); time.Now().Before(deadline); time.Sleep(time.Second) {
		l.order(t, i, body)
		l.until(t, "the rounds end", func() bool {
			last = l.rounds(t, i).Progress
			return last.FinishedNS != 0
		})
		if last.Moved > 0 && last.Moved == last.Generations && last.Refused+last.Failed == 0 {
			return
		}
	}
	t.Fatalf("the rounds came to %+v\n%s", last, tail(l.all[i]))
}

func (l *league) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(movePatience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			for i := range l.all {
				t.Logf("%s: %+v\n%s", l.all[i].id, l.rounds(t, i), tail(l.all[i]))
			}
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// tail is the end of a guardian's log, without what is there in any case.
func tail(n *neighbour) string {
	var lines []string
	for line := range strings.Lines(n.stderr.String()) {
		if !strings.Contains(line, "msg=audit") && !strings.Contains(line, "served share") && !strings.Contains(line, "heartbeat") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

// orderUntil has a guardian begin rounds, again where they come to nothing, until
// something of them is seen.
func (l *league) orderUntil(t *testing.T, i int, body, what string, ok func() bool) {
	t.Helper()
	l.order(t, i, body)
	looked := time.Now()
	l.until(t, what, func() bool {
		if ok() {
			return true
		}
		if time.Since(looked) > time.Second {
			if p := l.rounds(t, i).Progress; p.FinishedNS != 0 && p.Moved == 0 {
				l.order(t, i, body)
			}
			looked = time.Now()
		}
		return false
	})
}

// onDisk are the paths in the directory of a guardian that match.
func (l *league) onDisk(i int, pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(l.dir, l.all[i].id, pattern))
	return found
}

// isPrepared tells whether a guardian has a share that no version names yet.
func (l *league) isPrepared(i int) bool {
	return len(l.onDisk(i, "shares/"+l.identity+"/*-e*/share.bin")) > 0
}

// intends tells whether a guardian has the certificates of a round.
func (l *league) intends(i int) bool { return len(l.onDisk(i, "queue/rounds/shown/*")) > 0 }

// expire ends the lease of a coordinator that is gone: as a guardian would whose
// clock is ahead, or later.
func (l *league) expire(t *testing.T, holders ...int) {
	t.Helper()
	var keys []ed25519.PublicKey
	for _, i := range holders {
		keys = append(keys, l.nodeKey(t, i).PublicKey())
	}
	ahead := func() time.Time { return time.Now().Add(round.Lease + time.Minute) }
	opened, err := round.New(l.registry, "later", ahead).Open(t.Context(), round.GroupOf(moveK, keys), round.Summary{})
	if err == nil {
		err = opened.Abort(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shown is what a guardian shows of the secret to its owner.
func (l *league) shown(i int) (share []byte, epoch uint64, err error) {
	vault, err := l.vaultOf(everyone(len(l.all)))
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := vault.Guardians()[i].Pull(ctx, api.PullRequest{Identity: l.identity})
	if err != nil {
		return nil, 0, err
	}
	if got.Version != l.version {
		return nil, 0, fmt.Errorf("%s shows version %d", l.all[i].id, got.Version)
	}
	share, err = base64.StdEncoding.DecodeString(got.Share)
	return share, got.Epoch, err
}

// consistent tells what is wrong: all holders are to have shares of one epoch,
// of which every K rebuild the same, and nothing else; all others nothing; and no
// round is to be open.
func (l *league) consistent(t *testing.T, holders ...int) error {
	var shares [][]byte
	var epochs []uint64
	for i, n := range l.all {
		share, epoch, err := l.shown(i)
		files := l.onDisk(i, "shares/"+l.identity+"/*/share.bin")
		switch holds := slices.Contains(holders, i); {
		case !holds && (!errors.Is(err, api.ErrNotFound) || len(files) != 0):
			return fmt.Errorf("%s has %q, and shows epoch %d, %w", n.id, files, epoch, err)
		case holds && (err != nil || len(files) != 1):
			return fmt.Errorf("%s has %q, and shows epoch %d, %w", n.id, files, epoch, err)
		case holds:
			shares, epochs = append(shares, share), append(epochs, epoch)
		}
		if status := l.rounds(t, i); len(status.Open) != 0 || status.Progress.Running {
			return fmt.Errorf("at %s rounds are open: %+v", n.id, status)
		}
	}
	if slices.Max(epochs) != slices.Min(epochs) {
		return fmt.Errorf("the epochs are %d", epochs)
	}
	var same [32]byte
	for first := range shares {
		whole, err := shamir.Combine(slices.Concat(shares[first:], shares[:first])[:moveK])
		if sum := sha256.Sum256(whole); err != nil || first > 0 && sum != same {
			return fmt.Errorf("shares do not fit together: %w", err)
		} else {
			same = sum
		}
	}
	return l.recover()
}

func (l *league) wantConsistent(t *testing.T, holders ...int) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(movePatience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = l.consistent(t, holders...); err == nil {
			return
		}
	}
	for _, n := range l.all {
		t.Logf("%s:\n%s", n.id, tail(n))
	}
	t.Errorf("it does not become consistent: %v", err)
}

// wantUnlike wants none of the shares of before to be there still.
func (l *league) wantUnlike(t *testing.T, before [][]byte) {
	t.Helper()
	for i := range l.all {
		for _, path := range l.onDisk(i, "shares/"+l.identity+"/*/share.bin") {
			share, err := os.ReadFile(path)
			if err == nil && slices.ContainsFunc(before, func(old []byte) bool { return bytes.Equal(old, share) }) {
				t.Errorf("%s has still a share of before", l.all[i].id)
			}
		}
	}
}

// stolen is a copy of all shares on disks.
func (l *league) stolen(t *testing.T) (all [][]byte) {
	t.Helper()
	for i := range l.all {
		for _, path := range l.onDisk(i, "shares/"+l.identity+"/*/share.bin") {
			share, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, share)
		}
	}
	return all
}

func membersBody(nodes ...string) string {
	text, _ := json.Marshal(map[string]any{"members": nodes}) // strings can be encoded
	return string(text)
}
