package auth

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

const (
	id       = "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9" // of the key in proof_test.go
	here     = "g1.example.com:7500"
	noHash   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	shareSum = "eedac9e598bc72239450e8c88f526dbe5579258eefa7204902892a02ac9e1652" // of "test share"
)

var testShare = []byte("test share")

func TestMessages(t *testing.T) {
	for name, c := range map[string]struct {
		claim   Claim
		version int
		want    string
	}{
		"push":            {Claim{Verb: Push, Identity: id, Version: 7}, V1, "vault-push-v1:" + id + ":7"},
		"push, first":     {Claim{Verb: Push, Identity: id}, V1, "vault-push-v1:" + id + ":0"},
		"push, last":      {Claim{Verb: Push, Identity: id, Version: math.MaxUint64}, V1, "vault-push-v1:" + id + ":18446744073709551615"},
		"pull or history": {Claim{Verb: Pull, Identity: id, Time: 1763714400}, V1, "vault-pull-v1:" + id + ":1763714400"},
		"delete":          {Claim{Verb: Delete, Identity: id, Version: 7, Time: 1763714400}, V1, "vault-delete-v1:" + id + ":7:1763714400"},
		"put":             {Claim{Verb: Push, Identity: id, Name: "my_secret-1", Version: 7}, V1, "vault-secret-put-v1:" + id + ":my_secret-1:7"},
		"get or versions": {Claim{Verb: Pull, Identity: id, Name: "my_secret-1", Time: 1763714400}, V1, "vault-secret-get-v1:" + id + ":my_secret-1:1763714400"},
		"delete secret":   {Claim{Verb: Delete, Identity: id, Name: "my_secret-1", Time: 1763714400}, V1, "vault-secret-delete-v1:" + id + ":my_secret-1:1763714400"},
		"list":            {Claim{Verb: List, Identity: id, Time: 1763714400}, V1, "vault-secret-list-v1:" + id + ":1763714400"},
		"as sent":         {Claim{Verb: Push, Identity: strings.ToUpper(id), Version: 7}, V1, "vault-push-v1:21FE31DFA154A261626BF854046FD2271B7BED4B6ABE45AA58877EF47F9721B9:7"},
		"before 1970":     {Claim{Verb: Pull, Identity: id, Time: -1}, V1, "vault-pull-v1:" + id + ":-1"},

		"v2 push": {
			Claim{Verb: Push, Identity: id, Version: 7, Audience: here, Share: testShare},
			V2,
			"vault-push-v2:" + id + "::7:g1.example.com:7500:" + shareSum + ":" + noHash,
		},
		"v2 put with manifest": {
			Claim{Verb: Push, Identity: id, Name: "my_secret-1", Version: 7, Audience: "[2001:db8::1]:7500", Share: testShare, Manifest: []byte("test manifest")},
			V2,
			"vault-push-v2:" + id + ":my_secret-1:7:[2001:db8::1]:7500:" + shareSum + ":ebcd8ce2f706d64710ac51417beb89a408c02143867192851f519c0e061ed25a",
		},
		"v2 pull":          {Claim{Verb: Pull, Identity: id, Time: 1763714400, Audience: here}, V2, "vault-pull-v2:" + id + "::g1.example.com:7500:1763714400"},
		"v2 get":           {Claim{Verb: Pull, Identity: id, Name: "a", Time: 1763714400, Audience: here}, V2, "vault-pull-v2:" + id + ":a:g1.example.com:7500:1763714400"},
		"v2 delete":        {Claim{Verb: Delete, Identity: id, Version: 7, Time: 1763714400, Audience: here}, V2, "vault-delete-v2:" + id + "::g1.example.com:7500:1763714400"},
		"v2 delete secret": {Claim{Verb: Delete, Identity: id, Name: "a", Time: 1763714400, Audience: here}, V2, "vault-delete-v2:" + id + ":a:g1.example.com:7500:1763714400"},
		"v2 list":          {Claim{Verb: List, Identity: id, Time: 1763714400, Audience: here}, V2, "vault-list-v2:" + id + "::g1.example.com:7500:1763714400"},
	} {
		got, err := c.claim.message(c.version)
		if err != nil || string(got) != c.want {
			t.Errorf("%s:\n%s, %v; want\n%s", name, got, err, c.want)
		}
	}
}

func TestClaimsWithoutMessage(t *testing.T) {
	good := Claim{Verb: Pull, Identity: id, Name: "a", Time: 1, Audience: here}
	for name, spoil := range map[string]func(*Claim){
		"no verb":           func(c *Claim) { c.Verb = "" },
		"unknown verb":      func(c *Claim) { c.Verb = "history" },
		"verb in capitals":  func(c *Claim) { c.Verb = "Pull" },
		"no identity":       func(c *Claim) { c.Identity = "" },
		"short identity":    func(c *Claim) { c.Identity = id[:63] },
		"long identity":     func(c *Claim) { c.Identity = id + "0" },
		"identity not hex":  func(c *Claim) { c.Identity = id[:63] + "g" },
		"colon in identity": func(c *Claim) { c.Identity = id[:63] + ":" },
		"line in identity":  func(c *Claim) { c.Identity = id + "\n" },
		"colon in name":     func(c *Claim) { c.Name = "a:b" },
		"dots":              func(c *Claim) { c.Name = ".." },
		"line in name":      func(c *Claim) { c.Name = "a\n" },
		"look-alike":        func(c *Claim) { c.Name = "\u0430" },
		"long name":         func(c *Claim) { c.Name = strings.Repeat("a", 129) },
		"list of a name":    func(c *Claim) { c.Verb = List },
	} {
		claim := good
		spoil(&claim)
		for _, version := range []int{V1, V2} {
			if message, err := claim.message(version); !errors.Is(err, ErrClaim) || message != nil {
				t.Errorf("%s: v%d message %q, %v", name, version, message, err)
			}
		}
	}
	for _, version := range []int{math.MinInt, -1, 0, 3, math.MaxInt} {
		if message, err := good.message(version); !errors.Is(err, ErrClaim) {
			t.Errorf("proof version %d: %q, %v", version, message, err)
		}
	}
	for _, audience := range []string{"", "g1", "G1:7500", "g1:07500", "a:g1:7500", "[::1]:7500:x", "fe80::1:7500"} {
		claim := good
		claim.Audience = audience
		if message, err := claim.message(V2); !errors.Is(err, ErrClaim) {
			t.Errorf("audience %q: %q, %v", audience, message, err)
		}
	}
}

// signed is what a proof of a version promises to cover, and nothing else of
// the claim.
func signed(c Claim, version int) string {
	covered := fmt.Sprintf("proof=%d verb=%s identity=%s name=%s", version, c.Verb, c.Identity, cmp.Or(c.Name, "(none)"))
	if c.Verb == Push || version == V1 && c.Verb == Delete && c.Name == "" {
		covered += fmt.Sprintf(" version=%d", c.Version)
	}
	if c.Verb != Push {
		covered += fmt.Sprintf(" time=%d", c.Time)
	}
	if version == V2 {
		covered += " audience=" + c.Audience
	}
	if version == V2 && c.Verb == Push {
		covered += fmt.Sprintf(" share=%x manifest=%x", c.Share, c.Manifest)
	}
	return covered
}

// No message stands for two things, in either version or across them. The
// values are such that fields would run into each other if they could.
func TestMessagesAreDistinct(t *testing.T) {
	means := map[string]string{}
	eachClaim(func(c Claim) {
		for _, version := range []int{V1, V2} {
			message, err := c.message(version)
			if err != nil {
				t.Fatal(err)
			}
			covered := signed(c, version)
			if other, known := means[string(message)]; known && other != covered {
				t.Fatalf("%s\nstands for %s\nand for %s", message, other, covered)
			}
			means[string(message)] = covered
		}
	})
	backwards := map[string]string{}
	for message, covered := range means {
		if other, known := backwards[covered]; known {
			t.Fatalf("%s\nhas two messages: %s\nand %s", covered, message, other)
		}
		backwards[covered] = message
	}
	if len(means) < 5000 {
		t.Fatalf("only %d messages were compared", len(means))
	}
}

func eachClaim(visit func(Claim)) {
	bodies := [][]byte{nil, []byte("a"), bytes.Repeat([]byte("1"), 64)}
	numbers := []uint64{0, 1, 11, 7500, math.MaxUint64}
	names := []string{"", "1", "11", "-1", "push", "v1", "7500", id, strings.Repeat("a", 128)}
	audiences := []string{here, "1:1", "1:11", "11:1", "-1:1", "[::1]:1", "[::1]:11", "[1::1]:1", "[::]:7500", id + ":1"}
	for _, verb := range []Verb{Push, Pull, Delete, List} {
		for _, identity := range []string{id, strings.ToUpper(id), strings.Repeat("1", 64)} {
			for _, name := range names {
				if verb == List && name != "" {
					continue
				}
				for _, audience := range audiences {
					for i, number := range numbers {
						for j, body := range bodies {
							visit(Claim{
								Verb: verb, Identity: identity, Name: name, Version: number,
								Time: int64(numbers[(i+j)%len(numbers)]), Audience: audience,
								Share: body, Manifest: bodies[(i+j)%len(bodies)],
							})
						}
					}
				}
			}
		}
	}
}
