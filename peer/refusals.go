package peer

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// How much strangers can write into the log: one line a minute for each
// address, and for all of them 30 and then one a second.
const (
	quietTime     = time.Minute
	quietMost     = 4096 // addresses remembered
	refusalLines  = 30
	refusalPeriod = time.Second
	maxReason     = 200 // bytes: it may quote what a stranger sent
)

// refusals are the callers that were refused: all are counted, some are logged.
type refusals struct {
	log   *slog.Logger
	count prometheus.Counter

	mu     sync.Mutex // guards what follows
	told   *simplelru.LRU[netip.Prefix, time.Time]
	lines  *rate.Limiter
	untold int
}

func newRefusals(log *slog.Logger) *refusals {
	told, _ := simplelru.NewLRU[netip.Prefix, time.Time](quietMost, nil) // refuses a size of 0 only
	count := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "guardian_peer_refused_total",
		Help: "Connections to the peer plane from no member, and calls of members in another's name.",
	})
	return &refusals{log: log, count: count, told: told, lines: rate.NewLimiter(rate.Every(refusalPeriod), refusalLines)}
}

// report counts a caller that was refused, and says so, unless that is said often
// enough.
func (r *refusals) report(remote string, reason error) {
	r.count.Inc()
	untold, tell := r.may(networkOf(remote), time.Now())
	if !tell {
		return
	}
	text := reason.Error()
	r.log.Warn("peer plane: refused a caller", "remote", remote, "reason", text[:min(len(text), maxReason)], "untold", untold)
}

// may also returns how many were left out since the last line.
func (r *refusals) may(network netip.Prefix, now time.Time) (untold int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.told.Get(network)
	if ok && now.Sub(last) < quietTime || !r.lines.AllowN(now, 1) {
		r.untold++
		return 0, false
	}
	r.told.Add(network, now)
	untold, r.untold = r.untold, 0
	return untold, true
}

// networkOf is what counts as one address: an IPv4 address, or an IPv6 /64,
// which is the least that a caller has.
func networkOf(remote string) netip.Prefix {
	parsed, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address := parsed.Addr().Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	return netip.PrefixFrom(address, bits).Masked()
}
