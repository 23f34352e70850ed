package location

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct{ kind, keyFile string }{
		"./data":                 {KindDirectory, "data/integrity.key"},
		"/var/lib/guardian":      {KindDirectory, "/var/lib/guardian/integrity.key"},
		"./s3:/x":                {KindDirectory, "s3:/x/integrity.key"},
		"bolt:///var/lib/g.db":   {KindBolt, "/var/lib/integrity.key"},
		"bolt://./data/g.db":     {KindBolt, "data/integrity.key"},
		"bolt://../g.db":         {KindBolt, "../integrity.key"},
		"s3://bucket":            {KindS3, ""},
		"s3://bucket/prefix":     {KindS3, ""},
		"s3://my.bucket-1/a/b.c": {KindS3, ""},
	} {
		l, err := Parse(text)
		if err != nil || l.Kind() != want.kind || l.KeyFile() != want.keyFile || l.String() != text {
			t.Errorf("%s is %s %s with key file %q, %v", text, l.Kind(), l, l.KeyFile(), err)
		}
	}
	for text, says := range map[string]string{
		"":                              "empty",
		"a\x00b":                        "not a path",
		"bolt://":                       "name a file",
		"bolt:///":                      "name a file",
		"bolt://./":                     "name a file",
		"bolt:///data/":                 "name a file",
		"bolt://data/g.db":              "write bolt:///data/g.db, or bolt://./data/g.db",
		"bolt:/data/g.db":               "nor bolt:///path/guardian.db",
		"bolt:///a\x00b":                "not a path",
		"s3:/bucket/p":                  "nor s3://bucket/prefix",
		"s3:bucket/p":                   "nor s3://bucket/prefix",
		"https://bucket/p":              "https://",
		"s3://":                         "a bucket is 3 to 63",
		"s3:///prefix":                  "a bucket is 3 to 63",
		"s3://Bucket/p":                 "a bucket is 3 to 63",
		"s3://b/p":                      "a bucket is 3 to 63",
		`"s3://bucket/p"`:               "without quotes",
		`'./data'`:                      "without quotes",
		"s3://bucket/":                  "write s3://bucket",
		"s3://bucket/prefix/":           "write s3://bucket/prefix",
		"s3://bucket/prefix//":          "write s3://bucket/prefix",
		"s3://bucket//prefix":           "segments with single slashes",
		"s3://bucket/../other":          "segments with single slashes",
		"s3://bucket/a b":               "segments with single slashes",
		"s3://bucket/p?versionId=1":     "segments with single slashes",
		"s3://key:secret@bucket/prefix": "credentials do not belong",
		"s3://bucket/" + strings.Repeat("long/", 60) + "p": "at most 256",
	} {
		l, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q is %v, %v", text, l, err)
		}
	}
}

func TestNodeKeyFile(t *testing.T) {
	for text, want := range map[string]string{"./data": "data/node.key", "bolt:///data/g.db": "/data/node.key", "s3://bucket/p": ""} {
		if l, err := Parse(text); err != nil || l.NodeKeyFile() != want {
			t.Errorf("%s has the node key file %q, %v", text, l.NodeKeyFile(), err)
		}
	}
}

func TestOverlaps(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"data", "./data/", true},
		{"data", "data/registry", true},
		{"data", here + "/data/a/b", true},
		{"data", "a/../data", true},
		{"data", "data2", false},
		{"data", "..data", false},
		{"data/g1", "data/registry", false},
		{"s3://bucket/p", "p", false},
		{"data", "bolt://./data/g.db", true},
		{"data", "bolt://./g.db", false},
		{"data/registry", "bolt://./data/g.db", false},
		{"s3://bucket/p", "bolt://./p", false},
	} {
		a, errA := Parse(test.a)
		b, errB := Parse(test.b)
		if errA != nil || errB != nil || a.Overlaps(b) != test.want || b.Overlaps(a) != test.want {
			t.Errorf("%s and %s: %v, %v", test.a, test.b, a.Overlaps(b), b.Overlaps(a))
		}
	}
	for _, test := range []struct {
		shared, storage string
		want            bool
	}{
		{"s3://bucket", "s3://bucket", true},
		{"s3://bucket/p", "s3://bucket/p", true},
		{"s3://bucket", "s3://bucket/p", true},
		{"s3://bucket/nodes/g1/registry", "s3://bucket", true},
		{"s3://bucket/p/nodes", "s3://bucket/p", true},
		{"s3://bucket/registry", "s3://bucket", false},
		{"s3://bucket/p/registry", "s3://bucket/p", false},
		{"s3://bucket/p-registry", "s3://bucket/p", false},
		{"s3://bucket/registry", "s3://bucket/p", false},
		{"s3://bucket", "s3://other/p", false},
	} {
		shared, errShared := Parse(test.shared)
		storage, errStorage := Parse(test.storage)
		if errShared != nil || errStorage != nil || shared.Overlaps(storage) != test.want {
			t.Errorf("%s among %s: %v", test.shared, test.storage, !test.want)
		}
	}
}

// What two guardians open is the same, and not the storage of either.
func TestOpenShared(t *testing.T) {
	l, err := Parse(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one, errOne := l.OpenShared(t.Context(), Options{NodeID: "g1"})
	other, errOther := l.OpenShared(t.Context(), Options{NodeID: "g2"})
	if errOne != nil || errOther != nil {
		t.Fatal(errOne, errOther)
	}
	defer one.Close()
	defer other.Close()
	if _, err := one.Put(t.Context(), "indices/001", []byte("g1"), backend.Revision{}); err != nil {
		t.Fatal(err)
	}
	if data, _, err := other.Get(t.Context(), "indices/001"); err != nil || string(data) != "g1" {
		t.Errorf("the other reads %q, %v", data, err)
	}
}

func TestExistsOnceOpened(t *testing.T) {
	for _, scheme := range []string{"", "bolt://"} {
		existsOnceOpened(t, scheme+filepath.Join(t.TempDir(), "x"))
	}
}

func existsOnceOpened(t *testing.T, text string) {
	t.Helper()
	l, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if l.Exists() {
		t.Error("it exists before it was opened")
	}
	store, err := l.Open(t.Context(), Options{NodeID: "g1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil || !l.Exists() {
		t.Errorf("after opening: %v, exists %v", err, l.Exists())
	}
}
