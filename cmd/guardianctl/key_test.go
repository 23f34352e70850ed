package main

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/envelope"
)

func TestKeyFileComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	made, err := createKey(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := readKey(path)
	if err != nil || !made.Owner().Equal(read.Owner()) {
		t.Fatalf("another key comes back: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	key, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	want, err := envelope.FromKeyFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text string
		ok   bool
	}{
		"as made":                {keyHeader + "\n" + digits + "\n", true},
		"no newline at the end":  {keyHeader + "\n" + digits, true},
		"nothing":                {"", false},
		"the header alone":       {keyHeader, false},
		"an empty key":           {keyHeader + "\n\n", false},
		"the key alone":          {digits + "\n", false},
		"another header":         {"guardian-key-file-v2\n" + digits + "\n", false},
		"a digit less":           {keyHeader + "\n" + digits[1:] + "\n", false},
		"a byte less":            {keyHeader + "\n" + digits[2:] + "\n", false},
		"a byte more":            {keyHeader + "\n" + digits + "00\n", false},
		"another letter":         {keyHeader + "\n" + digits[1:] + "g\n", false},
		"a space":                {keyHeader + "\n" + digits + " \n", false},
		"a line more":            {keyHeader + "\n" + digits + "\n\n", false},
		"carriage returns":       {keyHeader + "\r\n" + digits + "\r\n", false},
		"a private key and more": {keyHeader + "\n" + digits + digits + "\n", false},
	} {
		root, err := parseKey([]byte(test.text))
		if (err == nil) != test.ok || test.ok && root.Identity() != want.Identity() {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), digits[2:20]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

// The format is for other programs, too: a key of envelope's test vectors.
func TestParseKeyKnowsAKey(t *testing.T) {
	root, err := parseKey([]byte(keyHeader + "\n49fa4f610a5b1e8f4fc2324cdfa03acd797bac470233355f93512cdb34e1014e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if root.Identity() != "11f1166ffe5cecf01e2fbb9ed8ca8949fd6cd229ac8ebe89e0ed0962a8ea1619" {
		t.Errorf("it is read as the key of %s", root.Identity())
	}
}
