package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report says what came of it, and fails where something grew or nothing was
// tried.
func (s *soak) report() {
	judged := 0
	for i, l := range s.lives {
		if settled(l.samples) != nil {
			judged++
		}
		for _, what := range growth(l.samples) {
			s.t.Errorf("process %d of %d grows: %s", i+1, len(s.lives), what)
		}
	}
	if s.results[result{false, "push", done}] == 0 || s.results[result{true, "pull", done}] == 0 || len(s.happened) == 0 {
		s.t.Errorf("%v, %v: that was no test", s.results, s.happened)
	}
	last := s.lives[len(s.lives)-2] // behind it is the one that verified at the end
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	lines := map[string]map[string]int{}
	for r, count := range s.results {
		line := r.operation
		if r.undisturbed {
			line += ", undisturbed"
		}
		if lines[line] == nil {
			lines[line] = map[string]int{}
		}
		lines[line][r.code] = count
	}
	for _, line := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(w, "%s\t%s\n", line, counts(lines[line]))
	}
	fmt.Fprintf(w, "events\t%s\n", counts(s.happened))
	fmt.Fprintf(w, "processes\t%d, of which %d were measured often enough to say that they do not grow\n", len(s.lives), judged)
	fmt.Fprintf(w, "health was back\tafter %v at most\n", s.slowest.Round(time.Millisecond))
	if samples := settled(last.samples); samples == nil {
		fmt.Fprintf(w, "growth\t%d samples are too few to tell\n", len(last.samples))
	} else {
		describe(w, last.began, samples)
	}
	_ = w.Flush() // into memory
	s.t.Logf("\n%s", text.String())
}

// describe has a line for what was held.
func describe(w io.Writer, began sample, samples []sample) {
	for _, h := range held {
		var values []float64
		for _, x := range samples {
			values = append(values, h.of(x)/h.unit)
		}
		slope, least := trend(samples, h.of)
		const hour = 3600
		fmt.Fprintf(w, "%s\t%.1f before the load, then %.1f to %.1f, %+.1f in an hour (at least %+.1f)\n", h.name,
			h.of(began)/h.unit, slices.Min(values), slices.Max(values), slope*hour/h.unit, least*hour/h.unit)
	}
}

// counts has the names with their numbers.
func counts(of map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(all, ", ")
}
