package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	listenLine = "GUARDIAN_LISTEN_ADDR="
	adminLine  = "GUARDIAN_ADMIN_LISTEN_ADDR="
	patience   = time.Minute
)

// benchmark is what all parts share.
type benchmark struct {
	plan
	dir, token string
	out        io.Writer
	started    []*server
	names      int
}

// server is a process that serves guardian's protocol.
type server struct {
	cmd        *exec.Cmd
	url, admin string
	// storage is where a guardian keeps what it has.
	storage string
	ended   chan struct{}
}

// fresh is a name for a directory that is not there yet.
func (b *benchmark) fresh(what string) string {
	b.names++
	return filepath.Join(b.dir, fmt.Sprintf("%s-%d", what, b.names))
}

// startOn starts a guardian on a new storage.
func (b *benchmark) startOn(ctx context.Context, s storage) (opened, *server, error) {
	at, err := s.open(ctx, b)
	if err != nil {
		return opened{}, nil, err
	}
	guardian, err := b.startGuardian(ctx, at.url, at.environ...)
	return at, guardian, err
}

// startGuardian starts the real program with its defaults, but for the limits of
// single clients.
func (b *benchmark) startGuardian(ctx context.Context, storage string, environ ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, b.guardian)
	cmd.Env = append([]string{
		"HOME=" + b.dir, "GUARDIAN_STORAGE=" + storage, "GUARDIAN_NODE_ID=" + nodeID,
		"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0", "GUARDIAN_SERVER_BEARER_TOKEN=" + b.token,
		"GUARDIAN_RATE_LIMIT_PER_ADDRESS=0", "GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR=0",
	}, environ...)
	s, err := b.start(cmd, listenLine, adminLine)
	if err != nil {
		return nil, fmt.Errorf("starting a guardian: %w", err)
	}
	s.storage = storage
	return s, nil
}

// startBare starts this program as a bare server.
func (b *benchmark) startBare(ctx context.Context, kind, where string, environ ...string) (*server, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, own, "-bare", kind, where) //nolint:gosec // this program
	cmd.Env = append([]string{"HOME=" + b.dir}, environ...)
	s, err := b.start(cmd, listenLine)
	if err != nil {
		return nil, fmt.Errorf("starting a bare server: %w", err)
	}
	return s, nil
}

// start waits until the process has printed its addresses. What it logs goes to a
// file, as it would on a machine that keeps logs.
func (b *benchmark) start(cmd *exec.Cmd, lines ...string) (*server, error) {
	name := b.fresh("log")
	log, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, ended: make(chan struct{})}
	b.started = append(b.started, s)
	said := bufio.NewScanner(stdout)
	for found := 0; found < len(lines); {
		if !said.Scan() {
			s.finish()
			text, _ := os.ReadFile(name)
			return nil, fmt.Errorf("it ended: %s", text)
		}
		for _, line := range lines {
			if address, ok := strings.CutPrefix(said.Text(), line); ok {
				found++
				if line == adminLine {
					s.admin = "http://" + address
				} else {
					s.url = "http://" + address
				}
			}
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		s.finish()
	}()
	return s, nil
}

func (s *server) finish() {
	_ = s.cmd.Wait() // how it ended is in its log
	close(s.ended)
}

// stop has a server end as an operator does, and waits for it.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return errors.New("a server did not end when it was told to")
	}
}

func (b *benchmark) stopAll() {
	for _, s := range b.started {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.ended
	}
}

// processorTime is what a process has used, in ticks of 10 ms.
func (s *server) processorTime() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := strings.Fields(string(rest))
	if len(fields) < 13 {
		return 0, errors.New("/proc tells no processor time")
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(errUser, errSystem)
}

var memoryLines = regexp.MustCompile(`(?m)^(VmHWM|VmRSS|RssAnon):\s+(\d+) kB$`)

// memory is what the kernel says of it, in MiB, by its names.
func (s *server) memory() (map[string]float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	all := map[string]float64{}
	for _, line := range memoryLines.FindAllStringSubmatch(string(text), -1) {
		kib, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			return nil, err
		}
		all[line[1]] = kib / 1024
	}
	return all, nil
}
