package httpapi_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
)

// owner is a user with a key.
type owner struct {
	key    ed25519.PrivateKey
	id     string
	pubkey string
}

var owners atomic.Uint64

// newOwner makes an owner that no other test has.
func newOwner() owner {
	seed := binary.BigEndian.AppendUint64(make([]byte, ed25519.SeedSize-8), owners.Add(1))
	key := ed25519.NewKeyFromSeed(seed)
	public := key.Public().(ed25519.PublicKey)
	return owner{key, auth.IdentityOf(public), hex.EncodeToString(public)}
}

// sign signs a text as an existing client does.
func (o owner) sign(format string, args ...any) string {
	return hex.EncodeToString(ed25519.Sign(o.key, fmt.Appendf(nil, format, args...)))
}

// proof proves the claim, at the time now and for these planes where it names
// none; version 0 proves nothing.
func (o owner) proof(t testing.TB, version int, c auth.Claim) api.Proof {
	t.Helper()
	if version == 0 {
		return api.Proof{}
	}
	if c.Identity == "" {
		c.Identity = o.id
	}
	if c.Time == 0 {
		c.Time = time.Now().Unix()
	}
	if c.Audience == "" {
		c.Audience = audience
	}
	signature, err := c.Sign(version, o.key)
	if err != nil {
		t.Fatal(err)
	}
	p := api.Proof{Pubkey: o.pubkey, Signature: signature, Timestamp: c.Time}
	if version == auth.V2 {
		p.Proof, p.Audience = version, c.Audience
	}
	return p
}

// session opens a session as clients do, and returns its token.
func (p *plane) session(t testing.TB, identity string) string {
	t.Helper()
	return p.sessionFor(t, identity, nil)
}

func (p *plane) sessionFor(t testing.TB, identity string, header http.Header) string {
	t.Helper()
	var challenge api.ChallengeResponse
	p.must(t, api.RouteChallenge, api.ChallengeRequest{Identity: identity}, header, &challenge)
	var session api.SessionResponse
	p.must(t, api.RouteSession, api.SessionRequest{
		Identity: identity, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag,
	}, header, &session)
	return fmt.Sprintf("%s:%d:%s", identity, session.ExpiryNS, session.Tag)
}

func withSession(token string) http.Header {
	if token == "" {
		return nil
	}
	return http.Header{api.HeaderSession: {token}}
}

// send posts a body of package api.
func (p *plane) send(t testing.TB, route string, body any, header http.Header) answer {
	t.Helper()
	return p.do(t, http.MethodPost, route, encode(t, body), header)
}

func (p *plane) must(t testing.TB, route string, body any, header http.Header, into any) {
	t.Helper()
	got := p.send(t, route, body, header)
	if got.status != http.StatusOK {
		t.Fatalf("%s answered %d %s", route, got.status, got.body)
	}
	if err := json.Unmarshal(got.body, into); err != nil {
		t.Fatal(err)
	}
}

func encode(t testing.TB, body any) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// v1 is one V1 call of an owner, with a proof of that version.
type v1 struct {
	verb     auth.Verb
	version  uint64
	history  bool // in place of a pull
	share    string
	manifest string
	split    string
	proof    int
	session  string
	header   http.Header
}

func (o owner) v1(t testing.TB, p *plane, c v1) answer {
	t.Helper()
	share, manifest := []byte(c.share), []byte(c.manifest)
	proof := o.proof(t, c.proof, auth.Claim{Verb: c.verb, Version: c.version, Share: share, Manifest: manifest})
	header := withSession(c.session)
	if header == nil {
		header = http.Header{}
	}
	maps.Copy(header, c.header)
	switch {
	case c.verb == auth.Push:
		return p.send(t, api.RoutePush, api.PushRequest{
			Identity: o.id, Share: base64.StdEncoding.EncodeToString(share), Version: &c.version,
			Manifest: base64.StdEncoding.EncodeToString(manifest), Split: c.split, Proof: proof,
		}, header)
	case c.history:
		return p.send(t, api.RouteHistory, api.HistoryRequest{Identity: o.id, Proof: proof}, header)
	case c.verb == auth.Pull:
		return p.send(t, api.RoutePull, api.PullRequest{Identity: o.id, Proof: proof}, header)
	}
	return p.send(t, api.RouteDelete, api.DeleteRequest{Identity: o.id, Version: &c.version, Proof: proof}, header)
}

// v2 is one V2 call of an owner.
type v2 struct {
	method   string
	name     string
	versions bool
	version  uint64
	body     string // of a PUT; made of share and version when empty
	share    string
	manifest string
	proof    int
	session  string
	header   http.Header
}

func (o owner) v2(t testing.TB, p *plane, c v2) answer {
	t.Helper()
	route, body := api.RouteSecrets, ""
	claim := auth.Claim{Verb: auth.List, Name: c.name}
	if c.name != "" {
		route += "/" + c.name
		claim.Verb = map[string]auth.Verb{http.MethodGet: auth.Pull, http.MethodPut: auth.Push, http.MethodDelete: auth.Delete}[c.method]
	}
	if c.versions {
		route += "/versions"
	}
	if c.method == http.MethodPut {
		claim.Version, claim.Share, claim.Manifest = c.version, []byte(c.share), []byte(c.manifest)
		body = c.body
		if body == "" {
			body = encode(t, api.PutSecretRequest{
				Share: base64.StdEncoding.EncodeToString(claim.Share), Version: &c.version,
				Manifest: base64.StdEncoding.EncodeToString(claim.Manifest),
			})
		}
	}
	header := headersOf(o.proof(t, c.proof, claim), claim.Verb)
	if c.session != "" {
		header.Set(api.HeaderSession, c.session)
	}
	maps.Copy(header, c.header)
	return p.do(t, c.method, route, body, header)
}

// headersOf carries a proof as V2 does; a put has no timestamp.
func headersOf(proof api.Proof, verb auth.Verb) http.Header {
	header := http.Header{}
	if proof.Signature == "" {
		return header
	}
	header.Set(api.HeaderPubkey, proof.Pubkey)
	header.Set(api.HeaderSignature, proof.Signature)
	if verb != auth.Push {
		header.Set(api.HeaderTimestamp, strconv.FormatInt(proof.Timestamp, 10))
	}
	if proof.Proof != 0 {
		header.Set(api.HeaderProof, strconv.Itoa(proof.Proof))
		header.Set(api.HeaderAudience, proof.Audience)
	}
	return header
}

// wants fails unless the answer has the status and, where it is a refusal, the
// code.
func wants(t testing.TB, what string, got answer, status int, code string) {
	t.Helper()
	switch {
	case got.status != status:
		t.Errorf("%s: answered %d %s, want %d %s", what, got.status, got.body, status, code)
	case status != http.StatusOK && got.failure(t).Code != code:
		t.Errorf("%s: answered %s, want code %s", what, got.body, code)
	}
}
