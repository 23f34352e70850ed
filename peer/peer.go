// Package peer is the plane on which guardians talk to each other: HTTP over
// TLS 1.3 with the hybrid key exchange X25519MLKEM768, and no fallback. Both
// sides show a certificate that they signed themselves with their node key, and
// each is held to the key that it is known by: there is no certificate
// authority to run. Who calls is what the certificate proved, never what a body
// says, and a caller that is no member gets nothing, whatever it sends.
package peer

import "crypto/ed25519"

// RouteHeartbeat takes one cluster.Heartbeat and answers with one. All routes of
// the plane are POST with a JSON object and live under /peer/v1/.
const RouteHeartbeat = "/peer/v1/heartbeat"

// maxHeartbeat bounds the body of a heartbeat, in bytes. One takes 200.
const maxHeartbeat = 4 << 10

// Members says who may talk here, and by which key each is known. It is safe
// for concurrent use, and asked at every handshake and every request, so that
// whoever it no longer knows is out at once.
type Members interface {
	// KeyOf returns the public key that the member is known by.
	KeyOf(nodeID string) (key ed25519.PublicKey, ok bool)
	// NodeOf returns the member that is known by the key.
	NodeOf(key ed25519.PublicKey) (nodeID string, ok bool)
}
