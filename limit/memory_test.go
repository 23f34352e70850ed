package limit_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/limit"
)

// host is another client for every i: its address, or /64, and an identity.
func host(i int) (limit.Caller, string) {
	bytes := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(i >> 16), byte(i >> 8), byte(i), 15: 1}
	address := netip.AddrFrom16(bytes)
	if i%2 == 0 {
		address = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	return limit.Caller{Address: address}, fmt.Sprintf("%064x", i)
}

// TestForgotten: what has a full budget again leaves memory, at the latest when
// the next is charged.
func TestForgotten(t *testing.T) {
	const most, hosts = 4, 10_000
	for _, test := range []struct {
		name   string
		config limit.Config
		window time.Duration
		call   func(*limit.Limits, limit.Caller, string) (time.Duration, bool)
	}{
		{"addresses", limit.Config{PerAddress: most}, time.Minute, func(l *limit.Limits, c limit.Caller, _ string) (time.Duration, bool) { return l.Address(c) }},
		{"writes", limit.Config{Writes: most}, time.Minute, func(l *limit.Limits, _ limit.Caller, id string) (time.Duration, bool) { return l.Write(id) }},
		{"reads", limit.Config{Reads: most}, time.Minute, func(l *limit.Limits, _ limit.Caller, id string) (time.Duration, bool) { return l.Read(id) }},
		{"new identities", limit.Config{NewIdentities: most}, time.Hour, func(l *limit.Limits, c limit.Caller, _ string) (time.Duration, bool) { return create(l, c) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := limit.New(test.config)
				call := func(i int) (time.Duration, bool) {
					c, id := host(i)
					return test.call(l, c, id)
				}
				for i := range hosts {
					n, _ := granted(t, func() (time.Duration, bool) { return call(i) })
					if n != most {
						t.Fatalf("host %d: %d, want %d", i, n, most)
					}
				}
				if l.Len() != hosts {
					t.Fatalf("%d are remembered, want %d", l.Len(), hosts)
				}
				time.Sleep(test.window - time.Nanosecond)
				if _, ok := call(hosts); !ok || l.Len() != hosts+1 {
					t.Errorf("%d are remembered before the window ends, want %d", l.Len(), hosts+1)
				}
				time.Sleep(time.Nanosecond)
				if _, ok := call(hosts); !ok || l.Len() != 1 {
					t.Errorf("%d are remembered after the window, want 1", l.Len())
				}
				if n, _ := granted(t, func() (time.Duration, bool) { return call(0) }); n != most {
					t.Errorf("a forgotten host has %d, want %d", n, most)
				}
			})
		})
	}
}

// TestBound fills a limit from more addresses than it remembers.
func TestBound(t *testing.T) {
	const bound = 100_000
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Config{PerAddress: 1})
		call := func(i int) bool {
			c, _ := host(i)
			_, ok := l.Address(c)
			return ok
		}
		for i := range bound {
			if !call(i) {
				t.Fatalf("host %d is refused at first", i)
			}
		}
		for range 10 {
			if call(0) {
				t.Fatal("forgotten below the bound")
			}
		}
		if !call(bound) || l.Len() != bound {
			t.Fatalf("%d are remembered, want %d", l.Len(), bound)
		}
		for _, i := range []int{1, 2, bound / 2, bound - 1, bound} {
			if call(i) {
				t.Errorf("host %d was forgotten before the oldest", i)
			}
		}
		// A refusal was no use, so the hammering did not keep the oldest.
		if !call(0) || l.Len() != bound {
			t.Errorf("the oldest is still there, or %d are remembered", l.Len())
		}
	})
}
