package shamir

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKernelsAreThoseOfTheCPU asks Linux for the CPU's features. It lists those
// of the YMM registers only where it saves them.
func TestKernelsAreThoseOfTheCPU(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Fields(string(info))
	want := []string{"portable"}
	if slices.Contains(flags, "avx2") {
		want = append([]string{"avx2"}, want...)
		if slices.Contains(flags, "gfni") {
			want = append([]string{"gfni"}, want...)
		}
	}
	if got := kernelNames(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMachineWithoutAVX2 takes AVX2 away by GODEBUG.
func TestMachineWithoutAVX2(t *testing.T) {
	const without = "GODEBUG=cpu.avx2=off"
	if out, err := runChild(t, without, kernelVariable+"="); err != nil || !strings.Contains(out, "portable <nil> true") {
		t.Errorf("by default: got %q, %v", out, err)
	}
	for _, name := range []string{"avx2", "gfni"} {
		out, err := runChild(t, without, kernelVariable+"="+name)
		if err == nil || !strings.Contains(out, "which has: portable") {
			t.Errorf("%s: got %q, %v, want a panic", name, out, err)
		}
	}
}
