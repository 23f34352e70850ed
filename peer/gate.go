package peer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/cluster"
)

// gate is a net.Listener for http.Server whose connections are those of
// members: it does the handshakes, so that who is none never gets as far as
// HTTP.
type gate struct {
	net.Listener
	config  *tls.Config
	members Members
	limits  Limits
	refused *refusals

	ctx      context.Context // ends with Close
	stop     context.CancelFunc
	arrivals chan arrival
	work     sync.WaitGroup

	unproved *queue
	proved   *places // by member
}

// arrival is what Accept returns.
type arrival struct {
	conn net.Conn
	err  error
}

var errTooManyConnections = errors.New("too many connections of this member")

// lingerTime is how long a caller whose certificate was refused may take to
// read the alert that says so, which closing at once could destroy.
const lingerTime = 250 * time.Millisecond

// newGate opens a gate; Close closes it and waits for all that goes on in it.
func newGate(listener net.Listener, config *tls.Config, members Members, limits Limits, refused *refusals) *gate {
	g := &gate{
		Listener: listener, config: config, members: members, limits: limits, refused: refused,
		arrivals: make(chan arrival),
		unproved: &queue{most: limits.Handshakes},
		proved:   newPlaces(cluster.MaxIndex*limits.ConnectionsPerMember, limits.ConnectionsPerMember),
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.work.Go(g.acceptAll)
	return g
}

// Accept returns the next connection of a member, a *tls.Conn.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case next := <-g.arrivals:
		return next.conn, next.err
	case <-g.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close breaks off the handshakes. Connections that were accepted go on.
func (g *gate) Close() error {
	g.stop()
	err := g.Listener.Close()
	g.work.Wait()
	return err
}

// acceptAll leaves it to http.Server to log what goes wrong, to wait, and to
// tell what is for good.
func (g *gate) acceptAll() {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			if !g.deliver(arrival{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		ctx, leave := g.unproved.enter(g.ctx, networkOf(conn.RemoteAddr().String()))
		g.work.Go(func() { g.receive(ctx, leave, conn) })
	}
}

func (g *gate) deliver(next arrival) (taken bool) {
	select {
	case g.arrivals <- next:
		return true
	case <-g.ctx.Done():
		return false
	}
}

// receive delivers a connection or closes it. It leaves the queue before it
// waits for Accept: nobody takes the place of a member.
func (g *gate) receive(ctx context.Context, leave func(), raw net.Conn) {
	placed := &placedConn{Conn: raw}
	conn := tls.Server(placed, g.config)
	err := g.prove(ctx, conn, placed)
	pushed := context.Cause(ctx)
	leave()
	if err == nil {
		if !g.deliver(arrival{conn: conn}) {
			_ = conn.Close()
		}
		return
	}
	if g.ctx.Err() == nil {
		g.refused.report(raw.RemoteAddr().String(), cmp.Or(pushed, err))
	}
	_ = raw.Close()
}

// prove returns nil once the other side has proved to be a member. The handshake
// judges the certificate before it checks that the caller has the key, so that a
// stranger is told by an alert. Who replays a certificate can tell by the alert
// whether it is a member's: no more than GET /v1/vault/guardians tells everybody.
func (g *gate) prove(ctx context.Context, conn *tls.Conn, placed *placedConn) error {
	limited, cancel := context.WithTimeout(ctx, g.limits.Timeout)
	defer cancel()
	if err := conn.HandshakeContext(limited); err != nil {
		linger(ctx, placed.Conn, err)
		return err
	}
	member, err := memberOf(conn.ConnectionState(), g.members)
	if err != nil {
		return err
	}
	if !g.proved.take(member.nodeID) {
		return errTooManyConnections
	}
	placed.leave = sync.OnceFunc(func() { g.proved.leave(member.nodeID) })
	return nil
}

func linger(ctx context.Context, conn net.Conn, why error) {
	if !errors.Is(why, errCertificate) && !errors.Is(why, errUnknownKey) && !errors.Is(why, errOtherName) {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 64<<10))
}

// placedConn gives its place back when it is closed.
type placedConn struct {
	net.Conn
	leave func() // nil while there is none
}

func (c *placedConn) Close() error {
	err := c.Conn.Close()
	if c.leave != nil {
		c.leave()
	}
	return err
}
