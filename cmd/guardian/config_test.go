package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

func noFlags(string) bool { return false }

// loadEnv loads from variables alone, with what a start needs at least.
func loadEnv(vars ...string) (*Config, error) {
	return load(flags{}, noFlags, append([]string{"GUARDIAN_UNAUTHENTICATED=1"}, vars...))
}

func TestDefaults(t *testing.T) {
	cfg, err := loadEnv()
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Storage: "./data", Bind: "0.0.0.0:7500", Unauthenticated: true, OldestProof: 1, RetainVersions: 2,
		ScrubInterval: 24 * time.Hour, ReplaceAfter: 24 * time.Hour, RepairBytesPerSecond: 4 << 20, LogLevel: "info", LogFormat: "text", Audit: "log",
		PeerBind: "0.0.0.0:7501", HeartbeatInterval: 5 * time.Second,
		HeartbeatSuspectAfter: 15 * time.Second, HeartbeatDeadAfter: 60 * time.Second,
		HealthInterval: 10 * time.Second, RequestTimeout: 30 * time.Second, MaxRequests: 1000, source: "environment",
		location: cfg.location,
	}
	if !reflect.DeepEqual(*cfg, want) {
		t.Errorf("got %+v\nwant %+v", *cfg, want)
	}
}

func TestBooleans(t *testing.T) {
	for text, want := range map[string]Bool{
		"1": true, "true": true, "YES": true, "On": true,
		"0": false, "False": false, "no": false, "OFF": false, "": false,
	} {
		got := !want
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"2", "y", "t", "enabled", "true "} {
		if new(Bool).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q was taken for a boolean", text)
		}
	}
}

func TestEveryBadVariableIsNamedAtOnce(t *testing.T) {
	bad := map[string]string{
		"GUARDIAN_STORAGE":                   "s3://bucket/prefix/",
		"GUARDIAN_SKIP_STORE_PROBE":          "never",
		"GUARDIAN_ADMIN_BIND":                "9090",
		"GUARDIAN_ADMIN_TLS_KEY_FILE":        "key.pem",
		"GUARDIAN_NODE_ID":                   "Node_1",
		"GUARDIAN_BIND":                      "0.0.0.0",
		"GUARDIAN_TLS_CERT_FILE":             "cert.pem",
		"GUARDIAN_SERVER_BEARER_TOKENS_JSON": `["secret-in-json"]`,
		"GUARDIAN_SERVER_BEARER_TOKEN":       " \t",
		"GUARDIAN_UNAUTHENTICATED":           "maybe",
		"GUARDIAN_OWNERSHIP":                 "optional",
		"GUARDIAN_PROOF":                     "3",
		"GUARDIAN_AUDIENCES":                 "guardian.example:7500,guardian.example",
		"GUARDIAN_RATE_LIMIT_PER_ADDRESS":    "-1",
		"GUARDIAN_RATE_LIMIT_WRITES":         "-2",
		"GUARDIAN_RATE_LIMIT_READS":          "1.5",
		"GUARDIAN_RATE_LIMIT_NEW_IDENTITIES": "few",
		"GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR":   "-16",
		"GUARDIAN_QUOTA_BYTES":               "1MiB",
		"GUARDIAN_TRUSTED_PROXIES":           "10.0.0.1/8",
		"GUARDIAN_RATE_LIMIT_EXEMPT":         "loopback",
		"GUARDIAN_GATEWAY_ACTORS":            "a,,b",
		"GUARDIAN_INTEGRITY_KEY":             "both",
		"GUARDIAN_INTEGRITY_KEY_FILE":        "set",
		"GUARDIAN_ADVERTISE_URL":             "ftp://user:pass@host",
		"GUARDIAN_RETAIN_VERSIONS":           "0",
		"GUARDIAN_REQUIRE_ALL_SHARES":        "2",
		"GUARDIAN_AUDIT":                     "loudly",
		"GUARDIAN_AUDIT_REQUIRED":            "true",
		"GUARDIAN_SCRUB_INTERVAL":            "-1s",
		"GUARDIAN_LOG_LEVEL":                 "loud",
		"GUARDIAN_LOG_FORMAT":                "xml",
		"GUARDIAN_HEALTH_INTERVAL":           "10",
		"GUARDIAN_REQUEST_TIMEOUT":           "0s",
		"GUARDIAN_MAX_REQUESTS":              "many",
		"GUARDIAN_REGISTRY":                  "rqlite:http://admin:secret-in-url@host:4001",
		"GUARDIAN_PEER_BIND":                 "7501",
		"GUARDIAN_PEER_ADVERTISE_URL":        "https://g1.example",
		"GUARDIAN_NODE_KEY_AWS_SECRET":       "set",
		"GUARDIAN_NODE_KEY_FILE":             "set",
		"GUARDIAN_ADMISSION_KEY":             "secret-in-hex",
		"GUARDIAN_FAILURE_DOMAIN":            "Zürich",
		"GUARDIAN_HEARTBEAT_INTERVAL":        "99ms",
		"GUARDIAN_HEARTBEAT_SUSPECT_AFTER":   "99ms",
		"GUARDIAN_HEARTBEAT_DEAD_AFTER":      "98ms",
		"GUARDIAN_TYPO":                      "x",
	}
	var environ []string
	for name, value := range bad {
		environ = append(environ, name+"="+value)
	}
	_, err := load(flags{}, noFlags, environ)
	if err == nil {
		t.Fatal("everything is wrong, and it was taken")
	}
	text := err.Error()
	for name := range bad {
		switch name { // it is the other that is missing
		case "GUARDIAN_TLS_CERT_FILE":
			name = "GUARDIAN_TLS_KEY_FILE"
		case "GUARDIAN_ADMIN_TLS_KEY_FILE":
			name = "GUARDIAN_ADMIN_TLS_CERT_FILE"
		}
		if strings.Count(text, name+":")+strings.Count(text, name+" is") != 1 && name != "GUARDIAN_INTEGRITY_KEY_FILE" {
			t.Errorf("%s is not named once in:\n%s", name, text)
		}
	}
	if strings.Contains(text, "user:pass") || strings.Contains(text, "both") || strings.Contains(text, "secret-in-") {
		t.Errorf("a secret is quoted:\n%s", text)
	}
}

func TestStorageOfNoKind(t *testing.T) {
	_, err := loadEnv("GUARDIAN_STORAGE=file:///x")
	if err == nil || !strings.Contains(err.Error(), "GUARDIAN_STORAGE: shares cannot be kept on file://: ") {
		t.Error(err)
	}
}

func TestBindAddresses(t *testing.T) {
	for bind, ok := range map[string]bool{
		"127.0.0.1:0": true, "[::1]:7500": true, ":7500": true, "localhost:65535": true,
		"7500": false, "host:65536": false, "host:-1": false, "host:http": false, "::1:7500": false, "a b:1": false,
	} {
		if _, err := loadEnv("GUARDIAN_BIND=" + bind); (err == nil) != ok {
			t.Errorf("%q: %v", bind, err)
		}
	}
}

func TestAdvertisedURLs(t *testing.T) {
	for advertised, ok := range map[string]bool{
		"http://guardian.example": true, "https://10.0.0.1:7500": true, "https://[::1]:7500/": true,
		"http://guardian.example:0": false, "http://a b": false,
		"https://h:1//": false, "https://" + strings.Repeat("long.", 200): false,
		"guardian.example:7500": false, "http://": false, "http://h/path": false, "http://h?q": false, "http://u:p@h": false,
	} {
		if _, err := loadEnv("GUARDIAN_ADVERTISE_URL=" + advertised); (err == nil) != ok {
			t.Errorf("%q: %v", advertised, err)
		}
	}
}

// Names that Kubernetes makes for services are no settings of ours; all others
// are refused.
func TestUnknownVariables(t *testing.T) {
	for variable, ok := range map[string]bool{
		"GUARDIAN_SERVICE_HOST=10.0.0.1":                  true,
		"GUARDIAN_SERVICE_PORT=7500":                      true,
		"GUARDIAN_SERVICE_PORT_HTTP=7500":                 true,
		"GUARDIAN_PORT=tcp://10.0.0.1:7500":               true,
		"GUARDIAN_PORT_7500_TCP=tcp://10.0.0.1:7500":      true,
		"GUARDIAN_1_PORT_7500_TCP_ADDR=10.0.0.1":          true,
		"GUARDIAN_1_SERVICE_HOST=10.0.0.1":                true,
		"GUARDIAN_TEST_LONG=1":                            true,
		"GUARDIAN_REGISTRY=":                              true,
		"GUARDIANCTL_GUARDIANS=http://h":                  true,
		"GUARDIAN_PORT=7600":                              false,
		"GUARDIAN_PEER_BIND=0.0.0.0:7501":                 true,
		"GUARDIAN_REGISTRIES=rqlite+http://host:4001":     false,
		"GUARDIAN_SERVER_BEARER_TOKENS=tokens":            false,
		"GUARDIAN_RETAIN_VERSION=3":                       false,
		"GUARDIAN_SERVER_BEARER_TOKEN_SERVICE_HOSTNAME=x": false,
	} {
		_, err := loadEnv(variable)
		name, _, _ := strings.Cut(variable, "=")
		if (err == nil) != ok || (err != nil && err.Error() != name+" is not a variable of this version") {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

func TestWhoWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guardian.env")
	file := "GUARDIAN_NODE_ID=from-file\nGUARDIAN_BIND=127.0.0.1:1\nGUARDIAN_STORAGE=file\nGUARDIAN_RETAIN_VERSIONS=5\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{"env-file": true, "storage": true, "port": true, "unauthenticated": true}
	f := flags{envFile: path, storage: "flag", port: "0", unauthenticated: true}
	cfg, err := load(f, func(flag string) bool { return given[flag] },
		[]string{"GUARDIAN_NODE_ID=from-env", "GUARDIAN_STORAGE=env", "GUARDIAN_UNAUTHENTICATED=0"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Storage != "flag" || cfg.NodeID != "from-env" || cfg.RetainVersions != 5 || cfg.Bind != "127.0.0.1:0" || !bool(cfg.Unauthenticated) {
		t.Errorf("got %+v", cfg)
	}
	if cfg.source != path {
		t.Errorf("source is %q", cfg.source)
	}
}

func TestMalformedEnvFileIsNotQuoted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guardian.env")
	if err := os.WriteFile(path, []byte("GUARDIAN_SERVER_BEARER_TOKEN: 'hunter2\n=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load(flags{envFile: path}, func(flag string) bool { return flag == "env-file" }, nil)
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "--env-file") {
		t.Errorf("got %v", err)
	}
}

func TestSecretsLeaveTheEnvironment(t *testing.T) {
	names := []string{"GUARDIAN_SERVER_BEARER_TOKENS_JSON", "GUARDIAN_SERVER_BEARER_TOKEN", "GUARDIAN_INTEGRITY_KEY", "GUARDIAN_REGISTRY"}
	for _, name := range names {
		t.Setenv(name, "secret")
	}
	unsetSecrets()
	for _, name := range names {
		if _, there := os.LookupEnv(name); there {
			t.Errorf("%s is still there", name)
		}
	}
}

// docs/CONFIGURATION.md has one row for each variable, with its default.
func TestDocumentedVariables(t *testing.T) {
	page, err := os.ReadFile("../../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(GUARDIAN_[A-Z_]+)` \\| (?:`([^`]*)`)? *\\|").FindAllSubmatch(page, -1) {
		documented[string(row[1])] = string(row[2])
	}
	configured := map[string]string{}
	for field := range reflect.TypeFor[Config]().Fields() {
		if name := field.Tag.Get("env"); name != "" {
			configured[name] = field.Tag.Get("envDefault")
		}
	}
	if !reflect.DeepEqual(documented, configured) {
		t.Errorf("documented %v\nconfigured %v", documented, configured)
	}
}
