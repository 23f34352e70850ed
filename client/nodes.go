package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// node is which node a guardian said it is, kept once it has.
type node struct {
	mu sync.Mutex
	id string
}

func (n *node) kept() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

func (n *node) keep(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.id = id
}

var (
	errNoNode  = errors.New("it did not say which node it is, so no share was sent")
	errBadNode = errors.New("its node id is malformed: is there a guardian behind this URL?")
)

// nodeID asks the guardian which node it is, unless it has said so before. A
// guardian that lies will refuse its own share: the id in its place in the
// manifest is what its share is checked against.
func (g *Guardian) nodeID(ctx context.Context) (string, error) {
	if id := g.node.kept(); id != "" {
		return id, nil
	}
	status, err := g.Status(ctx)
	if err != nil {
		return "", err
	}
	if !manifest.ValidNode(status.NodeID) {
		return "", &Error{Guardian: g.URL(), Status: http.StatusOK, Err: errBadNode}
	}
	g.node.keep(status.NodeID)
	return status.NodeID, nil
}

// nodes returns the node of each guardian by position, "" and an error for
// those that are not known. One that does not say is taken for the node that it
// was in the previous manifest, unless another guardian is that.
func (v *Vault) nodes(ctx context.Context, previous *manifest.Manifest) ([]string, map[int]error) {
	nodes, unnamed := make([]string, len(v.guardians)), map[int]error{}
	ask := func(ctx context.Context, i int) (id string, err error) {
		err = persist(ctx, surveyAttempts, func() error {
			id, err = v.guardians[i].nodeID(ctx)
			return err
		})
		return id, err
	}
	known := 0
	fanOut(ctx, v.positions(), ask, func(a answer[string]) time.Duration {
		if a.err == nil {
			nodes[a.position] = a.value
			known++
		} else {
			unnamed[a.position] = v.named(a.position, fmt.Errorf("%w: %w", errNoNode, cause(a.err)))
		}
		return graceOnce(known >= v.WriteQuorum())
	})
	for i := range v.guardians {
		if before := holderAt(previous, i); unnamed[i] != nil && before != "" && !slices.Contains(nodes, before) {
			nodes[i] = before
			delete(unnamed, i)
		}
	}
	return nodes, unnamed
}

// cause is what a guardian said, without its name.
func cause(err error) error {
	if said, ok := errors.AsType[*Error](err); ok {
		return said.Err
	}
	return err
}

// holderAt is the node that a manifest names for the guardian at a position.
func holderAt(m *manifest.Manifest, position int) string {
	if m == nil {
		return ""
	}
	for _, holder := range m.Holders {
		if int(holder.X) == position+1 {
			return holder.Node
		}
	}
	return ""
}

// forgetNode makes a guardian be asked again that refuses its place in the
// manifest: another node may have taken its URL.
func (g *Guardian) forgetNode(err error) {
	if errors.Is(err, api.ErrInvalidManifest) {
		g.node.keep("")
	}
}
