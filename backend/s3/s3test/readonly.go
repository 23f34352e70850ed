package s3test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Permission is what an account may do, as in a policy of IAM.
type Permission struct{ Action, Resource []string }

// ReadOnly returns the same server with a new account, which may read the
// bucket and not change it. See [Server.Allowed].
func (s *Server) ReadOnly(t testing.TB, bucket string) *Server {
	t.Helper()
	const arn = "arn:aws:s3:::"
	return s.Allowed(t, bucket, Permission{[]string{"s3:GetObject", "s3:ListBucket"}, []string{arn + bucket, arn + bucket + "/*"}})
}

// Allowed returns the same server with a new account, which may do what is
// permitted and nothing else. Only [Versity] has such accounts. A bucket has one
// at a time: the next takes the place of the last.
func (s *Server) Allowed(t testing.TB, bucket string, permissions ...Permission) *Server {
	t.Helper()
	if s.admin == "" {
		t.Fatal("only Versity has accounts that may not do everything")
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	account := *s
	account.AccessKey, account.SecretKey = rand.Text()[:20], rand.Text()
	cmd := exec.CommandContext(ctx, s.admin, "admin", "create-user", //nolint:gosec // Versity's own program
		"--access", account.AccessKey, "--secret", account.SecretKey, "--role", "user")
	cmd.Env = append(os.Environ(), "ADMIN_ENDPOINT_URL="+s.Endpoint, "ADMIN_REGION="+s.Region,
		"ADMIN_ACCESS_KEY="+s.AccessKey, "ADMIN_SECRET_KEY="+s.SecretKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("making an account: %v\n%s", err, out)
	}
	policy := policyOf(t, account.AccessKey, permissions)
	_, err := s.Client(t).PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy})
	if err != nil {
		t.Fatalf("letting the account at %s: %v", bucket, err)
	}
	return &account
}

func policyOf(t testing.TB, account string, permissions []Permission) string {
	t.Helper()
	type statement struct {
		Effect    string
		Principal map[string][]string
		Permission
	}
	var statements []statement
	for _, permission := range permissions {
		statements = append(statements, statement{"Allow", map[string][]string{"AWS": {account}}, permission})
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
