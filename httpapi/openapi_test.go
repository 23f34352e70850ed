package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/docs"
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
		api.RouteGuardians, api.RouteOpenAPI, api.RoutePush, api.RoutePull, api.RouteDelete,
	} {
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
		if described := r.method == "" && strings.HasPrefix(r.route, "/v1/") && r.status != 405 && r.code != "no_route"; described {
			exchanges = append(exchanges, r)
		}
	}
	for _, e := range exchanges {
		t.Run(e.name, func(t *testing.T) { validate(t, router, p, e) })
	}
	p.monitor.Drain()
	validate(t, router, p, refusal{method: http.MethodGet, route: api.RouteReadyz, status: 503})
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
