package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

func (p passed) print(out io.Writer, before, after float64) {
	read, busy := (before+after)/2, perSecond(p.Slots, time.Duration(p.BusyNS))
	fmt.Fprintf(out, "  found                  %d good, %d corrupt, %d deleted, %d bytes in all\n", p.Good, p.Corrupt, p.Deleted, p.Bytes)
	fmt.Fprintf(out, "  reading it plainly     %.0f slots/s (%.0f before the scrub, %.0f behind)\n", read, before, after)
	fmt.Fprintf(out, "  scrub while at work    %.0f slots/s, x-read %.2f\n", busy, busy/read)
	fmt.Fprintf(out, "  scrub with its rests   %.0f slots/s, x-read %.3f, %.1f s in all\n", perSecond(p.Slots, p.wall), perSecond(p.Slots, p.wall)/read, p.wall.Seconds())
	fmt.Fprintf(out, "  at work                %.3f of the time\n", p.CPUShare)
	fmt.Fprintf(out, "  processor              %.3f of a core, %.0f us per slot\n", p.ofACore(), float64(p.cpu.Microseconds())/float64(p.Slots))
	if p.server > 0 {
		fmt.Fprintf(out, "  server's processor     %.3f of a core, %.0f us per slot\n", p.server.Seconds()/p.wall.Seconds(), float64(p.server.Microseconds())/float64(p.Slots))
	}
	fmt.Fprintf(out, "  calls of the storage   %s\n", per("slot", p.calls, p.Slots))
	if p.requests != nil {
		fmt.Fprintf(out, "  HTTP requests          %s\n", per("slot", p.requests, p.Slots))
	}
	fmt.Fprintf(out, "  memory                 heap grew by %.1f MB at most, garbage included; %.0f MB resident at most\n", megabytes(p.heap), megabytes(p.resident))
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// per tells counts in all and for each of n slots, or what else there is, most
// first.
func per(one string, counts map[string]int64, n int64) string {
	var each []string
	for _, name := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Compare(counts[b], counts[a]) }) {
		each = append(each, fmt.Sprintf("%s %d", name, counts[name]))
	}
	total := sum(counts)
	return fmt.Sprintf("%d, %.2f per %s (%s)", total, float64(total)/float64(n), one, strings.Join(each, ", "))
}

var (
	errSlots   = errors.New("the scrub did not find all slots")
	errReports = errors.New("the interrupted scrub reports something else")
	errResumed = errors.New("the interrupted scrub did not go on where it was")
)

// savedEvery is after how many slots a scrub saves at the latest.
const savedEvery = 1000

// compare fails if the interruptions made a difference, but for what the killed
// process had not saved.
func (p parts) compare(out io.Writer, whole passed, slots int) error {
	total := int64(0)
	for _, n := range p.examined {
		total += n
	}
	verdict := "equal"
	if found(p.ScrubReport) != found(whole.ScrubReport) {
		verdict = "NOT EQUAL"
	}
	fmt.Fprintf(out, "  stopped, then killed   examined %v = %d, %d of them again; the report is %s\n", p.examined, total, total-int64(slots), verdict)
	switch {
	case whole.Slots != int64(slots):
		return fmt.Errorf("%w: %d of %d", errSlots, whole.Slots, slots)
	case verdict != "equal":
		return fmt.Errorf("%w:\n%+v\n%+v", errReports, found(p.ScrubReport), found(whole.ScrubReport))
	case total < int64(slots) || total > int64(slots+savedEvery):
		return fmt.Errorf("%w: %d of %d slots were examined", errResumed, total, slots)
	}
	return nil
}
