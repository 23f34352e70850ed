// Package cluster is how guardians know each other: the registry that they put
// themselves into, the members that one of them believes in, and which of those
// are alive.
//
// The registry is not trusted. It says where members are; who they are (node
// id, share index, public key) is said by the roster, which the admission key
// signs offline, or without such a key is what this node saw first and keeps in
// its own storage. A registry that is down, stale or hostile can hide members
// and send heartbeats astray, and nothing worse.
package cluster
