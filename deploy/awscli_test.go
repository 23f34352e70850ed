//go:build deploy

// Run by make test-deploy, as it takes the AWS command line.

package deploy_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAWSTakesThem: the AWS command line holds what it is given to AWS's own models, types
// and names of fields and what is required, before it sends anything.
func TestAWSTakesThem(t *testing.T) {
	for document, command := range map[string][]string{
		"task-definition.json":   {"ecs", "register-task-definition"},
		"service.json":           {"ecs", "create-service"},
		"target-group.json":      {"elbv2", "create-target-group"},
		"target-group-peer.json": {"elbv2", "create-target-group"},
		"security-group.json":    {"ec2", "authorize-security-group-ingress"},
	} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			if sent, out := sends(t, command, filepath.Join("ecs", document)); !sent {
				t.Errorf("not sent: %s", out)
			}
			text, err := os.ReadFile(filepath.Join("ecs", document))
			if err != nil {
				t.Fatal(err)
			}
			misspelt := filepath.Join(t.TempDir(), document)
			if err := os.WriteFile(misspelt, []byte(strings.Replace(string(text), `": `, `Misspelt": `, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if sent, out := sends(t, command, misspelt); sent || !strings.Contains(out, "Misspelt") {
				t.Errorf("a misspelt field is sent: %s", out)
			}
		})
	}
}

// sends says whether the command line sends a document to a server that stands for AWS.
func sends(t *testing.T, command []string, document string) (sent bool, out string) {
	t.Helper()
	var called atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		called.Store(true)
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer server.Close()
	aws := exec.CommandContext(t.Context(), "aws", append(command, "--endpoint-url", server.URL, "--cli-input-json", "file://"+document)...)
	aws.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1", "AWS_CONFIG_FILE="+os.DevNull, "AWS_MAX_ATTEMPTS=1")
	text, _ := aws.CombinedOutput() // the server refuses whatever it gets
	return called.Load(), string(text)
}
