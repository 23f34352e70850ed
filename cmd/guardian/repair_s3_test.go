package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// What a bucket loses comes back, too.
func TestSharesComeBackToABucket(t *testing.T) {
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
	s := newSurgery(t, 3, 2, time.Second)
	const patient = 2
	s.inBucket(t, patient, bucket)
	for _, name := range []string{"", "monday", ""} {
		s.keep(t, name, 1000, everyone(3), nil)
	}
	s.write(t, patient)
	for key, data := range s.stores[patient].Objects() {
		if _, err := store.Put(t.Context(), key, data, backend.Revision{}); err != nil {
			t.Fatal(err)
		}
	}
	s.startAll(t)
	s.allSee(t, s.states(nobody, ""))
	n := s.all[patient]
	s.await(t, patient, "a scrub has found all in order", func() bool { return n.scrub(t).Last.Good == 3 })
	lost := 0
	for key := range s.stores[patient].Objects() {
		if strings.HasPrefix(key, "shares/") || strings.HasSuffix(key, "/share.bin") {
			lost++
			if err := store.Delete(t.Context(), key, backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lost < 4 {
		t.Fatalf("only %d objects were lost", lost)
	}
	s.await(t, patient, "the bucket has its shares again", func() bool { return s.allIn(t, store, patient) })
	s.await(t, patient, "a scrub finds all in order again", func() bool {
		last := n.scrub(t).Last
		return last.Good == 3 && last.Corrupt+last.Missing+last.Lacking == 0 && n.repairs(t).Queued == 0
	})
	s.wantCleanEnd(t)
}

// allIn tells whether all shares of guardian i are in a store, byte for byte,
// whatever the keys of their generations.
func (s *surgery) allIn(t *testing.T, store backend.Backend, i int) bool {
	t.Helper()
	var found [][]byte
	for entry, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(entry.Key, "/share.bin") {
			data, _, _ := store.Get(t.Context(), entry.Key) // nil for what is gone meanwhile
			found = append(found, data)
		}
	}
	return !slices.ContainsFunc(s.secrets, func(kept *stored) bool {
		return !slices.ContainsFunc(found, func(share []byte) bool { return bytes.Equal(share, kept.shares[i]) })
	})
}
