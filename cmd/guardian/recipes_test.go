package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"

	"github.com/vault-guardian/guardian/admin"
)

// TestEnvFiles: each file of variables in deploy is a configuration that this build takes, with
// and without what is commented out, and holds no secret.
func TestEnvFiles(t *testing.T) {
	files, err := filepath.Glob("../../deploy/*/*.env")
	if err != nil || len(files) != 5 {
		t.Fatalf("found %v, %v", files, err)
	}
	commented := regexp.MustCompile(`(?m)^#(GUARDIAN_)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := filepath.Join(t.TempDir(), "all.env")
		if err := os.WriteFile(all, commented.ReplaceAll(text, []byte("$1")), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, all} {
			cfg := loadEnvFile(t, path)
			if cfg == nil {
				continue
			}
			development := strings.Contains(file, "development")
			if bool(cfg.Unauthenticated) != development || cfg.hasTokens() == development || cfg.hadSecret() {
				t.Errorf("%s: open %v, tokens %v, secret in the file %v", path, cfg.Unauthenticated, cfg.hasTokens(), cfg.hadSecret())
			}
		}
	}
}

// loadEnvFile loads a dotenv file alone; nil when it is refused.
func loadEnvFile(t *testing.T, path string) *Config {
	t.Helper()
	t.Setenv("AWS_REGION", "") // and have it put back
	cfg, err := load(flags{envFile: path}, func(flag string) bool { return flag == "env-file" }, nil)
	if err != nil {
		t.Errorf("%s: %v", path, err)
		return nil
	}
	return cfg
}

// hadSecret reports a secret among the variables themselves.
func (c *Config) hadSecret() bool { return !c.fixedTokens.Empty() || c.IntegrityKey != "" }

// TestTaskDefinition: the variables of the ECS task are a configuration.
func TestTaskDefinition(t *testing.T) {
	text, err := os.ReadFile("../../deploy/ecs/task-definition.json")
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		ContainerDefinitions []struct {
			Environment []struct{ Name, Value string }
			StopTimeout int
		}
	}
	if err := json.Unmarshal(text, &definition); err != nil || len(definition.ContainerDefinitions) != 2 {
		t.Fatalf("%d containers, %v", len(definition.ContainerDefinitions), err)
	}
	guardian := definition.ContainerDefinitions[1]
	vars := map[string]string{}
	for _, v := range guardian.Environment {
		vars[v.Name] = v.Value
	}
	checkRecipe(t, vars)
	if least := int((drainTime + noticeTime).Seconds()); guardian.StopTimeout < least+5 {
		t.Errorf("killed %d s after the signal to stop; draining takes %d", guardian.StopTimeout, least)
	}
}

// TestManifests: so are those of the ConfigMap for Kubernetes.
func TestManifests(t *testing.T) {
	text, err := os.ReadFile("../../deploy/kubernetes/guardian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var object struct {
			Kind string
			Data map[string]string
		}
		if document, err = yaml.YAMLToJSON(document); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(document, &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind == "ConfigMap" {
			checkRecipe(t, object.Data)
			return
		}
	}
	t.Fatal("found no ConfigMap")
}

// checkRecipe wants a configuration for production that holds no secret.
func checkRecipe(t *testing.T, vars map[string]string) {
	t.Helper()
	var environ []string
	for name, value := range vars {
		environ = append(environ, name+"="+value)
	}
	cfg, err := load(flags{}, noFlags, environ)
	if err != nil {
		t.Fatal(err)
	}
	if bool(cfg.Unauthenticated) || !cfg.hasTokens() || cfg.hadSecret() || !cfg.onS3() {
		t.Errorf("open %v, tokens %v, a secret %v, a bucket %v", cfg.Unauthenticated, cfg.hasTokens(), cfg.hadSecret(), cfg.onS3())
	}
	if admin.Loopback(cfg.AdminBind) {
		t.Errorf("nobody can scrape the admin plane at %q", cfg.AdminBind)
	}
}
