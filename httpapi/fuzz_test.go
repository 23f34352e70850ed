package httpapi_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/httpapi"
)

func FuzzPush(f *testing.F)      { fuzzRoute(f, pushRoute) }
func FuzzPull(f *testing.F)      { fuzzRoute(f, pullRoute) }
func FuzzHistory(f *testing.F)   { fuzzRoute(f, api.RouteHistory) }
func FuzzDelete(f *testing.F)    { fuzzRoute(f, deleteCall) }
func FuzzChallenge(f *testing.F) { fuzzRoute(f, api.RouteChallenge) }
func FuzzSession(f *testing.F)   { fuzzRoute(f, api.RouteV2Session) }

// fuzzRoute sends bodies and content types.
func fuzzRoute(f *testing.F, route string) {
	for _, r := range refusals() {
		if r.route == route && r.method == "" && len(r.body) < 2048 {
			f.Add([]byte(r.body), r.header.Get("Content-Type"))
		}
	}
	f.Add([]byte(goodPush), "application/json")
	f.Add([]byte(`{"identity":"`+id+`","version":18446744073709551615}`), "")
	f.Add([]byte(`{"identity":"`+strings.Repeat(`\ud83d`, 64)+`","version":9007199254740993}`), "application/json; charset=utf-8")
	o := newOwner()
	f.Add([]byte(encode(f, api.PullRequest{Identity: o.id, Proof: o.proof(f, 1, auth.Claim{Verb: auth.Pull})})), "")
	f.Add([]byte(encode(f, api.PullRequest{Identity: o.id, Proof: o.proof(f, 2, auth.Claim{Verb: auth.Pull})})), "")
	f.Add([]byte(`{"identity":"`+id+`","nonce":"`+id+`","created_ns":1767225600000000000,"tag":"`+id+`"}`), "")
	p := newPlane(f)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		request := newRequest(t, route, string(body))
		request.Header.Set("Content-Type", contentType)
		ofTheProtocol(t, serveDirectly(p, request))
	})
}

// ofTheProtocol fails on an answer that is neither a success nor an error of the
// table, and on a 5xx, which nothing that is sent may cause.
func ofTheProtocol(t *testing.T, got answer) {
	t.Helper()
	if got.header.Get("Content-Type") != "application/json" || !json.Valid(got.body) {
		t.Fatalf("answered %d %q", got.status, got.body)
	}
	if got.status == http.StatusOK {
		return
	}
	failure := got.failure(t)
	known := slices.ContainsFunc(api.ErrorTable, func(row api.ErrorRow) bool {
		return row.Code == failure.Code && (row.Status == got.status || row.Code == "version_conflict" && got.status == http.StatusConflict)
	})
	if !known || got.status >= 500 || failure.Error == "" {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
}

// FuzzSecrets sends paths, bodies and proofs of a caller who has a session, with
// ownership off so that the handlers behind the proof are reached, and sticky.
func FuzzSecrets(f *testing.F) {
	for name := range maps.Values(badNames(id)) {
		f.Add(http.MethodGet, name, []byte{}, "", "", "", "")
	}
	f.Add(http.MethodPut, "name", []byte(`{"share":"`+testShare+`","version":1,"threshold":2}`), "", "", "", "")
	f.Add(http.MethodGet, "name?version=1", []byte{}, id, id+id, "1767225600", "1")
	f.Add(http.MethodGet, "name/versions", []byte{}, id, id+id, "-1", "2")
	f.Add(http.MethodDelete, "name", []byte("x"), "", "", "1e9", "0x2")
	planes := []*plane{newPlane(f, withOwnership(guardian.OwnershipOff)), newPlane(f)}
	var sessions []string
	for _, p := range planes {
		sessions = append(sessions, p.directSession(f, id))
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte, pubkey, signature, timestamp, proof string) {
		target, err := url.Parse(api.RouteSecrets + "/" + path)
		if err != nil || target.Host != "" || !knownMethod(method) {
			return
		}
		for i, p := range planes {
			request := newRequest(t, "/", string(body))
			request.Method, request.URL = method, target
			for name, value := range map[string]string{
				api.HeaderSession: sessions[i], api.HeaderPubkey: pubkey, api.HeaderSignature: signature,
				api.HeaderTimestamp: timestamp, api.HeaderProof: proof, api.HeaderAudience: audience,
			} {
				request.Header.Set(name, value)
			}
			got := serveDirectly(p, request)
			ofTheProtocol(t, got)
			name := strings.TrimSuffix(strings.TrimPrefix(target.Path, api.RouteSecrets+"/"), "/versions")
			if got.status == http.StatusOK && !guardian.ValidName(name) {
				t.Fatalf("%s %q was let through: %s", method, path, got.body)
			}
		}
	})
}

func knownMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodPut || method == http.MethodDelete
}

// FuzzSessionToken sends session tokens; only the one that was handed out is
// taken.
func FuzzSessionToken(f *testing.F) {
	// The processes of a fuzzer open the same session only if they have one clock.
	log := slog.New(slog.DiscardHandler)
	opened := time.Unix(1_800_000_000, 0)
	sessions := auth.NewSessions(newSealer(f, "local", testKey, log), func() time.Time { return opened })
	p := newPlane(f, func(c *httpapi.Config, _ *slog.LevelVar) { c.Sessions = sessions })
	good := p.directSession(f, id)
	for _, token := range []string{good, strings.ToUpper(good), good[:len(good)-2], id + ":1:" + id, "::", id + ":-1:" + id} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		request := newRequest(t, pullRoute, pullBody(id))
		request.Header.Set(api.HeaderSession, token)
		got := serveDirectly(p, request)
		ofTheProtocol(t, got)
		if taken := got.status != http.StatusUnauthorized; taken != (token == "" || strings.EqualFold(token, good)) {
			t.Fatalf("%q answered %d %s", token, got.status, got.body)
		}
	})
}

// directSession opens a session without a connection.
func (p *plane) directSession(t testing.TB, identity string) string {
	t.Helper()
	var challenge api.ChallengeResponse
	var session api.SessionResponse
	got := serveDirectly(p, newRequest(t, api.RouteChallenge, pullBody(identity)))
	if err := json.Unmarshal(got.body, &challenge); err != nil {
		t.Fatal(err)
	}
	got = serveDirectly(p, newRequest(t, api.RouteSession, encode(t, api.SessionRequest{
		Identity: identity, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag,
	})))
	if err := json.Unmarshal(got.body, &session); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%d:%s", identity, session.ExpiryNS, session.Tag)
}
