package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/repair"
)

// A file in the inbox names all that a guardian has lost. The guardian is killed
// twice meanwhile: whatever has left the queue is there again, and in the end
// all is, and the file is gone.
func TestInboxAcrossKills(t *testing.T) {
	t.Parallel()
	identities, patience := 100, repairPatience
	if os.Getenv("GUARDIAN_TEST_LONG") == "1" {
		identities, patience = 10_000, 20*time.Minute
	}
	s := newSurgery(t, 3, 2, 0) // nobody finds anything by itself
	const patient = 2
	for range identities {
		s.keep(t, "", 100, everyone(3), []int{patient})
	}
	s.write(t)
	inbox := filepath.Join(s.dir, "g3", "queue", "inbox")
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(inbox, "lost")
	lines := inboxLines(s.secrets)
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startAll(t)
	s.allSee(t, s.states(nobody, ""))
	restored := func() (n int) { // byte for byte
		for _, kept := range s.secrets {
			if s.has(patient, kept) {
				n++
			}
		}
		return n
	}
	for _, share := range []int{identities / 8, identities / 2} {
		s.awaitFor(t, patience, patient, "some are done", func() bool { return restored() >= share })
		s.all[patient].kill()
		s.wantNoneForgotten(t, patient, lines)
		if restored() == identities {
			t.Error("all was done before the kill: that was no test")
		}
		if identities < 10_000 {
			s.expireLeases(t, patient)
		}
		s.start(t, patient)
	}
	var asked time.Time
	s.awaitFor(t, patience, patient, "the file is gone", func() bool {
		if time.Since(asked) > 5*time.Second { // what a kill made fail waits for its next attempt
			asksAdmin[repair.Status](t, s.all[patient], http.MethodPost, "/admin/repair/run", "")
			asked = time.Now()
			t.Logf("%d of %d are there", restored(), identities)
		}
		_, err := os.Stat(file)
		return os.IsNotExist(err)
	})
	if n := restored(); n != identities {
		t.Errorf("the file is gone, and %d of %d shares are there", n, identities)
	}
	s.await(t, patient, "the queue is empty", func() bool {
		status := s.all[patient].repairs(t)
		return status.Queued == 0 && len(status.Inbox) == 0 && len(status.Finished) > 0
	})
	last := s.secrets[identities-1]
	if done := s.all[patient].repaired(t, last.slot); done != nil {
		wantReport(t, done, 2, 3)
	} else if done := s.all[patient].repairs(t).Finished[0].Report; done.Outcome == repair.OutcomeRepaired {
		wantReport(t, &done, 2, 3)
	}
	s.wantCleanEnd(t)
}

// wantNoneForgotten wants what was taken in from the inbox, and is in the queue
// no more, to be there. No process runs.
func (s *surgery) wantNoneForgotten(t *testing.T, i int, lines string) {
	t.Helper()
	queue := filepath.Join(s.dir, s.all[i].id, "queue")
	text, err := os.ReadFile(filepath.Join(queue, "taken", "lost"))
	if err != nil {
		t.Fatal(err)
	}
	var cursor struct{ Offset int }
	if err := json.Unmarshal(text, &cursor); err != nil || cursor.Offset == 0 {
		t.Fatalf("%s, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(queue, "inbox", "lost")); err != nil {
		t.Errorf("the file is gone, and not all is done: %v", err)
	}
	for _, kept := range s.secrets[:strings.Count(lines[:cursor.Offset], "\n")] {
		_, err := os.Stat(filepath.Join(queue, "items", "shares", kept.slot.Identity))
		if os.IsNotExist(err) && !s.has(i, kept) {
			t.Errorf("%s has left the queue, and is not there", kept.slot.Short())
		}
	}
}

// expireLeases makes the items that a killed guardian had at work look as they do
// to another process a minute later.
func (s *surgery) expireLeases(t *testing.T, i int) {
	t.Helper()
	items, err := filepath.Glob(filepath.Join(s.dir, s.all[i].id, "queue", "items", "shares", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range items {
		var item map[string]json.RawMessage
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &item)
		}
		if err != nil {
			t.Fatal(err)
		}
		if item["lease_ns"] == nil {
			continue
		}
		item["lease_ns"] = json.RawMessage("1")
		if text, err = json.Marshal(item); err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A guardian that is told to stop while it scrubs, or waits for bandwidth in the
// middle of a repair, ends soon, and goes on later.
func TestStopWhileRepairing(t *testing.T) {
	t.Parallel()
	s := newSurgery(t, 3, 2, 0, "GUARDIAN_REPAIR_BYTES_PER_SECOND=1024")
	const patient, many = 2, 300
	for range many {
		s.keep(t, "", 64, everyone(3), nil)
	}
	large := s.keep(t, "", 400<<10, everyone(3), []int{patient})
	s.write(t)
	s.startAll(t)
	s.allSee(t, s.states(nobody, ""))
	n := s.all[patient]

	body := `{"slots":[{"identity":"` + large.slot.Identity + `"}]}`
	asksAdmin[struct{}](t, n, http.MethodPost, "/admin/repair", body)
	s.await(t, patient, "it repairs", func() bool { return n.repairs(t).Working == 1 })
	asksAdmin[struct{}](t, n, http.MethodPost, "/admin/scrub", "")
	var begun repair.ScrubReport
	s.await(t, patient, "it scrubs", func() bool {
		scrub := n.scrub(t)
		begun = scrub.Now
		return scrub.Here || scrub.Last.FinishedNS > 0
	})
	if n.scrub(t).Last.FinishedNS > 0 {
		t.Fatal("the scrub was over at once: that was no test")
	}
	told := time.Now()
	if err := n.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := n.wait(); code != 0 || err != nil {
		t.Errorf("exit code %d, %v:\n%s", code, err, n.stderr)
	}
	t.Logf("it ended %v after the signal", time.Since(told))
	if s.has(patient, large) {
		t.Error("the large share is there: the repair did not wait")
	}

	s.environ = append(s.environ, "GUARDIAN_REPAIR_BYTES_PER_SECOND=100000000")
	s.start(t, patient)
	var last repair.ScrubReport
	s.await(t, patient, "the scrub that was begun is finished", func() bool {
		last = n.scrub(t).Last
		return last.FinishedNS > 0
	})
	if last.StartedNS != begun.StartedNS || last.Slots < many || last.Slots > many+1 || last.Good != last.Slots {
		t.Errorf("the scrub found %+v; %+v was begun", last, begun)
	}
	s.await(t, patient, "the large share is there", func() bool { return s.has(patient, large) })
	s.wantCleanEnd(t)
}
