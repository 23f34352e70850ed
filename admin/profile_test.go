package admin_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestProfiles(t *testing.T) {
	t.Parallel()
	p := start(t, reloaded)
	const gzipped = "\x1f\x8b"
	for path, begins := range map[string]string{
		"":                        "<html>",
		"profile?seconds=1":       gzipped,
		"trace?seconds=0.1":       "go 1.",
		"symbol?0x1":              "num_symbols: 1",
		"heap":                    gzipped,
		"heap?gc=1&debug=1":       "heap profile",
		"heap?seconds=1":          gzipped,
		"goroutine":               gzipped,
		"goroutine?debug=2":       "goroutine ",
		"allocs":                  gzipped,
		"block":                   gzipped,
		"mutex":                   gzipped,
		"threadcreate":            gzipped,
		"threadcreate?debug=1":    "threadcreate profile",
		"goroutine?debug=1&gc=x&": "goroutine profile",
	} {
		got := p.get(t, "/debug/pprof/"+path)
		if got.status != http.StatusOK || !strings.HasPrefix(got.body, begins) {
			t.Errorf("%q answered %d, %.40q", path, got.status, got.body)
		}
	}
}

func TestProfilingIsBounded(t *testing.T) {
	p := start(t, reloaded)
	for _, name := range []string{"profile", "trace", "heap", "goroutine"} {
		for _, seconds := range []string{"0", "-1", "240.5", "241", "1e9", "1e400", "NaN", "Inf", "-Inf", "x", "0x1000"} {
			p.get(t, "/debug/pprof/"+name+"?seconds="+seconds).refused(t, http.StatusBadRequest, "invalid_seconds")
		}
	}
}

// net/http/pprof looks for seconds in more places than the query.
func TestProfilingTimeInABody(t *testing.T) {
	p := start(t, reloaded)
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("seconds", "1000000"); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	request := p.request(t, http.MethodGet, "/debug/pprof/heap", body.String())
	request.Header.Set("Content-Type", form.FormDataContentType())
	if got := p.do(t, request); got.status != http.StatusOK || got.body == "" {
		t.Errorf("answered %d, %d bytes", got.status, len(got.body))
	}
}

// The handlers move the write deadline; that must get through to the
// connection, or every profile longer than the write timeout is cut off.
func TestProfileOutlivesTheWriteTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, reloaded, func(server *http.Server) {
		server.WriteTimeout = 5 * time.Second // and a busy machine may need as much for the rest
	})
	if got := p.get(t, "/debug/pprof/heap?seconds=6"); got.status != http.StatusOK || got.body == "" {
		t.Errorf("answered %d, %d bytes", got.status, len(got.body))
	}
}
