package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"sync"

	"github.com/vault-guardian/guardian/backend/backendtest" //nolint:depguard // the bench module is no part of the product
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

// fleet is guardians in this process that keep their shares in memory, each with
// a peer plane and a client plane on TCP. The first one loses its share.
type fleet struct {
	all     []*member
	holders []manifest.Holder
	// ids are who is a member, by key.
	ids  map[string]string
	keys map[string]ed25519.PublicKey
	// peers and clients count what goes over the two planes.
	peers, clients wire
	calls          calls
	trust          *trust
	client         *peer.Client
	stop           context.CancelFunc
	serving        sync.WaitGroup
}

type member struct {
	cluster.Member
	node     *guardian.Node
	key      *integrity.NodeKey
	repairer *repair.Repairer
	peers    *peer.Server
	clients  *http.Server
}

// newFleet starts n guardians. Close them in the end.
func newFleet(ctx context.Context, n int) (*fleet, error) {
	holders, err := holdersOf(n)
	if err != nil {
		return nil, err
	}
	f := &fleet{holders: holders, ids: map[string]string{}, keys: map[string]ed25519.PublicKey{}}
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
	f.dialAnew()
	f.serving.Go(func() { f.all[0].repairer.Run(ctx) })
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
	m := &member{}
	if m.node, m.key, err = openNode(ctx, backendtest.NewMemory(), i); err != nil {
		return err
	}
	f.all = append(f.all, m)
	cfg := repair.Config{Node: m.node, Key: m.key, BytesPerSecond: unbounded, Logger: quiet}
	if i == 0 {
		cfg.Peers = f
	}
	m.repairer = repair.New(cfg)
	if err := f.servePeers(ctx, m, i); err != nil {
		return err
	}
	return f.serveClients(ctx, m)
}

// unbounded keeps a recovery from waiting for its turn to send.
const unbounded = 1 << 30

func (f *fleet) servePeers(ctx context.Context, m *member, i int) error {
	listener, err := listen(ctx)
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	m.Member = cluster.Member{NodeID: nodeID(i), Index: i + 1, PublicKey: m.key.PublicKey(), PeerURL: "https://" + address}
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

// dialAnew forgets the connections of the first guardian to the others.
func (f *fleet) dialAnew() {
	if f.client != nil {
		f.client.Close()
	}
	f.client = peer.NewClient(peer.ClientConfig{Key: f.all[0].key, NodeID: f.all[0].NodeID})
}

// Dial implements [repair.Peers].
func (f *fleet) Dial(key ed25519.PublicKey) (repair.Conn, error) {
	for _, m := range f.all[1:] {
		if m.PublicKey.Equal(key) {
			return &countedConn{f.client.Dial(m.Member), &f.calls}, nil
		}
	}
	return nil, repair.ErrUnknownPeer
}

// Members implements [repair.Peers].
func (f *fleet) Members() []repair.Member {
	var others []repair.Member
	for _, m := range f.all[1:] {
		others = append(others, repair.Member{Key: m.PublicKey, NodeID: m.NodeID, Alive: true})
	}
	return others
}

func (f *fleet) close() error {
	f.stop()
	if f.client != nil {
		f.client.Close()
	}
	ctx := context.Background()
	var errs []error
	for _, m := range f.all {
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

// calls counts the calls of a recovery by their routes, and the bytes of JSON in
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
