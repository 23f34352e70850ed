package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Two replicas on one storage: what is frozen at one is frozen at the other, and
// still after a restart.
func TestFreezeHoldsForReplicasAndRestarts(t *testing.T) {
	dir := t.TempDir()
	replica := func() (p *process, admin string) {
		p, err := launch(thisProgram(t), dir, bareEnvironment("GUARDIAN_ADMIN_BIND=127.0.0.1:0"),
			"--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		eventually(t, "the address of the admin plane", func() bool {
			admin = p.printed("GUARDIAN_ADMIN_LISTEN_ADDR")
			return admin != ""
		})
		return p, admin
	}
	post := func(address, path, body string) (int, string) {
		response, err := http.Post("http://"+address+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	version := 0
	push := func(p *process) string {
		version++
		_, text := post(p.address, "/v1/vault/push", fmt.Sprintf(`{"identity":%q,"share":"eA==","version":%d}`, strings.Repeat("a", 64), version))
		return text
	}
	one, admin := replica()
	other, otherAdmin := replica()
	if got := push(other); !strings.Contains(got, "stored") {
		t.Fatalf("a push is answered %s", got)
	}
	if status, text := post(admin, "/admin/freeze", ""); status != http.StatusOK || !strings.Contains(text, `"frozen":true`) {
		t.Fatalf("answered %d %s", status, text)
	}
	if got := push(one); !strings.Contains(got, `"code":"frozen"`) {
		t.Errorf("who froze answers a push with %s", got)
	}
	eventually(t, "the other refuses", func() bool { return strings.Contains(push(other), `"code":"frozen"`) })
	if status, text := post(other.address, "/v1/vault/pull", fmt.Sprintf(`{"identity":%q}`, strings.Repeat("a", 64))); status != http.StatusOK {
		t.Errorf("a pull is answered %d %s", status, text)
	}
	one.kill()
	again, _ := replica()
	if got := push(again); !strings.Contains(got, `"code":"frozen"`) {
		t.Errorf("after a restart a push is answered %s", got)
	}
	if got := metric(t, otherAdmin, "guardian_frozen"); got != "1" {
		t.Errorf("guardian_frozen is %q", got)
	}
	if status, text := post(otherAdmin, "/admin/thaw", ""); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, text)
	}
	eventually(t, "writes are taken again", func() bool { return strings.Contains(push(again), "stored") })
	if got := metric(t, otherAdmin, "guardian_frozen"); got != "0" {
		t.Errorf("guardian_frozen is %q", got)
	}
}

// metric is the value of a metric without labels.
func metric(t *testing.T, admin, name string) string {
	t.Helper()
	response, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
