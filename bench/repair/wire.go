package main

import (
	"net"
	"sync/atomic"
)

// wire counts what goes over TCP in both directions, and the connections, at the
// side that was dialled. What TCP and IP add is not in it.
type wire struct{ bytes, conns atomic.Int64 }

// take returns what was counted since it was called before.
func (w *wire) take() (bytes, conns int64) { return w.bytes.Swap(0), w.conns.Swap(0) }

func (w *wire) over(l net.Listener) net.Listener { return &wiredListener{l, w} }

type wiredListener struct {
	net.Listener
	wire *wire
}

func (l *wiredListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.wire.conns.Add(1)
	return &wiredConn{conn, l.wire}, nil
}

type wiredConn struct {
	net.Conn
	wire *wire
}

func (c *wiredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.bytes.Add(int64(n))
	return n, err
}

// Write counts first: the other side may have read it all before this returns.
func (c *wiredConn) Write(p []byte) (int, error) {
	c.wire.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}
