package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the process when we are gone, however we
// went.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
