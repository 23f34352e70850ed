package limit_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/limit"
)

const (
	proxy   = "10.0.0.1:4321" // a trusted peer
	trusted = "10.0.0.0/8, 2001:db8::/32"
)

func mustParse(t testing.TB, list string) []netip.Prefix {
	t.Helper()
	prefixes, err := limit.ParsePrefixes(list)
	if err != nil {
		t.Fatal(err)
	}
	return prefixes
}

func TestClientAddr(t *testing.T) {
	for name, test := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no header":               {proxy, nil, "10.0.0.1"},
		"one address":             {proxy, []string{"192.0.2.1"}, "192.0.2.1"},
		"the client lies":         {proxy, []string{"198.51.100.9, 192.0.2.1"}, "192.0.2.1"},
		"in a line of its own":    {proxy, []string{"198.51.100.9", "192.0.2.1"}, "192.0.2.1"},
		"a trusted address in it": {proxy, []string{"10.0.0.9, 192.0.2.1"}, "192.0.2.1"},
		"two proxies":             {proxy, []string{"198.51.100.9, 192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		"two proxies, two lines":  {proxy, []string{"198.51.100.9, 192.0.2.1", "10.0.0.2"}, "192.0.2.1"},
		"an IPv6 proxy":           {"[2001:db8::1]:80", []string{"192.0.2.1, 2001:db8::2"}, "192.0.2.1"},
		"proxies only":            {proxy, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"no space":                {proxy, []string{"198.51.100.9,192.0.2.1"}, "192.0.2.1"},
		"much space":              {proxy, []string{" \t198.51.100.9 ,\t 192.0.2.1 \t"}, "192.0.2.1"},

		"untrusted peer":            {"192.0.2.7:80", []string{"198.51.100.9"}, "192.0.2.7"},
		"untrusted names a proxy":   {"192.0.2.7:80", []string{"10.0.0.1"}, "192.0.2.7"},
		"untrusted IPv6 peer":       {"[2001:db9::1]:80", []string{"198.51.100.9"}, "2001:db9::1"},
		"peer as IPv6":              {"[::ffff:10.0.0.1]:80", []string{"192.0.2.1"}, "192.0.2.1"},
		"untrusted peer as IPv6":    {"[::ffff:192.0.2.7]:80", []string{"198.51.100.9"}, "192.0.2.7"},
		"peer with a zone":          {"[2001:db8::1%eth0]:80", []string{"192.0.2.1"}, "192.0.2.1"},
		"untrusted peer, zone":      {"[fe80::1%eth0]:80", nil, "fe80::1"},
		"peer without a port":       {"10.0.0.1", []string{"192.0.2.1"}, "192.0.2.1"},
		"peer on a Unix socket":     {"@", []string{"192.0.2.1"}, ""},
		"peer unknown":              {"", []string{"192.0.2.1"}, ""},
		"proxy port says nothing":   {"10.0.0.1:0", []string{"192.0.2.1"}, "192.0.2.1"},
		"peer is a name, not an IP": {"localhost:80", []string{"192.0.2.1"}, ""},

		"with a port":             {proxy, []string{"192.0.2.1:567"}, "192.0.2.1"},
		"IPv6":                    {proxy, []string{"2001:db9::1"}, "2001:db9::1"},
		"IPv6 in brackets":        {proxy, []string{"[2001:db9::1]"}, "2001:db9::1"},
		"IPv6 with a port":        {proxy, []string{"[::1]:80"}, "::1"},
		"IPv6 with a zone":        {proxy, []string{"fe80::1%eth0"}, "fe80::1"},
		"IPv6 in capitals":        {proxy, []string{"2001:DB9::A"}, "2001:db9::a"},
		"IPv4 as IPv6":            {proxy, []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		"a proxy as IPv6":         {proxy, []string{"192.0.2.1, ::ffff:10.0.0.2"}, "192.0.2.1"},
		"a proxy with a port":     {proxy, []string{"192.0.2.1, 10.0.0.2:99"}, "192.0.2.1"},
		"a proxy with a zone":     {proxy, []string{"192.0.2.1, 2001:db8::2%eth0"}, "192.0.2.1"},
		"empty line":              {proxy, []string{""}, "10.0.0.1"},
		"empty last line":         {proxy, []string{"192.0.2.1", ""}, "192.0.2.1"},
		"empty elements":          {proxy, []string{",, 192.0.2.1, ,"}, "192.0.2.1"},
		"nothing but empty":       {proxy, []string{", ,", ","}, "10.0.0.1"},
		"garbage left of it":      {proxy, []string{"\x00<script>, 192.0.2.1"}, "192.0.2.1"},
		"unknown":                 {proxy, []string{"unknown"}, "10.0.0.1"},
		"unknown before a proxy":  {proxy, []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		"hidden":                  {proxy, []string{"192.0.2.1, _hidden"}, "10.0.0.1"},
		"a name":                  {proxy, []string{"192.0.2.1, localhost"}, "10.0.0.1"},
		"separated by semicolons": {proxy, []string{"192.0.2.1; 192.0.2.2"}, "10.0.0.1"},
		"three octets":            {proxy, []string{"192.0.2"}, "10.0.0.1"},
		"octal":                   {proxy, []string{"192.0.02.1"}, "10.0.0.1"},
		"port out of range":       {proxy, []string{"192.0.2.1:65536"}, "10.0.0.1"},
		"blank port":              {proxy, []string{"192.0.2.1:"}, "10.0.0.1"},
		"IPv4 in brackets":        {proxy, []string{"[192.0.2.1]"}, "10.0.0.1"},
		"IPv4 in brackets, port":  {proxy, []string{"[192.0.2.1]:80"}, "10.0.0.1"},
		"half a bracket":          {proxy, []string{"[::1"}, "10.0.0.1"},
		"the other half":          {proxy, []string{"::1]"}, "10.0.0.1"},
		"brackets alone":          {proxy, []string{"[]"}, "10.0.0.1"},
		"quoted":                  {proxy, []string{`"[::1]:80"`}, "10.0.0.1"},
		"a range":                 {proxy, []string{"192.0.2.0/24"}, "10.0.0.1"},
		"other spaces":            {proxy, []string{"\u00a0192.0.2.1"}, "10.0.0.1"},

		"hundreds of lies":       {proxy, []string{strings.Repeat("10.0.0.9,", 700) + "192.0.2.1"}, "192.0.2.1"},
		"hundreds of lines":      {proxy, append(strings.Split(strings.Repeat("10.0.0.9,", 700), ","), "192.0.2.1"), "192.0.2.1"},
		"64 hops":                {proxy, []string{"10.0.0.64" + strings.Repeat(",10.0.0.2", 63)}, "10.0.0.64"},
		"65 hops":                {proxy, []string{"192.0.2.1" + strings.Repeat(",10.0.0.2", 64)}, "10.0.0.2"},
		"hundreds of empty ones": {proxy, []string{"192.0.2.1" + strings.Repeat(", ", 700)}, "10.0.0.1"},
		"64 KiB before it":       {proxy, []string{strings.Repeat("x", 64<<10) + ", 192.0.2.1"}, "192.0.2.1"},
		"64 KiB":                 {proxy, []string{strings.Repeat("1", 64<<10)}, "10.0.0.1"},
		"64 KiB of space":        {proxy, []string{"192.0.2.1" + strings.Repeat(" ", 64<<10)}, "192.0.2.1"},
		"64 KiB of zone":         {proxy, []string{"fe80::1%" + strings.Repeat("z", 64<<10)}, "10.0.0.1"},
		"64 KiB of commas":       {proxy, []string{strings.Repeat(",", 64<<10)}, "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			want := netip.Addr{}
			if test.want != "" {
				want = netip.MustParseAddr(test.want)
			}
			if got := limit.ClientAddr(test.remote, test.forwarded, mustParse(t, trusted)); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			peer := limit.ClientAddr(test.remote, nil, nil)
			if got := limit.ClientAddr(test.remote, test.forwarded, nil); got != peer {
				t.Errorf("with nobody trusted: %v, want the peer, %v", got, peer)
			}
		})
	}
}

// FuzzClientAddr: whatever a client sends, an untrusted peer is the client, and
// behind a trusted one it is the address that the proxy adds, in the same line
// or in another.
func FuzzClientAddr(f *testing.F) {
	for _, line := range []string{
		"198.51.100.9, 192.0.2.1", "[::1]:80", "unknown, , 10.0.0.1:99", "::ffff:10.0.0.2,fe80::1%eth0",
		strings.Repeat("10.0.0.9,", 70), "[10.0.0.1]:80", ",", "",
	} {
		f.Add(proxy, line, "10.0.0.2")
		f.Add("192.0.2.7:80", "10.0.0.1", line)
	}
	prefixes := mustParse(f, trusted)
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		sent := []string{first, second}
		peer := limit.ClientAddr(remote, nil, prefixes)
		got := limit.ClientAddr(remote, sent, prefixes)
		if got.Is4In6() || got.Zone() != "" || got.IsValid() != peer.IsValid() {
			t.Errorf("%q is %v", sent, got)
		}
		if !isTrusted(prefixes, peer) && got != peer {
			t.Errorf("%q from %v is %v", sent, peer, got)
		}
		if got := limit.ClientAddr(remote, sent, nil); got != peer {
			t.Errorf("with nobody trusted %q from %v is %v", sent, peer, got)
		}
		client := netip.MustParseAddr("203.0.113.9")
		for _, added := range [][]string{{first, second, client.String()}, {first, second + ", " + client.String()}} {
			if got := limit.ClientAddr(proxy, added, prefixes); got != client {
				t.Errorf("%q is %v, the proxy saw %v", added, got, client)
			}
		}
	})
}

func isTrusted(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
