package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/client"
)

const (
	listenPrefix = "GUARDIAN_LISTEN_ADDR="
	startTimeout = 20 * time.Second
	// guardianBinary is looked for beside this program.
	guardianBinary = "guardian"
)

// launcher starts processes from one OS thread that lives as long as they do:
// on Linux a child is told of its parent's death when the thread that started
// it ends.
type launcher struct{ jobs chan func() }

func newLauncher() *launcher {
	l := &launcher{make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range l.jobs {
			job()
		}
	}()
	return l
}

func (l *launcher) start(cmd *exec.Cmd) error {
	dieWithParent(cmd)
	result := make(chan error)
	l.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread. No process may be running any more.
func (l *launcher) close() { close(l.jobs) }

// process is one guardian that runs.
type process struct {
	cmd     *exec.Cmd
	address string
	// peerAddress and adminAddress are "" where it has no such plane.
	peerAddress, adminAddress string
	guardian                  *client.Guardian // at address, without a token
	exited                    chan struct{}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the process without warning, as a power cut would; what it has
// acknowledged is on its disk. It may be called again.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended already
	<-p.exited
}

func nodeID(i int) string                   { return fmt.Sprintf("guardian-%d", i+1) }
func (s *stage) storage(i int) string       { return filepath.Join(s.dir, nodeID(i)) }
func (s *stage) tokenFile() string          { return filepath.Join(s.dir, "token") }
func (s *stage) logFile(name string) string { return filepath.Join(s.dir, name+".log") }

// startOne starts the guardian in place i on a free port and waits until it
// listens.
func (s *stage) startOne(ctx context.Context, i int) (err error) {
	s.guardians[i], err = s.launch(ctx, nodeID(i), nodeID(i))
	return err
}

// launch starts a guardian on a free port, with a directory and a log under
// name, and waits until it listens.
func (s *stage) launch(ctx context.Context, name, node string) (*process, error) {
	started, stdout, err := s.spawn(ctx, name, node)
	if err != nil {
		return nil, err
	}
	if err = started.readAddresses(ctx, stdout); err != nil {
		return nil, fmt.Errorf("starting %s: %w\n%s", name, err, s.lastLog(name))
	}
	if s.launched != nil {
		s.launched(name, started)
	}
	started.guardian, err = client.New("http://"+started.address, "")
	return started, err
}

func (s *stage) spawn(ctx context.Context, name, node string) (started *process, stdout *os.File, err error) {
	logFile, err := os.OpenFile(s.logFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer logFile.Close()
	stdout, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, s.binary) //nolint:gosec // the guardian beside this program
	cmd.Env, cmd.Dir = s.environment(name, node), s.dir
	cmd.Stdout, cmd.Stderr = ours, logFile
	err = s.launcher.start(cmd)
	ours.Close()
	if err != nil {
		stdout.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", s.binary, err)
	}
	started = &process{cmd: cmd, exited: make(chan struct{})}
	s.started = append(s.started, started)
	go func() {
		cmd.Wait() //nolint:errcheck // how it ended is in its log
		close(started.exited)
	}()
	return started, stdout, nil
}

// environment is ours without settings of other guardians.
func (s *stage) environment(name, node string) []string {
	var clean []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "GUARDIAN_") {
			clean = append(clean, entry)
		}
	}
	var own []string
	if s.own != nil {
		own = s.own(name)
	}
	return slices.Concat(clean, s.settings, own, []string{
		"GUARDIAN_STORAGE=" + filepath.Join(s.dir, name), "GUARDIAN_NODE_ID=" + node,
		"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0", "GUARDIAN_SERVER_BEARER_TOKEN=" + s.token,
	})
}

// readAddresses waits for the lines that name the addresses; that of the client
// plane comes first, and those of others at once behind it. It takes stdout over.
func (p *process) readAddresses(ctx context.Context, stdout *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// Closing ends the read below.
	defer context.AfterFunc(ctx, func() { stdout.Close() })()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.readAddress(lines.Text())
		if p.address != "" && p.adminAddress != "" {
			go drain(stdout)
			return nil
		}
	}
	stdout.Close()
	return errors.New("it ended or was not ready in time")
}

func (p *process) readAddress(line string) {
	for prefix, address := range map[string]*string{
		listenPrefix: &p.address, "GUARDIAN_PEER_LISTEN_ADDR=": &p.peerAddress, "GUARDIAN_ADMIN_LISTEN_ADDR=": &p.adminAddress,
	} {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			*address = value
		}
	}
}

// drain keeps a guardian from blocking on what nobody reads.
func drain(stdout *os.File) {
	defer stdout.Close()
	io.Copy(io.Discard, stdout) //nolint:errcheck // it ends with the guardian
}

// lastLog is the end of a guardian's log, for an error.
func (s *stage) lastLog(name string) string {
	const most = 2000
	text, err := os.ReadFile(s.logFile(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

func (s *stage) killAll() {
	var all sync.WaitGroup
	for _, p := range s.started {
		all.Go(p.kill)
	}
	all.Wait()
}
