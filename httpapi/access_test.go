package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/guardian"
)

// The storages that a guardian has, each empty.
var storages = map[string]func(*testing.T) backend.Backend{
	"memory": func(*testing.T) backend.Backend { return backendtest.NewMemory() },
	"fs": func(t *testing.T) backend.Backend {
		directory, err := fs.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = directory.Close() })
		return directory
	},
	"s3": func(t *testing.T) backend.Backend {
		server := s3test.Versity(t)
		for _, variable := range server.Environ() {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		store, err := s3.Open(t.Context(), s3.Config{Bucket: server.NewBucket(t), Prefix: "nodes/local"})
		if err != nil {
			t.Fatal(err)
		}
		return store
	},
}

var authRoutes = []string{api.RouteChallenge, api.RouteSession, api.RouteV2Challenge, api.RouteV2Session}

var modes = map[string]guardian.Ownership{
	"required": guardian.OwnershipRequired, "sticky": guardian.OwnershipSticky, "off": guardian.OwnershipOff,
}

// Who is let in, for V1 and V2, by ownership mode and version of the proof.
var letIn = []struct {
	mode   string
	proof  int
	v1, v2 string // code of the refusal, "" when let in
}{
	{"required", 0, "ownership_required", "ownership_required"},
	{"required", 1, "", ""},
	{"required", 2, "", ""},
	{"sticky", 0, "", "ownership_required"},
	{"sticky", 1, "", ""},
	{"sticky", 2, "", ""},
	{"off", 0, "", ""},
	{"off", 1, "", ""},
	{"off", 2, "", ""},
}

// What a session does to that: on V1 it is optional, but one that is sent must
// be good; V2 needs one.
var sessionKinds = []struct {
	kind, v1, v2 string
}{
	{"good", "", ""},
	{"absent", "", "token_required"},
	{"foreign", "token_invalid", "foreign"},
	{"expired", "token_invalid", "token_invalid"},
	{"malformed", "token_invalid", "token_invalid"},
}

// Every call, by every kind of caller, on every storage.
func TestWhoIsLetIn(t *testing.T) {
	for storage, open := range storages {
		t.Run(storage, func(t *testing.T) {
			store := open(t)
			for _, tokens := range []bool{false, true} {
				for _, c := range letIn {
					p := startMode(t, store, c.mode, tokens)
					header := http.Header{}
					if tokens {
						header.Set("Authorization", "Bearer "+token)
						refusedWithoutToken(t, p, c.proof)
					}
					for _, s := range sessionKinds {
						name := fmt.Sprintf("%s/tokens %v/proof %d/session %s", c.mode, tokens, c.proof, s.kind)
						t.Run(name, func(t *testing.T) {
							o := newOwner()
							session := p.sessionOfKind(t, s.kind, o, header)
							everyV1(t, p, o, c.proof, session, header, firstOf(s.v1, c.v1))
							if s.v2 != "foreign" {
								everyV2(t, p, o, c.proof, session, header, firstOf(s.v2, c.v2))
								return
							}
							foreignOnV2(t, p, o, c.mode, c.proof, session, header)
						})
					}
				}
			}
		})
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func startMode(t *testing.T, store backend.Backend, mode string, tokens bool) *plane {
	options := []option{withOwnership(modes[mode])}
	if tokens {
		options = append(options, withTokens(t, map[string]string{"default": token}))
	}
	return startOver(t, setup{store: store}, options...)
}

func (p *plane) sessionOfKind(t *testing.T, kind string, o owner, header http.Header) string {
	switch kind {
	case "absent":
		return ""
	case "foreign":
		return p.sessionFor(t, newOwner().id, header)
	case "expired":
		anHourAgo := func() time.Time { return time.Now().Add(-auth.SessionLife) }
		return startOver(t, setup{now: anHourAgo}).session(t, o.id)
	case "malformed":
		return o.id + ":1:" + strings.Repeat("0", 64)
	}
	return p.sessionFor(t, o.id, header)
}

// judge wants a success, or the refusal with its status.
func judge(t *testing.T, what string, got answer, code string) {
	t.Helper()
	if code == "" {
		wants(t, what, got, http.StatusOK, "")
		return
	}
	wants(t, what, got, http.StatusUnauthorized, code)
}

func everyV1(t *testing.T, p *plane, o owner, proof int, session string, header http.Header, code string) {
	t.Helper()
	call := v1{verb: auth.Push, version: 1, share: "share", proof: proof, session: session, header: header}
	judge(t, "push", o.v1(t, p, call), code)
	call.verb = auth.Pull
	judge(t, "pull", o.v1(t, p, call), code)
	call.history = true
	judge(t, "history", o.v1(t, p, call), code)
	call.history, call.verb = false, auth.Delete
	judge(t, "delete", o.v1(t, p, call), code)
}

func everyV2(t *testing.T, p *plane, o owner, proof int, session string, header http.Header, code string) {
	t.Helper()
	call := v2{method: http.MethodPut, name: "a-name", version: 1, share: "share", proof: proof, session: session, header: header}
	judge(t, "put", o.v2(t, p, call), code)
	call.method = http.MethodGet
	judge(t, "get", o.v2(t, p, call), code)
	call.versions = true
	judge(t, "versions", o.v2(t, p, call), code)
	call.versions = false
	judge(t, "list", o.v2(t, p, v2{method: http.MethodGet, proof: proof, session: session, header: header}), code)
	call.method = http.MethodDelete
	judge(t, "delete secret", o.v2(t, p, call), code)
}

// A session of somebody else leads to that one's secrets, and there a proof of
// one's own proves nothing.
func foreignOnV2(t *testing.T, p *plane, o owner, mode string, proof int, session string, header http.Header) {
	t.Helper()
	put := o.v2(t, p, v2{method: http.MethodPut, name: "a-name", version: 1, share: "share", proof: proof, session: session, header: header})
	switch {
	case mode == "off":
		judge(t, "put", put, "")
		own := v2{method: http.MethodGet, name: "a-name", session: p.sessionFor(t, o.id, header), header: header}
		wants(t, "get of one's own", o.v2(t, p, own), http.StatusNotFound, "not_found")
	case proof == 0:
		judge(t, "put", put, "ownership_required")
	default:
		judge(t, "put", put, "ownership_invalid")
	}
}

// refusedWithoutToken: challenge and session too.
func refusedWithoutToken(t *testing.T, p *plane, proof int) {
	t.Helper()
	o := newOwner()
	for _, header := range []http.Header{nil, {"Authorization": {"Bearer wrong"}}} {
		code := "token_required"
		if header != nil {
			code = "token_invalid"
		}
		everyV1(t, p, o, proof, "", header, code)
		everyV2(t, p, o, proof, "", header, code)
		for _, route := range authRoutes {
			judge(t, route, p.do(t, http.MethodPost, route, pullBody(o.id), header), code)
		}
	}
}
