package s3test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const orphanVariable = "GUARDIAN_S3TEST_ORPHAN"

// TestKilledTestTakesItsServerAlong kills another run of this binary, which
// has no chance to clean up.
func TestKilledTestTakesItsServerAlong(t *testing.T) {
	if os.Getenv(orphanVariable) != "" {
		fmt.Println("serves " + Versity(t).Endpoint)
		select {}
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), orphanVariable+"=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := servedAddress(t, bufio.NewScanner(out))
	if !connects(address) {
		t.Errorf("nobody at %s before the kill", address)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for connects(address) {
		select {
		case <-ctx.Done():
			t.Fatalf("the server at %s outlives its test", address)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func servedAddress(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if address, found := strings.CutPrefix(lines.Text(), "serves http://"); found {
			return address
		}
	}
	t.Fatalf("the other run says no address: %v", lines.Err())
	return ""
}

func connects(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
