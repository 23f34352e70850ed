package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

// behindTLS returns https URLs of proxies before three guardians, which keep a
// bare text under someIdentity, and a file with the authority for their
// certificates.
func behindTLS(t *testing.T) (urls, caFile string) {
	t.Helper()
	var list []string
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	guardians := guardiantest.New(t, 3).URLs()
	vault, err := client.NewVault(guardians, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Store(t.Context(), someIdentity, []byte("a text")); err != nil {
		t.Fatal(err)
	}
	for _, plain := range guardians {
		behind, err := url.Parse(plain)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		list = append(list, server.URL)
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		if err := os.WriteFile(caFile, certificate, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(list, ","), caFile
}

func TestCAFile(t *testing.T) {
	t.Parallel()
	urls, caFile := behindTLS(t)
	dir := t.TempDir()
	key, noCertificate := filepath.Join(dir, "key"), filepath.Join(dir, "no.pem")
	if _, err := createKey(key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(noCertificate, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"with it":            {[]string{"status", "--ca-file", caFile}, exitOK, ""},
		"to recover with it": {[]string{"recover", "--identity", someIdentity, "--ca-file", caFile}, exitOK, ""},
		"without it":         {[]string{"status"}, exitQuorum, "next: name the authority that signed the guardians' certificates with --ca-file"},
		"to store without":   {[]string{"store", "-", "--key-file", key}, exitQuorum, "with --ca-file"},
		"no certificate":     {[]string{"status", "--ca-file", noCertificate}, exitUsage, "no.pem holds no certificate"},
		"not there":          {[]string{"status", "--ca-file", caFile + "x"}, exitFailure, "next: make --ca-file a readable file"},
		"by another's name":  {[]string{"store", "-", "--key-file", key, "--ca-file", caFile}, exitQuorum, "name each guardian in --guardians as its operator does"},
	} {
		var out, errOut bytes.Buffer
		code := run(t.Context(), append(test.args, "--guardians", urls), streams{strings.NewReader("text"), &out, &errOut})
		if code != test.code || !strings.Contains(errOut.String(), test.want) {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, test.code, &errOut)
		}
	}
}
