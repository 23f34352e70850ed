package secretstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// authorization is the header of Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$`)

// checkSignature returns nil for a request signed with the credentials of this
// server, for its region and service.
func (s *Server) checkSignature(r *http.Request, body []byte) *apiError {
	header := r.Header.Get("Authorization")
	fields := authorization.FindStringSubmatch(header)
	if fields == nil {
		return refused("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	accessKey, region, service, signed := fields[1], fields[2], fields[3], fields[4]
	switch {
	case accessKey != s.accessKey:
		return refused("UnrecognizedClientException", messages["UnrecognizedClientException"])
	case region != Region:
		return refused("InvalidSignatureException", "Credential should be scoped to a valid region.")
	case service != "secretsmanager":
		return refused("InvalidSignatureException", "Credential should be scoped to correct service: 'secretsmanager'.")
	}
	want, err := s.sign(r, body, strings.Split(signed, ";"))
	if err != nil || !hmac.Equal([]byte(want), []byte(header)) {
		return refused("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// sign makes the Authorization header that the request should have. The signer
// adds host, date and length to the headers that it signs, so a request that
// leaves these out of its signature is not equal.
func (s *Server) sign(r *http.Request, body []byte, headers []string) (string, error) {
	signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return "", err
	}
	again := r.Clone(r.Context())
	again.Header = http.Header{}
	for _, name := range headers {
		for _, value := range r.Header.Values(name) {
			again.Header.Add(name, value)
		}
	}
	credentials := aws.Credentials{AccessKeyID: s.accessKey, SecretAccessKey: s.secretKey}
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(hash[:]), "secretsmanager", Region, signed); err != nil {
		return "", err
	}
	return again.Header.Get("Authorization"), nil
}

func refused(code, message string) *apiError {
	return &apiError{http.StatusBadRequest, code, message}
}
