package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/vault-guardian/guardian/bench/internal/stats"
)

// report is everything that one run found, and what -json prints.
type report struct {
	Time    time.Time `json:"time"`
	CPU     string    `json:"cpu"`
	Go      string    `json:"go"`
	Rows    []row     `json:"rows"`
	Targets []reached `json:"targets"`
}

// row is one contestant's result.
type row struct {
	Operation string  `json:"operation"`
	Kernel    string  `json:"kernel,omitempty"`
	N         int     `json:"n"`
	K         int     `json:"k"`
	Size      int     `json:"size"`
	Part      int     `json:"part"`            // bytes of the secret that were measured
	Speed     float64 `json:"mb_per_s"`        // of the secret, the median
	Spread    float64 `json:"spread"`          // half the distance of the quartiles, as part of the median
	Times     ratios  `json:"times,omitempty"` // how many times faster than each of the others
}

type ratios map[string]float64

// reached is a target next to what came out.
type reached struct {
	Operation string  `json:"operation"`
	Kernel    string  `json:"kernel"`
	Least     float64 `json:"least"`
	Got       float64 `json:"got"`
	OK        bool    `json:"ok"`
	Profile   string  `json:"profile,omitempty"`
}

func newReport() *report {
	return &report{Time: time.Now().UTC().Truncate(time.Second), CPU: cpu(), Go: runtime.Version()}
}

// cpu is the processor's name where the system tells it.
func cpu() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	name := regexp.MustCompile(`(?m)^model name\s*: (.+)$`).FindSubmatch(info)
	if err != nil || name == nil {
		return runtime.GOARCH
	}
	return string(name[1])
}

// row sums up what a contestant did, against the others and against Combine
// with the same kernel.
func (r *result) row(who contestant) row {
	s := r.series[who]
	sum := row{
		Operation: who.operation, Kernel: who.kernel, N: r.shape.N, K: r.shape.K, Size: r.size,
		Part: s.part, Speed: s.median() / 1e6, Spread: stats.Spread(s.speeds),
	}
	if who.kernel == others {
		return sum
	}
	sum.Times = ratios{}
	for other := range r.series {
		if other != who && (other.kernel == others || other == (contestant{who.kernel, combine})) {
			sum.Times[other.operation] = r.times(who, other)
		}
	}
	return sum
}

func writeJSON(out io.Writer, r *report) error {
	lines := json.NewEncoder(out)
	lines.SetIndent("", " ")
	return lines.Encode(r)
}

// table prints rows as they come in.
type table struct {
	out     io.Writer
	columns []string // of Times
}

func (t table) head(title string) {
	fmt.Fprintf(t.out, "\n%s\n%-9s %-8s %-28s %10s %5s", title, "(n,k)", "size", "", "MB/s", "±")
	for _, column := range t.columns {
		fmt.Fprintf(t.out, " %15s", "x "+column)
	}
	fmt.Fprintln(t.out)
}

func (t table) row(r row) {
	fmt.Fprintf(t.out, "%-9v %-8s %-28s %10s %4.0f%%", shape{r.N, r.K}, kib(r.Size), r.name(), digits(r.Speed), 100*r.Spread)
	for _, column := range t.columns {
		if times, is := r.Times[column]; is {
			fmt.Fprintf(t.out, " %15s", digits(times))
		}
	}
	fmt.Fprintln(t.out)
}

// name says so when only a part was measured.
func (r row) name() string {
	name := r.Operation
	if r.Kernel != others {
		name = fmt.Sprintf("%-8s %s", r.Kernel, r.Operation)
	}
	if r.Part < r.Size {
		name += ", of " + kib(r.Part)
	}
	return name
}

func kib(size int) string { return fmt.Sprintf("%d KiB", size>>10) }

// digits are as many as mean something: two, and all before the point.
func digits(value float64) string {
	if value >= 9.95 {
		return fmt.Sprintf("%.0f", value)
	}
	// Half a hundredth more, as rounding carries: 0.0999 is 0.10.
	places := 1 - int(math.Floor(math.Log10(1.005*value)))
	return strconv.FormatFloat(value, 'f', places, 64)
}

func printTargets(out io.Writer, targets []reached) {
	fmt.Fprintf(out, "\nAgainst Vault's at %v, %s\n", targetShape, kib(targetSize))
	for _, t := range targets {
		verdict := "ok"
		if !t.OK {
			verdict = "short"
		}
		fmt.Fprintf(out, "%-8s %-8s at least %5.0fx  reached %6.0fx  %s\n", t.Kernel, t.Operation, t.Least, t.Got, verdict)
	}
	for _, t := range targets {
		if t.Profile != "" {
			fmt.Fprintf(out, "\nWhere the time of %s %s goes, more of it into collecting garbage than without a profile:\n%s",
				t.Kernel, t.Operation, t.Profile)
		}
	}
}
