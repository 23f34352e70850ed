package metered_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backend/metered"
)

const identity = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		wrapped := metered.New().Wrap(backendtest.NewMemory())
		return func(*testing.T) backend.Backend { return wrapped }
	})
}

// scripted is a backend that takes its time and then answers err everywhere. A
// listing yields entries first.
type scripted struct {
	err     error
	takes   time.Duration
	entries int
	closed  bool
}

func (s *scripted) Get(context.Context, string) ([]byte, backend.Revision, error) {
	time.Sleep(s.takes)
	return []byte("got"), backend.NewRevision("1"), s.err
}

func (s *scripted) Put(context.Context, string, []byte, backend.Revision) (backend.Revision, error) {
	time.Sleep(s.takes)
	return backend.NewRevision("2"), s.err
}

func (s *scripted) Delete(context.Context, string, backend.Revision) error {
	time.Sleep(s.takes)
	return s.err
}

func (s *scripted) List(context.Context, string, string) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		for i := range s.entries {
			time.Sleep(s.takes)
			if !yield(backend.Entry{Key: fmt.Sprint(i), Size: int64(i)}, nil) {
				return
			}
		}
		time.Sleep(s.takes)
		if s.err != nil {
			yield(backend.Entry{}, s.err)
		}
	}
}

func (s *scripted) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.List(ctx, prefix, after)
}

func (s *scripted) Check(context.Context) error {
	time.Sleep(s.takes)
	return s.err
}

func (s *scripted) Close() error {
	s.closed = true
	return s.err
}

func (s *scripted) String() string { return "scripted" }

// calls are the operations by their label: one call of each, and its error.
var calls = map[string]func(context.Context, backend.Backend) error{
	"get": func(ctx context.Context, b backend.Backend) error {
		_, _, err := b.Get(ctx, identity)
		return err
	},
	"put": func(ctx context.Context, b backend.Backend) error {
		_, err := b.Put(ctx, identity, nil, backend.AnyRevision)
		return err
	},
	"delete": func(ctx context.Context, b backend.Backend) error {
		return b.Delete(ctx, identity, backend.AnyRevision)
	},
	"list": func(ctx context.Context, b backend.Backend) error {
		return rangeOver(b.List(ctx, identity, ""))
	},
	"list_segments": func(ctx context.Context, b backend.Backend) error {
		return rangeOver(b.ListSegments(ctx, identity, ""))
	},
	"check": func(ctx context.Context, b backend.Backend) error { return b.Check(ctx) },
}

func rangeOver(entries iter.Seq2[backend.Entry, error]) (last error) {
	for _, err := range entries {
		last = err
	}
	return last
}

// exposed is what Prometheus would read: value by series.
func exposed(t *testing.T, m *metered.Metrics) map[string]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	scraped := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(scraped, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	values := map[string]string{}
	for line := range strings.Lines(scraped.Body.String()) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && series != "#" {
			values[series] = value
		}
	}
	return values
}

// changed is what is no longer at 0, the buckets of histograms aside.
func changed(t *testing.T, m *metered.Metrics) map[string]string {
	t.Helper()
	values := exposed(t, m)
	maps.DeleteFunc(values, func(series, value string) bool {
		return value == "0" || strings.Contains(series, "_bucket{")
	})
	return values
}

func wantChanged(t *testing.T, m *metered.Metrics, want map[string]string) {
	t.Helper()
	if got := changed(t, m); !maps.Equal(got, want) {
		t.Errorf("changed series are %v\nwant %v", got, want)
	}
}

func TestErrorsByKind(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for name, test := range map[string]struct {
		err  error
		kind string // "" for an answer
	}{
		"success":           {nil, ""},
		"not found":         {fmt.Errorf("getting: %w", backend.ErrNotFound), ""},
		"deadline":          {fmt.Errorf("getting: %w", context.DeadlineExceeded), "timeout"},
		"network timeout":   {fmt.Errorf("getting: %w", dial), "timeout"},
		"cancelled":         {fmt.Errorf("getting: %w", context.Canceled), "cancelled"},
		"too large":         {fmt.Errorf("putting: %w", backend.ErrTooLarge), "too_large"},
		"invalid key":       {backend.ErrInvalidKey, "invalid_key"},
		"network":           {&net.OpError{Op: "read", Err: errors.New("reset")}, "failed"},
		"anything else":     {errors.New("the disk is gone"), "failed"},
		"end of the stream": {io.ErrUnexpectedEOF, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			for op, call := range calls {
				m := metered.New()
				if err := call(t.Context(), m.Wrap(&scripted{err: test.err})); !same(err, test.err) {
					t.Errorf("%s returned %v, the backend %v", op, err, test.err)
				}
				got := changed(t, m)
				if got[`storage_operations_total{op="`+op+`"}`] != "1" {
					t.Errorf("%s is not counted once: %v", op, got)
				}
				maps.DeleteFunc(got, func(series, _ string) bool { return !strings.HasPrefix(series, "storage_errors_total") })
				want := map[string]string{}
				if test.kind != "" {
					want[`storage_errors_total{kind="`+test.kind+`",op="`+op+`"}`] = "1"
				}
				if !maps.Equal(got, want) {
					t.Errorf("errors of %s are %v, want %v", op, got, want)
				}
			}
		})
	}
}

// same tells whether got is the very error want, not wrapped.
func same(got, want any) bool { return got == want }

func TestConflictIsAnAnswer(t *testing.T) {
	m := metered.New()
	lost := fmt.Errorf("putting: %w (after %w)", backend.ErrConflict, context.DeadlineExceeded)
	b := m.Wrap(&scripted{err: lost})
	for _, op := range []string{"put", "delete"} {
		if err := calls[op](t.Context(), b); !same(err, lost) {
			t.Errorf("%s returned %v", op, err)
		}
	}
	got := changed(t, m)
	delete(got, "storage_write_duration_seconds_sum")
	want := map[string]string{
		`storage_operations_total{op="put"}`:    "1",
		`storage_operations_total{op="delete"}`: "1",
		"storage_conflicts_total":               "2",
		"storage_write_duration_seconds_count":  "2",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestResultsPassUnchanged(t *testing.T) {
	inner := &scripted{err: errors.New("and an error"), entries: 3}
	b := metered.New().Wrap(inner)
	if data, rev, err := b.Get(t.Context(), "a"); string(data) != "got" || rev.Token() != "1" || !same(err, inner.err) {
		t.Errorf("Get = %q, %v, %v", data, rev, err)
	}
	if rev, err := b.Put(t.Context(), "a", nil, backend.Revision{}); rev.Token() != "2" || !same(err, inner.err) {
		t.Errorf("Put = %v, %v", rev, err)
	}
	var keys []string
	for entry, err := range b.List(t.Context(), "", "") {
		if (err != nil) != (len(keys) == inner.entries) || err == nil && entry.Size != int64(len(keys)) {
			t.Errorf("element %d is %+v, %v", len(keys), entry, err)
		}
		keys = append(keys, entry.Key)
	}
	if !slices.Equal(keys, []string{"0", "1", "2", ""}) {
		t.Errorf("listed %q", keys)
	}
	if b.String() != "scripted" {
		t.Errorf("String() = %q", b.String())
	}
	if err := b.Close(); !same(err, inner.err) || !inner.closed {
		t.Errorf("Close() = %v, closed %v", err, inner.closed)
	}
}

func TestDurations(t *testing.T) {
	const reads, writes = "storage_read_duration_seconds", "storage_write_duration_seconds"
	for op, histogram := range map[string]string{
		"get": reads, "list": reads, "list_segments": reads, "put": writes, "delete": writes, "check": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			m := metered.New()
			if err := calls[op](t.Context(), m.Wrap(&scripted{takes: 3 * time.Second})); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{`storage_operations_total{op="` + op + `"}`: "1"}
			if histogram != "" {
				want[histogram+"_count"], want[histogram+"_sum"] = "1", "3"
			}
			wantChanged(t, m, want)
			values := exposed(t, m)
			if histogram != "" && (values[histogram+`_bucket{le="2.5"}`] != "0" || values[histogram+`_bucket{le="5"}`] != "1") {
				t.Errorf("%s of 3 s is in another bucket: %v", op, values)
			}
		})
	}
}

func TestListings(t *testing.T) {
	broken := errors.New("the disk is gone")
	for name, test := range map[string]struct {
		backend   *scripted
		stopAfter int // elements; 0 goes to the end
		ranges    int
		count     string
		seconds   string
		failed    string
	}{
		"to the end":             {&scripted{entries: 4}, 0, 1, "1", "5", ""},
		"empty":                  {&scripted{}, 0, 1, "1", "1", ""},
		"early break":            {&scripted{entries: 4}, 2, 1, "1", "2", ""},
		"error":                  {&scripted{entries: 4, err: broken}, 0, 1, "1", "5", "1"},
		"break at the error":     {&scripted{entries: 1, err: broken}, 2, 1, "1", "2", "1"},
		"break before the error": {&scripted{entries: 4, err: broken}, 1, 1, "1", "1", ""},
		"ranged over twice":      {&scripted{entries: 1}, 0, 2, "2", "4", ""},
		"never ranged over":      {&scripted{entries: 1}, 0, 0, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := metered.New()
				test.backend.takes = time.Second
				entries := m.Wrap(test.backend).List(t.Context(), "", "")
				for range test.ranges {
					rangeSlowly(entries, test.stopAfter)
				}
				want := map[string]string{
					`storage_operations_total{op="list"}`: test.count, "storage_read_duration_seconds_count": test.count,
					"storage_read_duration_seconds_sum": test.seconds, `storage_errors_total{kind="failed",op="list"}`: test.failed,
				}
				maps.DeleteFunc(want, func(_, value string) bool { return value == "" })
				wantChanged(t, m, want)
			})
		})
	}
}

// rangeSlowly takes an hour for each element, which is no time of the storage.
func rangeSlowly(entries iter.Seq2[backend.Entry, error], stopAfter int) {
	seen := 0
	entries(func(backend.Entry, error) bool {
		time.Sleep(time.Hour)
		seen++
		return seen != stopAfter
	})
}

func TestRequestsAreBounded(t *testing.T) {
	m := metered.New()
	for _, op := range []string{"PutObject", "PutObject", "GetObject", "", "putobject", "shares/" + identity} {
		m.Request(op)
	}
	wantChanged(t, m, map[string]string{
		`storage_requests_total{op="PutObject"}`: "2",
		`storage_requests_total{op="GetObject"}`: "1",
		`storage_requests_total{op="other"}`:     "3",
	})
}

// No event makes a series, so that none is missed by rate(); and none names a
// key.
func TestSeriesAreThereFromTheStart(t *testing.T) {
	m := metered.New()
	before := slices.Sorted(maps.Keys(exposed(t, m)))
	if got := changed(t, m); len(got) > 0 {
		t.Errorf("starts with %v", got)
	}
	all := []error{context.DeadlineExceeded, context.Canceled, errors.New("at " + identity), backend.ErrNotFound}
	ofKeys := append(slices.Clone(all), backend.ErrInvalidKey, backend.ErrConflict)
	ofObjects := append(slices.Clone(ofKeys), backend.ErrTooLarge)
	for op, errs := range map[string][]error{
		"get": ofObjects, "put": ofObjects, "delete": ofKeys, "list": all, "list_segments": all, "check": all,
	} {
		for _, err := range errs {
			_ = calls[op](t.Context(), m.Wrap(&scripted{err: err}))
		}
	}
	m.Request("HeadObject")
	m.Request(identity)
	after := slices.Sorted(maps.Keys(exposed(t, m)))
	if !slices.Equal(before, after) {
		t.Errorf("series at the start %q\nand later %q", before, after)
	}
	if strings.Contains(fmt.Sprint(after), identity) {
		t.Error("an identity became a label")
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.CollectAndLint(metered.New())
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestConcurrentCalls(t *testing.T) {
	const workers, each = 8, 50
	m := metered.New()
	b := m.Wrap(backendtest.NewMemory())
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				for op, call := range calls {
					if err := call(t.Context(), b); err != nil && !errors.Is(err, backend.ErrNotFound) {
						t.Errorf("%s = %v", op, err)
					}
				}
				m.Request("GetObject")
				_ = testutil.CollectAndCount(m)
			}
		})
	}
	group.Wait()
	got := changed(t, m)
	for op := range calls {
		if series := `storage_operations_total{op="` + op + `"}`; got[series] != fmt.Sprint(workers*each) {
			t.Errorf("%s is %s", series, got[series])
		}
	}
	if got[`storage_requests_total{op="GetObject"}`] != fmt.Sprint(workers*each) {
		t.Errorf("requests are %v", got)
	}
}
