package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

const idleConnections, busyConnections = 1000, 64

func stopBoth(a, b *server) error { return errors.Join(a.stop(), b.stop()) }

// memory is what a guardian has resident under many connections and large shares.
func (b *benchmark) memory(ctx context.Context, storages []storage) error {
	fmt.Fprintf(b.out, `
### Memory

Resident memory of the guardian's process in MiB, after %v each: at the end, and the most
there ever was (VmRSS, VmHWM); and the most without pages of files (RssAnon), which are
the program and the file of bolt, and which the kernel takes back when it needs room.

| storage | | at the end | most | most without files |
|---|---|---|---|---|
`, b.duration)
	return each(ctx, storages, b.memoryOn)
}

func (b *benchmark) memoryOn(ctx context.Context, s storage) error {
	for _, of := range []struct {
		name string
		idle int
		args []string
	}{
		{"just started", 0, nil},
		{fmt.Sprintf("%d connections that are idle, %d busy with one push for nine pulls of 1 KiB", idleConnections, busyConnections), idleConnections, []string{"--size", "1KiB"}},
		{fmt.Sprintf("%d connections busy with one push for nine pulls of 512 KiB", busyConnections), 0, []string{"--size", "512KiB"}},
	} {
		used, err := b.memoryUnder(ctx, s, of.idle, of.args)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.out, "| %s | %s | %.0f | %.0f | %.0f |\n", s.name, of.name, used.now, used.most, used.mostOwn)
	}
	return nil
}

// usage is memory in MiB.
type usage struct{ now, most, mostOwn float64 }

func (b *benchmark) memoryUnder(ctx context.Context, s storage, idle int, args []string) (usage, error) {
	_, guardian, err := b.startOn(ctx, s)
	if err != nil {
		return usage{}, err
	}
	if err := guardian.ready(ctx); err != nil {
		return usage{}, err
	}
	watched := guardian.watchMemory()
	for range idle {
		connection, err := guardian.connect(ctx)
		if err != nil {
			return usage{}, fmt.Errorf("an idle connection: %w", err)
		}
		defer connection.Close()
	}
	if args != nil {
		args = append([]string{"--connections", fmt.Sprint(busyConnections), "--timeout", "60s"}, args...)
		if _, err := b.load(ctx, guardian, args...); err != nil {
			return usage{}, err
		}
	}
	memory, err := guardian.memory()
	if err != nil {
		return usage{}, err
	}
	return usage{memory["VmRSS"], memory["VmHWM"], watched()}, guardian.stop()
}

// watchMemory finds the most that the process has of its own, of which the kernel
// keeps no account, until what it returns is called.
func (s *server) watchMemory() func() (mostOwn float64) {
	stop, most := make(chan struct{}), make(chan float64)
	go func() {
		var own float64
		for {
			if memory, err := s.memory(); err == nil {
				own = max(own, memory["RssAnon"])
			}
			select {
			case <-stop:
				most <- own
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() float64 { close(stop); return <-most }
}

// connect makes a connection, has one request answered over it, and leaves it open.
func (s *server) connect(ctx context.Context) (net.Conn, error) {
	address := strings.TrimPrefix(s.url, "http://")
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(connection, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return connection, response.Body.Close()
}
