//go:build rqlite && !linux

package rqlitetest

import "os/exec"

// dieWithParent does nothing: a test binary that is killed leaves its processes
// behind here.
func dieWithParent(*exec.Cmd) {}
