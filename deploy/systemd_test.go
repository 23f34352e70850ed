package deploy_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestUnit: what the documents promise of it. make test-deploy has systemd look at it.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile("systemd/guardian.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, promised := range []string{
		"ExecStart=/usr/local/bin/guardian --env-file /etc/guardian/guardian.env", "ExecReload=/bin/kill -HUP $MAINPID",
		"User=guardian", "UMask=0077", "ProtectSystem=strict", "ReadWritePaths=/var/lib/guardian", "NoNewPrivileges=yes",
		"CapabilityBoundingSet=", "MemoryMax=512M", "MemorySwapMax=0", "LimitCORE=0", "LimitMEMLOCK=64M",
		"TimeoutStopSec=40", "RestartPreventExitStatus=64 77",
	} {
		if !slices.Contains(lines, promised) {
			t.Errorf("the unit has no line %s", promised)
		}
	}
}
