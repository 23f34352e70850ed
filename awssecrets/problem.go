package awssecrets

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/aws/smithy-go"

	"github.com/vault-guardian/guardian/awsconfig"
)

func ofCredentials(err error) error {
	if known := awsconfig.Explain(err); known != nil {
		return known
	}
	return &awsconfig.Problem{
		What: "no AWS credentials could be had", Err: err,
		Advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or check the role of this machine and the network to it",
	}
}

// explain makes a *awsconfig.Problem of an error of GetSecretValue.
func (s *Secret) explain(err error) error {
	if answered, ok := errors.AsType[smithy.APIError](err); ok {
		return s.ofService(answered, err)
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		// Without its cause, which may quote the answer and so the secret.
		return &awsconfig.Problem{
			What:   "what answers is not AWS Secrets Manager, or not in full",
			Advice: "check AWS_ENDPOINT_URL_SECRETS_MANAGER (AWS_ENDPOINT_URL stands for all services, S3 too) and proxies between",
		}
	}
	return s.ofTransport(err)
}

func (s *Secret) ofService(answered smithy.APIError, err error) error {
	problem := &awsconfig.Problem{Err: fmt.Errorf("%s: %s", answered.ErrorCode(), answered.ErrorMessage())}
	name := fmt.Sprintf("secret %q (region %s)", s.id, s.region)
	switch answered.ErrorCode() {
	case "ResourceNotFoundException":
		problem.What = fmt.Sprintf("secret %q is not in AWS Secrets Manager (region %s)", s.id, s.region)
		problem.Advice = "create it, or correct the name or the region"
	case "AccessDeniedException":
		problem.What = name + " may not be read with these credentials"
		problem.Advice = "grant them secretsmanager:GetSecretValue on it, and kms:Decrypt when it has a key of its own"
	case "DecryptionFailure":
		problem.What = name + " cannot be decrypted"
		problem.Advice = "see that its KMS key is enabled, and grant kms:Decrypt on that key"
	case "InvalidRequestException":
		problem.What = name + " cannot be read as it stands"
		problem.Advice = "if it is marked for deletion, restore it (aws secretsmanager restore-secret)"
	case "InvalidParameterException", "ValidationException":
		problem.What = fmt.Sprintf("%q is not an id that a secret can have", s.id)
		problem.Advice = "give the name or the ARN of the secret"
	case "ThrottlingException":
		problem.What = fmt.Sprintf("AWS Secrets Manager (region %s) is asked too often", s.region)
		problem.Advice = "try again later; see what else in this account asks it"
	default:
		if known := awsconfig.Explain(err); known != nil {
			return known
		}
		problem.What = name + " cannot be read"
		problem.Advice = "try again later; see https://health.aws.amazon.com, and AWS_ENDPOINT_URL_SECRETS_MANAGER where that is set"
	}
	return problem
}

func (s *Secret) ofTransport(err error) error {
	cause := networkCause(err)
	if known := awsconfig.Explain(err); known != nil && cause == nil {
		return known
	}
	if cause == nil {
		cause = err
	}
	return &awsconfig.Problem{
		What: fmt.Sprintf("AWS Secrets Manager (region %s) cannot be reached", s.region), Err: cause,
		Advice: "check the region, AWS_ENDPOINT_URL_SECRETS_MANAGER where that is set, and the network: " +
			"a VPC without a way out needs an interface endpoint for Secrets Manager",
	}
}

// networkCause is what went wrong on the network, without the SDK's account of
// operation and attempts; nil when it was something else.
func networkCause(err error) error {
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed
	}
	for _, slow := range []error{awsconfig.ErrSlow, context.DeadlineExceeded} {
		if errors.Is(err, slow) {
			return slow
		}
	}
	return nil
}
