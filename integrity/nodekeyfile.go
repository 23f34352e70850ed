package integrity

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
)

// NodeKeyFile reads the node key from a file.
type NodeKeyFile struct {
	Path string
	// Create makes a fresh key, mode 0600, when the file is absent. Set it only
	// for a node that no other guardian knows yet: they would refuse the node
	// under a new key.
	Create bool
}

// NodeKey reads the key. Errors wrap ErrSourceUnavailable when the file cannot
// be read, ErrNodeKeyRefused when it is absent or holds no node key. Once it is
// there, copies of keys that processes killed while making it have left beside
// it are removed.
func (s NodeKeyFile) NodeKey(ctx context.Context) (*NodeKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSourceUnavailable, err)
	}
	text, err := readBounded(s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.absent()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading node key file: %w", ErrSourceUnavailable, err)
	}
	defer clear(text)
	removeLeftovers(s.Path)
	key, err := ParseNodeKey(text)
	if err != nil {
		return nil, fmt.Errorf("node key file %s: %w", s.Path, err)
	}
	return key, nil
}

func (s NodeKeyFile) absent() (*NodeKey, error) {
	if !s.Create {
		return nil, refusedNode(fmt.Sprintf("node key file %s is missing, but other guardians may know this node by its key; put the file back", s.Path))
	}
	seed := make([]byte, KeySize)
	defer clear(seed)
	rand.Read(seed) // never fails: it aborts the process instead
	text := base64.StdEncoding.AppendEncode(nil, seed)
	defer clear(text)
	if err := writeOnce(s.Path, text); err != nil {
		return nil, fmt.Errorf("%w: creating node key file: %w", ErrSourceUnavailable, err)
	}
	// Another process may have been first: what the file says counts.
	return NodeKeyFile{Path: s.Path}.NodeKey(context.Background())
}
