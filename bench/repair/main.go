// Repair measures what keeping shares whole costs: a scrub of many shares in a
// directory and on an S3 server, what requests notice of one that runs, the
// traffic of recovering a share, and dealing all shares anew. Every figure is printed next to one that was
// measured in the same run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "repair:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	p := full
	quickly := flag.Bool("quick", false, "all of it at small sizes, in a minute")
	flag.IntVar(&p.slots, "slots", full.slots, "shares to scrub in a directory; 0 leaves it out")
	flag.IntVar(&p.s3Slots, "s3-slots", full.s3Slots, "shares to scrub on an S3 server; 0 leaves it out")
	flag.IntVar(&p.latency.windows, "windows", full.latency.windows, "windows of each kind, in which requests are timed; 0 leaves them out")
	flag.IntVar(&p.rounds, "rounds", full.rounds, "recoveries of each kind; 0 leaves them out")
	flag.IntVar(&p.moves.identities, "identities", full.moves.identities, "identities whose shares are refreshed; 0 leaves it out")
	flag.Parse()
	if *quickly {
		p = quick
	}
	return measure(ctx, os.Stdout, p)
}

// measure prints what it finds as it comes in. An error is a wrong result, or
// that something could not be measured; never a slow one.
func measure(ctx context.Context, out io.Writer, p plan) error {
	fmt.Fprintf(out, "%s, %d processors, %s, %s\n", runtime.GOARCH, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format("2006-01-02"))
	return errors.Join(
		scrubDirectory(ctx, out, p.slots),
		scrubS3(ctx, out, p.s3Slots),
		timeRequests(ctx, out, p.latency),
		countTraffic(ctx, out, p),
		refreshAll(ctx, out, p.moves),
	)
}
