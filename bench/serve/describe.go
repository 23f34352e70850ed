package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/bench/internal/stats"
)

const (
	beginMark = "<!-- serve: from here on written by make bench -->\n"
	endMark   = "<!-- serve: until here -->\n"
)

func spreadOf(values []float64) spread {
	return spread{stats.Median(values), stats.Quantile(values, 0.25), stats.Quantile(values, 0.75)}
}

// fileSystems names those on which fsync does what it should, and the one on which
// it does nothing.
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "XFS", unix.BTRFS_SUPER_MAGIC: "Btrfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.TMPFS_MAGIC: "tmpfs: in memory, so that the figures of pushes say nothing",
}

// describe says on what machine this is, by its properties alone.
func (b *benchmark) describe() error {
	var on unix.Statfs_t
	var system unix.Utsname
	if err := errors.Join(unix.Statfs(b.dir, &on), unix.Uname(&system)); err != nil {
		return err
	}
	name, ok := fileSystems[int64(on.Type)]
	if !ok {
		name = fmt.Sprintf("a file system of type %#x", on.Type)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b.out, "%s: %d processors (%s), %s, Linux %s, %s/%s. Clients, servers and storage share\nthe machine, whose load average was %s before it began.\n",
		time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), processor(), name, kernel(unix.ByteSliceToString(system.Release[:])),
		runtime.Version(), runtime.GOARCH, strings.Fields(string(load))[0])
	return err
}

// kernel is a release without what its builder added.
func kernel(release string) string { return regexp.MustCompile(`^[0-9.]*[0-9]`).FindString(release) }

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	name := regexp.MustCompile(`(?m)^model name\s*: (.+)$`).FindSubmatch(text)
	if err != nil || name == nil {
		return runtime.GOARCH
	}
	return string(name[1])
}

// replace puts tables into a document, in place of those there.
func replace(document, tables string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the tables: it lacks the marks", document)
	}
	return os.WriteFile(document, []byte(before+beginMark+"\n"+tables+"\n"+endMark+after), 0o644) //nolint:gosec // a document
}
