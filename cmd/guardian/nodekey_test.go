package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/awssecrets/secretstest"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/integrity"
)

// publicOf is what the node key with the seed testKey(fill) shows.
func publicOf(t *testing.T, fill byte) string {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(testKey(fill)))
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(key.PublicKey())
}

func TestNodeKeyFromSecretsManager(t *testing.T) {
	t.Parallel()
	server, secrets := s3test.Versity(t), secretstest.New(t)
	secrets.Trust(server.AccessKey, server.SecretKey)
	ring := func(nodeKey string) string {
		return fmt.Sprintf(`{"primary":"k1","keys":{"k1":%q},"node_key":%q}`, testKey('1'), nodeKey)
	}
	secrets.Put("ring", keyringOf("k1", "k1"))
	secrets.Put("ring-and-key", ring(testKey('n')))
	secrets.Put("ring-twice", ring(testKey('1')))
	secrets.Put("key", testKey('m'))
	secrets.Put("no-key", "hunter2")

	bucket, dir := server.NewBucket(t), t.TempDir()
	inBucket := "GUARDIAN_STORAGE=s3://" + bucket + "/shares"
	environ := func(extra ...string) []string {
		return bareEnvironment(slices.Concat(secrets.Environ(), server.Environ(), []string{
			"GUARDIAN_UNAUTHENTICATED=1", "GUARDIAN_NODE_ID=g1", "GUARDIAN_REGISTRY=" + filepath.Join(dir, "registry"),
			"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_PEER_BIND=127.0.0.1:0", "GUARDIAN_ADMIN_BIND=127.0.0.1:0",
		}, extra)...)
	}
	for name, test := range map[string]struct {
		environ []string
		fill    byte // of the key; 0 for one that was made
	}{
		"of its own":                 {[]string{inBucket, "GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring"), "GUARDIAN_NODE_KEY_AWS_SECRET=" + secrets.ARN("key")}, 'm'},
		"named, before the keyring":  {[]string{inBucket, "GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring-and-key"), "GUARDIAN_NODE_KEY_AWS_SECRET=" + secrets.ARN("key")}, 'm'},
		"in the keyring":             {[]string{inBucket, "GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring-and-key")}, 'n'},
		"of a directory, in keyring": {[]string{"GUARDIAN_STORAGE=" + filepath.Join(dir, "a"), "GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring-and-key")}, 'n'},
		"of a directory, made":       {[]string{"GUARDIAN_STORAGE=" + filepath.Join(dir, "b"), "GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := launch(thisProgram(t), t.TempDir(), environ(test.environ...))
			if err != nil {
				t.Fatal(err)
			}
			defer p.kill()
			status := ask[api.StatusResponse](&neighbour{process: p}, api.RouteStatus)
			if test.fill != 0 && status.NodeKey != publicOf(t, test.fill) || len(status.NodeKey) != 64 {
				t.Errorf("its key is %q", status.NodeKey)
			}
			storage, _ := strings.CutPrefix(test.environ[0], "GUARDIAN_STORAGE=")
			if _, err := os.Stat(filepath.Join(storage, "node.key")); (err == nil) != (test.fill == 0) {
				t.Errorf("node.key beside the data: %v", err)
			}
		})
	}
	for name, test := range map[string]struct {
		environ []string
		code    int
		says    string
	}{
		"none in the keyring": {[]string{"GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring")}, exitKey, "there is no node_key in it"},
		"an integrity key":    {[]string{"GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring-twice")}, exitKey, "it is one of the integrity keys"},
		"malformed":           {[]string{"GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring"), "GUARDIAN_NODE_KEY_AWS_SECRET=" + secrets.ARN("no-key")}, exitKey, "holds no node key"},
		"no such secret":      {[]string{"GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring"), "GUARDIAN_NODE_KEY_AWS_SECRET=" + secrets.ARN("g9")}, exitUnavailable, `is not in AWS Secrets Manager`},
		"no such file":        {[]string{"GUARDIAN_INTEGRITY_KEY_AWS_SECRET=" + secrets.ARN("ring"), "GUARDIAN_NODE_KEY_FILE=missing"}, exitKey, "node key file missing is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			said := refused(t, test.code, environ(append(test.environ, inBucket)...))
			if !strings.Contains(said, test.says) || strings.Contains(said, "hunter2") {
				t.Errorf("it says %s", said)
			}
		})
	}
	t.Run("unwell", func(t *testing.T) {
		secrets.Fail("InternalServiceError", http.StatusInternalServerError)
		refused(t, exitUnavailable, environ(inBucket, "GUARDIAN_INTEGRITY_KEY="+keyringOf("k1", "k1"), "GUARDIAN_NODE_KEY_AWS_SECRET="+secrets.ARN("key")))
	})
}
