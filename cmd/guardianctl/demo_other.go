//go:build !linux

package main

import (
	"os/exec"
	"runtime"
)

var guardianBinary = map[bool]string{true: "guardian.exe", false: "guardian"}[runtime.GOOS == "windows"]

// dieWithParent does nothing here: when this program is killed outright, its
// guardians go on.
func dieWithParent(*exec.Cmd) {}
