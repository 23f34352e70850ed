package clustertest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/cluster"
)

var registerTests = []conformanceTest{
	{"returns the record", func(t *testing.T, d database) {
		r := d.open(t)
		before := time.Now().UnixNano()
		got := r.mustGive(t, "a", 1)
		if got.RegisteredNS < before || got.RegisteredNS > time.Now().UnixNano() {
			t.Errorf("registered at %d, which is not now", got.RegisteredNS)
		}
		r.mustList(t, got)
	}},
	{"index and time are the registry's to say", func(t *testing.T, d database) {
		r := d.open(t)
		claims := guardian("a")
		claims.Index, claims.RegisteredNS = 7, -1
		got := r.mustRegister(t, claims)
		if got.Index != 1 || got.RegisteredNS < 1 {
			t.Errorf("Register believed index %d and time %d", got.Index, got.RegisteredNS)
		}
	}},
	{"again has no effect", func(t *testing.T, d database) {
		both := d.pair(t)
		first := both[0].mustGive(t, "a", 1)
		for _, r := range both {
			if again := r.mustRegister(t, guardian("a")); !same(again, first) {
				t.Errorf("Register again = %+v, want %+v", again, first)
			}
			r.mustList(t, first)
		}
	}},
	{"again updates where the node is", func(t *testing.T, d database) {
		both := d.pair(t)
		first := both[0].mustGive(t, "a", 1)
		moved := guardian("a")
		moved.ClientURL, moved.PeerURL, moved.FailureDomain = "http://127.0.0.1:7500", "https://[::1]:1", ""
		got := both[1].mustRegister(t, moved)
		if got.Index != first.Index || got.RegisteredNS != first.RegisteredNS {
			t.Errorf("moved from %+v to %+v", first, got)
		}
		both[0].mustList(t, got)
		if back := both[0].mustRegister(t, guardian("a")); !same(back, first) {
			t.Errorf("moved back to %+v, want %+v", back, first)
		}
		both[1].mustList(t, first)
	}},
	{"impostor is refused", func(t *testing.T, d database) {
		both := d.pair(t)
		first := both[0].mustGive(t, "a", 1)
		impostor := guardian("a")
		impostor.PublicKey, impostor.ClientURL = keyOf("b"), "https://evil.example.org"
		both[1].mustRefuse(t, impostor, cluster.ErrImpostor)
		both[0].mustList(t, first)
		both[0].mustGive(t, "b", 2)
	}},
	{"invalid member is refused", func(t *testing.T, d database) {
		r := d.open(t)
		for _, spoil := range []func(m *cluster.Member){
			func(m *cluster.Member) { m.NodeID = "" },
			func(m *cluster.Member) { m.NodeID = "../a" },
			func(m *cluster.Member) { m.NodeID = "A" },
			func(m *cluster.Member) { m.NodeID = strings.Repeat("a", 64) },
			func(m *cluster.Member) { m.NodeID = "a\u0301" },
			func(m *cluster.Member) { m.ClientURL = "" },
			func(m *cluster.Member) { m.ClientURL = "https://user:secret@a.example.org" },
			func(m *cluster.Member) { m.PeerURL = "http://a.example.org:1" },
			func(m *cluster.Member) { m.PublicKey = nil },
			func(m *cluster.Member) { m.PublicKey = m.PublicKey[1:] },
			func(m *cluster.Member) { m.FailureDomain = "a\nb" },
			func(m *cluster.Member) { m.FailureDomain = "\xff" },
			func(m *cluster.Member) { m.FailureDomain = strings.Repeat("a", 1000) },
		} {
			m := guardian("a")
			spoil(&m)
			_, err := r.Register(t.Context(), m)
			wantError(t, err, cluster.ErrInvalidMember)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error quotes a password: %v", err)
			}
		}
		r.mustList(t)
		r.mustGive(t, "a", 1)
	}},
	{"longest and strangest that is valid", func(t *testing.T, d database) {
		both := d.pair(t)
		m := guardian("-" + strings.Repeat("z", 61) + "-")
		m.ClientURL = "http://" + strings.Repeat("h", 253) + ":65535"
		m.FailureDomain = `R\u00e9gion "1"; DROP TABLE guardians; -- \ % '?'`
		got := both[0].mustRegister(t, m)
		both[1].mustList(t, got)
		if again := both[1].mustRegister(t, m); !same(again, got) {
			t.Errorf("Register again = %+v, want %+v", again, got)
		}
	}},
	{"ended context", func(t *testing.T, d database) {
		r := d.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := r.Register(ctx, guardian("a"))
		wantError(t, err, context.Canceled)
		r.mustList(t)
		r.mustGive(t, "b", 1)
	}},
}

var indexTests = []conformanceTest{
	{"lowest comes first", func(t *testing.T, d database) {
		both := d.pair(t)
		for i, node := range []string{"c", "a", "d", "b"} {
			both[i%2].mustGive(t, node, i+1)
		}
	}},
	{"gap is filled", func(t *testing.T, d database) {
		d.Claim(t, 1, "a")
		d.Claim(t, 3, "c")
		r := d.open(t)
		r.mustGive(t, "b", 2)
		r.mustGive(t, "d", 4)
	}},
	{"claim without a record is found again", func(t *testing.T, d database) {
		d.Claim(t, 1, "a", "b")
		both := d.pair(t)
		both[0].mustList(t)
		both[0].mustGive(t, "c", 3)
		both[1].mustGive(t, "b", 2)
		both[0].mustGive(t, "a", 1)
		both[1].mustGive(t, "d", 4)
	}},
	{"of a forgotten node is not given again", func(t *testing.T, d database) {
		both := d.pair(t)
		both[0].mustGive(t, "a", 1)
		b := both[1].mustGive(t, "b", 2)
		d.Forget(t, "a")
		both[1].mustList(t, b)
		both[0].mustGive(t, "c", 3)
		both[1].mustGive(t, "d", 4)
		back := guardian("a")
		back.PublicKey = keyOf("new key of a")
		if got := both[1].mustRegister(t, back); got.Index != 1 {
			t.Errorf("forgotten node comes back with index %d, want its own, 1", got.Index)
		}
	}},
	{"255 is the last", func(t *testing.T, d database) {
		d.Claim(t, 1, others(254)...)
		both := d.pair(t)
		last := both[0].mustGive(t, "last", 255)
		both[0].mustRefuse(t, guardian("late"), cluster.ErrFull)
		both[1].mustRefuse(t, guardian("late"), cluster.ErrFull)
		both[1].mustList(t, last)
		both[1].mustGive(t, "last", 255)
		both[1].mustGive(t, "other-7", 8)
	}},
}

// others are names of n nodes.
func others(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "other-" + strconv.Itoa(i)
	}
	return names
}
