//go:build promtool

package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A Prometheus with the configuration of deploy/prometheus scrapes guardians whose admin
// plane is for other machines, by TLS and with a token, and loads all rules.
func TestPromtoolScrapes(t *testing.T) {
	dir, certificate := t.TempDir(), newPair(t)
	certificate.write(t, dir)
	for name, text := range map[string]string{
		"ca.pem": string(certificate.certificate), "prometheus.token": "token-of-prometheus\n", "alerts.yml": readFile(t, alertsFile...),
		"admin.json": `{"admin":"token-of-the-operator","prometheus":"token-of-prometheus"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var targets []string
	for _, storage := range []string{"a", "b"} {
		p, err := launch(thisProgram(t), dir, bareEnvironment("GUARDIAN_ADMIN_BIND=0.0.0.0:0", "GUARDIAN_ADMIN_TOKENS_FILE=admin.json",
			"GUARDIAN_ADMIN_TLS_CERT_FILE=live.pem", "GUARDIAN_ADMIN_TLS_KEY_FILE=live.key"),
			"--storage", storage, "--unauthenticated", "--bind", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		eventually(t, "the address of the admin plane", func() bool { return p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") != "" })
		targets = append(targets, strings.ReplaceAll(p.printed("GUARDIAN_ADMIN_LISTEN_ADDR"), "[::]", "127.0.0.1"))
	}
	server := startPrometheus(t, dir, targets)

	var scraped struct {
		Data struct {
			ActiveTargets []struct{ ScrapePool, Health, LastError string }
		}
	}
	eventually(t, "all targets are up", func() bool {
		askPrometheus(t, server+"/api/v1/targets", &scraped)
		up := 0
		for _, target := range scraped.Data.ActiveTargets {
			if target.Health == "down" {
				t.Fatalf("a guardian is not scraped: %s", target.LastError)
			}
			if target.Health == "up" && target.ScrapePool == "guardian" {
				up++
			}
		}
		return up == len(targets)
	})
	var loaded struct {
		Data struct {
			Groups []struct{ Rules []struct{ Name string } }
		}
	}
	askPrometheus(t, server+"/api/v1/rules", &loaded)
	rules := 0
	for _, group := range loaded.Data.Groups {
		rules += len(group.Rules)
	}
	if want := strings.Count(readFile(t, alertsFile...), "- alert: "); rules != want {
		t.Errorf("%d rules are loaded, there are %d", rules, want)
	}
}

// startPrometheus returns the URL of a Prometheus in dir that does what deploy/prometheus
// says with other targets, and more often.
func startPrometheus(t *testing.T, dir string, targets []string) string {
	t.Helper()
	config := strings.ReplaceAll(readFile(t, "deploy", "prometheus", "prometheus.yml"), "15s", "500ms")
	places := regexp.MustCompile(`\n +- g[1-5]\.internal\.example\.org:9090`)
	if found := places.FindAllString(config, -1); len(found) != 5 {
		t.Fatalf("found the targets %q", found)
	}
	config = places.ReplaceAllString(config, "") + " [" + strings.Join(targets, ", ") + "]\n"
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, log := exec.Command("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=series", "--web.listen-address=127.0.0.1:0"), &lockedBuffer{}
	cmd.Dir, cmd.Stderr = dir, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	eventually(t, "Prometheus listens", func() bool { return address.MatchString(log.String()) })
	return "http://" + address.FindStringSubmatch(log.String())[1]
}

// askPrometheus decodes what Prometheus answers, if it does.
func askPrometheus(t *testing.T, url string, into any) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}
