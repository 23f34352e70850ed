package httpapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/docs"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/limit"
)

func loadDescription(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	description, err := openapi3.NewLoader().LoadFromData(docs.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := description.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(description)
	if err != nil {
		t.Fatal(err)
	}
	return description, router
}

func TestDescriptionIsServed(t *testing.T) {
	p := start(t, nil)
	got := p.do(t, http.MethodGet, api.RouteOpenAPI, "", nil)
	if got.status != 200 || !bytes.Equal(got.body, docs.OpenAPI) || got.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %d, %d bytes of %s", got.status, len(got.body), got.header.Get("Content-Type"))
	}
}

func TestDescriptionNamesEveryRouteAndCode(t *testing.T) {
	description, _ := loadDescription(t)
	for _, route := range []string{
		api.RouteHealthz, api.RouteHealth, api.RouteReadyz, api.RouteReady, api.RouteV1Health, api.RouteStatus,
		api.RouteGuardians, api.RouteRoster, api.RouteOpenAPI, api.RoutePush, api.RoutePull, api.RouteDelete, api.RouteHistory,
		api.RouteChallenge, api.RouteSession, api.RouteV2Challenge, api.RouteV2Session,
		api.RouteSecrets, api.RouteSecret, api.RouteVersions,
	} {
		route = strings.Replace(route, ":name", "{name}", 1)
		if description.Paths.Find(route) == nil {
			t.Errorf("%s is not described", route)
		}
	}
	if description.Info.Version != api.Version {
		t.Errorf("it describes version %s", description.Info.Version)
	}
	codes := description.Components.Schemas["Error"].Value.Properties["code"].Value.Enum
	for _, row := range api.ErrorTable {
		if !slices.Contains(codes, any(row.Code)) {
			t.Errorf("code %s is not described", row.Code)
		}
	}
}

// Each field of package api is described, and no other; what is required of an
// answer is what is always there.
func TestDescriptionNamesEveryField(t *testing.T) {
	description, _ := loadDescription(t)
	for name, c := range map[string]struct {
		of     any
		answer bool
	}{
		"PushRequest":    {api.PushRequest{}, false},
		"PushResponse":   {api.PushResponse{}, true},
		"PullRequest":    {api.PullRequest{}, false},
		"PullResponse":   {api.PullResponse{}, true},
		"HistoryRequest": {api.HistoryRequest{}, false}, "History": {api.HistoryResponse{}, true},
		"DeleteRequest": {api.DeleteRequest{}, false}, "DeleteResponse": {api.DeleteResponse{}, true},
		"ChallengeRequest": {api.ChallengeRequest{}, false}, "Challenge": {api.ChallengeResponse{}, true},
		"SessionRequest": {api.SessionRequest{}, false}, "Session": {api.SessionResponse{}, true},
		"PutRequest": {api.PutSecretRequest{}, false}, "PutResponse": {api.PutSecretResponse{}, true},
		"Secret": {api.SecretResponse{}, true}, "Secrets": {api.SecretsResponse{}, true},
		"DeleteSecretResponse": {api.DeleteSecretResponse{}, true},
		"Health":               {api.HealthResponse{}, true},
		"Status":               {api.StatusResponse{}, true},
		"Guardians":            {api.GuardiansResponse{}, true}, "Guardian": {api.GuardianInfo{}, true},
		"Roster": {api.RosterResponse{}, true},
		"Error":  {api.ErrorResponse{}, true},
	} {
		schema := description.Components.Schemas[name].Value
		always, all := fieldsOf(reflect.TypeOf(c.of))
		if described := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(described, all) {
			t.Errorf("%s has %v, described are %v", name, all, described)
		}
		if required := slices.Sorted(slices.Values(schema.Required)); c.answer && !slices.Equal(required, always) {
			t.Errorf("%s always has %v, required are %v", name, always, required)
		}
	}
}

// fieldsOf lists the JSON names of a struct in order: those always there, and
// all.
func fieldsOf(of reflect.Type) (always, all []string) {
	for field := range of.Fields() {
		if field.Anonymous {
			more, most := fieldsOf(field.Type)
			always, all = append(always, more...), append(all, most...)
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if all = append(all, name); options == "" {
			always = append(always, name)
		}
	}
	slices.Sort(always)
	slices.Sort(all)
	return always, all
}

// Real answers, good and bad, are as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	_, router := loadDescription(t)
	p := start(t, nil)
	deletion := `{"identity":"` + id + `","version":1}`
	exchanges := []refusal{
		{name: "push", route: pushRoute, body: withField("threshold", "3"), status: 200},
		{name: "conflict", route: pushRoute, body: goodPush, status: 400},
		{name: "pull", route: pullRoute, body: pullBody(id), status: 200},
		{name: "delete", route: deleteCall, body: deletion, status: 200},
	}
	for _, route := range []string{
		api.RouteHealthz, api.RouteHealth, api.RouteReadyz, api.RouteReady,
		api.RouteV1Health, api.RouteStatus, api.RouteGuardians,
	} {
		exchanges = append(exchanges, refusal{name: route, method: http.MethodGet, route: route, status: 200})
	}
	for _, r := range refusals() {
		described := strings.HasPrefix(r.route, "/v1/") || strings.HasPrefix(r.route, "/v2/")
		if described && r.status != 405 && r.code != "no_route" {
			exchanges = append(exchanges, r)
		}
	}
	for _, e := range exchanges {
		t.Run(e.name, func(t *testing.T) { validate(t, router, p, e) })
	}
	p.monitor.Drain()
	validate(t, router, p, refusal{method: http.MethodGet, route: api.RouteReadyz, status: 503})
}

// Every call with a proof and a session, good and bad, is as described.
func TestOwnersAnswersAreAsDescribed(t *testing.T) {
	_, router := loadDescription(t)
	for proof := 1; proof <= 2; proof++ {
		p := start(t, nil, withOwnership(guardian.OwnershipRequired))
		o := newOwner()
		session := p.session(t, o.id)
		for _, e := range ownersExchanges(t, o, proof) {
			t.Run(fmt.Sprintf("%s/proof %d", e.name, proof), func(t *testing.T) {
				e.header.Set(api.HeaderSession, session)
				validate(t, router, p, e)
			})
		}
	}
}

func ownersExchanges(t *testing.T, o owner, proof int) []refusal {
	one, share := uint64(1), []byte("share")
	body := func(verb auth.Verb) api.Proof {
		return o.proof(t, proof, auth.Claim{Verb: verb, Version: one, Share: share})
	}
	head := func(verb auth.Verb, name string) http.Header {
		return headersOf(o.proof(t, proof, auth.Claim{Verb: verb, Name: name, Version: one, Share: share}), verb)
	}
	push := encode(t, api.PushRequest{Identity: o.id, Share: "c2hhcmU=", Version: &one, Proof: body(auth.Push)})
	put := encode(t, api.PutSecretRequest{Share: "c2hhcmU=", Version: &one, Threshold: 2})
	read := encode(t, api.PullRequest{Identity: o.id, Proof: body(auth.Pull)})
	remove := encode(t, api.DeleteRequest{Identity: o.id, Version: &one, Proof: body(auth.Delete)})
	const secret, versions = api.RouteSecrets + "/name", api.RouteSecrets + "/name/versions"
	return []refusal{
		{name: "challenge", route: api.RouteChallenge, body: pullBody(o.id), header: http.Header{}, status: 200},
		{name: "challenge of V2", route: api.RouteV2Challenge, body: pullBody(o.id), header: http.Header{}, status: 200},
		{name: "push", route: pushRoute, body: push, header: http.Header{}, status: 200},
		{name: "conflict", route: pushRoute, body: push, header: http.Header{}, status: 409},
		{name: "pull", route: pullRoute, body: read, header: http.Header{}, status: 200},
		{name: "history", route: api.RouteHistory, body: read, header: http.Header{}, status: 200},
		{name: "delete", route: deleteCall, body: remove, header: http.Header{}, status: 200},
		{name: "history of the deleted", route: api.RouteHistory, body: read, header: http.Header{}, status: 200},
		{name: "bare", route: pullRoute, body: pullBody(o.id), header: http.Header{}, status: 401},
		{name: "empty list", method: "GET", route: api.RouteSecrets, header: head(auth.List, ""), status: 200},
		{name: "put", method: "PUT", route: secret, body: put, header: head(auth.Push, "name"), status: 200},
		{name: "put again", method: "PUT", route: secret, body: put, header: head(auth.Push, "name"), status: 409},
		{name: "get", method: "GET", route: secret, header: head(auth.Pull, "name"), status: 200},
		{name: "get a version", method: "GET", route: secret + "?version=1", header: head(auth.Pull, "name"), status: 200},
		{name: "get an epoch", method: "GET", route: secret + "?epoch=0", header: head(auth.Pull, "name"), status: 200},
		{name: "get both", method: "GET", route: secret + "?version=1&epoch=0", header: head(auth.Pull, "name"), status: 200},
		{name: "get an epoch that is not", method: "GET", route: secret + "?epoch=1", header: head(auth.Pull, "name"), status: 404},
		{name: "get no epoch", method: "GET", route: secret + "?epoch=-1", header: head(auth.Pull, "name"), status: 400},
		{name: "get no version", method: "GET", route: secret + "?version=x", header: head(auth.Pull, "name"), status: 400},
		{name: "versions", method: "GET", route: versions, header: head(auth.Pull, "name"), status: 200},
		{name: "list", method: "GET", route: api.RouteSecrets, header: head(auth.List, ""), status: 200},
		{name: "wrong proof", method: "GET", route: secret, header: head(auth.Pull, "other"), status: 401},
		{name: "delete secret", method: "DELETE", route: secret, header: head(auth.Delete, "name"), status: 200},
		{name: "delete again", method: "DELETE", route: secret, header: head(auth.Delete, "name"), status: 404},
		{name: "versions of the deleted", method: "GET", route: versions, header: head(auth.Pull, "name"), status: 200},
		{name: "get the deleted", method: "GET", route: secret, header: head(auth.Pull, "name"), status: 404},
	}
}

// A session that was opened is as described, and so is a call that comes too
// soon.
func TestSessionAndLimitAreAsDescribed(t *testing.T) {
	_, router := loadDescription(t)
	p := start(t, nil, withLimits(limit.Config{PerAddress: 3}))
	o := newOwner()
	var challenge api.ChallengeResponse
	p.must(t, api.RouteChallenge, api.ChallengeRequest{Identity: o.id}, nil, &challenge)
	body := encode(t, api.SessionRequest{Identity: o.id, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag})
	for _, route := range []string{api.RouteSession, api.RouteV2Session} {
		validate(t, router, p, refusal{route: route, body: body, status: 200})
	}
	validate(t, router, p, refusal{route: pullRoute, body: pullBody(id), status: 429})
	validate(t, router, p, refusal{method: "GET", route: api.RouteSecrets, status: 429})
}

func validate(t *testing.T, router routers.Router, p *plane, e refusal) {
	t.Helper()
	method := e.method
	if method == "" {
		method = http.MethodPost
	}
	got := p.do(t, method, e.route, e.body, e.header)
	if got.status != e.status {
		t.Fatalf("got %d %s, want %d", got.status, got.body, e.status)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, e.route, strings.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, e.header)
	request.Header.Set("Content-Type", "application/json")
	route, params, err := router.FindRoute(request)
	if err != nil {
		t.Fatal(err)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: func(context.Context, *openapi3filter.AuthenticationInput) error { return nil }},
	}
	if e.status == http.StatusOK {
		if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
			t.Errorf("a request that is taken is not as described: %v", err)
		}
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: got.status, Header: got.header,
		Body: io.NopCloser(bytes.NewReader(got.body)), Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}); err != nil {
		t.Errorf("the answer is not as described: %v", err)
	}
}
