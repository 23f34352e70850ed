package secretstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// request is what a client of s sends, signed as it says, and then changed.
type request struct {
	body, target, region, service string
	credentials                   aws.Credentials
	change                        func(*http.Request)
}

func (s *Server) proper(id string) request {
	return request{
		body: `{"SecretId":"` + id + `"}`, target: target, region: Region, service: "secretsmanager",
		credentials: aws.Credentials{AccessKeyID: s.accessKey, SecretAccessKey: s.secretKey},
		change:      func(*http.Request) {},
	}
}

func (s *Server) send(ctx context.Context, t *testing.T, asked request) (int, map[string]any, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(asked.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Target", asked.target)
	hash := sha256.Sum256([]byte(asked.body))
	err = v4.NewSigner().SignHTTP(ctx, asked.credentials, r, hex.EncodeToString(hash[:]), asked.service, asked.region, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	asked.change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Error(err)
	}
	if got := resp.Header.Get("Content-Type"); got != contentType {
		t.Errorf("Content-Type %q", got)
	}
	return resp.StatusCode, answer, nil
}

func TestRefusals(t *testing.T) {
	s := New(t)
	s.Put("ring", "text")
	for name, tc := range map[string]struct {
		change func(*request)
		code   string
	}{
		"unsigned": {
			func(r *request) { r.change = func(r *http.Request) { r.Header.Del("Authorization") } },
			"MissingAuthenticationTokenException",
		},
		"key id":     {func(r *request) { r.credentials.AccessKeyID = "AKIAnobody" }, "UnrecognizedClientException"},
		"secret key": {func(r *request) { r.credentials.SecretAccessKey = "guessed" }, "InvalidSignatureException"},
		"region":     {func(r *request) { r.region = "us-east-1" }, "InvalidSignatureException"},
		"service":    {func(r *request) { r.service = "s3" }, "InvalidSignatureException"},
		"body changed": {
			func(r *request) {
				r.change = func(r *http.Request) { r.Body = http.NoBody; r.ContentLength = 0 }
			},
			"InvalidSignatureException",
		},
		"date changed": {
			func(r *request) {
				r.change = func(r *http.Request) { r.Header.Set("X-Amz-Date", "20200101T000000Z") }
			},
			"InvalidSignatureException",
		},
		"operation":    {func(r *request) { r.target = "secretsmanager.PutSecretValue" }, "UnknownOperationException"},
		"content type": {func(r *request) { r.change = func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") } }, "UnknownOperationException"},
		"method":       {func(r *request) { r.change = func(r *http.Request) { r.Method = http.MethodPut } }, "UnknownOperationException"},
		"no JSON":      {func(r *request) { r.body = "ring" }, "SerializationException"},
		"old version":  {func(r *request) { r.body = `{"SecretId":"ring","VersionStage":"AWSPREVIOUS"}` }, "InvalidParameterException"},
		"no such":      {func(r *request) { r.body = `{"SecretId":"rings"}` }, "ResourceNotFoundException"},
	} {
		asked := s.proper("ring")
		tc.change(&asked)
		status, answer, err := s.send(t.Context(), t, asked)
		if err != nil || status != http.StatusBadRequest || answer["__type"] != tc.code || answer["SecretString"] != nil {
			t.Errorf("%s: %d %v %v", name, status, answer, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	s := New(t)
	s.Put("ring", "text")
	versions := map[any]bool{}
	for _, id := range []string{"ring", s.ARN("ring")} {
		status, answer, err := s.send(t.Context(), t, s.proper(id))
		if err != nil || status != http.StatusOK || answer["SecretString"] != "text" || answer["Name"] != "ring" || answer["ARN"] != s.ARN("ring") {
			t.Errorf("%s: %d %v %v", id, status, answer, err)
		}
		created, _ := answer["CreatedDate"].(float64)
		if age := time.Since(time.UnixMilli(int64(created * 1000))); age < -time.Second || age > time.Hour {
			t.Errorf("created %v ago", age)
		}
		versions[answer["VersionId"]] = true
	}
	s.PutBinary("ring", []byte("data"))
	_, answer, err := s.send(t.Context(), t, s.proper("ring"))
	if err != nil || answer["SecretBinary"] != "ZGF0YQ==" || answer["SecretString"] != nil {
		t.Errorf("%v %v", answer, err)
	}
	if versions[answer["VersionId"]] = true; len(versions) != 2 {
		t.Errorf("two versions with the ids %v", versions)
	}
	s.Remove("ring")
	if status, answer, _ := s.send(t.Context(), t, s.proper("ring")); answer["__type"] != "ResourceNotFoundException" {
		t.Errorf("removed: %d %v", status, answer)
	}
}

func TestFailAndHang(t *testing.T) {
	s := New(t)
	s.Put("ring", "text")
	s.Fail("InternalServiceError", http.StatusInternalServerError)
	if status, answer, _ := s.send(t.Context(), t, s.proper("ring")); status != 500 || answer["__type"] != "InternalServiceError" || answer["Message"] == "" {
		t.Errorf("%d %v", status, answer)
	}
	s.Fail("", 0)
	s.Hang(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if status, answer, err := s.send(ctx, t, s.proper("ring")); err == nil {
		t.Errorf("hanging: %d %v", status, answer)
	}
	s.Hang(false)
	if status, answer, err := s.send(t.Context(), t, s.proper("ring")); status != http.StatusOK {
		t.Errorf("%d %v %v", status, answer, err)
	}
	if n := s.Fetches(); n != 3 {
		t.Errorf("%d fetches", n)
	}
}

// A client that waits for ever does not keep the test from ending.
func TestEndsWhileHanging(t *testing.T) {
	ended := make(chan error, 1)
	t.Run("server", func(t *testing.T) {
		s := New(t)
		s.Hang(true)
		go func() {
			_, _, err := s.send(context.Background(), t, s.proper("ring"))
			ended <- err
		}()
		for deadline := time.Now().Add(10 * time.Second); s.Fetches() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the request did not arrive")
			}
		}
	})
	if err := <-ended; err == nil {
		t.Error("it was answered")
	}
}
