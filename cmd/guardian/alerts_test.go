package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	alertsFile    = []string{"deploy", "prometheus", "alerts.yml"}
	alertCases    = []string{"deploy", "prometheus", "alerts_test.yml"}
	dashboardFile = []string{"deploy", "grafana", "guardians.json"}
)

var (
	histogramPart = regexp.MustCompile(`_(bucket|sum|count)$`)
	ofGuardians   = regexp.MustCompile(`\b(guardian|storage)_[a-z_]+`)
	// selected is what a selector stands behind: a metric, whoever defines it.
	selected = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)[\[{]`)
)

// What alert rules, their cases and the dashboard name is documented, which
// TestMetricsAsDocumented holds to what is shown.
func TestMetricsThatAreUsed(t *testing.T) {
	t.Parallel()
	documented := documentedMetrics(t)
	check := func(where, name string) {
		if name == "up" || name == "ALERTS" || isForeign(name) { // Prometheus makes the former two
			return
		}
		if _, ok := documented[name]; ok {
			return
		}
		if kind := documented[histogramPart.ReplaceAllString(name, "")]; !strings.HasPrefix(kind, "histogram") {
			t.Errorf("%s names %s, which is no metric", where, name)
		}
	}
	for _, file := range [][]string{alertsFile, alertCases} {
		text := readFile(t, file...)
		for _, name := range ofGuardians.FindAllString(text, -1) {
			check(file[2], name)
		}
		for _, found := range selected.FindAllStringSubmatch(text, -1) {
			check(file[2], found[1])
		}
	}
	queries := dashboardQueries(t)
	for _, query := range queries {
		names := selected.FindAllStringSubmatch(query, -1)
		if len(names) == 0 {
			t.Errorf("a panel of the dashboard asks for no metric: %s", query)
		}
		for _, found := range names {
			check("the dashboard", found[1])
		}
	}
	if len(queries) < 20 {
		t.Errorf("only %d queries were found in the dashboard", len(queries))
	}
}

// dashboardQueries are those of all panels.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile...)), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	return queries
}

// Each alert rule has a case in which it fires, and one in which it does not;
// make test-alerts runs them.
func TestEveryAlertHasCases(t *testing.T) {
	t.Parallel()
	cases := readFile(t, alertCases...)
	var alerts []string
	for _, found := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, alertsFile...), -1) {
		alerts = append(alerts, found[1])
		for _, name := range []string{" fires\n", " does not fire\n"} {
			if !strings.Contains(cases, "  - name: "+found[1]+name) {
				t.Errorf("no case shows that %s%s", found[1], name)
			}
		}
	}
	if !slices.Contains(alerts, "GuardianDown") {
		t.Errorf("found the alerts %v only", alerts)
	}
}
