package clustertest

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
)

// sound is a record that lacks nothing.
func sound(node string, index int) Record {
	m := guardian(node)
	return Record{
		NodeID: node, Index: index, ClientURL: m.ClientURL, PeerURL: m.PeerURL,
		PublicKey:     base64.StdEncoding.EncodeToString(m.PublicKey),
		FailureDomain: m.FailureDomain, RegisteredNS: int64(1),
	}
}

// malformed are records that no guardian is, by what is wrong with them. Index 2
// was given to their node, and index 3 to another one.
var malformed = []struct {
	name  string
	spoil func(r *Record)
}{
	{"index 0", func(r *Record) { r.Index = 0 }},
	{"index 256", func(r *Record) { r.Index = 256 }},
	{"index 2 in a byte", func(r *Record) { r.Index = 258 }},
	{"index negative", func(r *Record) { r.Index = -254 }},
	{"index of nobody", func(r *Record) { r.Index = 4 }},
	{"index of another", func(r *Record) { r.Index = 3 }},
	{"index huge", func(r *Record) { r.Index = int64(1)<<62 + 2 }},
	{"index not whole", func(r *Record) { r.Index = 2.5 }},
	{"index text", func(r *Record) { r.Index = "two" }},
	{"node id not of a node", func(r *Record) { r.NodeID = "No-Hostile" }},
	{"client URL empty", func(r *Record) { r.ClientURL = "" }},
	{"client URL a script", func(r *Record) { r.ClientURL = "javascript:alert(1)" }},
	{"client URL with a login", func(r *Record) { r.ClientURL = "https://user:hunter2@a.example.org" }},
	{"client URL long", func(r *Record) { r.ClientURL = "https://" + strings.Repeat("a", 5000) }},
	{"peer URL without a port", func(r *Record) { r.PeerURL = "https://a.example.org" }},
	{"peer URL plain", func(r *Record) { r.PeerURL = "http://a.example.org:1" }},
	{"key empty", func(r *Record) { r.PublicKey = "" }},
	{"key short", func(r *Record) { r.PublicKey = base64.StdEncoding.EncodeToString(make([]byte, 31)) }},
	{"key long", func(r *Record) { r.PublicKey = base64.StdEncoding.EncodeToString(make([]byte, 33)) }},
	{"key not base64", func(r *Record) { r.PublicKey = strings.Repeat("*", 44) }},
	{"domain with a control", func(r *Record) { r.FailureDomain = "a\x1b[2Jb" }},
	{"domain long", func(r *Record) { r.FailureDomain = strings.Repeat("a", 4000) }},
	{"time negative", func(r *Record) { r.RegisteredNS = int64(-1) }},
	{"time text", func(r *Record) { r.RegisteredNS = "yesterday" }},
	{"huge texts", func(r *Record) { r.ClientURL, r.PeerURL = strings.Repeat("x", 1<<18), strings.Repeat("y", 1<<18) }},
}

// malformedTests has a test for each of them.
func malformedTests() []conformanceTest {
	var tests []conformanceTest
	for _, one := range malformed {
		tests = append(tests, conformanceTest{one.name, func(t *testing.T, d database) {
			record := sound("hostile", 2)
			one.spoil(&record)
			wantIgnored(t, d, record)
		}})
	}
	return tests
}

// wantIgnored fails unless a malformed record harms nobody but its own node.
func wantIgnored(t *testing.T, d database, record Record) {
	t.Helper()
	d.Claim(t, 2, "hostile", "other")
	d.Plant(t, record)
	r := d.open(t)
	a := r.mustGive(t, "a", 1)
	r.mustList(t, a)
	b := r.mustGive(t, "b", 4)
	r.mustList(t, a, b)
	wantComplaint(t, r, record.NodeID)
	if text := r.log.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "\x1b") || len(text) > 1000 {
		t.Errorf("the log quotes what it should not: %.2000q", text)
	}
	wantRepairable(t, d, r, record.NodeID)
}

// wantRepairable fails unless the node of a malformed record is refused, until
// somebody removes that.
func wantRepairable(t *testing.T, d database, r client, planted string) {
	t.Helper()
	if planted == "hostile" {
		if got, err := r.Register(t.Context(), guardian("hostile")); err == nil {
			t.Errorf("Register over a malformed record = %+v", got)
		}
		d.Forget(t, "hostile")
	}
	r.mustGive(t, "hostile", 2)
}

var listTests = []conformanceTest{
	{"of nobody", func(t *testing.T, d database) {
		d.open(t).mustList(t)
	}},
	{"in order of index", func(t *testing.T, d database) {
		both := d.pair(t)
		var all []cluster.Member
		for i, node := range []string{"z", "b", "a-10", "a-9", "-", "0"} {
			all = append(all, both[i%2].mustGive(t, node, i+1))
			both[1-i%2].mustList(t, all...)
		}
	}},
	{"record by hand with its claim is a member", func(t *testing.T, d database) {
		d.Claim(t, 2, "b")
		d.Plant(t, sound("b", 2))
		want := guardian("b")
		want.Index, want.RegisteredNS = 2, 1
		r := d.open(t)
		r.mustList(t, want)
		if again := r.mustRegister(t, guardian("b")); !same(again, want) {
			t.Errorf("Register = %+v, want %+v", again, want)
		}
	}},
	{"record without a claim is ignored", func(t *testing.T, d database) {
		r := d.open(t)
		a := r.mustGive(t, "a", 1)
		d.Plant(t, sound("hostile", 9))
		r.mustList(t, a)
		wantComplaint(t, r, "hostile")
	}},
	{"ended context", func(t *testing.T, d database) {
		r := d.open(t)
		r.mustGive(t, "a", 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := r.List(ctx)
		wantError(t, err, context.Canceled)
	}},
}

// wantComplaint lists some more, and fails unless the log has one line about the
// node.
func wantComplaint(t *testing.T, r client, node string) {
	t.Helper()
	for range 3 {
		if _, err := r.List(t.Context()); err != nil {
			t.Fatalf("List() = %v", err)
		}
	}
	if n := r.log.lines(node); n != 1 {
		t.Errorf("%d lines about %s, want 1:\n%s", n, node, r.log)
	}
}
