// Command guardianctl keeps files with a set of guardians and brings them
// back. It only wires: what it does is in package client.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	_ "golang.org/x/crypto/x509roots/fallback" // certificate authorities, where the system has none
)

func main() {
	forbidCoreDumps()
	// SIGPIPE is among them so that a reader of our output that goes away ends
	// a command in order: the demo has processes and files to remove.
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
