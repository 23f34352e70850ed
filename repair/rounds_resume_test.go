package repair_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// shown is what is kept of a round until all follow its certificates.
type shown struct {
	key     string
	written time.Time
	Group   round.Group `json:"group"`
}

// stillShown are the rounds that a guardian is not through with, in the order in
// which it looks at them.
func (m *member) stillShown(t *testing.T) (all []shown) {
	t.Helper()
	for entry, err := range m.node.Queue().List(t.Context(), "rounds/shown/", "") {
		if err != nil {
			t.Fatal(err)
		}
		one := shown{key: entry.Key, written: entry.ModTime}
		var data []byte
		if data, _, err = m.node.Queue().Get(t.Context(), entry.Key); err == nil {
			err = json.Unmarshal(data, &one)
		}
		if err != nil {
			t.Fatalf("%s: %v", entry.Key, err)
		}
		all = append(all, one)
	}
	return all
}

// say has the registry say something else of a group, and returns what it said.
func (w *fleet) say(group round.Group, data []byte) (before []byte) {
	w.t.Helper()
	before, rev, err := w.registry.Load(w.t.Context(), group.Key())
	if err == nil {
		_, err = w.registry.Swap(w.t.Context(), group.Key(), data, rev)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return before
}

// A registry whose record of some holders is broken, and certificates that are
// none, hold up the rounds of nobody else.
func TestResumeOneGroupBesideABrokenOne(t *testing.T) {
	inTuned(t, 6, plain, func(t *testing.T, w *tuned) {
		lead := w.all[0]
		of := map[string]*kept{}
		away := map[string]*member{}
		for i, late := range w.all[4:6] {
			s := w.keep(i+1, "", 7, 3, append(slices.Clone(w.all[:4]), late)...)
			late.setDown(true)
			if report := w.move(lead, repair.RoundOrder{}); report.Rounds != i+1 {
				t.Fatalf("%+v", report)
			}
			for _, one := range lead.stillShown(t) {
				if of[one.Group.String()] == nil {
					of[one.Group.String()], away[one.Group.String()] = s, late
				}
			}
		}
		if len(of) != 2 {
			t.Fatalf("%d groups", len(of))
		}
		broken := lead.stillShown(t)[0].Group
		was := w.say(broken, []byte("{"))
		if _, err := lead.node.Queue().Put(t.Context(), "rounds/shown/0", []byte("{}"), backend.AnyRevision); err != nil {
			t.Fatal(err)
		}
		for _, late := range away {
			late.setDown(false)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if err := lead.node.Queue().Delete(t.Context(), "rounds/shown/0", backend.AnyRevision); err != nil {
			t.Error(err)
		}
		for _, one := range lead.stillShown(t) {
			if one.Group != broken {
				t.Errorf("%s waits behind the broken one", one.key)
			}
		}
		for group, s := range of {
			got, err := s.at(t, away[group])
			if group == broken.String() {
				s.has(t, away[group])
			} else if err != nil || got.Epoch == 0 {
				t.Errorf("%s has epoch %d, %v", away[group].id, got.Epoch, err)
			}
		}
		w.say(broken, was)
		time.Sleep(time.Minute)
		synctest.Wait()
		if left := lead.stillShown(t); len(left) > 0 {
			t.Errorf("still shown: %+v", left)
		}
	})
}

// counting is a registry that counts how often the rounds of a group are looked up.
type counting struct {
	cluster.Registry
	looks *atomic.Int64
}

func (c counting) Load(ctx context.Context, key string) ([]byte, cluster.Revision, error) {
	if strings.HasPrefix(key, "rounds/") {
		c.looks.Add(1)
	}
	return c.Registry.Load(ctx, key)
}

// A round for which nothing can be done but wait for one who is gone costs next to
// nothing, and ends as soon as that one is there.
func TestRestingRound(t *testing.T) {
	var looks atomic.Int64
	count := func(cfg *repair.Config) {
		cfg.Registry = counting{cfg.Registry.(cluster.Registry), &looks}
	}
	inTuned(t, 5, count, func(t *testing.T, w *tuned) {
		s := w.keep(1, "", 7, 3, w.all...)
		w.all[4].setDown(true)
		if report := w.move(w.all[0], repair.RoundOrder{}); report.Moved != 1 {
			t.Fatalf("%+v", report)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, m := range w.all[1:] {
			if left := m.stillShown(t); len(left) > 0 {
				t.Errorf("%s still has %+v", m.id, left)
			}
		}
		before, since := w.all[0].stillShown(t), looks.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		after, n := w.all[0].stillShown(t), looks.Load()-since
		if len(before) != 1 || len(after) != 1 || before[0] != after[0] {
			t.Errorf("it was written anew: %+v, then %+v", before, after)
		}
		if n < 11 || n > 13 {
			t.Errorf("it was looked at %d times in an hour", n)
		}
		s.has(t, w.all[4])
		time.Sleep(time.Minute) // into the midst of a rest
		w.all[4].setDown(false)
		time.Sleep(30 * time.Second) // it recovers its share
		synctest.Wait()
		if left := w.all[0].stillShown(t); len(left) > 0 {
			t.Errorf("it rests yet: %+v", left)
		}
		s.wantMoved(t, w.fleet, 1, 3, w.all...)
	})
}
