package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// foreign are the metrics that libraries define; the document names no more of
// them than this.
var foreign = []string{"go_", "process_", "promhttp_"}

// What the document of metrics says is what guardians show: names, types and
// labels, both ways.
func TestMetricsAsDocumented(t *testing.T) {
	t.Parallel()
	g := newGuardians(t, 2, t.TempDir())
	g.inFile(0) // which has metrics of its own
	g.startAll(t)
	g.allSee(t, g.states(nobody, ""))
	wanted, shown := documentedMetrics(t), map[string]string{}
	if !g.within(func() bool {
		shown = shownMetrics(t, g.all[0].metrics())
		return shown["guardian_clock_skew_seconds"] != "" // shown after the first heartbeat that was answered
	}) {
		t.Error("no clock skew is shown")
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if wanted[name] != shown[name] {
			t.Errorf("%s is documented as %q, and shown as %q", name, wanted[name], shown[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		if _, ok := wanted[name]; !ok && !isForeign(name) {
			t.Errorf("%s is not documented: %s", name, shown[name])
		}
	}
}

func isForeign(name string) bool {
	return slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// shownMetrics are type and labels by name.
func shownMetrics(t *testing.T, text string) map[string]string {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for name, family := range families {
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		shown[name] = describeMetric(strings.ToLower(family.GetType().String()), labels)
	}
	return shown
}

func describeMetric(kind string, labels []string) string {
	slices.Sort(labels)
	return fmt.Sprintf("%s%v", kind, labels)
}

var (
	metricRow  = regexp.MustCompile("(?m)^\\| (`.*`) \\| ([a-z]+) \\| ")
	metricName = regexp.MustCompile("`([a-z_]+)(?:\\{([a-z,]+)\\})?`")
)

// documentedMetrics reads the tables of the document.
func documentedMetrics(t *testing.T) map[string]string {
	t.Helper()
	documented := map[string]string{}
	for _, row := range metricRow.FindAllStringSubmatch(readFile(t, "docs", "METRICS.md"), -1) {
		for _, named := range metricName.FindAllStringSubmatch(row[1], -1) {
			labels := strings.FieldsFunc(named[2], func(r rune) bool { return r == ',' })
			documented[named[1]] = describeMetric(row[2], labels)
		}
	}
	return documented
}

// readFile reads a file of the project.
func readFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(slices.Concat([]string{"..", ".."}, path)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(text))
}
