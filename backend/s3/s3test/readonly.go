package s3test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// readPolicy lets an account get and list, and nothing else.
const readPolicy = `{"Version": "2012-10-17", "Statement": [{
	"Effect": "Allow", "Principal": {"AWS": [%q]},
	"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::%s", "arn:aws:s3:::%s/*"]}]}`

// ReadOnly returns the same server with a new account, which may read the
// bucket and not change it. Only [Versity] has such accounts. A bucket has one
// at a time: the next takes the place of the last.
func (s *Server) ReadOnly(t testing.TB, bucket string) *Server {
	t.Helper()
	if s.admin == "" {
		t.Fatal("only Versity has accounts that may only read")
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	reader := *s
	reader.AccessKey, reader.SecretKey = rand.Text()[:20], rand.Text()
	cmd := exec.CommandContext(ctx, s.admin, "admin", "create-user", //nolint:gosec // Versity's own program
		"--access", reader.AccessKey, "--secret", reader.SecretKey, "--role", "user")
	cmd.Env = append(os.Environ(), "ADMIN_ENDPOINT_URL="+s.Endpoint, "ADMIN_REGION="+s.Region,
		"ADMIN_ACCESS_KEY="+s.AccessKey, "ADMIN_SECRET_KEY="+s.SecretKey)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("making an account: %v\n%s", err, out)
	}
	policy := fmt.Sprintf(readPolicy, reader.AccessKey, bucket, bucket)
	_, err := s.Client(t).PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy})
	if err != nil {
		t.Fatalf("letting the account read %s: %v", bucket, err)
	}
	return &reader
}
