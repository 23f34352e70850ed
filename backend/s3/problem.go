package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/backend"
)

// failed wraps the error of a call on a key.
func (s *S3) failed(doing, key string, err error) error {
	return fmt.Errorf("%s %q: %w", doing, key, s.explain(doing, err))
}

// explain says what is wrong and what to do where that is known. The errors of
// the contract pass through.
func (s *S3) explain(doing string, err error) error {
	for _, known := range []error{
		backend.ErrNotFound, backend.ErrConflict, backend.ErrTooLarge, backend.ErrInvalidKey, context.Canceled,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	if problem := s.ofBucket(doing, err); problem != nil {
		return problem
	}
	if problem := awsconfig.Explain(err); problem != nil {
		return problem
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &awsconfig.Problem{What: "the store does not answer in time", Err: err, Advice: "check the store and the network between"}
	}
	return err
}

var permissions = map[string]string{
	"getting": "s3:GetObject", "putting": "s3:PutObject", "deleting": "s3:DeleteObject", "list": "s3:ListBucket",
}

func (s *S3) ofBucket(doing string, err error) *awsconfig.Problem {
	switch awsconfig.Code(err) {
	case "NoSuchBucket":
		return &awsconfig.Problem{
			What:   fmt.Sprintf("bucket %q does not exist", s.bucket),
			Advice: fmt.Sprintf("make it (aws s3 mb s3://%s), or correct the bucket, the region or the endpoint", s.bucket),
		}
	case "AccessDenied", "AllAccessDisabled", "Forbidden":
		return &awsconfig.Problem{
			What:   fmt.Sprintf("the AWS credentials are not allowed %s on %s", permissions[doing], s),
			Advice: "grant s3:GetObject, s3:PutObject and s3:DeleteObject on the objects and s3:ListBucket on the bucket (docs/DEPLOYMENT.md has the policy)",
		}
	}
	return nil
}
