//go:build deploy

package deploy_test

import (
	"bytes"
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// filter is a program of the kernel's packet filter, as seccomp takes it.
type filter struct{ code bytes.Buffer }

// Instructions, of linux/bpf_common.h and linux/seccomp.h.
const (
	load, and, isEqual, end = 0x20, 0x54, 0x15, 0x06

	allow, kill, fail = 0x7fff0000, 0x80000000, 0x00050000

	number, architecture, arguments = 0, 4, 16 // of struct seccomp_data
)

func (f *filter) add(code uint16, yes, no uint8, k uint32) {
	_ = binary.Write(&f.code, binary.LittleEndian, struct {
		Code    uint16
		Yes, No uint8
		K       uint32
	}{code, yes, no, k}) // never fails
}

// refuse has a call fail with EPERM when the bits of mask in an argument of it are all,
// or, with anyOf, some are set.
func (f *filter) refuse(call uint32, argument int, mask uint32, anyOf bool) {
	f.add(load, 0, 0, number)
	f.add(isEqual, 0, 4, call)
	f.add(load, 0, 0, uint32(arguments+8*argument))
	f.add(and, 0, 0, mask)
	if anyOf {
		f.add(isEqual, 1, 0, 0)
	} else {
		f.add(isEqual, 0, 1, mask)
	}
	f.add(end, 0, 0, fail|uint32(syscall.EPERM))
}

const (
	namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | 0x02000000
	families   = "RestrictAddressFamilies=AF_INET AF_INET6"
)

// seccompOf is what systemd makes of the unit: its SystemCallFilter, the families of
// sockets, no namespaces, no memory that is written and run.
func seccompOf(t *testing.T, unit []string) []byte {
	t.Helper()
	numbers := systemCalls(t)
	allowed := map[string]bool{}
	expand(t, "@default", true, allowed)
	for _, line := range unit {
		if sets, ok := strings.CutPrefix(line, "SystemCallFilter="); ok {
			sets, without := strings.CutPrefix(sets, "~")
			for set := range strings.FieldsSeq(sets) {
				expand(t, set, !without, allowed)
			}
		}
	}
	var f filter
	f.add(load, 0, 0, architecture)
	f.add(isEqual, 1, 0, map[string]uint32{"amd64": 0xc000003e, "arm64": 0xc00000b7}[runtime.GOARCH])
	f.add(end, 0, 0, kill)
	f.refuse(numbers["mmap"], 2, syscall.PROT_WRITE|syscall.PROT_EXEC, false)
	f.refuse(numbers["mprotect"], 2, syscall.PROT_EXEC, false)
	f.refuse(numbers["clone"], 0, namespaces, true)
	f.refuse(numbers["unshare"], 0, namespaces, true)
	f.add(load, 0, 0, number)
	f.add(isEqual, 0, 5, numbers["socket"])
	f.add(load, 0, 0, arguments)
	f.add(isEqual, 2, 0, syscall.AF_INET)
	f.add(isEqual, 1, 0, syscall.AF_INET6)
	f.add(end, 0, 0, fail|uint32(syscall.EAFNOSUPPORT))
	f.add(load, 0, 0, number)
	f.add(isEqual, 0, 1, numbers["clone3"])
	f.add(end, 0, 0, fail|uint32(syscall.ENOSYS))
	permitted := 0
	for name := range allowed {
		if n, ok := numbers[name]; ok {
			f.add(isEqual, 0, 1, n)
			f.add(end, 0, 0, allow)
			permitted++
		}
	}
	f.add(end, 0, 0, fail|uint32(syscall.EPERM))
	t.Logf("%d of %d system calls are permitted", permitted, len(numbers))
	return f.code.Bytes()
}

// expand puts a set of systemd's, or one call, into allowed or takes it out.
func expand(t *testing.T, set string, put bool, allowed map[string]bool) {
	t.Helper()
	if !strings.HasPrefix(set, "@") {
		if put {
			allowed[set] = true
		} else {
			delete(allowed, set)
		}
		return
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", "--no-pager", set).Output()
	if err != nil {
		t.Fatalf("systemd knows no %s: %v", set, err)
	}
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); name != "" && name != set && name[0] != '#' {
			expand(t, name, put, allowed)
		}
	}
}

// systemCalls are the numbers of this machine's, as Go's own library has them.
func systemCalls(t *testing.T) map[string]uint32 {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(strings.TrimSpace(string(dir)), "zsysnum_linux_"+runtime.GOARCH+".go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]uint32{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			value, err := strconv.ParseUint(spec.Values[0].(*ast.BasicLit).Value, 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			numbers[strings.ToLower(strings.TrimPrefix(spec.Names[0].Name, "SYS_"))] = uint32(value)
		}
		return true
	})
	if len(numbers) < 300 {
		t.Fatalf("only %d system calls are known", len(numbers))
	}
	return numbers
}
