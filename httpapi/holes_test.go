package httpapi_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
)

// raw sends a request line as it is: clients would clean or escape the path.
func (p *plane) raw(t testing.TB, method, path, body string, header http.Header) answer {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: guardian\r\nConnection: close\r\nContent-Length: %d\r\n", method, path, len(body))
	_ = header.Write(&head)
	if _, err := io.WriteString(conn, head.String()+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

// badNames are in the form of a path; `other` is an identity with a secret x.
func badNames(other string) map[string]string {
	return map[string]string{
		"empty":                 "",
		"dot":                   ".",
		"dots":                  "..",
		"other vault":           "../" + other + "/x",
		"escaped dots":          "%2e%2e%2f",
		"other vault, escaped":  "%2e%2e%2f" + other + "%2fx",
		"other vault, half":     "..%2f" + other + "/x",
		"backslash":             "..%5c" + other + "%5cx",
		"twice escaped":         "%252e%252e",
		"slash within":          "a/b",
		"escaped slash":         "a%2Fb",
		"slash at the end":      "a/",
		"two slashes":           "//x",
		"129 characters":        strings.Repeat("a", 129),
		"NUL":                   "%00",
		"NUL at the end":        "api-key%00",
		"line break":            "api-key%0a",
		"dot within":            "api.key",
		"space":                 "api%20key",
		"Cyrillic a":            "\u0430pi-key",
		"Cyrillic a, escaped":   "%D0%B0pi-key",
		"full-width a, escaped": "%EF%BD%81pi-key",
		"full-width hyphen":     "api%EF%BC%8Dkey",
		"non-breaking hyphen":   "api%E2%80%91key",
		"combining accent":      "api-key%CC%81",
		"not UTF-8":             "%ff%fe",
		"overlong dot":          "%c0%ae%c0%ae",
		"digit of another kind": "key%D9%A1",
		"dots with versions":    "../versions",
		"empty with versions":   "/versions",
	}
}

// A name that is none is refused alike by all that take one, whoever asks, and
// the storage never hears of it.
func TestBadNamesNeverReachTheStorage(t *testing.T) {
	for mode, ownership := range modes {
		t.Run(mode, func(t *testing.T) {
			memory := backendtest.NewMemory()
			other, o := newOwner(), newOwner()
			writer := startOver(t, setup{store: memory}, withOwnership(ownership))
			wants(t, "put", other.v2(t, writer, v2{
				method: "PUT", name: "x", version: 1, share: "share", proof: 1, session: writer.session(t, other.id),
			}), 200, "")
			p := startOver(t, setup{store: memory}, withOwnership(ownership))
			session := p.session(t, o.id)
			before := len(p.store.Calls())
			for kind, name := range badNames(other.id) {
				for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodDelete} {
					for _, signed := range signedHeaders(o, name, session) {
						got := p.raw(t, method, api.RouteSecrets+"/"+name, `{"share":"`+testShare+`","version":2}`, signed)
						wants(t, method+" "+kind, got, 400, "invalid_name")
					}
				}
			}
			if calls := p.store.Calls()[before:]; len(calls) != 0 {
				t.Errorf("the storage was asked: %+v", calls)
			}
		})
	}
}

// signedHeaders are those of a caller without a session, and of one who signs
// the name for each verb.
func signedHeaders(o owner, name, session string) []http.Header {
	now := time.Now().Unix()
	headers := []http.Header{{}}
	for _, signature := range []string{
		o.sign("vault-secret-put-v1:%s:%s:2", o.id, name),
		o.sign("vault-secret-get-v1:%s:%s:%d", o.id, name, now),
		o.sign("vault-secret-delete-v1:%s:%s:%d", o.id, name, now),
	} {
		header := headersOf(api.Proof{Pubkey: o.pubkey, Signature: signature, Timestamp: now}, auth.Pull)
		header.Set(api.HeaderSession, session)
		headers = append(headers, header)
	}
	return headers
}

func TestNamesTaken(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	session := p.session(t, o.id)
	for _, name := range []string{"a", "-", "_", "versions", "auth", strings.Repeat("Z", 128), "0123456789_-azAZ"} {
		call := v2{method: "PUT", name: name, version: 1, share: name, proof: 2, session: session}
		exactly(t, name, o.v2(t, p, call), 200, fmt.Sprintf(`{"status":"stored","name":%q,"version":1}`, name))
		call.method = "GET"
		if got := o.v2(t, p, call); !strings.Contains(string(got.body), `"`+base64.StdEncoding.EncodeToString([]byte(name))+`"`) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// One identity is one identity, however it is written, and may be signed both
// ways.
func TestUpperCaseIdentity(t *testing.T) {
	p := start(t, nil, withOwnership(guardian.OwnershipRequired))
	o := newOwner()
	upper := o
	upper.id = strings.ToUpper(o.id)
	version := uint64(0)
	for proof := 1; proof <= 2; proof++ {
		for _, each := range []struct{ writes, reads owner }{{upper, o}, {o, upper}, {upper, upper}} {
			version++
			session := p.session(t, each.writes.id)
			wants(t, "push", each.writes.v1(t, p, v1{verb: auth.Push, version: version, share: "share", proof: proof, session: session}), 200, "")
			wants(t, "pull", each.reads.v1(t, p, v1{verb: auth.Pull, proof: proof, session: session}), 200, "")
			put := v2{method: "PUT", name: "name", version: version, share: "share", proof: proof, session: session}
			wants(t, "put", each.writes.v2(t, p, put), 200, "")
			session = p.session(t, each.reads.id)
			wants(t, "get", each.reads.v2(t, p, v2{method: "GET", name: "name", proof: proof, session: session}), 200, "")
			wants(t, "list", each.reads.v2(t, p, v2{method: "GET", proof: proof, session: session}), 200, "")
		}
	}
	for key := range p.store.Backend.(*backendtest.Memory).Objects() {
		if strings.Contains(key, upper.id) {
			t.Errorf("stored at %s", key)
		}
	}
}

// The identity of a V2 call is the session's, whatever body and query say; that
// of a V1 call must be.
func TestSessionOfAnother(t *testing.T) {
	p := start(t, nil)
	a, b := newOwner(), newOwner()
	session := p.session(t, a.id)
	for name, got := range map[string]answer{
		"push":    p.do(t, "POST", pushRoute, pushBody(b.id, testShare, "1"), withSession(session)),
		"pull":    p.do(t, "POST", pullRoute, pullBody(b.id), withSession(session)),
		"history": p.do(t, "POST", api.RouteHistory, pullBody(b.id), withSession(session)),
		"delete":  p.do(t, "POST", deleteCall, `{"identity":"`+b.id+`","version":1}`, withSession(session)),
	} {
		exactly(t, name, got, 401, `{"error":"invalid session token","code":"token_invalid"}`)
	}
	body := fmt.Sprintf(`{"identity":%q,"name":"other","share":%q,"version":1}`, b.id, testShare)
	put := v2{method: "PUT", name: "name", version: 1, share: "share", body: body, proof: 1, session: session}
	wants(t, "put with another's identity in the body", a.v2(t, p, put), 200, "")
	wants(t, "get", a.v2(t, p, v2{method: "GET", name: "name", proof: 1, session: session}), 200, "")
	wants(t, "get by the other", b.v2(t, p, v2{method: "GET", name: "name", proof: 1, session: p.session(t, b.id)}), 404, "not_found")
}

// Two splits are never both taken at one version, while a push whose answer was
// lost is acknowledged when it comes again.
func TestRetries(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	session := p.session(t, o.id)
	const split, other = "00112233445566778899aabbccddeeff", "ff112233445566778899aabbccddeeff"
	push := func(split string) answer {
		return o.v1(t, p, v1{verb: auth.Push, version: 1, share: "share", split: split, proof: 2})
	}
	put := func(split string) answer {
		body := fmt.Sprintf(`{"share":"c2hhcmU=","version":1,"threshold":3,"split":%q}`, split)
		return o.v2(t, p, v2{method: "PUT", name: "name", version: 1, share: "share", body: body, proof: 2, session: session})
	}
	for name, send := range map[string]func(string) answer{"push": push, "put": put} {
		wants(t, name, send(split), 200, "")
		exactly(t, name+" of another split", send(other), 409, fmt.Sprintf(conflictOf, 1, false))
		exactly(t, name+" of the same", send(strings.ToUpper(split)), 409, fmt.Sprintf(conflictOf, 1, true))
	}
	got := o.v2(t, p, v2{method: "GET", name: "name", proof: 2, session: session})
	if text := string(got.body); !strings.Contains(text, `"threshold":3`) || !strings.Contains(text, split) {
		t.Errorf("get answered %s", text)
	}
}

// A session is good on every replica of its node, after a restart and after the
// keys were rotated, and on no other node, whatever keys that has.
func TestWhereSessionsAreGood(t *testing.T) {
	memory := backendtest.NewMemory()
	one := startOver(t, setup{store: memory})
	o := newOwner()
	session := one.session(t, o.id)
	var challenge api.ChallengeResponse
	one.must(t, api.RouteChallenge, api.ChallengeRequest{Identity: o.id}, nil, &challenge)
	answered := api.SessionRequest{Identity: o.id, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag}
	rotated := `{"primary":"k2","keys":{"default":"` + testKey + `","k2":"ff` + testKey[2:] + `"}}`
	for name, c := range map[string]struct {
		at   setup
		good bool
	}{
		"same replica":           {setup{store: memory}, true},
		"after a rotation":       {setup{store: memory, keyring: rotated}, true},
		"another node, same key": {setup{nodeID: "other"}, false},
		"same node, other key":   {setup{keyring: "ff" + testKey[2:]}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := startOver(t, c.at)
			list := o.v2(t, p, v2{method: "GET", proof: 1, session: session})
			opened := p.send(t, api.RouteV2Session, answered, nil)
			if c.good {
				wants(t, "session", list, 200, "")
				wants(t, "challenge", opened, 200, "")
				return
			}
			wants(t, "session", list, 401, "token_invalid")
			wants(t, "challenge", opened, 401, "token_invalid")
		})
	}
}

// Challenges end after a minute, sessions after an hour, proofs after two
// minutes.
func TestWhatExpires(t *testing.T) {
	var clock atomic.Int64
	p := startOver(t, setup{now: func() time.Time { return time.Unix(clock.Load(), 0) }})
	begin := time.Now().Unix()
	clock.Store(begin)
	o := newOwner()
	session := p.session(t, o.id)
	var challenge api.ChallengeResponse
	p.must(t, api.RouteChallenge, api.ChallengeRequest{Identity: o.id}, nil, &challenge)
	answered := api.SessionRequest{Identity: o.id, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag}
	proof := o.proof(t, 2, auth.Claim{Verb: auth.List, Time: begin})
	list := func() answer {
		header := headersOf(proof, auth.List)
		header.Set(api.HeaderSession, session)
		return p.do(t, "GET", api.RouteSecrets, "", header)
	}
	for _, at := range []struct {
		seconds         int64
		challenge, list string
	}{
		{0, "", ""},
		{59, "", ""},
		{60, "token_invalid", ""},
		{120, "token_invalid", ""},
		{121, "token_invalid", "ownership_invalid"},
		{3599, "token_invalid", "ownership_invalid"},
		{3600, "token_invalid", "token_invalid"},
	} {
		clock.Store(begin + at.seconds)
		judge(t, fmt.Sprintf("challenge after %d s", at.seconds), p.send(t, api.RouteSession, answered, nil), at.challenge)
		judge(t, fmt.Sprintf("list after %d s", at.seconds), list(), at.list)
	}
}

// What was captured at one guardian is refused by another, and for anything
// else than it was made for.
func TestCapturedProofs(t *testing.T) {
	p := start(t, nil, withOwnership(guardian.OwnershipRequired))
	o := newOwner()
	session := p.session(t, o.id)
	wants(t, "push", o.v1(t, p, v1{verb: auth.Push, version: 1, share: "share", proof: 2}), 200, "")
	pull := func(c auth.Claim) answer {
		return p.send(t, pullRoute, api.PullRequest{Identity: o.id, Proof: o.proof(t, 2, c)}, nil)
	}
	push := func(c auth.Claim) answer {
		two := uint64(2)
		return p.send(t, pushRoute, api.PushRequest{
			Identity: o.id, Share: "c2hhcmU=", Version: &two, Proof: o.proof(t, 2, c),
		}, nil)
	}
	now := time.Now().Unix()
	for name, got := range map[string]answer{
		"pull of another guardian": pull(auth.Claim{Verb: auth.Pull, Audience: "other.example:7500"}),
		"pull of another port":     pull(auth.Claim{Verb: auth.Pull, Audience: "guardian.example:7501"}),
		"pull of a name":           pull(auth.Claim{Verb: auth.Pull, Name: "name"}),
		"pull by a list":           pull(auth.Claim{Verb: auth.List}),
		"pull by a delete":         pull(auth.Claim{Verb: auth.Delete}),
		"old pull":                 pull(auth.Claim{Verb: auth.Pull, Time: now - 200}),
		"pull of the future":       pull(auth.Claim{Verb: auth.Pull, Time: now + 200}),
		"push of other bytes":      push(auth.Claim{Verb: auth.Push, Version: 2, Share: []byte("other")}),
		"push of another version":  push(auth.Claim{Verb: auth.Push, Version: 3, Share: []byte("share")}),
		"push with a manifest":     push(auth.Claim{Verb: auth.Push, Version: 2, Share: []byte("share"), Manifest: []byte("m")}),
		"push of a name":           push(auth.Claim{Verb: auth.Push, Version: 2, Share: []byte("share"), Name: "name"}),
		"push elsewhere":           push(auth.Claim{Verb: auth.Push, Version: 2, Share: []byte("share"), Audience: "other.example:7500"}),
		"get by a pull":            p.getName(t, session, o.proof(t, 2, auth.Claim{Verb: auth.Pull})),
		"get of another name":      p.getName(t, session, o.proof(t, 2, auth.Claim{Verb: auth.Pull, Name: "other"})),
		"get by version 1":         p.getName(t, session, asVersion1(o.proof(t, 2, auth.Claim{Verb: auth.Pull, Name: "name"}))),
	} {
		exactly(t, name, got, 401, `{"error":"invalid ownership signature","code":"ownership_invalid"}`)
	}
	wants(t, "get", p.getName(t, session, o.proof(t, 2, auth.Claim{Verb: auth.Pull, Name: "name"})), 404, "not_found")
}

func (p *plane) getName(t testing.TB, session string, proof api.Proof) answer {
	t.Helper()
	header := headersOf(proof, auth.Pull)
	header.Set(api.HeaderSession, session)
	return p.do(t, "GET", api.RouteSecrets+"/name", "", header)
}

func asVersion1(proof api.Proof) api.Proof {
	proof.Proof, proof.Audience = 0, ""
	return proof
}

func TestMalformedProofs(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	session := p.session(t, o.id)
	good := headersOf(o.proof(t, 1, auth.Claim{Verb: auth.Pull, Name: "name"}), auth.Pull)
	for name, change := range map[string]http.Header{
		"no key":               {api.HeaderPubkey: nil},
		"short key":            {api.HeaderPubkey: {o.pubkey[2:]}},
		"key of another":       {api.HeaderPubkey: {newOwner().pubkey}},
		"short signature":      {api.HeaderSignature: {good.Get(api.HeaderSignature)[2:]}},
		"signature not hex":    {api.HeaderSignature: {strings.Repeat("z", 128)}},
		"no timestamp":         {api.HeaderTimestamp: nil},
		"timestamp a fraction": {api.HeaderTimestamp: {good.Get(api.HeaderTimestamp) + ".5"}},
		"timestamp too large":  {api.HeaderTimestamp: {"99999999999999999999"}},
		"proof 0x2":            {api.HeaderProof: {"0x2"}},
		"proof 3":              {api.HeaderProof: {"3"}},
		"proof -1":             {api.HeaderProof: {"-1"}},
		"proof 2 of proof 1":   {api.HeaderProof: {"2"}, api.HeaderAudience: {audience}},
	} {
		header := good.Clone()
		header.Set(api.HeaderSession, session)
		for key, value := range change {
			header[key] = value
		}
		wants(t, name, p.do(t, "GET", api.RouteSecrets+"/name", "", header), 401, "ownership_invalid")
	}
}
