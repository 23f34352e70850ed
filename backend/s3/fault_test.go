package s3_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// faulty is a store behind a proxy, and a second way to it that has no faults.
type faulty struct {
	*s3.S3
	proxy  *s3test.Proxy
	direct *s3.S3
}

func newFaulty(t *testing.T, server *s3test.Server) *faulty {
	t.Helper()
	bucket, proxy := server.NewBucket(t), s3test.NewProxy(t, server)
	cfg := s3.Config{Bucket: bucket, Prefix: "p", SkipProbe: true}
	setenv(t, server)
	direct := open(t, cfg)
	setenv(t, &proxy.Server)
	return &faulty{open(t, cfg), proxy, direct}
}

// inject makes the first times requests of a method fail, all when it is -1.
func (f *faulty) inject(method string, times int, fault s3test.Fault) {
	var seen atomic.Int64
	f.proxy.Inject(func(r s3test.Request) s3test.Fault {
		if r.Method == method && (times < 0 || seen.Add(1) <= int64(times)) {
			return fault
		}
		return s3test.Fault{}
	})
}

// testKey is the object of these tests.
const testKey = "a"

func (f *faulty) mustPut(t *testing.T, data string, rev backend.Revision) backend.Revision {
	t.Helper()
	now, err := f.direct.Put(t.Context(), testKey, []byte(data), rev)
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func (f *faulty) mustHold(t *testing.T, data string) backend.Revision {
	t.Helper()
	got, rev, err := f.direct.Get(t.Context(), testKey)
	if err != nil || string(got) != data {
		t.Fatalf("it holds %q, %v, want %q", got, err, data)
	}
	return rev
}

// What a store may answer to a conditional put, and what must come of it.
var (
	conflict    = s3test.Fault{Answer: http.StatusConflict, Code: "ConditionalRequestConflict"}
	slowDown    = s3test.Fault{Answer: http.StatusServiceUnavailable, Code: "SlowDown"}
	failedAfter = s3test.Fault{AfterApply: true, Answer: http.StatusInternalServerError, Code: "InternalError"}
	lostRequest = s3test.Fault{Cut: true}
	lostAnswer  = s3test.Fault{AfterApply: true, Cut: true}
)

func TestPutThroughFaults(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	for _, test := range []struct {
		name  string
		times int
		fault s3test.Fault
	}{
		{"409, then nothing", 2, conflict},
		{"503, then nothing", 2, slowDown},
		{"500 after success, then 412", 1, failedAfter},
		{"request lost", 2, lostRequest},
		{"answer lost, then 412", 1, lostAnswer},
		{"every answer lost", -1, lostAnswer},
		{"every answer is 500 after success", -1, failedAfter},
	} {
		for _, kind := range []string{"create", "update", "unconditional"} {
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				var rev backend.Revision
				switch kind {
				case "update":
					rev = f.mustPut(t, "before", backend.AnyRevision)
				case "unconditional":
					rev = backend.AnyRevision
				case "create":
					if err := f.direct.Delete(t.Context(), testKey, backend.AnyRevision); err != nil {
						t.Fatal(err)
					}
				}
				f.inject(http.MethodPut, test.times, test.fault)
				got, err := f.Put(t.Context(), testKey, []byte("after"), rev)
				if err != nil {
					t.Fatalf("Put = %v", err)
				}
				if now := f.mustHold(t, "after"); now != got {
					t.Errorf("Put returned %v, the key is at %v", got, now)
				}
			})
		}
	}
}

func TestConflictOnlyWhenNothingWasChanged(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	rev := f.mustPut(t, "before", backend.Revision{})

	t.Run("409 to the end", func(t *testing.T) {
		f.inject(http.MethodPut, -1, conflict)
		_, err := f.Put(t.Context(), testKey, []byte("after"), rev)
		wantError(t, err, backend.ErrConflict)
		f.mustHold(t, "before")
	})
	t.Run("412 at once", func(t *testing.T) {
		f.inject(http.MethodPut, 0, s3test.Fault{})
		_, err := f.Put(t.Context(), testKey, []byte("after"), backend.Revision{})
		wantError(t, err, backend.ErrConflict)
	})
	for name, fault := range map[string]s3test.Fault{
		"503 to the end": slowDown, "requests lost to the end": lostRequest,
		"refused": {Answer: http.StatusForbidden, Code: "AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			f.inject(http.MethodPut, -1, fault)
			_, err := f.Put(t.Context(), testKey, []byte("after"), rev)
			wantUnknown(t, err)
			f.mustHold(t, "before")
		})
	}
}

// The answer to our update is lost, another writer replaces it, and only then
// our repetition meets 412: we were committed and seen, so it is no conflict.
func TestReplacedWhileInDoubt(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	for name, fault := range map[string]s3test.Fault{"answer lost": lostAnswer, "500 after success": failedAfter} {
		t.Run(name, func(t *testing.T) {
			rev := f.mustPut(t, "before", backend.AnyRevision)
			var puts atomic.Int64
			f.proxy.Inject(func(r s3test.Request) s3test.Fault {
				if r.Method != http.MethodPut {
					return s3test.Fault{}
				}
				if puts.Add(1) == 1 {
					return fault
				}
				if _, err := f.direct.Put(context.Background(), testKey, []byte("theirs"), f.mustHold(t, "ours")); err != nil {
					t.Error(err)
				}
				return s3test.Fault{}
			})
			_, err := f.Put(t.Context(), testKey, []byte("ours"), rev)
			wantUnknown(t, err)
			f.mustHold(t, "theirs")
		})
	}
}

func TestReadingBackFails(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	f.proxy.Inject(func(r s3test.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return lostAnswer
		}
		return slowDown
	})
	_, err := f.Put(t.Context(), testKey, []byte("after"), backend.Revision{})
	wantUnknown(t, err)
	f.mustHold(t, "after")
}

func TestConditionalDeleteThroughFaults(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	for name, fault := range map[string]s3test.Fault{"409": conflict, "answer lost": lostAnswer, "500 after success": failedAfter} {
		t.Run(name, func(t *testing.T) {
			rev := f.mustPut(t, "before", backend.AnyRevision)
			f.inject(http.MethodPut, 1, fault)
			if err := f.Delete(t.Context(), testKey, rev); err != nil {
				t.Fatal(err)
			}
			_, _, err := f.direct.Get(t.Context(), testKey)
			wantError(t, err, backend.ErrNotFound)
		})
	}
}

// What is absent, what is damaged on the way, and what could not be had are
// three things.
func TestGetThroughFaults(t *testing.T) {
	f := newFaulty(t, s3test.Versity(t)) // it keeps checksums
	data := bytes.Repeat([]byte("share"), 1000)
	f.mustPut(t, string(data), backend.Revision{})
	for _, test := range []struct {
		name  string
		times int
		fault s3test.Fault
		got   bool
	}{
		{"cut once", 1, lostRequest, true},
		{"truncated once", 1, s3test.Fault{Truncate: true}, true},
		{"503 once", 1, slowDown, true},
		{"cut to the end", -1, lostRequest, false},
		{"truncated to the end", -1, s3test.Fault{Truncate: true}, false},
		{"503 to the end", -1, slowDown, false},
		{"wrong checksum once", 1, s3test.Fault{Corrupt: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.inject(http.MethodGet, test.times, test.fault)
			got, _, err := f.Get(t.Context(), testKey)
			if test.got && (err != nil || !bytes.Equal(got, data)) {
				t.Fatalf("Get = %d bytes, %v", len(got), err)
			}
			if !test.got {
				wantUnknown(t, err)
				if got != nil {
					t.Errorf("%d bytes beside an error", len(got))
				}
			}
		})
	}
}

// Bytes that are damaged in the store, or on every way from it, come as they
// are: the HMAC over them tells damage from a store that cannot be read.
func TestDamagedBytesAreTheCallersToJudge(t *testing.T) {
	f := newFaulty(t, s3test.Versity(t))
	f.mustPut(t, "share", backend.Revision{})
	f.inject(http.MethodGet, -1, s3test.Fault{Corrupt: true})
	got, rev, err := f.Get(t.Context(), testKey)
	if err != nil || rev.IsZero() || len(got) != len("share") || string(got) == "share" {
		t.Errorf("Get = %q at %v, %v", got, rev, err)
	}
}

// A first attempt that hangs leaves time for a second.
func TestHangingAttempt(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	for _, method := range []string{http.MethodPut, http.MethodGet} {
		f.inject(method, 1, s3test.Fault{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		var err error
		if method == http.MethodPut {
			_, err = f.Put(ctx, testKey, []byte("one"), backend.AnyRevision)
		} else {
			_, _, err = f.Get(ctx, testKey)
		}
		cancel()
		if err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestHangingStore(t *testing.T) {
	f := newFaulty(t, s3test.Fake(t))
	f.proxy.Inject(func(s3test.Request) s3test.Fault { return s3test.Fault{Delay: time.Hour} })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := f.Put(ctx, testKey, []byte("one"), backend.Revision{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put = %v", err)
	}
	if err := f.Check(ctx); err == nil {
		t.Error("a store that hangs passes the check")
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// wantUnknown fails for success, and for the errors that promise that nothing
// was changed or that nothing is there.
func wantUnknown(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, backend.ErrConflict) || errors.Is(err, backend.ErrNotFound) {
		t.Fatalf("error is %v, want one that leaves the outcome open", err)
	}
}
