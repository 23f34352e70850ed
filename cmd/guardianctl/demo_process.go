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
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
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
	exited  chan struct{}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the process without warning, as a power cut would; what it has
// acknowledged is on its disk. It may be called again.
func (p *process) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended already
	<-p.exited
}

func nodeID(i int) string            { return fmt.Sprintf("guardian-%d", i+1) }
func (d *demo) storage(i int) string { return filepath.Join(d.dir, nodeID(i)) }
func (d *demo) tokenFile() string    { return filepath.Join(d.dir, "token") }
func (d *demo) logFile(i int) string { return filepath.Join(d.dir, nodeID(i)+".log") }

// startOne starts a guardian on a free port and waits until it listens.
func (d *demo) startOne(ctx context.Context, i int) error {
	logFile, err := os.OpenFile(d.logFile(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	stdout, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, d.binary) //nolint:gosec // the guardian beside this program
	cmd.Env, cmd.Dir = d.environment(i), d.dir
	cmd.Stdout, cmd.Stderr = ours, logFile
	err = d.launcher.start(cmd)
	ours.Close()
	if err != nil {
		stdout.Close()
		return fmt.Errorf("starting %s: %w", d.binary, err)
	}
	started := &process{cmd: cmd, exited: make(chan struct{})}
	d.guardians[i] = started
	go func() {
		cmd.Wait() //nolint:errcheck // how it ended is in its log
		close(started.exited)
	}()
	if started.address, err = listenAddress(ctx, stdout); err != nil {
		return fmt.Errorf("starting guardian %d: %w\n%s", i+1, err, d.lastLog(i))
	}
	return nil
}

// environment is ours without settings of other guardians.
func (d *demo) environment(i int) []string {
	var clean []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "GUARDIAN_") {
			clean = append(clean, entry)
		}
	}
	return append(clean,
		"GUARDIAN_STORAGE="+d.storage(i), "GUARDIAN_NODE_ID="+nodeID(i),
		"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_SERVER_BEARER_TOKEN="+d.token)
}

// listenAddress waits for the line that names the address. It takes stdout over.
func listenAddress(ctx context.Context, stdout *os.File) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// Closing ends the read below.
	defer context.AfterFunc(ctx, func() { stdout.Close() })()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), listenPrefix); ok {
			go drain(stdout)
			return address, nil
		}
	}
	stdout.Close()
	return "", errors.New("it ended or was not ready in time")
}

// drain keeps a guardian from blocking on what nobody reads.
func drain(stdout *os.File) {
	defer stdout.Close()
	io.Copy(io.Discard, stdout) //nolint:errcheck // it ends with the guardian
}

// lastLog is the end of a guardian's log, for an error.
func (d *demo) lastLog(i int) string {
	const most = 2000
	text, err := os.ReadFile(d.logFile(i))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// connect makes the vault of the guardians at their present addresses, with
// nothing but the words for a key.
func (d *demo) connect() (err error) {
	var urls []string
	for _, p := range d.guardians {
		urls = append(urls, "http://"+p.address)
	}
	if d.root, err = envelope.FromMnemonic(d.words); err != nil {
		return err
	}
	d.vault, err = client.NewVault(urls, []string{d.token}, 0, client.WithRoot(d.root))
	return err
}

func (d *demo) killAll() {
	var all sync.WaitGroup
	for _, p := range d.guardians {
		if p != nil {
			all.Go(p.kill)
		}
	}
	all.Wait()
}
