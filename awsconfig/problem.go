package awsconfig

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Problem is a failure of an AWS service, or of how we are to reach it, that
// an operator can do something about.
type Problem struct {
	// What is wrong, and Advice what to do about it, each a clause without a
	// full stop.
	What, Advice string
	// Config reports that the configuration is wrong, whatever the service says.
	Config bool
	// Err is the cause; nil when What says it all.
	Err error
}

func (p *Problem) Error() string {
	if p.Err == nil {
		return p.What
	}
	return fmt.Sprintf("%s: %v", p.What, p.Err)
}

func (p *Problem) Unwrap() error { return p.Err }

// Explain tells what is wrong and what to do, where err is one of the failures
// that all services share; otherwise nil.
func Explain(err error) *Problem {
	if known, ok := errors.AsType[*Problem](err); ok {
		return known
	}
	if plain, ok := errors.AsType[plainHTTPError](err); ok {
		return &Problem{
			What: plain.Error(), Config: true,
			Advice: "use an https:// endpoint, or set AWS_ALLOW_HTTP=true if that network is yours alone",
		}
	}
	if ofCredentials(err) {
		return &Problem{
			What: "no AWS credentials could be had", Err: brief(err),
			Advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached that may be taken",
		}
	}
	if code := Code(err); code != "" {
		return ofCode(code, err)
	}
	return ofTransport(err)
}

// ofCredentials reports that the service was never asked: there was nothing to
// sign with. What the provider of credentials answered is in the chain, and
// says nothing about the service.
func ofCredentials(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "get identity:") || strings.Contains(err.Error(), "failed to refresh cached credentials"))
}

// Code is the service's own name for an error, such as NoSuchBucket; "" when
// it has not answered.
func Code(err error) string {
	if ofCredentials(err) {
		return ""
	}
	if answered, ok := errors.AsType[smithy.APIError](err); ok {
		return answered.ErrorCode()
	}
	return ""
}

// Status is the HTTP status of an error; 0 when the service has not answered.
func Status(err error) int {
	if ofCredentials(err) {
		return 0
	}
	if answered, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && answered.Response != nil {
		return answered.HTTPStatusCode()
	}
	return 0
}

func ofCode(code string, err error) *Problem {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "UnrecognizedClientException", "InvalidSignatureException",
		"InvalidClientTokenId", "AuthFailure", "InvalidToken", "IncompleteSignature":
		return &Problem{
			What: "the AWS credentials are refused", Err: brief(err),
			Advice: "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this machine",
		}
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return &Problem{
			What: "the AWS credentials have expired", Err: brief(err),
			Advice: "renew AWS_SESSION_TOKEN, or use a role, whose credentials renew themselves",
		}
	case "RequestTimeTooSkewed", "RequestExpired":
		return &Problem{What: "this machine's clock is wrong", Err: brief(err), Advice: "set the clock, and keep it right with NTP"}
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return &Problem{What: "AWS_REGION is not the region asked", Err: brief(err), Advice: "set AWS_REGION to the one that the answer names"}
	}
	return nil
}

func ofTransport(err error) *Problem {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return &Problem{
			What: fmt.Sprintf("host name %q does not resolve", dns.Name),
			Advice: "check AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and AWS_REGION; " +
				"set AWS_S3_FORCE_PATH_STYLE=true where the name begins with the bucket and the server is not Amazon's",
		}
	}
	if isUntrusted(err) {
		return &Problem{
			What: "the server's certificate is not trusted", Err: brief(err),
			Advice: "give its authority's certificate with AWS_CA_BUNDLE, or correct the host name of the endpoint",
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return &Problem{
			What: "the service cannot be reached", Err: op,
			Advice: "check that it runs, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, and the network between",
		}
	}
	if errors.Is(err, ErrSlow) {
		return &Problem{What: "the service does not answer in time", Err: brief(err), Advice: "check the service and the network between"}
	}
	return nil
}

func isUntrusted(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}

// brief is what the service said, on one line: without the SDK's account of
// operation, request and host ids in front, and without the copy of the
// request, session token included, that some services answer behind.
func brief(err error) error {
	if answered, ok := errors.AsType[smithy.APIError](err); ok {
		said, _, _ := strings.Cut(answered.ErrorMessage(), "\n")
		return &briefError{fmt.Sprintf("%s: %s", answered.ErrorCode(), said), err}
	}
	return err
}

type briefError struct {
	text string
	err  error
}

func (e *briefError) Error() string { return e.text }
func (e *briefError) Unwrap() error { return e.err }
