package main

import (
	"bytes"
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFileComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	made, err := createKey(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := readKey(path)
	if err != nil || !made.Equal(read) {
		t.Fatalf("another key comes back: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
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
		"another header":         {"guardian-owner-key-v2\n" + digits + "\n", false},
		"a digit less":           {keyHeader + "\n" + digits[1:] + "\n", false},
		"a byte less":            {keyHeader + "\n" + digits[2:] + "\n", false},
		"a byte more":            {keyHeader + "\n" + digits + "00\n", false},
		"another letter":         {keyHeader + "\n" + digits[1:] + "g\n", false},
		"a space":                {keyHeader + "\n" + digits + " \n", false},
		"a line more":            {keyHeader + "\n" + digits + "\n\n", false},
		"carriage returns":       {keyHeader + "\r\n" + digits + "\r\n", false},
		"a private key and more": {keyHeader + "\n" + digits + digits + "\n", false},
	} {
		key, err := parseKey([]byte(test.text))
		if (err == nil) != test.ok || test.ok && len(key) != ed25519.PrivateKeySize {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), digits[2:20]) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

// The format is for other programs, too: RFC 8032 section 7.1, test 1.
func TestParseKeyKnowsAKey(t *testing.T) {
	key, err := parseKey([]byte(keyHeader + "\n9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n"))
	if err != nil {
		t.Fatal(err)
	}
	public := []byte{
		0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
		0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
	}
	if !bytes.Equal(key.Public().(ed25519.PublicKey), public) {
		t.Error("it is read as another key")
	}
}
