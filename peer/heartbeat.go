package peer

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
)

// decodeHeartbeat reads exactly one JSON object that is a heartbeat of the node
// that it is from. Unknown fields are ignored: another guardian may be newer.
// Errors: api.ErrEmptyBody, api.ErrInvalidJSON, cluster.ErrWrongNode.
func decodeHeartbeat(from string, body []byte) (cluster.Heartbeat, error) {
	var beat cluster.Heartbeat
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return beat, api.ErrEmptyBody
	case body[0] != '{', json.Unmarshal(body, &beat) != nil:
		return cluster.Heartbeat{}, fmt.Errorf("%w: no heartbeat", api.ErrInvalidJSON)
	case beat.NodeID != from:
		return cluster.Heartbeat{}, cluster.ErrWrongNode
	case beat.Shares < 0, beat.TimeNS < 0:
		return cluster.Heartbeat{}, fmt.Errorf("%w: a heartbeat of less than nothing", api.ErrInvalidJSON)
	}
	return beat, nil
}
