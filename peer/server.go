package peer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
)

const (
	// idleTimeout is longer than a Client keeps a connection, so that it is the
	// client who closes it and no request meets a closing connection.
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 8 << 10
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	// Key and NodeID are those of this node.
	Key    *integrity.NodeKey
	NodeID string
	// Members are who is let in.
	Members Members
	// Heartbeat takes the heartbeat of a member and returns ours. It is called
	// by several goroutines at once, and only with beats that name the member
	// they are from.
	Heartbeat func(from string, beat cluster.Heartbeat) (cluster.Heartbeat, error)
	// Calls are what members may call besides.
	Calls  []Call
	Limits Limits
	Logger *slog.Logger
}

// Limits bound what others can make a Server do. A number of 0 is the default.
type Limits struct {
	// Handshakes bounds the connections at once of whoever has not proved to be
	// a member: 256. One more takes the place of the oldest of the address that
	// has the most, where an address is an IPv4 address or an IPv6 /64: so no
	// address keeps others out, and members behind one address need not wait.
	Handshakes int
	// ConnectionsPerMember bounds the connections at once of a member with all
	// its replicas: 64.
	ConnectionsPerMember int
	// RequestsPerMinute bounds the requests of a member with all its replicas,
	// but for its calls: 1200.
	RequestsPerMinute int
	// CallsPerMinute bounds its calls: 12000.
	CallsPerMinute int
	// CallsAtOnce bounds its calls that are read, worked on and answered at the
	// same time: 16.
	CallsAtOnce int
	// Timeout bounds a handshake, the header of a request, a request with its
	// body, and the answer, each: 10 s. So a body of 1 MiB takes 0.9 Mbit/s, and
	// the longest answer 1.7.
	Timeout time.Duration
	// CallTimeout bounds the work on one call, between request and answer: 30 s.
	CallTimeout time.Duration
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Handshakes:           cmp.Or(l.Handshakes, 256),
		ConnectionsPerMember: cmp.Or(l.ConnectionsPerMember, 64),
		RequestsPerMinute:    cmp.Or(l.RequestsPerMinute, 1200),
		CallsPerMinute:       cmp.Or(l.CallsPerMinute, 12000),
		CallsAtOnce:          cmp.Or(l.CallsAtOnce, 16),
		Timeout:              cmp.Or(l.Timeout, 10*time.Second),
		CallTimeout:          cmp.Or(l.CallTimeout, 30*time.Second),
	}
}

// Server answers other guardians. It is safe for concurrent use.
type Server struct {
	http    *http.Server
	own     *certificates
	members Members
	limits  Limits
	refused *refusals
}

// NewServer returns a Server that does not serve yet.
func NewServer(cfg ServerConfig) *Server {
	limits := cfg.Limits.withDefaults()
	refused := newRefusals(cfg.Logger)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Server{
		http: &http.Server{
			Handler:           newHandler(cfg, limits, refused),
			ReadHeaderTimeout: limits.Timeout,
			ReadTimeout:       limits.Timeout,
			WriteTimeout:      2 * limits.Timeout, // from the header on: a body that took its time, and the answer; calls set their own
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			Protocols:         protocols,
			ErrorLog:          log.New(errorLog{cfg.Logger}, "", 0),
		},
		own:     &certificates{key: cfg.Key, nodeID: cfg.NodeID},
		members: cfg.Members, limits: limits, refused: refused,
	}
}

// Collector returns the server's metrics, to be registered once.
func (s *Server) Collector() prometheus.Collector { return s.refused.count }

// Serve answers on the listener, which speaks plain TCP, until Shutdown, and
// then returns nil; any other return is an error of the listener. It closes the
// listener.
func (s *Server) Serve(listener net.Listener) error {
	verify := func(state tls.ConnectionState) error {
		_, err := memberOf(state, s.members)
		return err
	}
	err := s.http.Serve(newGate(listener, serverTLS(s.own, verify), s.members, s.limits, s.refused))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown breaks off handshakes, lets the requests that run finish until ctx
// ends, and closes all connections. An error is that of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}
