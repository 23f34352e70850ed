package location

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct{ kind, keyFile string }{
		"./data":                 {KindDirectory, "data/integrity.key"},
		"/var/lib/guardian":      {KindDirectory, "/var/lib/guardian/integrity.key"},
		"./s3:/x":                {KindDirectory, "s3:/x/integrity.key"},
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
		"bolt:///x.db":                  "bolt://",
		"s3:/bucket/p":                  "neither a directory nor s3://",
		"s3:bucket/p":                   "neither a directory nor s3://",
		"https://bucket/p":              "https://",
		"s3://":                         "a bucket is 3 to 63",
		"s3:///prefix":                  "a bucket is 3 to 63",
		"s3://Bucket/p":                 "a bucket is 3 to 63",
		"s3://b/p":                      "a bucket is 3 to 63",
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

func TestDirectoryExistsOnceOpened(t *testing.T) {
	l, err := Parse(filepath.Join(t.TempDir(), "x"))
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
