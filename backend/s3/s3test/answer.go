package s3test

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// answer is an HTTP response on its way to the client.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	truncate bool
}

func newAnswer(r *http.Response) (*answer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	r.Header.Del("Connection") // is about the server's connection, not the client's
	return &answer{status: r.StatusCode, header: r.Header, body: body}, nil
}

// errorAnswer is an error as S3 words it.
func errorAnswer(status int, code string) *answer {
	type wire struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}
	text, err := xml.Marshal(wire{Code: code, Message: "injected by the test"})
	if err != nil {
		panic(err) // two strings
	}
	header := http.Header{"Content-Type": {"application/xml"}}
	return &answer{status: status, header: header, body: append([]byte(xml.Header), text...)}
}

// send writes the answer, and panics to close the connection of a truncated
// one. Errors are the client's, who has gone.
func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	if a.header.Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil // or net/http would guess one
	}
	w.WriteHeader(a.status)
	if !a.truncate {
		_, _ = w.Write(a.body) //nolint:gosec // a store's bytes for a test, no browser's
		return
	}
	_, _ = w.Write(a.body[:len(a.body)/2]) //nolint:gosec // likewise
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
