package cluster

import (
	"context"
	"errors"
)

var (
	// ErrNotMember reports a heartbeat from a node that is no member.
	ErrNotMember = errors.New("caller is no member of this cluster")
	// ErrWrongNode reports a heartbeat that names another node than the one
	// that was proved to have sent it.
	ErrWrongNode = errors.New("heartbeat names another node")
)

// Heartbeat is what guardians tell each other every few seconds.
type Heartbeat struct {
	NodeID string `json:"node_id"`
	// Shares is how many live shares the sender keeps, as far as it knows.
	Shares int64 `json:"shares"`
	// ListEpoch names the members that the sender believes in: who has the
	// same ones (node id, index, key) has the same epoch.
	ListEpoch uint64 `json:"list_epoch"`
	// TimeNS is the sender's clock; nanoseconds since 1970.
	TimeNS int64 `json:"time_ns"`
}

// Caller sends heartbeats. It is safe for concurrent use.
type Caller interface {
	// Heartbeat sends beat to the peer URL of a member and returns what the
	// member answered. It makes sure that whoever answers holds the member's
	// key, and returns soon after ctx ends.
	Heartbeat(ctx context.Context, to Member, beat Heartbeat) (Heartbeat, error)
}
