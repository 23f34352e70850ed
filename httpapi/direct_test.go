package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend"
)

func newRequest(t testing.TB, route, body string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, route, strings.NewReader(body))
}

// serveDirectly calls the handler without a connection.
func serveDirectly(p *plane, request *http.Request) answer {
	response := httptest.NewRecorder()
	p.handler.ServeHTTP(response, request)
	return answer{response.Code, response.Header(), response.Body.Bytes()}
}

// deadlineSpy reports the deadline of every Get.
type deadlineSpy struct {
	backend.Backend
	ends chan<- time.Time
}

func (s deadlineSpy) Get(ctx context.Context, key string) ([]byte, backend.Revision, error) {
	end, _ := ctx.Deadline()
	s.ends <- end
	return s.Backend.Get(ctx, key)
}
