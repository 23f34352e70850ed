package shamir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// childVariable makes the test binary a program that splits and combines.
const childVariable = "SHAMIR_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

// child prints a line before the package is used, then the kernel and what
// came back of a secret.
func child() {
	fmt.Println("started")
	secret := bytes.Repeat([]byte("attack at dawn "), 1000)
	shares, err := Split(secret, 3, upTo(5))
	if err != nil {
		fmt.Println(err)
		return
	}
	rebuilt, err := Combine(shares[2:])
	fmt.Println(Kernel(), err, bytes.Equal(rebuilt, secret))
}

func runChild(t *testing.T, environment ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	environment = append(os.Environ(), append(environment, childVariable+"=1")...)
	out, err := runWith(environment, self)
	if errors.Is(err, syscall.ENOEXEC) {
		// This process is emulated, which its children are not by themselves.
		out, err = runWith(environment, "qemu-aarch64", self)
	}
	return out, err
}

func runWith(environment []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = environment
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func kernelNames() []string {
	var names []string
	for _, k := range kernels() {
		names = append(names, k.name)
	}
	return names
}

func TestKernelCanBeForced(t *testing.T) {
	for _, name := range kernelNames() {
		out, err := runChild(t, kernelVariable+"="+name)
		if want := "started\n" + name + " <nil> true\n"; err != nil || out != want {
			t.Errorf("%s: got %q, %v, want %q", name, out, err, want)
		}
	}
}

func TestFastestKernelIsTheDefault(t *testing.T) {
	out, err := runChild(t, kernelVariable+"=")
	if want := "started\n" + kernelNames()[0] + " <nil> true\n"; err != nil || out != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// TestForcedKernelIsNeverReplaced wants a panic at the first use, and not
// before, which says what was asked for and what there is.
func TestForcedKernelIsNeverReplaced(t *testing.T) {
	names := kernelNames()
	for _, name := range []string{"gfni", "avx2", "neon", "sse2", "GFNI", "portable ", " ", "0", "gfni,avx2"} {
		if slices.Contains(names, name) {
			continue
		}
		out, err := runChild(t, kernelVariable+"="+name)
		want := fmt.Sprintf("shamir: SHAMIR_KERNEL=%q names no kernel of this machine, which has: %s",
			name, strings.Join(names, ", "))
		if err == nil || !strings.HasPrefix(out, "started\npanic: ") || !strings.Contains(out, want) {
			t.Errorf("%q: got %v, output %q, want a panic with %q", name, err, out, want)
		}
	}
}

func TestChoose(t *testing.T) {
	available := []kernel{{name: "fast"}, {name: "slow"}}
	for name, want := range map[string]string{"": "fast", "fast": "fast", "slow": "slow"} {
		if got, err := choose(name, available); err != nil || got.name != want {
			t.Errorf("%q: got %q, %v, want %q", name, got.name, err, want)
		}
	}
	for _, name := range []string{"other", "f", "fastest", "Fast"} {
		if got, err := choose(name, available); err == nil || got.sum != nil {
			t.Errorf("%q: got %q, want an error", name, got.name)
		}
	}
}

func TestKernelIsTheOneInUse(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		if Kernel() != active.name || !strings.HasSuffix(t.Name(), "/"+Kernel()) {
			t.Errorf("%s: Kernel() is %q", t.Name(), Kernel())
		}
	})
}
