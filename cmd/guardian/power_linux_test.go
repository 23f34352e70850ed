//go:build power

// Run by make test-power, as it takes root, loop devices and the tools of file
// systems.

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var powerCuts = flag.Int("power.cuts", 50, "how often TestPower cuts the power of each storage on each file system")

// fileSystem is what a storage is on when the power goes.
type fileSystem struct {
	name, kind string
	format     []string // makes one in a file
	journal    bool     // makes it whole again as it is mounted
	options    string   // to mount it, also beside another with the same id
}

var (
	ext4 = fileSystem{"ext4", "ext4", []string{"mkfs.ext4", "-q", "-F"}, true, "loop"}
	xfs  = fileSystem{"xfs", "xfs", []string{"mkfs.xfs", "-q", "-m", "reflink=1"}, true, "loop,nouuid"}
	// bare is ext4 without a journal.
	bare = fileSystem{"bare", "ext4", []string{"mkfs.ext4", "-q", "-F", "-O", "^has_journal"}, false, "loop"}
	// unflushed is ext4 that does not tell the disk to flush its cache.
	unflushed = fileSystem{"unflushed", "ext4", ext4.format, true, "loop,barrier=0"}

	// A name in a directory can be lost where there is no journal, whatever was
	// synced: of an entry that was removed, and is still on the disk, and a new one
	// that has got its inode, e2fsck keeps one.
	journaled   = []fileSystem{ext4, xfs}
	fileSystems = []fileSystem{ext4, xfs, bare}
)

// build is a guardian, with or without a change, and where it is tested.
type build struct {
	name    string
	storage string // how it is told what to use in a directory
	change  change
	on      []fileSystem
}

// change has a text take the place of another in a source file.
type change struct{ file, from, to string }

const (
	directoryStorage = "GUARDIAN_STORAGE=%s/storage"
	fileStorage      = "GUARDIAN_STORAGE=bolt://%s/guardian.db"
)

// powerBuilds has the guardian as it is, and builds of it that always do what it
// chooses to do by what the disk is like.
var powerBuilds = []build{
	{"directory", directoryStorage, change{}, journaled},
	{"whole", directoryStorage, change{"backend/fs/whole.go", "= 20 * time.Millisecond", "= time.Hour"}, journaled},
	{"apart", directoryStorage, change{"backend/fs/whole_linux.go", "&& kernelFrom(5, 8)", "&& false"}, journaled},
	{"file", fileStorage, change{}, fileSystems},
}

// powerFaults are those that TestPower must find.
var powerFaults = []build{
	{"syncfs", directoryStorage, change{"backend/fs/whole_linux.go", "unix.Syncfs(int(fd))", "error(nil)"}, journaled},
	{"contents", directoryStorage, change{"backend/fs/batch.go", "if err == nil && w.whole.sync(failures) != nil {", "if false {"}, journaled},
	{"name", directoryStorage, change{"backend/fs/batch.go", "if f.writer.whole.sync(failures) != nil {", "if false {"}, journaled},
	{"flush", directoryStorage, change{}, []fileSystem{unflushed}},
	{"commit", fileStorage, change{"backend/bolt/open.go", "Timeout:  patience,", "Timeout: patience, NoSync: true,"}, fileSystems},
}

// TestPower cuts the power of a disk at random moments while the real program is
// under load on it. After each cut everything that was acknowledged before is there,
// nothing is torn, every share verifies, and what was not acknowledged can be sent
// again as it was.
//
// The disk is a loop device, and its medium an image in a file system that clones a
// file in one step. A clone has all that the device was told to flush until then, or
// was given at all, and nothing of what the kernel has in its memory alone.
func TestPower(t *testing.T) {
	if !mayMount() {
		needPower(t)
		run := "^TestPower$"
		if _, part, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
			run += "/" + part
		}
		if err := inMounts(t.Output(), run); err != nil {
			t.Error(err)
		}
		return
	}
	cutPower(t, powerBuilds)
}

// cutPower has a test for each of them and each file system.
func cutPower(t *testing.T, builds []build) {
	shelf := newShelf(t)
	for _, b := range builds {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			binary := b.binary(t)
			for _, system := range b.on {
				t.Run(system.name, func(t *testing.T) {
					t.Parallel()
					d := newDisk(t, shelf, system)
					c := crashing{
						binary: binary, dir: t.TempDir(), environ: []string{fmt.Sprintf(b.storage, d.dir)},
						what: "power cuts", strike: d.strike,
					}
					c.run(t, *powerCuts)
				})
			}
		})
	}
}

// binary builds the program.
func (b build) binary(t *testing.T) string {
	t.Helper()
	if b.change.file == "" {
		return buildGuardian(t)
	}
	path, err := filepath.Abs(filepath.Join("../..", b.change.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), b.change.from) != 1 {
		t.Fatalf("%s: %q is not in it once: adapt this test to it", path, b.change.from)
	}
	return buildOverlaid(t, map[string]string{path: strings.Replace(string(text), b.change.from, b.change.to, 1)})
}

// needPower fails where the test cannot be had.
func needPower(t *testing.T) {
	t.Helper()
	var missing []string
	if os.Getuid() != 0 {
		missing = append(missing, "root")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		missing = append(missing, "loop devices")
	}
	for _, program := range []string{"mount", "mkfs.ext4", "e2fsck", "mkfs.xfs"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	switch {
	case len(missing) == 0:
	case os.Getenv("GUARDIAN_TEST_ALLOW_SKIP") == "1":
		t.Skipf("missing: %s", missing)
	default:
		t.Fatalf("missing: %s: be root, and install the Debian packages mount, e2fsprogs and xfsprogs (GUARDIAN_TEST_ALLOW_SKIP=1 skips instead)", missing)
	}
}

// inMounts runs tests once more, in a namespace of their own of mounts and processes.
// With it end the guardians and mounts that they leave, and with these their loop
// devices.
func inMounts(out io.Writer, run string) error {
	cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.v", "-test.timeout=0", "-test.parallel=6", fmt.Sprintf("-power.cuts=%d", *powerCuts))
	cmd.Env = append(os.Environ(), inner+"=1")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	return cmd.Run()
}

const (
	shelfSize = 64 << 30 // sparse, as are the disks
	diskSize  = 1 << 30
)

// newShelf is a directory of a file system that clones files.
func newShelf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "image")
	xfs.make(t, image, shelfSize)
	shelf := filepath.Join(dir, "shelf")
	xfs.mount(t, image, shelf)
	return shelf
}

func (f fileSystem) make(t *testing.T, image string, size int64) {
	t.Helper()
	file, err := os.Create(image)
	if err == nil {
		err = errors.Join(file.Truncate(size), file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	command(t, append(f.format, image)...)
}

// mend makes a file system whole again that has no journal for that.
func (f fileSystem) mend(t *testing.T, image string) {
	t.Helper()
	if f.journal {
		return
	}
	out, err := exec.Command("e2fsck", "-f", "-y", image).CombinedOutput()
	const mended = 1
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != mended) {
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
}

// mount is until the test ends, or unmount.
func (f fileSystem) mount(t *testing.T, image, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-t", f.kind, "-o", f.options, image, dir)
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) }) // it ends with the namespace at the latest
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	var err error
	eventually(t, "nobody uses "+dir, func() bool {
		err = unix.Unmount(dir, 0)
		return !errors.Is(err, unix.EBUSY)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
}

// disk is one whose power can be cut. It is a file in a file system of its own, and
// so has a cache, as disks have: what it was given, and not told to flush, is in the
// kernel's memory, and not on the medium.
type disk struct {
	system fileSystem
	medium string // an image on the shelf
	image  string // a file in that
	dir    string // where the system is mounted
}

func newDisk(t *testing.T, shelf string, system fileSystem) *disk {
	t.Helper()
	dir, err := os.MkdirTemp(shelf, "disk-*")
	if err != nil {
		t.Fatal(err)
	}
	medium, mounted := filepath.Join(dir, "medium"), filepath.Join(dir, "mounted")
	xfs.make(t, medium, 2*diskSize)
	xfs.mount(t, medium, mounted)
	d := &disk{system: system, medium: medium, image: filepath.Join(mounted, "image"), dir: filepath.Join(dir, "storage")}
	system.make(t, d.image, diskSize)
	command(t, "sync", "-f", d.image)
	system.mount(t, d.image, d.dir)
	return d
}

// strike cuts the power of a guardian: what is answered from now on counts as lost.
func (d *disk) strike(t *testing.T, p *process, client *crashClient) {
	t.Helper()
	client.deaf.Store(true)
	d.cut(t, rand.IntN(2) == 0, p.kill)
}

// cut leaves on the disk what it was given until now, with or without what is in its
// cache. End ends its use.
func (d *disk) cut(t *testing.T, withCache bool, end func()) {
	t.Helper()
	if withCache {
		command(t, "sync", d.image)
	}
	left := d.clone(t)
	end()
	unmount(t, d.dir)
	mounted := filepath.Dir(d.image)
	unmount(t, mounted)
	if err := os.Rename(left, d.medium); err != nil {
		t.Fatal(err)
	}
	xfs.mount(t, d.medium, mounted)
	d.system.mend(t, d.image)
	d.system.mount(t, d.image, d.dir)
}

// clone returns the name of an image that has what the medium has now.
func (d *disk) clone(t *testing.T) string {
	t.Helper()
	name := d.medium + ".left"
	from, err := os.Open(d.medium)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(name)
	if err == nil {
		err = errors.Join(unix.IoctlFileClone(int(to.Fd()), int(from.Fd())), to.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPowerOfFiles has no guardian: what was synced is there after a cut, if the disk
// was told to flush it or its cache is not lost, and what was not synced is not.
func TestPowerOfFiles(t *testing.T) {
	if !mayMount() {
		needPower(t)
		if err := inMounts(t.Output(), "^TestPowerOfFiles$"); err != nil {
			t.Error(err)
		}
		return
	}
	shelf := newShelf(t)
	for _, system := range append(fileSystems, unflushed) {
		for _, withCache := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/cache=%v", system.name, withCache), func(t *testing.T) {
				d := newDisk(t, shelf, system)
				command(t, "sync", "-f", d.dir)
				synced, unsynced := filepath.Join(d.dir, "synced"), filepath.Join(d.dir, "unsynced")
				writeFile(t, d.dir, "synced", "text")
				command(t, "sync", synced, d.dir)
				writeFile(t, d.dir, "unsynced", "text")
				d.cut(t, withCache, func() {})
				kept := withCache || system.name != unflushed.name
				if text, err := os.ReadFile(synced); (string(text) == "text") != kept {
					t.Errorf("a file that was synced has %q after a power cut, error: %v", text, err)
				}
				if text, _ := os.ReadFile(unsynced); len(text) > 0 {
					t.Error("a file that was not synced has its text after a power cut")
				}
			})
		}
	}
}

// foundFault is what TestPower says of a storage, and of nothing else.
var foundFault = regexp.MustCompile(`after \d+ power cuts under load|it did not say where it listens`)

// TestPowerFindsFaults has TestPower's tests for guardians with faults that are not
// noticed as long as the machine goes on.
func TestPowerFindsFaults(t *testing.T) {
	if mayMount() {
		cutPower(t, powerFaults)
		return
	}
	needPower(t)
	for _, fault := range powerFaults {
		t.Run(fault.name, func(t *testing.T) {
			var out bytes.Buffer
			err := inMounts(&out, "^TestPowerFindsFaults$/^"+fault.name+"$")
			found := foundFault.FindAllString(out.String(), -1)
			if t.Logf("%v: %q", err, found); err == nil || len(found) < len(fault.on) {
				t.Errorf("%d power cuts do not show it on each file system:\n%s", *powerCuts, &out)
			}
		})
	}
}
