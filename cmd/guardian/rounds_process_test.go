package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// A coordinator that is killed in the middle, once when new shares are prepared
// and once when it has all votes, leaves nothing that cannot be gone on with.
func TestRoundsOutliveTheirCoordinator(t *testing.T) {
	t.Parallel()
	l := newLeague(t, 6, 5)
	l.keepReading(t)
	before := l.stolen(t)
	l.orderUntil(t, 0, "{}", "a new share is prepared", func() bool { return l.isPrepared(1) || l.isPrepared(2) })
	l.all[0].kill()
	l.again(t, 0)
	l.expire(t, 0, 1, 2, 3, 4)
	l.allSee(t, l.states(nobody, ""))
	l.move(t, 0, "{}")
	l.wantConsistent(t, 0, 1, 2, 3, 4)
	l.wantUnlike(t, before)

	before = l.stolen(t)
	l.orderUntil(t, 1, membersBody("g2", "g3", "g4", "g5", "g6"), "somebody keeps the certificates", func() bool { return l.intends(1) || l.intends(2) || l.intends(3) })
	l.all[1].kill()
	l.again(t, 1)
	l.expire(t, 0, 1, 2, 3, 4)
	l.allSee(t, l.states(nobody, ""))
	if _, _, err := l.shown(5); err != nil { // or it was committed
		l.move(t, 0, membersBody("g2", "g3", "g4", "g5", "g6"))
	}
	l.wantConsistent(t, 1, 2, 3, 4, 5)
	l.wantUnlike(t, before)
	l.stopReading(t)
	l.wantNoSecrets(t)
	l.wantCleanEnd(t)
}

// A holder that is stopped during a round, and let go on after three epochs, has
// its share again; the others go on without it, and without the registry they
// wait and lose nothing.
func TestRoundsWithoutAHolderOrTheRegistry(t *testing.T) {
	t.Parallel()
	const stopped = 4
	l := newLeague(t, 5, 5)
	l.keepReading(t)
	before := l.stolen(t)
	l.orderUntil(t, 0, "{}", "a new share is prepared", func() bool { return l.isPrepared(1) })
	if err := l.all[stopped].signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.allSee(t, l.states(stopped, "dead"), stopped)
	l.until(t, "the first round ends", func() bool { return !l.rounds(t, 0).Progress.Running })
	for {
		l.move(t, 0, "{}")
		if _, epoch, err := l.shown(0); err == nil && epoch >= 3 {
			break
		}
	}
	if err := l.all[stopped].signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.wantConsistent(t, everyone(5)...)
	l.wantUnlike(t, before)

	registry := filepath.Join(filepath.Dir(l.dir), "gone")
	at := strings.TrimPrefix(l.environ[indexOf(l.environ, "GUARDIAN_REGISTRY=")], "GUARDIAN_REGISTRY=")
	_, epoch, err := l.shown(0)
	if err != nil {
		t.Fatal(err)
	}
	l.orderUntil(t, 1, "{}", "a new share is prepared", func() bool { return l.isPrepared(2) && len(l.onDisk(2, "shares/"+l.identity+"/*/share.bin")) > 1 })
	if err := os.Rename(at, registry); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // some polls, and steps of the round, fail
	if err := l.recover(); err != nil {
		t.Errorf("without the registry: %v", err)
	}
	l.until(t, "the registry is back", func() bool {
		_ = os.RemoveAll(at) // who writes to it meanwhile makes it anew
		return os.Rename(registry, at) == nil
	})
	l.until(t, "the round ends", func() bool { return !l.rounds(t, 1).Progress.Running })
	if _, now, err := l.shown(0); err != nil || now == epoch {
		l.move(t, 0, "{}")
	}
	l.wantConsistent(t, everyone(5)...)
	l.stopReading(t)
	l.wantCleanEnd(t)
}

func indexOf(environ []string, prefix string) int {
	for i, variable := range environ {
		if strings.HasPrefix(variable, prefix) {
			return i
		}
	}
	return -1
}

// Nobody orders anything: shares are refreshed, and the spare member takes the
// place of a holder that is gone with its storage.
func TestRoundsByThemselves(t *testing.T) {
	t.Parallel()
	l := newLeague(t, 6, 5, "GUARDIAN_REFRESH_INTERVAL=4s", "GUARDIAN_REPLACE_AFTER=12s")
	l.keepReading(t)
	before := l.stolen(t)
	l.until(t, "two refreshes", func() bool {
		_, epoch, err := l.shown(0)
		return err == nil && epoch >= 2
	})
	l.wantUnlike(t, before)
	l.all[1].kill()
	if err := os.RemoveAll(filepath.Join(l.dir, "g2")); err != nil {
		t.Fatal(err)
	}
	l.until(t, "g6 has a share", func() bool {
		_, _, err := l.shown(5)
		return err == nil
	})
	l.until(t, "and is refreshed with the others", func() bool {
		_, first, err := l.shown(0)
		_, spare, spareErr := l.shown(5)
		return err == nil && spareErr == nil && first == spare && first >= 4
	})
	l.stopReading(t)
	l.wantCleanEnd(t, 1)
}

// One of the holders has its storage in a bucket.
func TestRefreshInABucket(t *testing.T) {
	server := s3test.Versity(t)
	bucket := server.NewBucket(t)
	for _, variable := range server.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	store, err := s3.Open(t.Context(), s3.Config{Bucket: bucket, Prefix: "shares/nodes/g3", SkipProbe: true})
	if err != nil {
		t.Fatal(err)
	}
	const remote = 2
	l := makeLeague(t, 4)
	l.inBucket(t, remote, bucket)
	l.begin(t, 4)
	before := sharesIn(t, store)
	if len(before) != 1 {
		t.Fatalf("%d shares are in the bucket", len(before))
	}
	l.move(t, remote, "{}")
	l.move(t, 0, "{}")
	l.until(t, "all are at the second epoch", func() bool {
		for i := range l.all {
			if _, epoch, err := l.shown(i); err != nil || epoch != 2 {
				return false
			}
		}
		return true
	})
	l.until(t, "the bucket has one share, another", func() bool {
		after := sharesIn(t, store)
		return len(after) == 1 && after[0] != before[0]
	})
	if err := l.recover(); err != nil {
		t.Error(err)
	}
	l.wantCleanEnd(t)
}

func sharesIn(t *testing.T, store backend.Backend) (all []string) {
	t.Helper()
	for entry, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(entry.Key, "/share.bin") {
			data, _, _ := store.Get(t.Context(), entry.Key) // nil for what is gone meanwhile
			all = append(all, string(data))
		}
	}
	return all
}
