package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

// fleet is guardians in this process that keep their shares in memory, each with
// a peer plane and a client plane on TCP.
type fleet struct {
	all     []*member
	holders []manifest.Holder
	// ids are who is a member, by key.
	ids  map[string]string
	keys map[string]ed25519.PublicKey
	// peers and clients count what goes over the two planes.
	peers, clients wire
	calls          calls
	registry       *registry
	// stored counts the calls of all storages.
	stored  tally
	trust   *trust
	stop    context.CancelFunc
	serving sync.WaitGroup
}

type member struct {
	cluster.Member
	fleet    *fleet
	store    *shelves
	node     *guardian.Node
	key      *integrity.NodeKey
	repairer *repair.Repairer
	peers    *peer.Server
	clients  *http.Server
	client   *peer.Client
}

// newFleet starts n guardians. Close them in the end.
func newFleet(ctx context.Context, n int) (*fleet, error) {
	holders, err := holdersOf(n)
	if err != nil {
		return nil, err
	}
	f := &fleet{holders: holders, ids: map[string]string{}, keys: map[string]ed25519.PublicKey{}, registry: newRegistry()}
	if f.trust, err = newTrust(); err != nil {
		return nil, err
	}
	for i, h := range holders {
		f.ids[string(h.Key)], f.keys[nodeID(i)] = nodeID(i), h.Key
	}
	ctx, f.stop = context.WithCancel(ctx)
	for i := range n {
		if err := f.join(ctx, i); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	for _, m := range f.all {
		f.serving.Go(func() { m.repairer.Run(ctx) })
	}
	return f, nil
}

// KeyOf implements [peer.Members].
func (f *fleet) KeyOf(nodeID string) (ed25519.PublicKey, bool) {
	key, known := f.keys[nodeID]
	return key, known
}

// NodeOf implements [peer.Members].
func (f *fleet) NodeOf(key ed25519.PublicKey) (string, bool) {
	id, known := f.ids[string(key)]
	return id, known
}

func (f *fleet) join(ctx context.Context, i int) (err error) {
	m := &member{fleet: f, store: newShelves()}
	if m.node, m.key, err = openNode(ctx, &counted{Backend: m.store, calls: &f.stored}, i); err != nil {
		return err
	}
	f.all = append(f.all, m)
	m.NodeID, m.Index, m.PublicKey = nodeID(i), i+1, m.key.PublicKey()
	m.dialAnew()
	m.repairer = repair.New(repair.Config{
		Node: m.node, Key: m.key, Peers: m, Registry: f.registry, BytesPerSecond: unbounded, Logger: quiet,
	})
	if err := f.servePeers(ctx, m); err != nil {
		return err
	}
	return f.serveClients(ctx, m)
}

// unbounded keeps a recovery from waiting for its turn to send.
const unbounded = 1 << 30

func (f *fleet) servePeers(ctx context.Context, m *member) error {
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	m.PeerURL = "https://" + listener.Addr().String()
	var answers []peer.Call
	for _, route := range repair.Routes() {
		answers = append(answers, peer.Call{
			Route: route.Path, MaxBody: route.MaxBody,
			Answer: func(ctx context.Context, from peer.Caller, body []byte) ([]byte, error) {
				return m.repairer.Handle(ctx, from.Key, route.Path, body)
			},
		})
	}
	m.peers = peer.NewServer(peer.ServerConfig{Key: m.key, NodeID: m.NodeID, Members: f, Calls: answers, Logger: quiet})
	f.serving.Go(func() { _ = m.peers.Serve(f.peers.over(listener)) })
	return nil
}

func (f *fleet) serveClients(ctx context.Context, m *member) (err error) {
	if m.clients, err = newClientPlane(ctx, m.node); err != nil {
		return err
	}
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	m.ClientURL = "https://" + listener.Addr().String()
	f.serving.Go(func() { _ = m.clients.Serve(f.trust.server(f.clients.over(listener))) })
	return nil
}

// dialAnew forgets the connections to the others.
func (m *member) dialAnew() {
	if m.client != nil {
		m.client.Close()
	}
	m.client = peer.NewClient(peer.ClientConfig{Key: m.key, NodeID: m.NodeID})
}

// Dial implements [repair.Peers].
func (m *member) Dial(key ed25519.PublicKey) (repair.Conn, error) {
	for _, other := range m.others() {
		if other.PublicKey.Equal(key) {
			return &countedConn{m.client.Dial(other.Member), &m.fleet.calls}, nil
		}
	}
	return nil, repair.ErrUnknownPeer
}

// Members implements [repair.Peers].
func (m *member) Members() []repair.Member {
	var others []repair.Member
	for _, other := range m.others() {
		others = append(others, other.Self())
	}
	return others
}

// Self implements [repair.Peers].
func (m *member) Self() repair.Member {
	return repair.Member{Key: m.PublicKey, NodeID: m.NodeID, Index: m.Index, Alive: true}
}

func (m *member) others() []*member {
	return slices.DeleteFunc(slices.Clone(m.fleet.all), func(other *member) bool { return other == m })
}

func (f *fleet) close() error {
	f.stop()
	ctx := context.Background()
	var errs []error
	for _, m := range f.all {
		m.client.Close()
		if m.peers != nil {
			errs = append(errs, m.peers.Shutdown(ctx))
		}
		if m.clients != nil {
			errs = append(errs, m.clients.Close())
		}
	}
	f.serving.Wait()
	for _, m := range f.all {
		errs = append(errs, m.node.Close(ctx))
	}
	return errors.Join(errs...)
}

// calls counts the calls between guardians by their routes, and the bytes of JSON in
// both directions.
type calls struct{ number, bytes tally }

type countedConn struct {
	repair.Conn
	calls *calls
}

func (c *countedConn) Call(ctx context.Context, route string, body []byte) ([]byte, error) {
	answer, err := c.Conn.Call(ctx, route, body)
	c.calls.number.one(route)
	c.calls.bytes.add(route, int64(len(body)+len(answer)))
	return answer, err
}
