package main

import (
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// fault is something that happens to the storage of a guardian while it runs.
type fault struct {
	name string
	// prepare makes the storage.
	prepare func(t *testing.T) troubled
	// refuses tells that some writes are refused meanwhile, unready that no
	// write can succeed, which /readyz says, too, and unreadable that no read
	// can either.
	refuses, unready, unreadable bool
	// acknowledges tells that some writes succeed meanwhile.
	acknowledges bool
	// stops tells that nothing is written any more until there is a restart.
	stops bool
}

// troubled is a storage that something can be done to.
type troubled struct {
	environ []string
	system  *syscall.SysProcAttr // of the guardian
	// strike may be called again, and heal ends it.
	strike, heal func(t *testing.T, p *process)
}

// slowly, badly and not at all is how a bucket may serve.
func slowly(s3test.Request) s3test.Fault {
	return s3test.Fault{Delay: 10*time.Millisecond + rand.N(1990*time.Millisecond)}
}

func badly(s3test.Request) s3test.Fault {
	return []s3test.Fault{
		{},
		{Answer: http.StatusInternalServerError, Code: "InternalError"},
		{Answer: http.StatusInternalServerError, Code: "InternalError", AfterApply: true},
		{Answer: http.StatusServiceUnavailable, Code: "SlowDown"},
		{Cut: true},
		{Cut: true, AfterApply: true},
	}[rand.IntN(6)]
}

func notAtAll(s3test.Request) s3test.Fault { return s3test.Fault{Cut: true} }

var fullBucket = ofWrites(s3test.Fault{Answer: http.StatusInsufficientStorage, Code: "XMinioStorageFull"})

// bucketFaults are those of buckets of a server.
func bucketFaults(server *s3test.Server) []fault {
	readOnly := ofWrites(s3test.Fault{Answer: http.StatusForbidden, Code: "AccessDenied"})
	return []fault{
		{name: "slow", prepare: faultyBucket(server, slowly)},
		{name: "failing", refuses: true, prepare: faultyBucket(server, badly)},
		{name: "read-only", refuses: true, prepare: faultyBucket(server, readOnly)},
		{name: "full", refuses: true, prepare: faultyBucket(server, fullBucket)},
		{name: "gone", refuses: true, unready: true, unreadable: true, prepare: faultyBucket(server, notAtAll)},
	}
}

func ofWrites(f s3test.Fault) func(s3test.Request) s3test.Fault {
	return func(r s3test.Request) s3test.Fault {
		if r.Method == http.MethodPut || r.Method == http.MethodDelete {
			return f
		}
		return s3test.Fault{}
	}
}

func faultyBucket(server *s3test.Server, inject func(s3test.Request) s3test.Fault) func(*testing.T) troubled {
	return func(t *testing.T) troubled {
		proxy := s3test.NewProxy(t, server)
		return troubled{
			environ: bucketEnviron(proxy, server.NewBucket(t)),
			strike:  func(*testing.T, *process) { proxy.Inject(inject) },
			heal:    func(*testing.T, *process) { proxy.Inject(nil) },
		}
	}
}

// TestBucketFaults does to the bucket of a running guardian what may happen to
// it: a write is carried out or refused as storage_unavailable, no acknowledged
// one is lost, and all goes on afterwards without a restart.
func TestBucketFaults(t *testing.T) {
	t.Parallel()
	withFaults(t, bucketFaults(s3test.Versity(t)))
}

func withFaults(t *testing.T, faults []fault) {
	binary := buildGuardian(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := suffering{fault: f, troubled: f.prepare(t), binary: binary, dir: t.TempDir()}
			for i := range crashOwners {
				s.owners = append(s.owners, newOwner(i))
			}
			s.run(t)
		})
	}
}

// suffering is a guardian that goes through a fault, and its owners.
type suffering struct {
	fault
	troubled
	binary, dir string
	owners      []*owner
}

const triesEach = 4

func (s *suffering) run(t *testing.T) {
	p := s.launch(t)
	client := newCrashClient(p)
	defer client.close()
	s.goOn(t, client)

	acks, refusals := s.suffer(t, p, client)
	if s.acknowledges && acks == 0 {
		t.Error("no write was acknowledged")
	}
	if s.unready {
		eventually(t, "it says that it is not ready", func() bool { return readiness(client) == http.StatusServiceUnavailable })
	}
	s.readMeanwhile(t, client)

	s.heal(t, p)
	if s.stops {
		s.refuseAll(t, client)
	} else {
		eventually(t, "it is ready again", func() bool { return readiness(client) == http.StatusOK })
		s.goOn(t, client)
	}
	p.kill()
	t.Logf("%d writes were acknowledged meanwhile, %d refused", acks, refusals)

	p = s.launch(t, "GUARDIAN_REQUIRE_ALL_SHARES=1")
	client = newCrashClient(p)
	defer client.close()
	s.goOn(t, client)
	p.kill()
}

func (s *suffering) launch(t *testing.T, extra ...string) *process {
	t.Helper()
	cmd := exec.Command(s.binary, "--unauthenticated", "--bind", "127.0.0.1:0")
	cmd.Dir, cmd.SysProcAttr = s.dir, s.system
	cmd.Env = bareEnvironment(slices.Concat(s.environ, extra, []string{
		"GUARDIAN_HEALTH_INTERVAL=1s", "GUARDIAN_LOG_LEVEL=error", "GUARDIAN_AUDIT=off",
	})...)
	p, err := launchCommand(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("it wrote:\n%.4000s", p.stderr)
		}
	})
	return p
}

// goOn wants all that is known to be there, what was refused to be stored when
// it is sent again, and more to be stored.
func (s *suffering) goOn(t *testing.T, client *crashClient) {
	t.Helper()
	client.patient = true
	defer func() { client.patient = false }()
	s.each(func(o *owner) {
		for _, r := range o.records {
			r.check(t, client)
			if r.pending != nil {
				r.sendAgain(t, client)
			}
		}
		for range triesEach {
			if got := o.work(t, client); got != acknowledged {
				t.Errorf("a write was refused or cut off (%d) although nothing is wrong", got)
			}
		}
		for _, r := range o.records {
			r.check(t, client)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
}

// suffer lets the owners write while the storage is in trouble, until each was
// refused if that is to be, and returns how often they were not and were.
func (s *suffering) suffer(t *testing.T, p *process, client *crashClient) (acks, refusals int64) {
	t.Helper()
	var acked, refused atomic.Int64
	deadline := time.Now().Add(patience)
	s.each(func(o *owner) {
		mine := 0
		for tries := 0; tries < triesEach || s.refuses && mine == 0 || s.stops && readiness(client) == http.StatusOK; tries++ {
			if time.Now().After(deadline) {
				t.Error("no write is refused, or not all are")
				return
			}
			s.strike(t, p)
			switch o.work(t, client) {
			case acknowledged:
				acked.Add(1)
			case unavailable:
				mine++
			case cutOff:
				t.Error("a write has no answer")
			}
		}
		refused.Add(int64(mine))
	})
	return acked.Load(), refused.Load()
}

// refuseAll wants no write to be acknowledged, although nothing is wrong any more.
func (s *suffering) refuseAll(t *testing.T, client *crashClient) {
	t.Helper()
	s.each(func(o *owner) {
		for range triesEach {
			if got := o.work(t, client); got != unavailable {
				t.Errorf("a write after those before were not made durable: %d", got)
			}
		}
	})
	if status := readiness(client); status != http.StatusServiceUnavailable {
		t.Errorf("it is ready: %d", status)
	}
	s.readMeanwhile(t, client)
}

// readMeanwhile wants shares to be served, or else to be called unavailable.
func (s *suffering) readMeanwhile(t *testing.T, client *crashClient) {
	t.Helper()
	client.patient = !s.unreadable
	defer func() { client.patient = false }()
	for _, r := range s.owners[0].records {
		if !s.unreadable {
			r.check(t, client)
		} else if _, err := client.pull(r.identity); err == nil || !strings.Contains(err.Error(), "storage_unavailable") {
			t.Errorf("a pull while there is no storage: %v", err)
		}
	}
}

func (s *suffering) each(do func(o *owner)) {
	var all sync.WaitGroup
	for _, o := range s.owners {
		all.Go(func() { do(o) })
	}
	all.Wait()
}

// readiness is the status of /readyz, 0 when there is no answer.
func readiness(client *crashClient) int {
	response, err := client.http.Get(client.base + "/readyz")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // so that the connection is used again: there may be no other
	return response.StatusCode
}
