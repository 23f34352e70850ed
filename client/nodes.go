package client

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// node is which node a guardian said it is, kept once it has: node id and key
// of a holder, and no more. What is fixed others have said, and it has no say.
type node struct {
	mu    sync.Mutex
	said  manifest.Holder
	fixed bool
}

func (n *node) kept() manifest.Holder {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.said
}

func (n *node) keep(said manifest.Holder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.fixed {
		n.said = said
	}
}

// fix keeps for good which node it is.
func (n *node) fix(m Member) {
	n.keep(manifest.Holder{Node: m.NodeID, Key: m.Key})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fixed = true
}

var (
	errNoNode  = errors.New("it did not say which node it is, so no share was sent")
	errBadNode = errors.New("its node id is malformed: is there a guardian behind this URL?")
)

// whichNode asks the guardian which node it is, unless it has said so before. A
// guardian that lies will refuse its own share: the id in its place in the
// manifest is what its share is checked against.
func (g *Guardian) whichNode(ctx context.Context) (manifest.Holder, error) {
	if said := g.node.kept(); said.Node != "" {
		return said, nil
	}
	status, err := g.Status(ctx)
	if err != nil {
		return manifest.Holder{}, err
	}
	if !manifest.ValidNode(status.NodeID) {
		return manifest.Holder{}, &Error{Guardian: g.URL(), Status: http.StatusOK, Err: errBadNode}
	}
	said := manifest.Holder{Node: status.NodeID, Key: nodeKeyOf(status.NodeKey)}
	g.node.keep(said)
	return said, nil
}

// nodeKeyOf reads a node key; nil for what is none, as of a guardian without a
// cluster.
func nodeKeyOf(digits string) ed25519.PublicKey {
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil
	}
	return key
}

// withoutRepeatedKeys leaves a key to the first position that says it has it.
// Keys are no secret, so a guardian can name another's; a manifest with a key
// twice is none, and one liar must not keep the owner from storing.
func withoutRepeatedKeys(nodes []manifest.Holder) {
	taken := map[string]bool{}
	for i := range nodes {
		if taken[string(nodes[i].Key)] {
			nodes[i].Key = nil
		}
		taken[string(nodes[i].Key)] = true
	}
}

// nodes returns node id and key of each guardian by position, neither and an
// error for those that are not known. One that does not say is taken for the
// node that it was in the previous manifest, unless another guardian is that.
func (v *Vault) nodes(ctx context.Context, previous *manifest.Manifest) ([]manifest.Holder, map[int]error) {
	nodes, unnamed := make([]manifest.Holder, len(v.guardians)), map[int]error{}
	ask := func(ctx context.Context, i int) (said manifest.Holder, err error) {
		err = persist(ctx, surveyAttempts, func() error {
			said, err = v.guardians[i].whichNode(ctx)
			return err
		})
		return said, err
	}
	known := 0
	fanOut(ctx, v.positions(), ask, func(a answer[manifest.Holder]) time.Duration {
		if a.err == nil {
			nodes[a.position] = a.value
			known++
		} else {
			unnamed[a.position] = v.named(a.position, fmt.Errorf("%w: %w", errNoNode, cause(a.err)))
		}
		return graceOnce(known >= v.WriteQuorum())
	})
	for i := range v.guardians {
		before := holderAt(previous, v.points[i])
		another := slices.ContainsFunc(nodes, func(h manifest.Holder) bool { return h.Node == before.Node })
		if unnamed[i] != nil && before.Node != "" && !another {
			nodes[i] = before
			delete(unnamed, i)
		}
	}
	withoutRepeatedKeys(nodes)
	return nodes, unnamed
}

// cause is what a guardian said, without its name.
func cause(err error) error {
	if said, ok := errors.AsType[*Error](err); ok {
		return said.Err
	}
	return err
}

// holderAt is the node that a manifest names for the share at a point.
func holderAt(m *manifest.Manifest, point byte) manifest.Holder {
	if m == nil {
		return manifest.Holder{}
	}
	for _, holder := range m.Holders {
		if holder.X == point {
			return manifest.Holder{Node: holder.Node, Key: holder.Key}
		}
	}
	return manifest.Holder{}
}

// forgetNode makes a guardian be asked again that refuses its place in the
// manifest: another node may have taken its URL.
func (g *Guardian) forgetNode(err error) {
	if errors.Is(err, api.ErrInvalidManifest) {
		g.node.keep(manifest.Holder{})
	}
}
