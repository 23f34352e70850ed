package main

import (
	"fmt"
	"net"
	"regexp"
	"testing"
)

var collectorPercent = regexp.MustCompile(`(?m)^go_gc_gogc_percent (\S+)$`)

// The pace of the collector is the guardian's own, and goes by its connections, unless
// somebody has set another.
func TestPaceOfTheCollector(t *testing.T) {
	t.Parallel()
	binary := buildGuardian(t)
	for variable, want := range map[string]struct{ few, many string }{"NONE=1": {"150", "40"}, "GOGC=70": {"70", "70"}} {
		p, err := launch(binary, t.TempDir(), bareEnvironment(variable, "GUARDIAN_ADMIN_BIND=127.0.0.1:0"), "--unauthenticated", "--bind", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		eventually(t, "the address of the admin plane", func() bool { return p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") != "" })
		percent := func() string {
			got := collectorPercent.FindStringSubmatch(fetch("http://" + p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") + "/metrics"))
			if got == nil {
				return "not shown"
			}
			return got[1]
		}
		reach := func(connections int, want string) {
			eventually(t, fmt.Sprintf("with %s and %d connections it is %s", variable, connections, want), func() bool { return percent() == want })
		}
		reach(0, want.few)
		var connections []net.Conn
		for range fewConnections + 1 {
			connection, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			connections = append(connections, connection)
		}
		reach(len(connections), want.many)
		connections[0].Close()
		reach(len(connections)-1, want.few)
	}
}
