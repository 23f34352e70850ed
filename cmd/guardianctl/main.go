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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// SIGPIPE must not end the process: the demo has processes and files to
	// remove. It is not listened to, as a connection that a guardian has closed
	// raises it too; that nobody reads our output, the write tells that fails.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
