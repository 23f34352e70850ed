package guardian

import "github.com/vault-guardian/guardian/backend"

// Queue is where repair keeps its work: the part of the storage under `queue/`,
// with keys relative to it. Closing it does nothing.
func (n *Node) Queue() backend.Backend { return backend.Under(n.store, prefixQueue) }
