// Package awssecrets reads secrets from AWS Secrets Manager: one source for
// keyrings, and for whatever else is text there. It fetches and polls, and
// keeps nothing. The last good value stays with who asked for it:
// integrity.Sealer.Reload leaves the keyring as it is when a fetch fails.
package awssecrets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/vault-guardian/guardian/awsconfig"
)

const (
	// fetchTimeout bounds one fetch, with all its attempts.
	fetchTimeout = 10 * time.Second
	maxAttempts  = 3
	// firstBackoff keeps the waiting between attempts below 1.5 s; the SDK's
	// own may take 6 s of fetchTimeout.
	firstBackoff = 250 * time.Millisecond
)

// ErrNoText reports a secret that is there and holds no text.
var ErrNoText = errors.New("secret holds no text")

// Secret is one secret in AWS Secrets Manager. It is safe for concurrent use,
// and prints as its id.
type Secret struct {
	id, region  string
	credentials aws.CredentialsProvider
	client      *secretsmanager.Client
}

// New returns the secret with this id, a name or an ARN, without asking for it.
// Credentials and region come from the environment; the region of an ARN goes
// before that. Errors are *awsconfig.Problem about the configuration.
func New(ctx context.Context, id string) (*Secret, error) {
	cfg, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, err
	}
	return newSecret(cfg, id)
}

func newSecret(cfg aws.Config, id string) (*Secret, error) {
	if strings.HasPrefix(id, "arn:") {
		parsed, err := arn.Parse(id)
		if err != nil || parsed.Service != "secretsmanager" || parsed.Region == "" {
			return nil, &awsconfig.Problem{
				What: fmt.Sprintf("%q is not the ARN of a secret", id), Config: true,
				Advice: "give the name of the secret, or its ARN, which looks like arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX",
			}
		}
		cfg.Region = parsed.Region
	}
	if err := awsconfig.RequireRegion(cfg); err != nil {
		return nil, err
	}
	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Retryer = retry.NewStandard(retries) })
	return &Secret{id: id, region: cfg.Region, credentials: cfg.Credentials, client: client}, nil
}

func retries(o *retry.StandardOptions) {
	o.MaxAttempts = maxAttempts
	o.Backoff = retry.BackoffDelayerFunc(backoff)
	// One fetch a minute floods nobody: a bad hour must not use up the retries
	// of the next.
	o.RateLimiter = ratelimit.None
}

// backoff is drawn anew each time, so that replicas that failed at one moment
// do not come back at one moment.
func backoff(attempt int, _ error) (time.Duration, error) {
	return rand.N(firstBackoff << attempt), nil //nolint:gosec // spreads retries, keeps no secret
}

// Text fetches the current version (AWSCURRENT) as it is stored. It takes at
// most 10 s, and three attempts where another one may help. Errors are
// *awsconfig.Problem and never quote the secret; one about a secret that is
// there without any text wraps ErrNoText.
func (s *Secret) Text(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	// Asked for first, and cached from then on: what goes wrong here is between
	// this machine and whoever gives it credentials, not Secrets Manager.
	if _, err := s.credentials.Retrieve(ctx); err != nil {
		return nil, ofCredentials(err)
	}
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.id})
	if err != nil {
		return nil, s.explain(err)
	}
	if out.SecretString == nil {
		return nil, &awsconfig.Problem{
			What: fmt.Sprintf("secret %q (region %s) is not usable", s.id, s.region), Err: ErrNoText,
			Advice: "store it as text (SecretString), not as binary",
		}
	}
	return []byte(*out.SecretString), nil
}

// String is the id. Copies have it too: fmt would look behind the pointers of
// one that has no String, and find the credentials.
func (s Secret) String() string { return s.id }
