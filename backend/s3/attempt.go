package s3

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/vault-guardian/guardian/awsconfig"
)

const (
	// maxAttempts and the waits between them, at most 50, 100, 200 and 400 ms,
	// fit into the 4 s that a guardian gives its storage.
	maxAttempts = 5
	firstWait   = 50 * time.Millisecond
)

// newRetryer repeats what may succeed: the SDK's standard choice, and 409. It
// has no token bucket: how long a call may go on is its context's to say.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return rand.N(firstWait << min(attempt, maxAttempts)), nil //nolint:gosec // jitter is no secret
		})
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			if isConflict(err) {
				return aws.TrueTernary
			}
			return aws.UnknownTernary
		}))
	})
}

// isConflict reports ConditionalRequestConflict or OperationAborted: Amazon's
// answer to one of several racing writes, which was not carried out.
func isConflict(err error) bool { return awsconfig.Status(err) == http.StatusConflict }

// trail is what became of the attempts of one call.
type trail struct{ doubt atomic.Bool }

type trailKey struct{}

func withTrail(ctx context.Context) (context.Context, *trail) {
	t := new(trail)
	return context.WithValue(ctx, trailKey{}, t), t
}

// inDoubt reports an attempt that may have been carried out although it was
// not answered with success.
func (t *trail) inDoubt() bool { return t.doubt.Load() }

func (t *trail) add(resp *http.Response, err error) {
	if err != nil && neverSent(err) {
		return
	}
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		t.doubt.Store(true)
	}
}

func neverSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// recorder sees every HTTP request, one per attempt.
type recorder struct {
	next      aws.HTTPClient
	onRequest func(op string)
}

func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	if r.onRequest != nil {
		r.onRequest(awsmiddleware.GetOperationName(req.Context()))
	}
	resp, err := r.next.Do(req)
	if t, ok := req.Context().Value(trailKey{}).(*trail); ok {
		t.add(resp, err)
	}
	return resp, err
}
