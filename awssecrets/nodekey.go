package awssecrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/integrity"
)

// NodeKey is a Secret that holds the key of a node. It is safe for concurrent
// use, and prints as the id of the secret.
type NodeKey struct{ Secret *Secret }

// NodeKey fetches the key: a seed alone, or "node_key" in a JSON object. Every
// error is a *awsconfig.Problem too: one that wraps
// integrity.ErrSourceUnavailable when the secret cannot be read,
// integrity.ErrNodeKeyRefused when it is there and holds no node key.
func (k NodeKey) NodeKey(ctx context.Context) (*integrity.NodeKey, error) {
	return k.Secret.nodeKey(ctx, integrity.ParseNodeKey)
}

// String is the id of the secret.
func (k NodeKey) String() string { return k.Secret.String() }

// NodeKey fetches the "node_key" beside the keyring. A keyring that is one bare
// key has none. Errors are those of NodeKey.NodeKey; integrity.ErrNoNodeKey
// tells a keyring without one.
func (k Keyring) NodeKey(ctx context.Context) (*integrity.NodeKey, error) {
	return k.Secret.nodeKey(ctx, integrity.NodeKeyBeside)
}

func (s *Secret) nodeKey(ctx context.Context, parse func([]byte) (*integrity.NodeKey, error)) (*integrity.NodeKey, error) {
	text, err := s.Text(ctx)
	if errors.Is(err, ErrNoText) {
		return nil, fmt.Errorf("%w: %w", integrity.ErrNodeKeyRefused, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", integrity.ErrSourceUnavailable, err)
	}
	defer clear(text)
	key, err := parse(text)
	if err != nil {
		return nil, &awsconfig.Problem{
			What: fmt.Sprintf("secret %q (region %s) holds no node key", s.id, s.region), Err: err,
			Advice: `store "node_key":"KEY" in its JSON, or, in a secret of its own, KEY alone: 32 random bytes in hex or base64, of this node only`,
		}
	}
	return key, nil
}
