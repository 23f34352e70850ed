package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// Requests of clients that exist, as they send them: JSON and signed texts are
// written out here and not made by the packages under test.

// A gateway reads integers as such.
func (p *plane) gatewaySession(t testing.TB, identity string) string {
	t.Helper()
	var challenge struct {
		Nonce     string `json:"nonce"`
		CreatedNs int64  `json:"created_ns"`
		Tag       string `json:"tag"`
	}
	p.postInto(t, "/v1/vault/auth/challenge", fmt.Sprintf(`{"identity":%q}`, identity), &challenge)
	var session struct {
		Identity string `json:"identity"`
		ExpiryNs int64  `json:"expiry_ns"`
		Tag      string `json:"tag"`
	}
	p.postInto(t, "/v1/vault/auth/session", fmt.Sprintf(`{"created_ns":%d,"identity":%q,"nonce":%q,"tag":%q}`,
		challenge.CreatedNs, identity, challenge.Nonce, challenge.Tag), &session)
	return fmt.Sprintf("%s:%d:%s", session.Identity, session.ExpiryNs, session.Tag)
}

// A TypeScript client has doubles only, and writes them as JavaScript does:
// without an exponent below 10^21.
func (p *plane) scriptSession(t testing.TB, identity string) string {
	t.Helper()
	var challenge, session map[string]any
	p.postInto(t, "/v2/vault/auth/challenge", fmt.Sprintf(`{"identity":%q}`, identity), &challenge)
	p.postInto(t, "/v2/vault/auth/session", fmt.Sprintf(`{"identity":%q,"nonce":%q,"created_ns":%s,"tag":%q}`,
		identity, challenge["nonce"], inScript(challenge["created_ns"]), challenge["tag"]), &session)
	return fmt.Sprintf("%s:%s:%s", session["identity"], inScript(session["expiry_ns"]), session["tag"])
}

func inScript(number any) string { return strconv.FormatFloat(number.(float64), 'f', -1, 64) }

func (p *plane) postInto(t testing.TB, route, body string, into any) {
	t.Helper()
	got := p.do(t, http.MethodPost, route, body, contentType("application/json"))
	if got.status != http.StatusOK {
		t.Fatalf("%s answered %d %s", route, got.status, got.body)
	}
	if err := json.Unmarshal(got.body, into); err != nil {
		t.Fatal(err)
	}
}

// exactly fails unless the answer is the one written out.
func exactly(t testing.TB, what string, got answer, status int, body string) {
	t.Helper()
	if text := strings.TrimSpace(string(got.body)); got.status != status || text != body {
		t.Errorf("%s: answered %d %s, want %d %s", what, got.status, text, status, body)
	}
}

const conflictOf = `{"error":"version must be greater than current stored version","code":"version_conflict","current_version":%d,"stored":%v}`

func TestGatewayOnV1(t *testing.T) {
	for storage, open := range storages {
		for mode := range modes {
			t.Run(storage+"/"+mode, func(t *testing.T) {
				p := startOver(t, setup{store: open(t)}, withOwnership(modes[mode]))
				o := newOwner()
				header := contentType("application/json")
				header["X-Session-Token"] = []string{p.gatewaySession(t, o.id)}
				push := func(share string, version uint64, threshold string) answer {
					return p.do(t, http.MethodPost, "/v1/vault/push", fmt.Sprintf(
						`{"identity":%q,"share":%q,"version":%d%s,"pubkey":%q,"signature":%q}`,
						o.id, share, version, threshold, o.pubkey, o.sign("vault-push-v1:%s:%d", o.id, version)), header)
				}
				pull := func() answer {
					now := time.Now().Unix()
					return p.do(t, http.MethodPost, "/v1/vault/pull", fmt.Sprintf(
						`{"identity":%q,"pubkey":%q,"signature":%q,"timestamp":%d}`,
						o.id, o.pubkey, o.sign("vault-pull-v1:%s:%d", o.id, now), now), header)
				}
				exactly(t, "pull of nothing", pull(), 404, `{"error":"share not found","code":"not_found"}`)
				for i, threshold := range []string{"", `,"threshold":0`, `,"threshold":2`} {
					version := uint64(i + 1)
					exactly(t, "push"+threshold, push(testShare, version, threshold), 200, `{"status":"stored"}`)
					exactly(t, "pull", pull(), 200, fmt.Sprintf(
						`{"share":%q,"version":%d,"threshold":%d,"epoch":0}`, testShare, version, i/2*2))
				}
				exactly(t, "stale push", push("b3RoZXI=", 2, ""), 409, fmt.Sprintf(conflictOf, 3, false))
				exactly(t, "push of what is stored", push(testShare, 3, `,"threshold":2`), 409, fmt.Sprintf(conflictOf, 3, true))
			})
		}
	}
}

// Operators push bare, with curl, and know a stale push by its 400.
func TestBareStalePush(t *testing.T) {
	p := start(t, nil)
	p.want(t, "/v1/vault/push", pushBody(id, testShare, "2"), 200, `{"status":"stored"}`)
	p.want(t, "/v1/vault/push", pushBody(id, testShare, "1"), 400, fmt.Sprintf(conflictOf, 2, false))
	header := withSession(p.session(t, id))
	exactly(t, "with a session", p.do(t, http.MethodPost, "/v1/vault/push", pushBody(id, testShare, "1"), header),
		409, fmt.Sprintf(conflictOf, 2, false))
}

func TestTypeScriptClientOnV2(t *testing.T) {
	for storage, open := range storages {
		for mode := range modes {
			t.Run(storage+"/"+mode, func(t *testing.T) {
				testTypeScriptClient(t, startOver(t, setup{store: open(t)}, withOwnership(modes[mode])))
			})
		}
	}
}

func testTypeScriptClient(t *testing.T, p *plane) {
	o := newOwner()
	session := p.scriptSession(t, o.id)
	send := func(method, route, body, signature string, now int64) answer {
		header := http.Header{
			"X-Session-Token": {session}, "X-Vault-Pubkey": {o.pubkey}, "X-Vault-Signature": {signature},
			"Content-Type": {"application/json"},
		}
		if now != 0 {
			header["X-Vault-Timestamp"] = []string{strconv.FormatInt(now, 10)}
		}
		return p.do(t, method, route, body, header)
	}
	put := func(name string, version uint64) answer {
		return send(http.MethodPut, "/v2/vault/secrets/"+name, fmt.Sprintf(`{"share":%q,"version":%d}`, testShare, version),
			o.sign("vault-secret-put-v1:%s:%s:%d", o.id, name, version), 0)
	}
	timed := func(method, verb, name string) answer {
		now := time.Now().Unix()
		return send(method, "/v2/vault/secrets/"+name, "", o.sign("vault-secret-%s-v1:%s:%s:%d", verb, o.id, name, now), now)
	}
	list := func() (found []map[string]any) {
		now := time.Now().Unix()
		got := send(http.MethodGet, "/v2/vault/secrets", "", o.sign("vault-secret-list-v1:%s:%d", o.id, now), now)
		var answer map[string][]map[string]any
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != 200 || answer["secrets"] == nil {
			t.Fatalf("list answered %d %s", got.status, got.body)
		}
		return answer["secrets"]
	}
	if found := list(); len(found) != 0 {
		t.Errorf("at first there are %v", found)
	}
	exactly(t, "get of nothing", timed("GET", "get", "api-key"), 404, `{"error":"secret not found","code":"not_found"}`)
	exactly(t, "put", put("api-key", 1), 200, `{"status":"stored","name":"api-key","version":1}`)
	exactly(t, "put", put("B_2", 7), 200, `{"status":"stored","name":"B_2","version":7}`)
	exactly(t, "stale put", put("api-key", 1), 409, fmt.Sprintf(conflictOf, 1, true))
	var secret map[string]any
	if got := timed("GET", "get", "api-key"); json.Unmarshal(got.body, &secret) != nil ||
		secret["share"] != testShare || secret["name"] != "api-key" || secret["version"] != 1.0 || secret["threshold"] != 0.0 ||
		secret["created_ns"].(float64) <= 0 || secret["updated_ns"] != secret["created_ns"] {
		t.Errorf("get answered %d %s", got.status, got.body)
	}
	if got := timed("GET", "get", "B_2"); got.status != 200 {
		t.Errorf("get answered %d %s", got.status, got.body)
	}
	if found := list(); len(found) != 2 || found[0]["name"] != "B_2" || found[1]["name"] != "api-key" || found[1]["size"] != 15.0 ||
		found[0]["version"] != 7.0 || found[1]["created_ns"] != secret["created_ns"] {
		t.Errorf("list is %v", found)
	}
	exactly(t, "delete", timed("DELETE", "delete", "api-key"), 200, `{"status":"deleted","name":"api-key"}`)
	exactly(t, "get of the deleted", timed("GET", "get", "api-key"), 404, `{"error":"secret not found","code":"not_found"}`)
	exactly(t, "second delete", timed("DELETE", "delete", "api-key"), 404, `{"error":"secret not found","code":"not_found"}`)
	if found := list(); len(found) != 1 || found[0]["name"] != "B_2" {
		t.Errorf("after the delete there are %v", found)
	}
	exactly(t, "put of the deleted version", put("api-key", 1), 409, fmt.Sprintf(conflictOf, 1, false))
	exactly(t, "put of the next version", put("api-key", 2), 200, `{"status":"stored","name":"api-key","version":2}`)
}

// Whatever the clock says, a double holds what is handed out.
func TestThousandHandshakes(t *testing.T) {
	var clock atomic.Int64
	p := startOver(t, setup{now: func() time.Time { return time.Unix(0, clock.Load()) }})
	o := newOwner()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 123_456_789, time.UTC)
	for i := range 500 {
		clock.Store(begin.Add(time.Duration(i) * 7919 * 1_000_000_007 * 3).UnixNano())
		for _, session := range []string{p.gatewaySession(t, o.id), p.scriptSession(t, o.id)} {
			header := withSession(session)
			if got := p.do(t, http.MethodPost, "/v1/vault/pull", pullBody(o.id), header); got.status != 404 {
				t.Fatalf("handshake %d: %s answered %d %s", i, session, got.status, got.body)
			}
		}
	}
}

// Both spellings of the handshake lead to the same sessions.
func TestHandshakesAreOne(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	var challenge api.ChallengeResponse
	p.must(t, api.RouteV2Challenge, api.ChallengeRequest{Identity: o.id}, nil, &challenge)
	request := api.SessionRequest{Identity: o.id, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag}
	var session api.SessionResponse
	p.must(t, api.RouteSession, request, nil, &session)
	second := time.Second.Nanoseconds()
	if session.Identity != o.id || session.ExpiryNS < challenge.CreatedNS+3600*second || session.ExpiryNS%second != 0 || challenge.CreatedNS%second != 0 {
		t.Errorf("session %+v of challenge %+v", session, challenge)
	}
	for name, change := range map[string]func(*api.SessionRequest){
		"no tag":         func(r *api.SessionRequest) { r.Tag = "" },
		"truncated tag":  func(r *api.SessionRequest) { r.Tag = r.Tag[:62] },
		"forged tag":     func(r *api.SessionRequest) { r.Tag = strings.Repeat("0", 64) },
		"other nonce":    func(r *api.SessionRequest) { r.Nonce = strings.Repeat("0", 64) },
		"other time":     func(r *api.SessionRequest) { r.CreatedNS += second },
		"other identity": func(r *api.SessionRequest) { r.Identity = newOwner().id },
	} {
		changed := request
		change(&changed)
		for _, route := range []string{api.RouteSession, api.RouteV2Session} {
			exactly(t, name, p.send(t, route, changed, nil), 401, `{"error":"invalid session token","code":"token_invalid"}`)
		}
	}
}
