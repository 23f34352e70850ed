package secretstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// contentType is that of the AWS JSON 1.1 protocol, which says the rest too: a
// POST to /, the operation in X-Amz-Target.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
const (
	contentType = "application/x-amz-json-1.1"
	target      = "secretsmanager.GetSecretValue"
	maxRequest  = 64 << 10
)

// apiError is an answer other than 200.
type apiError struct {
	status        int
	code, message string
}

// messages are Secrets Manager's own, by code.
var messages = map[string]string{
	"AccessDeniedException":       "User: arn:aws:iam::123456789012:user/test is not authorized to perform: secretsmanager:GetSecretValue because no identity-based policy allows the secretsmanager:GetSecretValue action",
	"DecryptionFailure":           "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
	"InternalServiceError":        "An error occurred on the server side.",
	"InvalidRequestException":     "You can't perform this operation on the secret because it was marked for deletion.",
	"ResourceNotFoundException":   "Secrets Manager can't find the specified secret.",
	"ThrottlingException":         "Rate exceeded",
	"UnrecognizedClientException": "The security token included in the request is invalid.",
	"ValidationException":         "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
}

// ServeHTTP answers one request as Secrets Manager does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return
	}
	failure, hanging := s.arrived()
	if hanging {
		<-r.Context().Done()
		return
	}
	var answer any
	if failure == nil {
		answer, failure = s.answer(r, body)
	}
	w.Header().Set("Content-Type", contentType)
	if failure != nil {
		w.WriteHeader(failure.status)
		answer = map[string]string{"__type": failure.code, "Message": failure.message}
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that is gone needs no answer
}

func (s *Server) arrived() (failure *apiError, hanging bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	return s.failure, s.hanging
}

func (s *Server) answer(r *http.Request, body []byte) (any, *apiError) {
	if r.Method != http.MethodPost || r.URL.Path != "/" ||
		r.Header.Get("Content-Type") != contentType || r.Header.Get("X-Amz-Target") != target {
		return nil, &apiError{http.StatusBadRequest, "UnknownOperationException", ""}
	}
	if refused := s.checkSignature(r, body); refused != nil {
		return nil, refused
	}
	var asked struct{ SecretId, VersionId, VersionStage string }
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, &apiError{http.StatusBadRequest, "SerializationException", ""}
	}
	if asked.VersionId != "" || asked.VersionStage != "" {
		return nil, &apiError{http.StatusBadRequest, "InvalidParameterException", "this stand-in has no versions"}
	}
	return s.find(asked.SecretId)
}

// value is the answer to GetSecretValue. SecretBinary goes out in base64.
type value struct {
	ARN, Name, VersionId string
	SecretString         *string `json:",omitempty"`
	SecretBinary         []byte  `json:",omitempty"`
	VersionStages        []string
	CreatedDate          json.Number
}

func (s *Server) find(id string) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, found := range s.secrets {
		if id != name && id != s.ARN(name) {
			continue
		}
		return value{
			ARN: s.ARN(name), Name: name, VersionId: found.version,
			SecretString: found.text, SecretBinary: found.binary,
			VersionStages: []string{"AWSCURRENT"},
			CreatedDate:   json.Number(fmt.Sprintf("%.3f", float64(found.created.UnixMilli())/1000)),
		}, nil
	}
	const code = "ResourceNotFoundException"
	return nil, &apiError{http.StatusBadRequest, code, messages[code]}
}
