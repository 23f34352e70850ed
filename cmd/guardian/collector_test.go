package main

import (
	"regexp"
	"testing"
)

var collectorPercent = regexp.MustCompile(`(?m)^go_gc_gogc_percent (\S+)$`)

// The pace of the collector is the guardian's own, unless somebody has set another.
func TestPaceOfTheCollector(t *testing.T) {
	t.Parallel()
	binary := buildGuardian(t)
	for variable, want := range map[string]string{"NONE=1": "40", "GOGC=70": "70"} {
		p, err := launch(binary, t.TempDir(), bareEnvironment(variable, "GUARDIAN_ADMIN_BIND=127.0.0.1:0"), "--unauthenticated", "--bind", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		eventually(t, "the address of the admin plane", func() bool { return p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") != "" })
		got := collectorPercent.FindStringSubmatch(fetch("http://" + p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") + "/metrics"))
		if got == nil || got[1] != want {
			t.Errorf("with %s it is %v, want %s", variable, got, want)
		}
	}
}
