package cluster

import (
	"errors"
	"strings"
	"testing"
)

func memberOf(index int, node string) Member {
	return Member{
		NodeID: node, Index: index, ClientURL: "https://" + node + ".example:7500", PeerURL: "https://" + node + ".example:7501",
		PublicKey: publicOf(node), FailureDomain: "eu-1", RegisteredNS: 1_700_000_000_000_000_000 + int64(index),
	}
}

func TestMemberCheck(t *testing.T) {
	for name, change := range map[string]func(*Member){
		"all of it":          func(*Member) {},
		"last index":         func(m *Member) { m.Index = 255 },
		"plain HTTP":         func(m *Member) { m.ClientURL = "http://10.0.0.1:7500" },
		"no client port":     func(m *Member) { m.ClientURL = "https://vault.example" },
		"slash at the end":   func(m *Member) { m.ClientURL, m.PeerURL = "https://a:1/", "https://a:2/" },
		"IPv6":               func(m *Member) { m.PeerURL = "https://[2001:db8::1]:7501" },
		"name of Compose":    func(m *Member) { m.PeerURL = "https://guardian_1:7501" },
		"no failure domain":  func(m *Member) { m.FailureDomain = "" },
		"long failure label": func(m *Member) { m.FailureDomain = strings.Repeat("~ ", 32) },
		"1970":               func(m *Member) { m.RegisteredNS = 0 },
	} {
		m := memberOf(1, "g1")
		change(&m)
		if err := m.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What may come from a hostile registry is refused, and not quoted.
func TestMemberCheckRefuses(t *testing.T) {
	for name, change := range map[string]func(*Member){
		"nothing":                 func(m *Member) { *m = Member{} },
		"index 0":                 func(m *Member) { m.Index = 0 },
		"index 256":               func(m *Member) { m.Index = 256 },
		"index -1":                func(m *Member) { m.Index = -1 },
		"node id in upper case":   func(m *Member) { m.NodeID = "S3CRET" },
		"node id a path":          func(m *Member) { m.NodeID = "../s3cret" },
		"node id of two lines":    func(m *Member) { m.NodeID = "s3cret\n" },
		"node id huge":            func(m *Member) { m.NodeID = strings.Repeat("s3cret", 1<<20) },
		"no key":                  func(m *Member) { m.PublicKey = nil },
		"key short":               func(m *Member) { m.PublicKey = m.PublicKey[1:] },
		"key long":                func(m *Member) { m.PublicKey = append(m.PublicKey[:32:32], 0) },
		"no client URL":           func(m *Member) { m.ClientURL = "" },
		"client URL script":       func(m *Member) { m.ClientURL = "javascript:alert('s3cret')" },
		"client URL script host":  func(m *Member) { m.ClientURL = "javascript://s3cret/%0aalert(1)" },
		"client URL file":         func(m *Member) { m.ClientURL = "file:///s3cret" },
		"client URL credentials":  func(m *Member) { m.ClientURL = "https://user:s3cret@a:1" },
		"client URL path":         func(m *Member) { m.ClientURL = "https://a/s3cret" },
		"client URL query":        func(m *Member) { m.ClientURL = "https://a?s3cret" },
		"client URL empty query":  func(m *Member) { m.ClientURL = "https://a?" },
		"client URL fragment":     func(m *Member) { m.ClientURL = "https://a#s3cret" },
		"client URL two lines":    func(m *Member) { m.ClientURL = "https://a\ns3cret" },
		"client URL of no host":   func(m *Member) { m.ClientURL = "https://:7500" },
		"client URL odd host":     func(m *Member) { m.ClientURL = "https://<s3cret>:7500" },
		"client URL with space":   func(m *Member) { m.ClientURL = "https://s3 cret:7500" },
		"client URL escape":       func(m *Member) { m.ClientURL = "https://s3cret%1b%5b2J:7500" },
		"client URL not ASCII":    func(m *Member) { m.ClientURL = "https://ѕ3cret.example" },
		"client URL huge":         func(m *Member) { m.ClientURL = "https://" + strings.Repeat("s3cret.", 1<<20) },
		"client URL port 0":       func(m *Member) { m.ClientURL = "https://a:0" },
		"client URL port 65536":   func(m *Member) { m.ClientURL = "https://a:65536" },
		"client URL port a word":  func(m *Member) { m.ClientURL = "https://a:s3cret" },
		"client URL relative":     func(m *Member) { m.ClientURL = "//a:7500" },
		"peer URL plain":          func(m *Member) { m.PeerURL = "http://a:7501" },
		"peer URL without port":   func(m *Member) { m.PeerURL = "https://a" },
		"peer URL port empty":     func(m *Member) { m.PeerURL = "https://a:" },
		"peer URL credentials":    func(m *Member) { m.PeerURL = "https://s3cret@a:7501" },
		"peer URL path":           func(m *Member) { m.PeerURL = "https://a:7501/s3cret" },
		"peer URL IPv6 zone":      func(m *Member) { m.PeerURL = "https://[fe80::1%25s3cret]:7501" },
		"peer URL none":           func(m *Member) { m.PeerURL = "" },
		"failure domain huge":     func(m *Member) { m.FailureDomain = strings.Repeat("s3cret", 1<<20) },
		"failure domain of lines": func(m *Member) { m.FailureDomain = "s3cret\r\n" },
		"failure domain escape":   func(m *Member) { m.FailureDomain = "\x1b]0;s3cret\x07" },
		"before 1970":             func(m *Member) { m.RegisteredNS = -1 },
	} {
		m := memberOf(1, "g1")
		change(&m)
		err := m.Check()
		if !errors.Is(err, ErrInvalidMember) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(strings.ToLower(err.Error()), "s3cret") || len(err.Error()) > 200 {
			t.Errorf("%s: it quotes what it refuses: %.300s", name, err)
		}
	}
}

func FuzzMemberCheck(f *testing.F) {
	f.Add("g1", 1, "https://a:1", "https://a:2", []byte(publicOf("g1")), "eu-1", int64(1))
	f.Add("g1", 1, "http://[::1]", "https://[::1]:2", []byte{}, "", int64(-1))
	f.Add("g1", 1, "http://::1", "https://::1:2", []byte{}, "", int64(-1))
	f.Fuzz(func(t *testing.T, node string, index int, client, peer string, key []byte, domain string, ns int64) {
		m := Member{node, index, client, peer, key, domain, ns}
		if err := m.Check(); err != nil {
			if !errors.Is(err, ErrInvalidMember) {
				t.Error(err)
			}
			return
		}
		for _, text := range []string{node, client, peer, domain} {
			if len(text) > MaxURL || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q was taken", text)
			}
		}
		if strings.ContainsAny(client+peer, "@?#<>\"' ") || index < 1 || index > 255 || len(key) != 32 {
			t.Errorf("%+v was taken", m)
		}
	})
}
