package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/vault-guardian/guardian/awssecrets"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/integrity"
)

// openNodeKey fetches the key by which other guardians know this node: from the
// secret or the file that is named; else from the secret of the keyring, where
// that has one; else, but for a bucket, from the file beside the data.
func (o *opened) openNodeKey(ctx context.Context, cfg *Config, log *slog.Logger) (err error) {
	switch {
	case cfg.Registry == "":
		return nil
	case cfg.NodeKeyAWSSecret != "":
		o.nodeKey, err = nodeKeyIn(ctx, cfg.NodeKeyAWSSecret)
		return err
	case cfg.NodeKeyFile == "" && cfg.IntegrityKeyAWSSecret != "":
		o.nodeKey, err = nodeKeyBesideKeyring(ctx, cfg.IntegrityKeyAWSSecret)
		if cfg.onS3() || !errors.Is(err, integrity.ErrNoNodeKey) {
			return err
		}
	}
	path := cmp.Or(cfg.NodeKeyFile, cfg.location.NodeKeyFile())
	source := integrity.NodeKeyFile{Path: path}
	if !cfg.onS3() { // with a bucket, the file could go with its container
		if source.Create, err = o.mayCreateNodeKey(ctx, path); err != nil {
			return err
		}
	}
	if o.nodeKey, err = source.NodeKey(ctx); err != nil {
		return err
	}
	warnIfReadable("node key file", path, log)
	return nil
}

func nodeKeyIn(ctx context.Context, id string) (*integrity.NodeKey, error) {
	secret, err := awssecrets.New(ctx, id)
	if err != nil {
		return nil, err
	}
	return awssecrets.NodeKey{Secret: secret}.NodeKey(ctx)
}

func nodeKeyBesideKeyring(ctx context.Context, id string) (*integrity.NodeKey, error) {
	secret, err := awssecrets.New(ctx, id)
	if err != nil {
		return nil, err
	}
	return awssecrets.Keyring{Secret: secret}.NodeKey(ctx)
}

// mayCreateNodeKey reports true where there is no key, and the node has never
// been a member of a cluster: afterwards the others would refuse it under a new
// one.
func (o *opened) mayCreateNodeKey(ctx context.Context, path string) (bool, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	_, rev, err := o.node.Membership(ctx)
	if err != nil {
		return false, &exitError{
			exitKey, fmt.Errorf("node key file %s is missing, and whether other guardians know this node cannot be told: %w", path, err),
			"put the file back",
		}
	}
	return rev == backend.Revision{}, nil
}
