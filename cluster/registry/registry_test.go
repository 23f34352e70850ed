package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		shown        string
		confidential bool
	}{
		"./registry":                           {"./registry", false},
		"registry":                             {"registry", false},
		"../a registry":                        {"../a registry", false},
		"/srv/guardian_1/registry-2.d":         {"/srv/guardian_1/registry-2.d", false},
		"./rqlite":                             {"./rqlite", false},
		"s3://bucket/prefix":                   {"s3://bucket/prefix", false},
		"S3://bucket":                          {"s3://bucket", false},
		"rqlite+http://10.0.0.1:4001":          {"rqlite+http://10.0.0.1:4001", false},
		"rqlite+https://a,b:1":                 {"rqlite+https://a,b:1", false},
		"rqlite+http://admin:hunter2@a,b:4001": {"rqlite+http://a,b:4001", true},
		"rqlite+http://admin@a":                {"rqlite+http://a", true},
	} {
		l, err := Parse(text)
		if err != nil || l.String() != want.shown || l.Confidential() != want.confidential {
			t.Errorf("%s is %s, confidential %v, %v", text, l, l.Confidential(), err)
		}
	}
}

// What is refused is not quoted: it may hold a password, wherever it is wrong.
func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                     "empty",
		"http://admin:hunter2@10.0.0.1:4001":   "use rqlite+http://",
		"rqlite://admin:hunter2@10.0.0.1:4001": "use rqlite+http://",
		"rqlite+http:admin:hunter2@10.0.0.1":   "use rqlite+http://",
		"admin:hunter2@10.0.0.1:4001":          "use rqlite+http://",
		"postgres://admin:hunter2@10.0.0.1":    "use rqlite+http://",
		"s3:hunter2/x":                         "use rqlite+http://",
		"s3://admin:hunter2@bucket/x":          "credentials do not belong into the URL",
		"s3://bucket/x/":                       "ends in a slash",
		"rqlite+http://admin:hunter2@":         "not rqlite+http://user:password@host:port",
		"rqlite+http://admin:hun%ter2@a":       "not percent-encoded",
		"rqlite+http://admin:hunter2@a/?x=y":   "not rqlite+http://user:password@host:port",
		"RQLITE+HTTP://admin:hunter2@a":        "rqlite+http://",
		`"rqlite+http://admin:hunter2@db:1"`:   "without quotes",
		`'rqlite+http://admin:hunter2@db:1'`:   "without quotes",
		`"hunter2"`:                            "without quotes",
		`"s3://bucket/hunter2"`:                "without quotes",
		" rqlite+http://admin:hunter2@db:4001": "use rqlite+http://",
		"rqlite+http//admin:hunter2@db:4001":   "use rqlite+http://",
		"rqlite+http/admin/hunter2":            "use rqlite+http://",
		"Rqlite-hunter2":                       "use rqlite+http://",
		"//admin:hunter2@db:4001":              "use rqlite+http://",
		"./a/hunter2@b":                        "use rqlite+http://",
		"10.0.0.1:4001/hunter2":                "use rqlite+http://",
		"$hunter2":                             "use rqlite+http://",
	} {
		if l, err := Parse(text); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s is %s, %v", text, l, err)
		}
	}
}

func TestOverlaps(t *testing.T) {
	dir := t.TempDir()
	storage, err := location.Parse(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		dir:                                   true,
		filepath.Join(dir, "data"):            true,
		filepath.Join(dir, "data", "sub"):     true,
		filepath.Join(dir, "registry"):        false,
		"s3://bucket/registry":                false,
		"rqlite+http://" + filepath.Base(dir): false,
	} {
		l, err := Parse(text)
		if err != nil || l.Overlaps(storage) != want {
			t.Errorf("%s overlaps %s: %v, %v", text, storage, l.Overlaps(storage), err)
		}
	}
}

// A record is there again after the registry was closed, and a directory is
// there once it was opened.
func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "registry")
	rqlite := rqlitetest.New(t, 1, rqlitetest.Options{User: "admin", Password: "hunter2"})
	for text, exists := range map[string]bool{dir: false, rqlite.URL(): true} {
		l, err := Parse(text)
		if err != nil || l.Exists() != exists {
			t.Fatalf("%s exists: %v, %v", l, l.Exists(), err)
		}
		opened := open(t, l)
		if _, err := opened.Swap(t.Context(), cluster.RosterKey, []byte("x"), cluster.Revision{}); err != nil {
			t.Fatal(err)
		}
		if err := opened.Close(); err != nil || !l.Exists() {
			t.Errorf("%s, now closed, exists: %v, %v", l, l.Exists(), err)
		}
		again := open(t, l)
		if data, _, err := again.Load(t.Context(), cluster.RosterKey); err != nil || string(data) != "x" {
			t.Errorf("%s has %q, %v", l, data, err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

func open(t *testing.T, l Location) cluster.Registry {
	t.Helper()
	opened, err := l.Open(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := l.Open(t.Context(), Options{}); err == nil || opened != nil {
		t.Errorf("a file was opened: %v, %v", opened, err)
	}
}
