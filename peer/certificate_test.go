package peer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/manifest"
)

func newCertificates(t testing.TB, seed byte) *certificates {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(hex.EncodeToString(bytes.Repeat([]byte{seed}, ed25519.SeedSize))))
	if err != nil {
		t.Fatal(err)
	}
	return &certificates{key: key, nodeID: "self"}
}

func (c *certificates) shown(t testing.TB) *x509.Certificate {
	t.Helper()
	certificate, err := c.get()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// A certificate is good by clocks a day apart, and made anew long before its
// end.
func TestCertificatesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := newCertificates(t, 1)
		first := own.shown(t)
		made := time.Now()
		for _, tc := range []struct {
			at   time.Duration
			good bool
		}{
			{0, true},
			{-clockSlack, true},
			{-clockSlack - 2*time.Second, false},
			{renewal + clockSlack, true},
			{lifetime - time.Second, true},
			{lifetime + 2*time.Second, false},
		} {
			got, err := readClaim([]*x509.Certificate{first}, made.Add(tc.at))
			if (err == nil) != tc.good || err != nil && !errors.Is(err, errCertificate) {
				t.Errorf("%v after it was made: %v", tc.at, err)
			}
			if err == nil && (got.nodeID != "self" || !got.key.Equal(own.key.PublicKey())) {
				t.Errorf("it claims %+v", got)
			}
		}
		time.Sleep(renewal - time.Second)
		if !own.shown(t).Equal(first) {
			t.Error("made anew too soon")
		}
		time.Sleep(time.Second)
		second := own.shown(t)
		if second.Equal(first) || !second.NotAfter.After(first.NotAfter) {
			t.Error("not made anew")
		}
	})
}

// A clock is set while the monotonic one runs on: by NTP after a boot without
// one, on resuming from suspend.
func TestCertificatesFollowAClockThatIsSet(t *testing.T) {
	for _, by := range []time.Duration{-56 * 365 * 24 * time.Hour, -8 * 24 * time.Hour, -time.Second, renewal, 8 * 24 * time.Hour} {
		own := newCertificates(t, 1)
		now := time.Now()
		before, err := own.at(now)
		if err != nil {
			t.Fatal(err)
		}
		later := wallSet(t, now, by)
		after, err := own.at(later)
		if err != nil || after == before {
			t.Errorf("set by %v: not made anew, %v", by, err)
			continue
		}
		shown, err := x509.ParseCertificate(after.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readClaim([]*x509.Certificate{shown}, later.Round(0)); err != nil {
			t.Errorf("set by %v: %v", by, err)
		}
	}
}

// wallSet returns what time.Now would after the wall clock was set by d. Package
// time offers no such thing: it moves both clocks or drops the monotonic one.
func wallSet(t *testing.T, now time.Time, d time.Duration) time.Time {
	t.Helper()
	set := now
	const secondsAt = 30 // of the 64 bits, where there is a monotonic reading
	*(*uint64)(unsafe.Pointer(&set)) += uint64(int64(d/time.Second)) << secondsAt
	if set.Sub(now) != 0 || set.Round(0).Sub(now.Round(0)) != d {
		t.Fatalf("a time.Time looks otherwise now: %v after %v", set, now)
	}
	return set
}

// The queue pushes out the oldest of the network that has the most.
func TestQueue(t *testing.T) {
	q := &queue{most: 4}
	var waiting []context.Context
	var leaves []func()
	enter := func(remote string) {
		ctx, leave := q.enter(t.Context(), networkOf(remote))
		waiting, leaves = append(waiting, ctx), append(leaves, leave)
	}
	out := func() (numbers []int) {
		for i, ctx := range waiting {
			if errors.Is(context.Cause(ctx), errTooManyHandshakes) {
				numbers = append(numbers, i)
			}
		}
		return numbers
	}
	for i, step := range []struct {
		remote string
		out    []int
	}{
		{"192.0.2.1:1", nil},
		{"192.0.2.2:1", nil},
		{"[2001:db8::1]:1", nil},
		{"[2001:db8::2]:1", nil},
		{"192.0.2.3:1", []int{2}},
		{"192.0.2.3:2", []int{0, 2}},
		{"192.0.2.4:1", []int{0, 2, 4}},
	} {
		if enter(step.remote); !slices.Equal(out(), step.out) || len(q.waiting) > 4 {
			t.Errorf("after %d came %s: %v are out, %d wait", i, step.remote, out(), len(q.waiting))
		}
	}
	for _, leave := range leaves {
		leave()
	}
	if enter("192.0.2.5:1"); len(q.waiting) != 1 || len(out()) != 3 || waiting[6].Err() == nil {
		t.Errorf("after all have left: %d wait, %v are out", len(q.waiting), out())
	}
}

func TestRefusalLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		r := newRefusals(slog.New(slog.NewTextHandler(&text, nil)))
		count := func(step func()) int {
			text.Reset()
			step()
			return strings.Count(text.String(), "\n")
		}
		same := func() {
			for port := range 100 {
				r.report("192.0.2.1:"+strconv.Itoa(1000+port), errUnknownKey)
			}
		}
		if n := count(same); n != 1 {
			t.Errorf("one address: %d lines", n)
		}
		time.Sleep(quietTime - time.Second)
		if n := count(same); n != 0 {
			t.Errorf("too soon: %d lines", n)
		}
		time.Sleep(time.Second)
		if n := count(same); n != 1 || !strings.Contains(text.String(), "untold=199") {
			t.Errorf("a minute later: %d lines\n%s", n, &text)
		}
		if n := testutil.ToFloat64(r.count); n != 300 {
			t.Errorf("%v were counted", n)
		}
		r = newRefusals(r.log)
		many := func() {
			for i := range 3 * quietMost {
				r.report("[2001:db8:"+strconv.FormatInt(int64(i), 16)+"::1%eth0]:7501", errors.New(strings.Repeat("\n", 5000)))
			}
		}
		if n := count(many); n != refusalLines || text.Len() > n*(2*maxReason+200) || r.told.Len() > quietMost {
			t.Errorf("many addresses: %d lines, %d bytes, %d remembered", n, text.Len(), r.told.Len())
		}
		time.Sleep(time.Minute)
		r.report("[2001:db8:7:7:1::1]:7501", errUnknownKey)
		if n := count(func() { r.report("[2001:db8:7:7:2::2]:7501", errUnknownKey) }); n != 0 {
			t.Errorf("another address of the same /64: %d lines", n)
		}
		if n := count(func() { r.report("[::ffff:192.0.2.9]:1", errUnknownKey); r.report("192.0.2.9:2", errUnknownKey) }); n != 1 {
			t.Errorf("one address in two forms: %d lines", n)
		}
		if n := count(func() { r.report("nowhere", errUnknownKey) }); n != 1 {
			t.Errorf("no address: %d lines", n)
		}
	})
}

func TestErrorLog(t *testing.T) {
	var text bytes.Buffer
	server := NewServer(ServerConfig{Key: newCertificates(t, 1).key, NodeID: "self", Logger: slog.New(slog.NewTextHandler(&text, nil))})
	server.http.ErrorLog.Printf("http: Accept error: too many open files; retrying in 5ms")
	server.http.ErrorLog.Printf("http: superfluous thing from 1.2.3.4:5")
	for _, line := range []string{
		`level=ERROR msg="peer plane: accept error: too many open files; retrying in 5ms"`,
		`level=WARN msg="peer plane: connection error: superfluous thing from 1.2.3.4:5"`,
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("not in the log: %s\n%s", line, &text)
		}
	}
	for name, d := range map[string]time.Duration{
		"header": server.http.ReadHeaderTimeout, "read": server.http.ReadTimeout, "write": server.http.WriteTimeout, "idle": server.http.IdleTimeout,
	} {
		if d <= 0 {
			t.Errorf("no timeout: %s", name)
		}
	}
}

// What is meant for the way out to AWS is no way to another guardian.
func TestNoProxy(t *testing.T) {
	c := NewClient(ClientConfig{Key: newCertificates(t, 1).key, NodeID: "self"})
	defer c.Close()
	if c.linkTo(cluster.Member{NodeID: "a"}).transport.Proxy != nil {
		t.Error("it uses a proxy")
	}
	for i := range 3 * cluster.MaxIndex {
		c.linkTo(cluster.Member{NodeID: strconv.Itoa(i)})
	}
	if n := c.links.Len(); n != cluster.MaxIndex {
		t.Errorf("it remembers %d members", n)
	}
}

func FuzzHeartbeat(f *testing.F) {
	for _, seed := range []string{
		`{"node_id":"a","shares":7,"list_epoch":18446744073709551615,"time_ns":1}`, `{"node_id":"b"}`, ` {"node_id":"a"} `, "", "[]", "null",
		`{"node_id":"a","node_id":"b"}`, `{"NODE_ID":"a","shares":-1}`, `{"node_id":"\u0061"}`, `{"node_id":"a","shares":1e2}`, `{"node_id":"a"}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		beat, err := decodeHeartbeat("a", body)
		switch {
		case err == nil && (beat.NodeID != "a" || beat.Shares < 0 || beat.TimeNS < 0):
			t.Errorf("took %+v", beat)
		case err != nil && beat != (cluster.Heartbeat{}):
			t.Errorf("%v, and %+v", err, beat)
		case err != nil && !errors.Is(err, api.ErrEmptyBody) && !errors.Is(err, api.ErrInvalidJSON) && !errors.Is(err, cluster.ErrWrongNode):
			t.Error(err)
		}
	})
}

// FuzzCertificate changes what a member shows: whatever passes names a node and
// was signed with the key that it shows.
func FuzzCertificate(f *testing.F) {
	own := newCertificates(f, 1)
	f.Add(own.shown(f).Raw)
	f.Add(newCertificates(f, 2).shown(f).Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		got, err := readClaim([]*x509.Certificate{parsed}, parsed.NotBefore)
		if err == nil && (!manifest.ValidNode(got.nodeID) || !ed25519.Verify(got.key, parsed.RawTBSCertificate, parsed.Signature)) {
			t.Errorf("took %+v", got)
		}
	})
}
