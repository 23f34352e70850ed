package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

func FuzzPush(f *testing.F)   { fuzzRoute(f, pushRoute) }
func FuzzPull(f *testing.F)   { fuzzRoute(f, pullRoute) }
func FuzzDelete(f *testing.F) { fuzzRoute(f, deleteCall) }

// fuzzRoute sends bodies and content types, and fails on an answer that is not
// of the protocol: neither a success nor an error of the table, or a 5xx,
// which nothing that is sent may cause.
func fuzzRoute(f *testing.F, route string) {
	for _, r := range refusals() {
		if r.route == route && r.method == "" && len(r.body) < 2048 {
			f.Add([]byte(r.body), r.header.Get("Content-Type"))
		}
	}
	f.Add([]byte(goodPush), "application/json")
	f.Add([]byte(`{"identity":"`+id+`","version":18446744073709551615}`), "")
	f.Add([]byte(`{"identity":"`+strings.Repeat(`\ud83d`, 64)+`","version":9007199254740993}`), "application/json; charset=utf-8")
	p := newPlane(f, nil)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		request := newRequest(t, route, string(body))
		request.Header.Set("Content-Type", contentType)
		got := serveDirectly(p, request)
		if got.header.Get("Content-Type") != "application/json" || !json.Valid(got.body) {
			t.Fatalf("answered %d %q", got.status, got.body)
		}
		if got.status == http.StatusOK {
			return
		}
		failure := got.failure(t)
		known := slices.ContainsFunc(api.ErrorTable, func(row api.ErrorRow) bool {
			return row.Code == failure.Code && row.Status == got.status
		})
		if !known || got.status >= 500 || failure.Error == "" {
			t.Fatalf("answered %d %s", got.status, got.body)
		}
	})
}
