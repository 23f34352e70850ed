package main

import (
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

func TestAdviceForWhatAGuardianSays(t *testing.T) {
	for said, want := range map[error]string{
		api.ErrTokenInvalid:                             "--token-file",
		api.ErrOwnershipRequired:                        "--key-file, --mnemonic or --user",
		api.ErrOwnershipInvalid:                         "set this machine's clock",
		api.ErrQuotaExceeded:                            "store a smaller file",
		&api.RateLimitedError{RetryAfter: time.Second}:  "wait a while",
		&api.FieldError{Sentinel: api.ErrQuotaExceeded}: "store a smaller file",
		api.ErrStorageUnavailable:                       "bring the guardians named above back",
	} {
		failed := &client.QuorumError{Action: "push", Need: 4, Got: 3, Errs: []error{
			&client.Error{Guardian: "http://a", Err: api.ErrNotFound}, &client.Error{Guardian: "http://b", Err: said},
		}}
		if problem := advised(failed); problem.code != exitQuorum || !strings.Contains(problem.advice, want) {
			t.Errorf("%v: exit code %d, %s", said, problem.code, problem.advice)
		}
	}
}
