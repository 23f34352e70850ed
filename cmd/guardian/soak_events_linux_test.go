package main

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// event is something that happens to a guardian under load. It ends with the
// guardian being well again, and all being there.
type event struct {
	name   string
	happen func(s *soak)
}

// soakEvents happen on every storage.
var soakEvents = []event{
	{"SIGKILL", func(s *soak) { s.p.kill(); s.restart() }},
	{"SIGTERM", (*soak).terminate},
	{"SIGSTOP", func(s *soak) {
		s.signal(syscall.SIGSTOP)
		time.Sleep(s.upTo(soakFault))
		s.signal(syscall.SIGCONT)
		s.recovered()
	}},
	{"clock jump", (*soak).jump},
	{"clock jump", (*soak).jump},
}

// soakStorages are the kinds of storage, each with what happens to it alone.
var soakStorages = []struct {
	name    string
	prepare func(s *soak)
}{
	{"directory", func(s *soak) { s.storage = s.onDisk("", "storage") }},
	{"file", func(s *soak) { _ = s.onDisk("bolt://", "guardian.db") }},
	{"bucket", (*soak).inBucket},
}

// onDisk takes a small disk, or one that is as large as others where nobody may
// mount one: it is not full then, and files that may not grow stand for that. It
// returns where the storage is.
func (s *soak) onDisk(scheme, name string) (path string) {
	dir := s.t.TempDir()
	if mayMount() {
		dir = smallDisk(s.t, "256m")
		s.suffers("disk full", filling(dir))
	}
	path = filepath.Join(dir, name)
	s.environ = []string{"GUARDIAN_STORAGE=" + scheme + path}
	s.suffers("no file may grow", limits(unix.RLIMIT_FSIZE))
	s.suffers("no file can be opened", limits(unix.RLIMIT_NOFILE))
	return path
}

func (s *soak) inBucket() {
	server := s3test.Versity(s.t)
	s.proxy = s3test.NewProxy(s.t, server)
	s.environ = bucketEnviron(s.proxy, server.NewBucket(s.t))
	serves := func(name string, fault func(s3test.Request) s3test.Fault) {
		s.suffers(name, troubled{
			strike: func(*testing.T, *process) { s.proxy.Inject(fault) },
			heal:   func(*testing.T, *process) { s.proxy.Inject(nil) },
		})
	}
	serves("bucket slow", slowly)
	serves("bucket failing", badly)
	serves("bucket full", fullBucket)
	serves("bucket gone", notAtAll)
	s.events = append(s.events,
		event{"connections closed", func(s *soak) { s.proxy.Disconnect(); s.recovered() }},
		event{"server restarted", func(s *soak) { server.Restart(s.t); s.recovered() }})
}

// suffers has its storage be in trouble now and then.
func (s *soak) suffers(name string, on troubled) {
	s.events = append(s.events, event{name, func(s *soak) {
		on.strike(s.t, s.p)
		for end := time.Now().Add(s.upTo(soakFault)); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			on.strike(s.t, s.p) // again: what is cleaned up makes room
		}
		on.heal(s.t, s.p)
		s.recovered()
	}})
}

// disturb has the next event happen. Each of them comes before one comes again.
func (s *soak) disturb() {
	if len(s.dealt) == 0 {
		for _, i := range s.random.Perm(len(s.events)) {
			s.dealt = append(s.dealt, s.events[i])
		}
	}
	next := s.dealt[0]
	s.dealt = s.dealt[1:]
	s.t.Log(next.name)
	s.happened[next.name]++
	next.happen(s)
}

func (s *soak) signal(sig syscall.Signal) {
	if err := s.p.signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// terminate asks the guardian to end, and starts it again.
func (s *soak) terminate() {
	s.signal(syscall.SIGTERM)
	if code, err := s.p.wait(); err != nil || code != 0 {
		s.t.Errorf("after SIGTERM it ended with %d, %v", code, err)
	}
	s.restart()
}

// jumps are by how much a clock is off that somebody, or NTP, has set wrong.
var jumps = []time.Duration{
	-48 * time.Hour, -25 * time.Hour, -3 * time.Hour, -10 * time.Minute, -time.Minute, 0,
	time.Minute, 10 * time.Minute, 3 * time.Hour, 25 * time.Hour, 48 * time.Hour,
}

// jump puts the clock forward or back to one of jumps, and has a scrub look then
// for what was left behind.
func (s *soak) jump() {
	s.clock.set(s.t, jumps[s.random.IntN(len(jumps))])
	startScrub(s.t, s.p)
	time.Sleep(s.upTo(soakFault))
	s.recovered()
}
