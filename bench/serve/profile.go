package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// profiles shows where the processor time of a busy guardian goes, and what it
// allocates.
func (b *benchmark) profiles(ctx context.Context, storages []storage) error {
	fmt.Fprint(b.out, "\n### Where processor time goes\n\nThe ten functions with most of it in themselves, and what a request allocates: all of the\nprocess, the server of net/http and the log among it.\n")
	return each(ctx, storages, b.profilesOn)
}

func (b *benchmark) profilesOn(ctx context.Context, s storage) error {
	_, guardian, err := b.startOn(ctx, s)
	if err != nil {
		return err
	}
	for _, mix := range []string{"push", "pull"} {
		text, err := b.profile(ctx, guardian, mix)
		if err != nil {
			return fmt.Errorf("a profile of %s: %w", mix, err)
		}
		objects, bytes, err := b.allocations(ctx, guardian, mix)
		if err != nil {
			return fmt.Errorf("what a %s allocates: %w", mix, err)
		}
		fmt.Fprintf(b.out, "\nA %s on %s: %.0f objects, %.1f KiB.\n\n```text\n%s```\n", mix, s.name, objects, bytes/1024, text)
	}
	return guardian.stop()
}

// allocations are the objects and bytes that a request makes the process allocate.
// Those that prepare it count as well.
func (b *benchmark) allocations(ctx context.Context, guardian *server, mix string) (objects, bytes float64, err error) {
	before, err := guardian.metrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	r, err := b.load(ctx, guardian, "--mix", mix+"=1", "--connections", fmt.Sprint(connections))
	if err != nil {
		return 0, 0, err
	}
	after, err := guardian.metrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	requests := float64(r.Targets[0].Requests + identities)
	of := func(name string) float64 { return (after[name] - before[name]) / requests }
	return of("go_memstats_mallocs_total"), of("go_memstats_alloc_bytes_total"), nil
}

// metrics are those without labels.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	all, lines := map[string]float64{}, bufio.NewScanner(response.Body)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 2 {
			if value, err := strconv.ParseFloat(fields[1], 64); err == nil {
				all[fields[0]] = value
			}
		}
	}
	return all, lines.Err()
}

// profile takes one from the admin plane while there is load.
func (b *benchmark) profile(ctx context.Context, guardian *server, mix string) (string, error) {
	loaded := make(chan error, 1)
	lasting := b.duration + 2*time.Second // the profile ends before it does
	go func() {
		_, err := b.load(ctx, guardian, "--mix", mix+"=1", "--connections", fmt.Sprint(connections), "--duration", lasting.String())
		loaded <- err
	}()
	time.Sleep(time.Second) // let it begin
	file := b.fresh("profile")
	err := fetch(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%.0f", guardian.admin, max(b.duration.Seconds(), 1)), file)
	if err = errors.Join(err, <-loaded); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=10", b.guardian, file).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	// Without what the program is called and when that was.
	_, table, ok := strings.Cut(string(out), "Duration: ")
	if !ok {
		return "", errors.New("go tool pprof printed something else")
	}
	return "Duration: " + table, nil
}

func fetch(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, response.Body)
	return errors.Join(err, to.Close())
}
