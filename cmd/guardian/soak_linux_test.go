package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

var (
	soakTime = flag.Duration("soak.time", 10*time.Second, "how long TestSoak goes on")
	soakSeed = flag.Uint64("soak.seed", 0, "what TestSoak draws events, their moments and operations from (0: draws that, too)")
)

const (
	// soakThink is the mean rest between two operations of an owner.
	soakThink = 100 * time.Millisecond
	// soakRest and soakFault are how long, at the most, nothing happens to a
	// guardian between two events, and how long an event lasts.
	soakRest  = 8 * time.Second
	soakFault = 4 * time.Second
	// soakSample is between two measurements.
	soakSample = 250 * time.Millisecond
)

// TestSoak has owners push, delete and pull on each kind of storage while one
// thing after the other happens to the guardian there: three quarters of the time,
// and then nothing more does. What was acknowledged must be there after each event
// and at the end, an answer must be one of those that are documented, all must go
// on by itself, and what the process holds must not grow.
func TestSoak(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes a server, and its time")
	}
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	if !mayMount() && mountingAgain(t, "-test.parallel=8", fmt.Sprintf("-soak.time=%v", *soakTime), fmt.Sprintf("-soak.seed=%d", seed)) {
		return
	}
	t.Logf("%v, -soak.seed=%d", *soakTime, seed)
	binary := buildWithClock(t)
	for i, storage := range soakStorages {
		t.Run(storage.name, func(t *testing.T) {
			t.Parallel()
			// An address of its own: no owner takes another's guardian for
			// his own while that is down.
			s := &soak{
				t: t, binary: binary, dir: t.TempDir(), clock: newClock(t), host: fmt.Sprintf("127.0.0.%d", 2+i),
				random: rand.New(rand.NewPCG(seed, uint64(i))), results: map[result]int{}, happened: map[string]int{},
			}
			storage.prepare(s)
			s.events = slices.Concat(soakEvents, s.events)
			s.run()
		})
	}
}

// soak is a guardian on one storage, and its owners.
type soak struct {
	t           *testing.T
	binary, dir string
	host        string
	clock       clock
	environ     []string
	proxy       *s3test.Proxy // before the bucket; nil for files
	storage     string        // the directory; "" for a bucket
	random      *rand.Rand
	events      []event
	dealt       []event // those of events that are still to come, before all come again
	owners      []*owner

	// using is held by owners for an operation, and by whoever wants none.
	using  sync.RWMutex
	p      *process
	client *crashClient

	lives    []*life
	happened map[string]int // events
	slowest  time.Duration  // until health was back after a fault

	mu          sync.Mutex
	undisturbed bool
	results     map[result]int
}

// result is how an operation ended.
type result struct {
	undisturbed     bool // as nothing happened any more
	operation, code string
}

// life is one process of the guardian.
type life struct {
	began   sample // before there was a load
	samples []sample
}

func (s *soak) run() {
	for i := range crashOwners {
		o := newOwner(i)
		o.random, o.size = rand.New(rand.NewPCG(s.random.Uint64(), uint64(i))), soakSize
		s.owners = append(s.owners, o)
	}
	s.launch()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("it wrote:\n%.4000s", s.p.stderr)
		}
	}()
	stop := s.load()
	defer stop()

	began := time.Now()
	for time.Since(began) < *soakTime*3/4 && !s.t.Failed() {
		s.watch(s.upTo(soakRest))
		s.disturb()
	}
	s.clock.set(s.t, 0)
	s.rest()
	s.terminate()
	s.mu.Lock()
	s.undisturbed = true
	s.mu.Unlock()
	s.watch(*soakTime / 4)
	stop()
	s.rest()
	s.p.kill()
	s.restart()
	s.report()
}

// soakSize is as often below a KiB as above.
func soakSize(r *rand.Rand) int {
	return int(math.Exp(r.Float64() * math.Log(api.MaxShareSize)))
}

// upTo draws a time, less in a short run, so that much happens in it.
func (s *soak) upTo(most time.Duration) time.Duration {
	return time.Duration(s.random.Int64N(int64(min(most, *soakTime/20))))
}

// launch starts the guardian. A share that does not verify is a start that fails.
func (s *soak) launch() {
	s.t.Helper()
	cmd := exec.Command(s.binary, "--unauthenticated", "--bind", s.host+":0")
	cmd.Dir = s.dir
	cmd.Env = bareEnvironment(slices.Concat(s.environ, []string{
		s.clock.environ(), "GUARDIAN_ADMIN_BIND=" + s.host + ":0", "GUARDIAN_REQUIRE_ALL_SHARES=1",
		"GUARDIAN_HEALTH_INTERVAL=1s", "GUARDIAN_SCRUB_INTERVAL=1s", "GUARDIAN_LOG_LEVEL=error", "GUARDIAN_AUDIT=off",
	})...)
	p, err := launchCommand(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.kill)
	s.p, s.client = p, newCrashClient(p)
	eventually(s.t, "it says where its metrics are", func() bool { return p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") != "" })
	s.lives = append(s.lives, &life{began: s.unused()})
}

// unused is the least that the guardian holds within half a second while nobody
// uses it: it has just read all shares, and may scrub.
func (s *soak) unused() sample {
	s.t.Helper()
	s.disconnect()
	least := s.measure()
	for range 10 {
		time.Sleep(50 * time.Millisecond)
		now := s.measure()
		least.goroutines, least.descriptors = min(least.goroutines, now.goroutines), min(least.descriptors, now.descriptors)
	}
	return least
}

// disconnect closes the connections to the bucket, which the guardian would keep
// for a minute and a half after the last use.
func (s *soak) disconnect() {
	if s.proxy != nil {
		s.proxy.Disconnect()
	}
}

func (s *soak) life() *life { return s.lives[len(s.lives)-1] }

func (s *soak) measure() sample {
	s.t.Helper()
	got, err := measure(s.p)
	if err != nil {
		s.t.Fatalf("measuring: %v", err)
	}
	if got.damaged > 0 {
		s.t.Errorf("%v reads found what is stored to be damaged", got.damaged)
	}
	return got
}

// watch measures while nothing happens but the load.
func (s *soak) watch(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end) && !s.t.Failed(); time.Sleep(soakSample) {
		s.life().samples = append(s.life().samples, s.measure())
		if s.proxy != nil {
			s.proxy.Reset() // or it would remember every request
		}
	}
}

// load has the owners work until stop is called, or the test fails.
func (s *soak) load() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var working sync.WaitGroup
	for _, o := range s.owners {
		working.Go(func() {
			for pause(ctx, rand.N(2*soakThink)) && !s.t.Failed() {
				s.using.RLock()
				s.operate(o)
				s.using.RUnlock()
			}
		})
	}
	return func() { cancel(); working.Wait() }
}

// pause returns false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (s *soak) operate(o *owner) {
	switch r := o.records[o.random.IntN(len(o.records))]; o.random.IntN(10) {
	case 0, 1, 2, 3, 4:
		s.write(o, r)
	case 5, 6, 7, 8:
		s.read(r)
	default:
		s.pushOld(r)
	}
}

// write pushes or deletes, or does again what was not acknowledged.
func (s *soak) write(o *owner, r *known) {
	again := r.pending != nil
	if !again {
		next := o.next(r)
		r.pending = &next
	}
	status, body, err := s.client.send(r.identity, *r.pending)
	switch code := s.note(verb(*r.pending), status, body, err); {
	case isExcuse(code):
	case again:
		r.answered(s.t, status, body)
	case code == done:
		r.acked, r.pending = *r.pending, nil
	default:
		s.t.Errorf("%s of version %d answered %d %s", verb(*r.pending), r.pending.version, status, body)
	}
}

func (s *soak) read(r *known) {
	status, body, err := s.client.post(api.RoutePull, api.PullRequest{Identity: r.identity})
	if isExcuse(s.note("pull", status, body, err)) {
		return
	}
	found, err := pulled(status, body)
	if err != nil {
		s.t.Errorf("%s: %v", r.identity, err)
		return
	}
	r.compare(s.t, found)
}

// pushOld pushes something else at the version that was acknowledged last, which
// would go back.
func (s *soak) pushOld(r *known) {
	version := r.acked.version
	if version == 0 {
		return
	}
	status, body, err := s.client.post(api.RoutePush, api.PushRequest{
		Identity: r.identity, Version: &version, Share: base64.StdEncoding.EncodeToString([]byte("another")),
	})
	code := s.note("push of an old version", status, body, err)
	if !isExcuse(code) && code != api.RowOf(api.ErrVersionConflict).Code {
		s.t.Errorf("a push of version %d of %s, which is not new, answered %d %s", version, r.identity, status, body)
	}
}

// What note calls an operation that succeeded, and one without an answer.
const (
	done     = "done"
	noAnswer = "no answer"
)

// note counts an operation, and returns its code.
func (s *soak) note(operation string, status int, body []byte, err error) (code string) {
	var failure api.ErrorResponse
	switch {
	case err != nil:
		code = noAnswer
	case status == http.StatusOK:
		code = done
	default:
		_ = json.Unmarshal(body, &failure) // what is no JSON has no code
		code = failure.Code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[result{s.undisturbed, operation, code}]++
	return code
}

// isExcuse tells what says that a guardian cannot do it now: nothing was
// acknowledged, and whoever asked tries again.
func isExcuse(code string) bool {
	return code == noAnswer || code == api.RowOf(api.ErrStorageUnavailable).Code || code == api.RowOf(api.ErrOverloaded).Code
}

// verify wants all that is known to be there, and what was cut off to be stored
// when it is sent again. Nobody may use the guardian meanwhile.
func (s *soak) verify() {
	s.t.Helper()
	s.client.patient = true
	defer func() { s.client.patient = false }()
	for _, o := range s.owners {
		for _, r := range o.records {
			r.check(s.t, s.client)
			if r.pending != nil {
				r.sendAgain(s.t, s.client)
				r.check(s.t, s.client)
			}
		}
	}
}

// restart starts the guardian, which has ended, and verifies.
func (s *soak) restart() {
	s.t.Helper()
	s.using.Lock()
	defer s.using.Unlock()
	s.client.close()
	s.launch()
	s.verify()
}

// recovered waits until the guardian says that it is well, and verifies.
func (s *soak) recovered() {
	s.t.Helper()
	began := time.Now()
	eventually(s.t, "it is ready again", func() bool { return readiness(s.client) == http.StatusOK })
	s.slowest = max(s.slowest, time.Since(began))
	s.using.Lock()
	defer s.using.Unlock()
	s.verify()
}

// rest wants goroutines and descriptors to end with what they were for.
func (s *soak) rest() {
	s.t.Helper()
	s.using.Lock()
	defer s.using.Unlock()
	s.client.close()
	s.disconnect()
	began := s.life().began
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		now := s.measure()
		if now.goroutines <= began.goroutines+restSlack && now.descriptors <= began.descriptors+s.directories()+restSlack {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("without a load it holds %v goroutines and %v descriptors; at its start there were %v and %v\n%s", now.goroutines, now.descriptors,
				began.goroutines, began.descriptors, fetch("http://"+s.p.printed("GUARDIAN_ADMIN_LISTEN_ADDR")+"/debug/pprof/goroutine?debug=1"))
		}
	}
}

// restSlack is for what comes and goes by itself, as a scrub does.
const restSlack = 5

// directories counts those of the storage, some of which it holds open.
func (s *soak) directories() (n float64) {
	if s.storage == "" {
		return 0
	}
	err := filepath.WalkDir(s.storage, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			n++
		}
		return nil // what is gone meanwhile is none
	})
	if err != nil {
		s.t.Error(err)
	}
	return n
}
