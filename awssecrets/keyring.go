package awssecrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/integrity"
)

// Keyring makes a Secret an integrity.KeySource. It is safe for concurrent use,
// and prints as the id of the secret.
type Keyring struct{ Secret *Secret }

// Keyring implements integrity.KeySource. Every error is a *awsconfig.Problem
// too: one that wraps integrity.ErrSourceUnavailable when the secret cannot be
// read (missing, denied, nobody answers), integrity.ErrKeyRefused when it is
// there and is no keyring.
func (k Keyring) Keyring(ctx context.Context) (*integrity.Keyring, error) {
	text, err := k.Secret.Text(ctx)
	if errors.Is(err, ErrNoText) {
		return nil, fmt.Errorf("%w: %w", integrity.ErrKeyRefused, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", integrity.ErrSourceUnavailable, err)
	}
	ring, err := integrity.ParseKeyring(text)
	if err != nil {
		return nil, &awsconfig.Problem{
			What: fmt.Sprintf("secret %q (region %s) is no keyring", k.Secret.id, k.Secret.region), Err: err,
			Advice: `store {"primary":"k1","keys":{"k1":"KEY"}} in it, or KEY alone: 32 random bytes in hex or base64`,
		}
	}
	return ring, nil
}

// String is the id of the secret.
func (k Keyring) String() string { return k.Secret.String() }
