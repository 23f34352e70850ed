package main

import "golang.org/x/sys/unix"

// forbidCoreDumps keeps what is secret in memory off the disk, should this
// program crash. What it starts inherits that.
func forbidCoreDumps() {
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) //nolint:errcheck // a limit may always be lowered
}
