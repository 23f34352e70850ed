// Command guardian is one guardian: an HTTP server that keeps one share per
// identity in its storage. Configuration comes from the environment; see
// docs/CONFIGURATION.md.
package main

import (
	"context"
	"fmt"
	"os"

	_ "golang.org/x/crypto/x509roots/fallback" // certificate authorities, where the system has none
)

func main() { os.Exit(execute(context.Background(), os.Args[1:])) }

// execute carries out one command line and returns the exit code. An error is
// told on one line of stderr.
func execute(ctx context.Context, args []string) int {
	cmd := newCommand()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "guardian: "+withoutIdentities(oneLine(err)))
	}
	return exitCode(err)
}
