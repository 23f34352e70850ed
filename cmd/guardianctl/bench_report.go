package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
)

type benchResult struct {
	Mix         string              `json:"mix"`
	ShareSize   int                 `json:"share_size"`
	Connections int                 `json:"connections"`
	Identities  int                 `json:"identities"`
	Rate        float64             `json:"rate"`
	Signed      bool                `json:"signed"`
	Targets     []benchTargetResult `json:"targets"`
	// Against is the first target to the second.
	Against *benchComparison `json:"against,omitempty"`
	Left    []benchLeft      `json:"left"`
}

type benchTargetResult struct {
	Guardians  []string               `json:"guardians"`
	Seconds    float64                `json:"seconds"`
	Requests   int64                  `json:"requests"`
	PerSecond  float64                `json:"per_second"`
	Failed     int64                  `json:"failed"`
	Unsent     int64                  `json:"unsent"`
	Operations []benchOperationResult `json:"operations"`
}

// benchOperationResult has times in milliseconds, of requests that succeeded.
type benchOperationResult struct {
	Operation string           `json:"operation"`
	Requests  int64            `json:"requests"`
	PerSecond float64          `json:"per_second"`
	Mean      float64          `json:"mean_ms"`
	P50       float64          `json:"p50_ms"`
	P90       float64          `json:"p90_ms"`
	P99       float64          `json:"p99_ms"`
	P999      float64          `json:"p99_9_ms"`
	Max       float64          `json:"max_ms"`
	Failed    map[string]int64 `json:"failed"`
}

type benchComparison struct {
	Turns      int                        `json:"turns"`
	PerSecond  *benchSpread               `json:"per_second"`
	Operations []benchOperationComparison `json:"operations"`
}

type benchOperationComparison struct {
	Operation string       `json:"operation"`
	P50       *benchSpread `json:"p50"`
	P99       *benchSpread `json:"p99"`
}

func (r *benchRun) result() benchResult {
	p := r.plan
	result := benchResult{
		Mix: p.mix.String(), ShareSize: p.size, Connections: p.connections, Identities: p.identities,
		Rate: p.rate, Signed: !p.bare, Left: slices.Concat([]benchLeft{}, r.left),
	}
	for at, target := range r.targets {
		result.Targets = append(result.Targets, targetResult(target.urls, sumOf(r.turns[at]), p.mix))
	}
	if len(r.turns) > 1 {
		result.Against = compareTurns(r.turns[0], r.turns[1], p.mix)
	}
	return result
}

func targetResult(urls []string, sum *benchTurn, mix benchMix) benchTargetResult {
	result := benchTargetResult{Guardians: urls, Seconds: sum.seconds, PerSecond: sum.perSecond(), Unsent: sum.unsent}
	for at, weight := range mix {
		if weight == 0 {
			continue
		}
		took := sum.took[at]
		result.Operations = append(result.Operations, benchOperationResult{
			Operation: benchOperations[at].name, Requests: took.TotalCount(), PerSecond: float64(took.TotalCount()) / sum.seconds,
			Mean: took.Mean() / 1000, P50: millis(took, 50), P90: millis(took, 90), P99: millis(took, 99), P999: millis(took, 99.9),
			Max: float64(took.Max()) / 1000, Failed: sum.failed[at],
		})
		result.Requests += took.TotalCount()
		for _, count := range sum.failed[at] {
			result.Failed += count
		}
	}
	return result
}

func millis(took *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(took.ValueAtPercentile(percentile)) / 1000
}

func compareTurns(ours, others []*benchTurn, mix benchMix) *benchComparison {
	result := &benchComparison{Turns: len(ours), PerSecond: ratios(ours, others, (*benchTurn).perSecond)}
	for at, weight := range mix {
		if weight == 0 {
			continue
		}
		of := func(percentile float64) *benchSpread {
			return ratios(ours, others, func(t *benchTurn) float64 { return millis(t.took[at], percentile) })
		}
		result.Operations = append(result.Operations, benchOperationComparison{benchOperations[at].name, of(50), of(99)})
	}
	return result
}

func (r benchResult) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	signed := "signed by the owner of each identity"
	if !r.Signed {
		signed = "without proofs"
	}
	fmt.Fprintf(out, "%s, shares of %d bytes, %d connections, %s\n", r.Mix, r.ShareSize, r.Connections, signed)
	for _, target := range r.Targets {
		target.print(out)
	}
	if r.Against != nil {
		r.Against.print(out)
	}
	return nil
}

func (r benchTargetResult) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s: %.0f requests a second, %.1f s\n", strings.Join(r.Guardians, ","), r.PerSecond, r.Seconds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "OPERATION\tREQUESTS\tA SECOND\tP50 MS\tP90\tP99\tP99.9\tMAX\tFAILED\t")
	for _, o := range r.Operations {
		failed := int64(0)
		for _, count := range o.Failed {
			failed += count
		}
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t\n",
			o.Operation, o.Requests, o.PerSecond, o.P50, o.P90, o.P99, o.P999, o.Max, failed)
	}
	table.Flush()
	for _, o := range r.Operations {
		for _, code := range slices.Sorted(maps.Keys(o.Failed)) {
			fmt.Fprintf(out, "failed: %s %s, %d times\n", o.Operation, code, o.Failed[code])
		}
	}
	if r.Unsent > 0 {
		fmt.Fprintf(out, "%d requests were never sent: all connections still waited for answers when it was time\n", r.Unsent)
	}
}

func (c benchComparison) print(out io.Writer) {
	if c.PerSecond == nil {
		return
	}
	fmt.Fprintf(out, "\nThe first to the second, the median of %d pairs of turns (half of them between these):\n", c.Turns)
	fmt.Fprintf(out, "  requests a second: %v\n", c.PerSecond)
	for _, o := range c.Operations {
		if o.P50 != nil && o.P99 != nil {
			fmt.Fprintf(out, "  %s: p50 %v, p99 %v\n", o.Operation, o.P50, o.P99)
		}
	}
}
