package s3test_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

func TestProxyLeavesRequestsAlone(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			proxy := s3test.NewProxy(t, server)
			b := newBucket(t, &proxy.Server)
			large := strings.Repeat("0123456789abcdef", 5<<20/16) // for which the SDK expects 100 Continue
			for key, data := range map[string]string{"a": "data", "none": "", "b/a c": "space", "b/ü+%2F~": "odd", "large": large} {
				if err := b.put(t.Context(), key, data, true); err != nil {
					t.Fatalf("putting %s: %v", key, err)
				}
				b.holds(t, key, data)
				b.through(t, proxy.ByName()).holds(t, key, data)
				b.through(t, server).holds(t, key, data)
			}
			proxy.DeleteBucket(t, b.name)
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	proxy := s3test.NewProxy(t, s3test.Fake(t))
	b := newBucket(t, &proxy.Server)
	_ = b.put(t.Context(), "a/b", "data", false)
	_, _ = b.get(t.Context(), "absent")
	var got []string
	for i, r := range proxy.Requests() {
		got = append(got, fmt.Sprintln(r.N, r.Op(), r.Bucket == b.name, r.Key, r.Status))
		if r.End.Before(r.Start) || r.Header.Get("Authorization") == "" {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	want := []string{"1 CreateBucket true  200\n", "2 PutObject true a/b 200\n", "3 GetObject true absent 404\n"}
	if !slices.Equal(got, want) {
		t.Errorf("requests:\n%s, want\n%s", got, want)
	}
	proxy.Reset()
	b.holds(t, "a/b", "data")
	if got := proxy.Requests(); len(got) != 1 || got[0].N != 1 {
		t.Errorf("after Reset: %+v", got)
	}
}

// No client may see an answer, large enough to be sent as it is written, before
// the proxy takes its request for ended.
func TestSequentialRequestsAreRoundTrips(t *testing.T) {
	t.Parallel()
	proxy := s3test.NewProxy(t, s3test.Fake(t))
	b := newBucket(t, &proxy.Server)
	if err := b.put(t.Context(), "a", strings.Repeat("x", 64<<10), false); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	const reads = 500
	for i := range reads {
		_, err := b.get(t.Context(), "a")
		if requests := proxy.Requests(); err != nil || requests[i].End.IsZero() {
			t.Fatalf("get: %v, on record as %+v", err, requests[i])
		}
	}
	if got := s3test.RoundTrips(proxy.Requests()); got != reads {
		t.Errorf("%d requests took %d round trips", reads, got)
	}
}

func TestParallelRequestsAreOneRoundTrip(t *testing.T) {
	t.Parallel()
	proxy := s3test.NewProxy(t, s3test.Fake(t))
	b := newBucket(t, &proxy.Server)
	proxy.Reset()
	var arrived, writers sync.WaitGroup
	for range 2 {
		arrived.Add(8)
		proxy.Inject(func(s3test.Request) s3test.Fault {
			arrived.Done()
			arrived.Wait()
			return s3test.Fault{}
		})
		for i := range 8 {
			writers.Go(func() { _ = b.put(t.Context(), fmt.Sprint(i), "data", false) })
		}
		writers.Wait()
	}
	if got := s3test.RoundTrips(proxy.Requests()); len(proxy.Requests()) != 16 || got != 2 {
		t.Errorf("16 requests, 8 at a time: %d, in %d round trips", len(proxy.Requests()), got)
	}
}

func always(fault s3test.Fault) func(s3test.Request) s3test.Fault {
	return func(s3test.Request) s3test.Fault { return fault }
}

// closed is what a connection's end without a whole answer becomes below.
const closed = "closed"

// outcome is status, with one word for all ways in which a connection ends.
func outcome(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return closed
	}
	return status(err)
}

func TestFaultsOfWrites(t *testing.T) {
	server := s3test.Versity(t)
	for name, test := range map[string]struct {
		fault   s3test.Fault
		create  bool // else the write replaces what is there
		want    string
		status  int
		applied bool
	}{
		"none":               {s3test.Fault{}, false, "<nil>", 200, true},
		"none, lost race":    {s3test.Fault{}, true, "412 PreconditionFailed", 412, false},
		"delay":              {s3test.Fault{Delay: time.Millisecond}, false, "<nil>", 200, true},
		"409":                {s3test.Fault{Answer: 409, Code: "ConditionalRequestConflict"}, true, "409 ConditionalRequestConflict", 409, false},
		"403":                {s3test.Fault{Answer: 403, Code: "AccessDenied"}, false, "403 AccessDenied", 403, false},
		"503":                {s3test.Fault{Answer: 503, Code: "SlowDown"}, false, "503 SlowDown", 503, false},
		"500 after apply":    {s3test.Fault{Answer: 500, Code: "InternalError", AfterApply: true}, false, "500 InternalError", 500, true},
		"cut":                {s3test.Fault{Cut: true}, false, closed, 0, false},
		"cut after apply":    {s3test.Fault{Cut: true, AfterApply: true}, false, closed, 0, true},
		"cut, late":          {s3test.Fault{Cut: true, AfterApply: true, Delay: time.Millisecond}, false, closed, 0, true},
		"truncated":          {s3test.Fault{Truncate: true}, false, closed, 0, true},
		"corrupt":            {s3test.Fault{Corrupt: true}, false, "<nil>", 200, true},
		"truncated error":    {s3test.Fault{Truncate: true, Answer: 500, Code: "InternalError"}, false, closed, 500, false},
		"no conditions":      {s3test.Fault{StripConditions: true}, true, "<nil>", 200, true},
		"nothing to strip":   {s3test.Fault{StripConditions: true}, false, "<nil>", 200, true},
		"no conditions, cut": {s3test.Fault{StripConditions: true, Cut: true, AfterApply: true}, true, closed, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := s3test.NewProxy(t, server)
			direct := newBucket(t, server)
			if err := direct.put(t.Context(), "a", "old", false); err != nil {
				t.Fatal(err)
			}
			proxy.Inject(always(test.fault))
			err := direct.through(t, &proxy.Server).put(t.Context(), "a", "new", test.create)
			if got := outcome(err); got != test.want {
				t.Errorf("put: %s (%v), want %s", got, err, test.want)
			}
			direct.holds(t, "a", map[bool]string{true: "new", false: "old"}[test.applied])
			if got := proxy.Requests(); len(got) != 1 || got[0].Status != test.status || got[0].End.IsZero() {
				t.Errorf("requests: %+v, want status %d", got, test.status)
			}
		})
	}
}

func TestFaultsOfReads(t *testing.T) {
	server := s3test.Versity(t)
	direct := newBucket(t, server)
	const data = "0123456789"
	if err := direct.put(t.Context(), "a", data, false); err != nil {
		t.Fatal(err)
	}
	_, sound, _ := direct.read(t.Context(), "a", unchecked)
	for name, test := range map[string]struct {
		fault s3test.Fault
		want  string // what was read
		err   string
	}{
		"none":                  {s3test.Fault{}, data, "<nil>"},
		"404":                   {s3test.Fault{Answer: 404, Code: "NoSuchKey"}, "", "404 NoSuchKey"},
		"404 after apply":       {s3test.Fault{Answer: 404, Code: "NoSuchKey", AfterApply: true}, "", "404 NoSuchKey"},
		"cut":                   {s3test.Fault{Cut: true}, "", closed},
		"truncated":             {s3test.Fault{Truncate: true}, "01234", closed},
		"corrupt":               {s3test.Fault{Corrupt: true}, "0123446789", "<nil>"},
		"corrupt and truncated": {s3test.Fault{Corrupt: true, Truncate: true}, "01234", closed},
		"nothing to strip":      {s3test.Fault{StripConditions: true}, data, "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := s3test.NewProxy(t, server)
			proxy.Inject(always(test.fault))
			got, headers, err := direct.through(t, &proxy.Server).read(t.Context(), "a", unchecked)
			if got != test.want || outcome(err) != test.err {
				t.Errorf("read %q, %v, want %q, %s", got, err, test.want, test.err)
			}
			if got != "" && (*headers.ETag != *sound.ETag || *headers.ContentLength != *sound.ContentLength) {
				t.Errorf("headers differ: %+v, want %+v", headers, sound)
			}
		})
	}
}

// unchecked has the client take a body whatever its checksum says.
func unchecked(o *s3.Options) {
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

func TestChecksumCatchesCorruption(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := s3test.NewProxy(t, start(t))
			b := newBucket(t, &proxy.Server)
			if err := b.put(t.Context(), "a", "data", false); err != nil {
				t.Fatal(err)
			}
			b.holds(t, "a", "data")
			proxy.Inject(always(s3test.Fault{Corrupt: true}))
			if got, err := b.get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "checksum") {
				t.Errorf("read %q, %v, want a wrong checksum", got, err)
			}
		})
	}
}

func TestClientEndsDelay(t *testing.T) {
	server := s3test.Versity(t)
	for _, test := range []struct {
		afterApply bool
		want       string
	}{
		{false, "old"},
		{true, "new"},
	} {
		t.Run("holds "+test.want, func(t *testing.T) {
			t.Parallel()
			proxy := s3test.NewProxy(t, server)
			proxy.Inject(always(s3test.Fault{Delay: time.Hour, AfterApply: test.afterApply}))
			direct := newBucket(t, server)
			if err := direct.put(t.Context(), "a", "old", false); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan error, 1)
			delayed := direct.through(t, &proxy.Server)
			go func() { result <- delayed.put(ctx, "a", "new", false) }()
			eventually(t, func() bool {
				got, _ := direct.get(t.Context(), "a")
				return got == test.want && len(proxy.Requests()) == 1
			})
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("put: %v", err)
			}
			eventually(t, func() bool { return !proxy.Requests()[0].End.IsZero() })
			if got := proxy.Requests()[0].Status; got != 0 {
				t.Errorf("status %d for a client that had gone", got)
			}
			direct.holds(t, "a", test.want)
		})
	}
}

// What is on its way to the server arrives, even if nobody waits for the answer.
func TestClientThatIsGoneIsServed(t *testing.T) {
	t.Parallel()
	server := s3test.Fake(t)
	proxy := s3test.NewProxy(t, server)
	direct := newBucket(t, server)
	for i := range 20 {
		key := fmt.Sprint(i)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan struct{})
		proxy.Inject(func(s3test.Request) s3test.Fault {
			cancel()
			<-gone
			return s3test.Fault{AfterApply: true}
		})
		if err := direct.through(t, &proxy.Server).put(ctx, key, "data", true); !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v", err)
		}
		close(gone)
		eventually(t, func() bool { return len(proxy.Requests()) == i+1 && !proxy.Requests()[i].End.IsZero() })
		direct.holds(t, key, "data")
	}
}

// eventually waits until condition holds.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatal("still not so")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestStripConditionsBreaksThem(t *testing.T) {
	for _, name := range []string{"versitygw", "minio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers[name](t)
			proxy := s3test.NewProxy(t, server)
			proxy.Inject(always(s3test.Fault{StripConditions: true}))
			b := newBucket(t, server).through(t, &proxy.Server)
			if won, lost := race(t, b, "race"); len(won) < 2 {
				t.Errorf("a race has %d winners; the others got %v", len(won), lost)
			}
			stale := func(o *s3.PutObjectInput) { o.IfMatch = aws.String(`"0123456789abcdef0123456789abcdef"`) }
			if err := b.putIf(t.Context(), "race", "stale", stale); err != nil {
				t.Errorf("replacing with a stale ETag: %v", err)
			}
			b.holds(t, "race", "stale")
		})
	}
}

// The SDK sums a body up before it sends it over HTTP, and behind it over
// HTTPS: the signature covers one or the other.
func TestStripConditionsSignsEveryPayload(t *testing.T) {
	for _, name := range []string{"versitygw", "minio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers[name](t)
			proxy := s3test.NewProxy(t, server)
			direct := newBucket(t, server)
			summed := direct.through(t, &proxy.Server)
			for payload, b := range map[string]bucket{"trailer": {direct.name, secureClient(t, proxy)}, "summed up": summed} {
				proxy.Reset()
				for _, data := range []string{"one", "two"} {
					proxy.Inject(always(s3test.Fault{StripConditions: data == "two"}))
					if err := b.put(t.Context(), payload, data, true); err != nil {
						t.Errorf("%s: creating it with %q: %v", payload, data, err)
					}
					direct.holds(t, payload, data)
				}
				sum := proxy.Requests()[0].Header.Get("X-Amz-Content-Sha256")
				if trailer := sum == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"; trailer != (payload == "trailer") {
					t.Errorf("%s: payload is %s", payload, sum)
				}
			}
		})
	}
}

// secureClient takes the proxy's connections for encrypted ones.
func secureClient(t *testing.T, proxy *s3test.Proxy) *s3.Client {
	secure := proxy.Server
	secure.Endpoint = strings.Replace(proxy.Endpoint, "http:", "https:", 1)
	plain := &http.Transport{DialTLSContext: new(net.Dialer).DialContext}
	t.Cleanup(plain.CloseIdleConnections)
	return s3.New(secure.Client(t).Options(), func(o *s3.Options) { o.HTTPClient = &http.Client{Transport: plain} })
}

// A server that drops the second request of a connection gets it once.
func TestProxySendsOnce(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, _ = io.Copy(io.Discard, r.Body); requests.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	proxy := s3test.NewProxy(t, &s3test.Server{Endpoint: server.URL, Region: "r", AccessKey: "a", SecretKey: "s"})
	b := bucket{"b", proxy.Client(t)}
	for i, want := range []string{"<nil>", closed} {
		if got := outcome(b.put(t.Context(), "a", "data", true)); got != want {
			t.Errorf("put %d: %s, want %s", i+1, got, want)
		}
	}
	if got := requests.Load(); got != 2 {
		t.Errorf("the server saw %d requests, want 2", got)
	}
}

func TestDisconnect(t *testing.T) {
	t.Parallel()
	proxy := s3test.NewProxy(t, s3test.Fake(t))
	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := newBucket(t, &proxy.Server) // the proxy has taken conn before this one's
	proxy.Disconnect()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is still there")
	}
	if err := b.put(t.Context(), "key", "data", true); err != nil {
		t.Errorf("there is no other connection: %v", err)
	}
}
