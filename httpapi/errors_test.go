package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
)

// refusal is one request that must be refused, and how.
type refusal struct {
	name         string
	method       string // POST when empty
	route        string
	body         string
	header       http.Header
	status       int
	code, reason string
}

var (
	id       = identity("a")
	goodPush = pushBody(id, testShare, "1")
)

func withField(name, value string) string {
	return strings.TrimSuffix(goodPush, "}") + `,"` + name + `":` + value + `}`
}

func pushOf(decodedSize int) string {
	return pushBody(id, base64.StdEncoding.EncodeToString(make([]byte, decodedSize)), "1")
}

func contentType(value string) http.Header { return http.Header{"Content-Type": {value}} }

func refusals() []refusal {
	const (
		badEpoch     = "epoch must be a whole number from 0 to 18446744073709551615, without exponent"
		badVersion   = "version must be a whole number from 0 to 18446744073709551615, without exponent"
		badThreshold = "threshold must be 0 (unknown) or from 2 to 255"
		badSplit     = "split must be 32 hex digits"
		badName      = "secret name invalid: only alphanumeric, underscore, hyphen allowed"
		secret       = api.RouteSecrets + "/name"
	)
	return []refusal{
		{name: "empty", route: pushRoute, body: "", status: 400, code: "empty_body", reason: "empty body"},
		{name: "blank", route: pullRoute, body: " \n\t", status: 400, code: "empty_body", reason: "empty body"},
		{name: "not JSON", route: pushRoute, body: "x", status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "half", route: pullRoute, body: `{"identity":"`, status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "null", route: pullRoute, body: "null", status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "array", route: pullRoute, body: "[]", status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "trailing garbage", route: pushRoute, body: goodPush + "x", status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "two objects", route: pullRoute, body: pullBody(id) + pullBody(id), status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "byte order mark", route: pullRoute, body: "\ufeff" + pullBody(id), status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "deep", route: pullRoute, body: `{"x":` + strings.Repeat("[", 4000), status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "push without version", route: pushRoute, body: `{"identity":"` + id + `","share":"` + testShare + `"}`, status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "push with null version", route: pushRoute, body: pushBody(id, testShare, "null"), status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "delete without version", route: deleteCall, body: pullBody(id), status: 400, code: "invalid_json", reason: "invalid JSON"},

		{name: "no identity", route: pullRoute, body: `{}`, status: 400, code: "invalid_identity", reason: "identity must be exactly 64 hex characters"},
		{name: "short identity", route: pushRoute, body: pushBody(id[1:], testShare, "1"), status: 400, code: "invalid_identity", reason: "identity must be exactly 64 hex characters"},
		{name: "long identity", route: deleteCall, body: `{"identity":"` + id + `a","version":1}`, status: 400, code: "invalid_identity", reason: "identity must be exactly 64 hex characters"},
		{name: "identity not hex", route: pullRoute, body: pullBody(identity("g")), status: 400, code: "invalid_identity", reason: "identity must be hex"},
		{name: "identity a path", route: pullRoute, body: pullBody(strings.Repeat("../", 21) + "x"), status: 400, code: "invalid_identity", reason: "identity must be hex"},
		{name: "identity with NUL", route: pullRoute, body: pullBody(id[:58] + `\u0000` + id[59:]), status: 400, code: "invalid_identity", reason: "identity must be hex"},
		{name: "identity of full-width digits", route: pullRoute, body: pullBody(strings.Repeat("\uff11", 21) + "a"), status: 400, code: "invalid_identity", reason: "identity must be hex"},
		{name: "identity a number", route: pullRoute, body: `{"identity":1}`, status: 400, code: "invalid_identity", reason: "identity must be a string"},

		{name: "share not base64", route: pushRoute, body: pushBody(id, "!!!!", "1"), status: 400, code: "invalid_share", reason: "invalid base64 in share"},
		{name: "share without padding", route: pushRoute, body: pushBody(id, "YQ", "1"), status: 400, code: "invalid_share", reason: "invalid base64 in share"},
		{name: "share with loose bits", route: pushRoute, body: pushBody(id, "YR==", "1"), status: 400, code: "invalid_share", reason: "invalid base64 in share"},
		{name: "share with line break", route: pushRoute, body: pushBody(id, `YWJj\nYWJj`, "1"), status: 400, code: "invalid_share", reason: "invalid base64 in share"},
		{name: "share in URL alphabet", route: pushRoute, body: pushBody(id, "_-_-", "1"), status: 400, code: "invalid_share", reason: "invalid base64 in share"},
		{name: "share empty", route: pushRoute, body: pushBody(id, "", "1"), status: 400, code: "invalid_share", reason: "share data is empty"},
		{name: "share too large", route: pushRoute, body: pushOf(api.MaxShareSize + 1), status: 400, code: "invalid_share", reason: "share data too large"},
		{name: "share a list", route: pushRoute, body: strings.Replace(goodPush, `"`+testShare+`"`, `[1]`, 1), status: 400, code: "invalid_share", reason: "share must be a string"},

		{name: "version a string", route: pushRoute, body: pushBody(id, testShare, `"1"`), status: 400, code: "invalid_version", reason: badVersion},
		{name: "version negative", route: pushRoute, body: pushBody(id, testShare, "-1"), status: 400, code: "invalid_version", reason: badVersion},
		{name: "version too large", route: pushRoute, body: pushBody(id, testShare, "18446744073709551616"), status: 400, code: "invalid_version", reason: badVersion},
		{name: "version a fraction", route: pushRoute, body: pushBody(id, testShare, "1.5"), status: 400, code: "invalid_version", reason: badVersion},
		{name: "version with exponent", route: deleteCall, body: `{"identity":"` + id + `","version":1e3}`, status: 400, code: "invalid_version", reason: badVersion},
		{name: "epoch a string", route: pullRoute, body: `{"identity":"` + id + `","epoch":"1"}`, status: 400, code: "invalid_version", reason: badEpoch},
		{name: "epoch negative", route: pullRoute, body: `{"identity":"` + id + `","epoch":-1}`, status: 400, code: "invalid_version", reason: badEpoch},
		{name: "epoch too large", route: pullRoute, body: `{"identity":"` + id + `","epoch":18446744073709551616}`, status: 400, code: "invalid_version", reason: badEpoch},
		{name: "epoch with exponent", route: pullRoute, body: `{"identity":"` + id + `","epoch":1e3}`, status: 400, code: "invalid_version", reason: badEpoch},
		{name: "version of pull", route: pullRoute, body: `{"identity":"` + id + `","version":true}`, status: 400, code: "invalid_version", reason: badVersion},

		{name: "threshold 1", route: pushRoute, body: withField("threshold", "1"), status: 400, code: "invalid_threshold", reason: badThreshold},
		{name: "threshold 256", route: pushRoute, body: withField("threshold", "256"), status: 400, code: "invalid_threshold", reason: badThreshold},
		{name: "threshold negative", route: pushRoute, body: withField("threshold", "-3"), status: 400, code: "invalid_threshold", reason: badThreshold},
		{name: "threshold a string", route: pushRoute, body: withField("threshold", `"3"`), status: 400, code: "invalid_threshold", reason: badThreshold},

		{name: "split short", route: pushRoute, body: withField("split", `"ab"`), status: 400, code: "invalid_split", reason: badSplit},
		{name: "split not hex", route: pushRoute, body: withField("split", `"`+strings.Repeat("z", 32)+`"`), status: 400, code: "invalid_split", reason: badSplit},
		{name: "split a number", route: pushRoute, body: withField("split", "7"), status: 400, code: "invalid_split", reason: badSplit},

		{name: "manifest not base64", route: pushRoute, body: withField("manifest", `"?"`), status: 400, code: "invalid_manifest", reason: "invalid base64 in manifest"},
		{name: "manifest too large", route: pushRoute, body: withField("manifest", `"`+base64.StdEncoding.EncodeToString(make([]byte, api.MaxManifestSize+1))+`"`), status: 400, code: "invalid_manifest", reason: "manifest too large"},
		{name: "manifest an object", route: pushRoute, body: withField("manifest", `{}`), status: 400, code: "invalid_manifest", reason: "manifest must be a string"},

		{name: "history without identity", route: api.RouteHistory, body: `{}`, status: 400, code: "invalid_identity", reason: "identity must be exactly 64 hex characters"},
		{name: "challenge without body", route: api.RouteChallenge, status: 400, code: "empty_body", reason: "empty body"},
		{name: "challenge of no identity", route: api.RouteV2Challenge, body: pullBody(identity("g")), status: 400, code: "invalid_identity", reason: "identity must be hex"},
		{name: "session of no challenge", route: api.RouteSession, body: pullBody(id), status: 401, code: "token_invalid", reason: "invalid session token"},
		{name: "session with a fraction", route: api.RouteV2Session, body: `{"identity":"` + id + `","created_ns":1.5}`, status: 400, code: "invalid_json", reason: "invalid JSON"},
		{name: "pull with a malformed session", route: pullRoute, body: pullBody(id), header: withSession("x"), status: 401, code: "token_invalid", reason: "invalid session token"},
		{name: "pull with a proof of nobody", route: pullRoute, body: `{"identity":"` + id + `","pubkey":"x","signature":"y"}`, status: 401, code: "ownership_invalid", reason: "invalid ownership signature"},
		{name: "signature a number", route: pullRoute, body: `{"identity":"` + id + `","signature":1}`, status: 400, code: "invalid_json", reason: "invalid JSON"},

		{name: "name invalid", method: "PUT", route: api.RouteSecrets + "/a.b", status: 400, code: "invalid_name", reason: badName},
		{name: "name too long", method: "GET", route: api.RouteSecrets + "/" + strings.Repeat("a", 129), status: 400, code: "invalid_name", reason: "secret name too long"},
		{name: "put without session", method: "PUT", route: secret, body: `{}`, status: 401, code: "token_required", reason: "session token required"},
		{name: "get without session", method: "GET", route: secret, status: 401, code: "token_required", reason: "session token required"},
		{name: "versions without session", method: "GET", route: secret + "/versions", status: 401, code: "token_required", reason: "session token required"},
		{name: "list without session", method: "GET", route: api.RouteSecrets, status: 401, code: "token_required", reason: "session token required"},
		{name: "delete with a wrong session", method: "DELETE", route: secret, header: withSession(id + ":1:" + id), status: 401, code: "token_invalid", reason: "invalid session token"},
		{name: "put of 1 MiB and a byte", method: "PUT", route: secret, body: strings.Repeat(" ", api.MaxPushBody+1), status: 413, code: "body_too_large", reason: "request body too large"},
		{name: "get with 4 KiB and a byte", method: "GET", route: secret, body: strings.Repeat(" ", api.MaxBody+1), status: 413, code: "body_too_large", reason: "request body too large"},
		{name: "put of a form", method: "PUT", route: secret, body: "x", header: contentType("text/plain"), status: 415, code: "unsupported_media_type", reason: "unsupported media type: send application/json"},
		{name: "POST to a secret", route: secret, body: `{}`, status: 405, code: "method_not_allowed", reason: "method not allowed"},
		{name: "PUT to the list", method: "PUT", route: api.RouteSecrets, body: `{}`, status: 405, code: "method_not_allowed", reason: "method not allowed"},
		{name: "GET of challenge", method: "GET", route: api.RouteChallenge, status: 405, code: "method_not_allowed", reason: "method not allowed"},

		{name: "push of 1 MiB and a byte", route: pushRoute, body: goodPush + strings.Repeat(" ", api.MaxPushBody), status: 413, code: "body_too_large", reason: "request body too large"},
		{name: "pull of 4 KiB and a byte", route: pullRoute, body: pullBody(id) + strings.Repeat(" ", api.MaxBody), status: 413, code: "body_too_large", reason: "request body too large"},
		{name: "delete of 4 KiB and a byte", route: deleteCall, body: strings.Repeat(" ", api.MaxBody+1), status: 413, code: "body_too_large", reason: "request body too large"},

		{name: "form", route: pushRoute, body: goodPush, header: contentType("application/x-www-form-urlencoded"), status: 415, code: "unsupported_media_type", reason: "unsupported media type: send application/json"},
		{name: "malformed type", route: pullRoute, body: pullBody(id), header: contentType("application/json; ="), status: 415, code: "unsupported_media_type", reason: "unsupported media type: send application/json"},

		{name: "no share", route: pullRoute, body: pullBody(identity("e")), status: 404, code: "not_found", reason: "share not found"},
		{name: "nothing to delete", route: deleteCall, body: `{"identity":"` + identity("e") + `","version":1}`, status: 404, code: "not_found", reason: "share not found"},
		{name: "unknown route", route: "/v1/vault/nothing", body: "{}", status: 404, code: "no_route", reason: "not found"},
		{name: "slash at the end", route: pushRoute + "/", body: goodPush, status: 404, code: "no_route", reason: "not found"},
		{name: "root", method: http.MethodGet, route: "/", status: 404, code: "no_route", reason: "not found"},
		{name: "escaped path", method: http.MethodGet, route: "/%2e%2e/%00/%ff", status: 404, code: "no_route", reason: "not found"},
		{name: "GET of push", method: http.MethodGet, route: pushRoute, status: 405, code: "method_not_allowed", reason: "method not allowed"},
		{name: "POST to health", route: api.RouteHealthz, status: 405, code: "method_not_allowed", reason: "method not allowed"},
		{name: "made-up method", method: "BREW", route: pullRoute, status: 405, code: "method_not_allowed", reason: "method not allowed"},
	}
}

func TestEveryRefusalOverHTTP(t *testing.T) {
	p := start(t, nil)
	for _, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			method := r.method
			if method == "" {
				method = http.MethodPost
			}
			got := p.do(t, method, r.route, r.body, r.header)
			body := got.failure(t)
			if got.status != r.status || body.Code != r.code || body.Error != r.reason {
				t.Errorf("got %d %q %q, want %d %q %q", got.status, body.Code, body.Error, r.status, r.code, r.reason)
			}
			if got.header.Get("Content-Type") != "application/json" {
				t.Errorf("content type is %q", got.header.Get("Content-Type"))
			}
			if allow := got.header.Get("Allow"); (r.status == 405) != (allow != "") {
				t.Errorf("status %d with Allow %q", r.status, allow)
			}
		})
	}
	if objects := p.store.Backend.(*backendtest.Memory).Objects(); len(objects) != 1 {
		t.Errorf("refused requests left something behind: %d objects", len(objects))
	}
}

// Each row of the table that can be had is had somewhere in this package.
func TestEveryRowIsSent(t *testing.T) {
	elsewhere := []string{
		"version_conflict", "quota_exceeded", "ownership_required", "rate_limited", "integrity_failed",
		"internal", "storage_unavailable", "overloaded", "frozen", "key_unavailable",
	}
	sent := map[string]bool{}
	for _, r := range refusals() {
		sent[r.code] = true
	}
	for _, code := range elsewhere {
		sent[code] = true
	}
	for _, row := range api.ErrorTable {
		if !sent[row.Code] {
			t.Errorf("nothing provokes %s", row.Code)
		}
	}
}

func TestVersionConflict(t *testing.T) {
	p := start(t, nil)
	p.want(t, pushRoute, goodPush, 200, `{"status":"stored"}`)
	conflict := `{"error":"version must be greater than current stored version","code":"version_conflict","current_version":%d,"stored":%v}`
	p.want(t, pushRoute, goodPush, 400, fmt.Sprintf(conflict, 1, true))
	p.want(t, pushRoute, pushBody(id, "b3RoZXI=", "1"), 400, fmt.Sprintf(conflict, 1, false))
	p.want(t, pushRoute, pushBody(id, testShare, "0"), 400, fmt.Sprintf(conflict, 1, false))
	p.want(t, deleteCall, `{"identity":"`+id+`","version":2}`, 400, fmt.Sprintf(conflict, 1, false))
	p.want(t, pushRoute, pushBody(id, testShare, "2"), 200, `{"status":"stored"}`)
	p.want(t, deleteCall, `{"identity":"`+id+`","version":1}`, 400, fmt.Sprintf(conflict, 2, false))
	p.want(t, deleteCall, `{"identity":"`+id+`","version":2}`, 200, `{"status":"deleted","version":2}`)
	p.want(t, deleteCall, `{"identity":"`+id+`","version":2}`, 404, `{"error":"share not found","code":"not_found"}`)
	p.want(t, pushRoute, pushBody(id, testShare, "2"), 400, fmt.Sprintf(conflict, 2, false))
}

func TestBearerTokens(t *testing.T) {
	p := start(t, nil, withTokens(t, map[string]string{"default": token, "other": "second"}))
	for name, c := range map[string]struct {
		authorization string
		status        int
		reason        string
	}{
		"none":         {"", 401, "missing bearer token"},
		"other scheme": {"Basic " + token, 401, "missing bearer token"},
		"no token":     {"Bearer ", 401, "missing bearer token"},
		"bare token":   {token, 401, "missing bearer token"},
		"wrong":        {"Bearer wrong", 401, "invalid bearer token"},
		"prefix":       {"Bearer " + token[:5], 401, "invalid bearer token"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.do(t, http.MethodPost, pullRoute, pullBody(id), http.Header{"Authorization": {c.authorization}})
			if got.status != c.status || got.failure(t).Error != c.reason {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, c.status, c.reason)
			}
			if got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	for _, good := range []string{"Bearer " + token, "bearer second"} {
		if got := p.do(t, http.MethodPost, pullRoute, pullBody(id), http.Header{"Authorization": {good}}); got.status != 404 {
			t.Errorf("a token that is known got %d %s", got.status, got.body)
		}
	}
	for _, open := range []string{api.RouteHealthz, api.RouteReadyz, api.RouteV1Health, api.RouteStatus, api.RouteGuardians, api.RouteOpenAPI} {
		if got := p.do(t, http.MethodGet, open, "", nil); got.status != 200 {
			t.Errorf("%s is gated: %d", open, got.status)
		}
	}
	if strings.Contains(p.log.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestNobodyIsLetInUnlessAsked(t *testing.T) {
	p := start(t, nil, withTokens(t, nil))
	if got := p.post(t, pullRoute, pullBody(id)); got.status != 401 || got.failure(t).Code != "token_required" {
		t.Errorf("without tokens and without being asked to be open: %d %s", got.status, got.body)
	}
}

func TestStorageUnavailable(t *testing.T) {
	p := start(t, func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	for route, body := range map[string]string{
		pushRoute: goodPush, pullRoute: pullBody(id), deleteCall: `{"identity":"` + id + `","version":1}`,
	} {
		got := p.post(t, route, body)
		if got.status != 503 || got.failure(t).Code != "storage_unavailable" || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s answered %d %s, Retry-After %q", route, got.status, got.body, got.header.Get("Retry-After"))
		}
	}
	if !strings.Contains(p.log.String(), "failed to write share for aaaaaaaa: ") {
		t.Errorf("not in the log:\n%s", p.log)
	}
}

func TestIntegrityFailed(t *testing.T) {
	p := start(t, nil)
	p.want(t, pushRoute, goodPush, 200, `{"status":"stored"}`)
	p.want(t, pushRoute, pushBody(identity("b"), testShare, "1"), 200, `{"status":"stored"}`)
	memory := p.store.Backend.(*backendtest.Memory)
	for key, object := range memory.Objects() {
		if strings.Contains(key, id) && strings.HasSuffix(key, "share.bin") {
			object[0] ^= 1
			if _, err := memory.Put(t.Context(), key, object, backend.AnyRevision); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.want(t, pullRoute, pullBody(id), 500, `{"error":"integrity check failed","code":"integrity_failed"}`)
	if got := p.post(t, pullRoute, pullBody(identity("b"))); got.status != 200 {
		t.Errorf("another identity is not served: %d %s", got.status, got.body)
	}
}

func TestKeyUnavailable(t *testing.T) {
	p := start(t, nil)
	ring := `{"primary":"k2","keys":{"default":"` + testKey + `","k2":"ff` + testKey[2:] + `"}}`
	rotated := newNode(t, p.store, ring, slog.New(slog.DiscardHandler))
	share := guardian.Share{Data: []byte("share"), Version: 1}
	if err := rotated.Push(t.Context(), guardian.Slot{Identity: id}, share, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	got := p.post(t, pullRoute, pullBody(id))
	if got.status != 503 || got.failure(t).Code != "key_unavailable" || got.header.Get("Retry-After") == "" {
		t.Errorf("sealed under a key not known here: %d %s", got.status, got.body)
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	const secret = "what-the-request-sent"
	p := start(t, func(call backendtest.Call) backendtest.Fault {
		if call.Op == backendtest.OpGet && strings.Contains(call.Key, id) {
			panic(secret)
		}
		return backendtest.None
	})
	got := p.post(t, pullRoute, pullBody(id))
	body := got.failure(t)
	if got.status != 500 || body.Code != "internal" || body.Error != "internal server error" || body.RequestID == "" {
		t.Fatalf("a panic was answered with %d %s", got.status, got.body)
	}
	if log := p.log.String(); !strings.Contains(log, "request_id="+body.RequestID) || strings.Contains(log, secret) {
		t.Errorf("the log has no request id, or too much:\n%s", log)
	}
	p.want(t, pushRoute, pushBody(identity("b"), testShare, "1"), 200, `{"status":"stored"}`)
}

// What a guardian answers is to the client the very error it was.
func TestEveryRowThereAndBack(t *testing.T) {
	for _, row := range api.ErrorTable {
		t.Run(row.Code, func(t *testing.T) {
			e := echo.New()
			response := httptest.NewRecorder()
			body, status := api.NewErrorResponse(fmt.Errorf("doing: %w", row.Err))
			if err := e.NewContext(httptest.NewRequest(http.MethodPost, "/", nil), response).JSON(status, body); err != nil {
				t.Fatal(err)
			}
			var received api.ErrorResponse
			if err := json.Unmarshal(response.Body.Bytes(), &received); err != nil {
				t.Fatal(err)
			}
			if response.Code != row.Status || !errors.Is(received.Err(), row.Err) {
				t.Errorf("%d %s became %v", response.Code, response.Body, received.Err())
			}
		})
	}
}

func TestConflictThereAndBack(t *testing.T) {
	sent := api.VersionConflictError{Current: math.MaxUint64, Stored: true}
	body, _ := api.NewErrorResponse(fmt.Errorf("pushing: %w", &sent))
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var received api.ErrorResponse
	if err := json.Unmarshal(text, &received); err != nil {
		t.Fatal(err)
	}
	conflict, ok := errors.AsType[*api.VersionConflictError](received.Err())
	if !ok || *conflict != sent {
		t.Errorf("%s became %v", text, received.Err())
	}
}

func TestExactVersions(t *testing.T) {
	p := start(t, nil)
	for i, version := range []string{"0", "9007199254740993", fmt.Sprint(uint64(math.MaxUint64))} {
		p.want(t, pushRoute, pushBody(id, testShare, version), 200, `{"status":"stored"}`)
		p.want(t, pullRoute, pullBody(id), 200, `{"share":"`+testShare+`","version":`+version+`,"threshold":0,"epoch":0}`)
		p.want(t, pullRoute, `{"identity":"`+id+`","version":`+version+`}`, 200, `{"share":"`+testShare+`","version":`+version+`,"threshold":0,"epoch":0}`)
		if got := p.post(t, pushRoute, pushBody(id, testShare, version)); !strings.Contains(string(got.body), `"current_version":`+version+`,`) {
			t.Errorf("push %d: %s", i, got.body)
		}
	}
}

func TestWhatIsPushedIsPulled(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	split := "000102030405060708090A0B0C0D0E0F"
	signed := base64.StdEncoding.EncodeToString([]byte(o.manifest(t, "", 1, "test share data", func(m *manifest.Manifest) {
		m.Threshold, m.Split = 3, strings.ToLower(split)
		m.Holders = append(m.Holders, manifest.Holder{X: 255})
	})))
	body := `{"IGNORED":{"a":[1]},"identity":"` + strings.ToUpper(o.id) + `","share":"` + testShare +
		`","version":1,"threshold":3,"split":"` + split + `","manifest":"` + signed + `","proof":null}`
	p.want(t, pushRoute, body, 200, `{"status":"stored"}`)
	p.want(t, pullRoute, pullBody(o.id), 200, `{"share":"`+testShare+`","version":1,"threshold":3,"split":"`+
		strings.ToLower(split)+`","epoch":0,"manifest":"`+signed+`"}`)
}

func TestLimitsAreInclusive(t *testing.T) {
	p := start(t, nil)
	p.want(t, pushRoute, pushOf(api.MaxShareSize), 200, `{"status":"stored"}`)
	padded := pushBody(id, "YQ==", "2")
	p.want(t, pushRoute, padded+strings.Repeat(" ", api.MaxPushBody-len(padded)), 200, `{"status":"stored"}`)
	padded = pullBody(id)
	if got := p.post(t, pullRoute, padded+strings.Repeat(" ", api.MaxBody-len(padded))); got.status != 200 {
		t.Errorf("a body of just the limit: %d %s", got.status, got.body)
	}
	// No manifest in order is as large as one may be: that one is read, and the
	// largest that there can be is taken beside the largest share.
	zeros := base64.StdEncoding.EncodeToString(make([]byte, api.MaxManifestSize))
	p.want(t, pushRoute, withField("manifest", `"`+zeros+`"`), 400, `{"error":"invalid manifest: it does not begin with \"guardian-manifest-v1\\n\"","code":"invalid_manifest"}`)
	o, share := newOwner(), strings.Repeat("s", api.MaxShareSize)
	signed := o.manifest(t, "", 1, share, largest)
	wants(t, "push", o.v1(t, p, v1{verb: auth.Push, version: 1, share: share, manifest: signed}), 200, "")
	for _, threshold := range []int{0, 2, 255} {
		body := pushBody(fmt.Sprintf("%064x", threshold), testShare, "1")
		p.want(t, pushRoute, strings.TrimSuffix(body, "}")+fmt.Sprintf(`,"threshold":%d}`, threshold), 200, `{"status":"stored"}`)
	}
}

func TestJSONTypesTaken(t *testing.T) {
	p := start(t, nil)
	for _, header := range []http.Header{nil, contentType("application/json"), contentType("Application/JSON; charset=utf-8")} {
		if got := p.do(t, http.MethodPost, pullRoute, pullBody(id), header); got.status != 404 {
			t.Errorf("%v: %d %s", header, got.status, got.body)
		}
	}
}
