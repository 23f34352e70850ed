//go:build promtool

// Run by make test-alerts, as promtool is not on every machine.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestPromtoolMetrics(t *testing.T) {
	g := newGuardians(t, 2, t.TempDir())
	g.startAll(t)
	g.allSee(t, g.states(nobody, ""))
	promtool(t, g.all[0].metrics(), "check", "metrics")
}

// Each query of the dashboard becomes a rule, as promtool reads those. JSON is
// YAML.
func TestPromtoolDashboard(t *testing.T) {
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", "guardian", "$instance", ".*")
	var rules []map[string]string
	for i, query := range dashboardQueries(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("query_%d", i), "expr": variables.Replace(query)})
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", path)
}

func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", args[:2], err, out)
	}
}
