package awssecrets

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/awssecrets/secretstest"
	"github.com/vault-guardian/guardian/integrity"
)

// withNodeKey is a keyring of two keys and, beside it, keyText as node key.
var withNodeKey = `{"node_key":"` + keyText + `","primary":"k2","keys":{"k1":"` + strings.Repeat("1", 64) + `","k2":"` + strings.Repeat("2", 64) + `"}}`

func TestNodeKey(t *testing.T) {
	server := newServer(t)
	server.Put("own", keyText+"\n")
	server.Put("ring", withNodeKey)
	want, err := integrity.ParseNodeKey([]byte(keyText))
	if err != nil {
		t.Fatal(err)
	}
	own, ring := NodeKey{newKeyring(t, "own").Secret}, newKeyring(t, "ring")
	for name, fetch := range map[string]func() (*integrity.NodeKey, error){
		"a secret of its own":               func() (*integrity.NodeKey, error) { return own.NodeKey(t.Context()) },
		"beside the keyring":                func() (*integrity.NodeKey, error) { return ring.NodeKey(t.Context()) },
		"the keyring's secret, named so":    func() (*integrity.NodeKey, error) { return NodeKey(ring).NodeKey(t.Context()) },
		"beside the keyring, after the ARN": func() (*integrity.NodeKey, error) { return newKeyring(t, server.ARN("ring")).NodeKey(t.Context()) },
	} {
		key, err := fetch()
		if err != nil || !key.PublicKey().Equal(want.PublicKey()) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	if keys, err := ring.Keyring(t.Context()); err != nil || keys.Primary() != "k2" || len(keys.IDs()) != 2 {
		t.Errorf("the keyring beside it: %v, %v", keys, err)
	}
	if printed := fmt.Sprintf("%v %+v", own, &own); printed != "own own" {
		t.Error(printed)
	}
}

func TestNodeKeyErrors(t *testing.T) {
	answers := func(code string) func(*secretstest.Server) {
		return func(s *secretstest.Server) { s.Fail(code, 400) }
	}
	put := func(text string) func(*secretstest.Server) {
		return func(s *secretstest.Server) { s.Put("ring", text) }
	}
	fromOwn := func(k Keyring) error { _, err := NodeKey(k).NodeKey(t.Context()); return err }
	fromRing := func(k Keyring) error { _, err := k.NodeKey(t.Context()); return err }
	for name, tc := range map[string]struct {
		prepare      func(*secretstest.Server)
		fetch        func(Keyring) error
		want         error
		what, advice string
	}{
		"missing":           {func(s *secretstest.Server) { s.Remove("ring") }, fromOwn, integrity.ErrSourceUnavailable, "is not in AWS", "create it"},
		"denied":            {answers("AccessDeniedException"), fromRing, integrity.ErrSourceUnavailable, "may not be read", "secretsmanager:GetSecretValue"},
		"binary":            {func(s *secretstest.Server) { s.PutBinary("ring", []byte(keyText)) }, fromOwn, integrity.ErrNodeKeyRefused, "holds no text", "SecretString"},
		"empty":             {put(""), fromOwn, integrity.ErrNodeKeyRefused, "it is empty", "32 random bytes"},
		"short":             {put(keyText[:62]), fromOwn, integrity.ErrNodeKeyRefused, `secret "ring" (region eu-central-1) holds no node key`, "32 random bytes"},
		"cut off":           {put(withNodeKey[:60]), fromRing, integrity.ErrNodeKeyRefused, "holds no node key", "node_key"},
		"a bare ring":       {put(keyText), fromRing, integrity.ErrNoNodeKey, "holds no node key", "node_key"},
		"a ring alone":      {put(oneKey), fromRing, integrity.ErrNoNodeKey, "holds no node key", "node_key"},
		"a key of the ring": {put(`{"node_key":"` + keyText + `",` + oneKey[1:]), fromRing, integrity.ErrNodeKeyRefused, "one of the integrity keys", "of this node only"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t)
			server.Put("ring", withNodeKey)
			ring := newKeyring(t, "ring")
			tc.prepare(server)
			checkProblem(t, tc.fetch(ring), tc.want, tc.what, tc.advice)
		})
	}
}
