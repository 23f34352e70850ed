package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/vault-guardian/guardian/api"
)

// readJSON reads one JSON object into value; an empty body leaves it as it is. A
// field that is not known is refused: an audit of what somebody misspelt would be
// one of everything.
func readJSON(body io.Reader, value any) error {
	data, err := io.ReadAll(body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return api.ErrBodyTooLarge
	}
	if err != nil {
		return fmt.Errorf("%w: reading body: %w", api.ErrInvalidJSON, err)
	}
	if data = bytes.TrimSpace(data); len(data) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if data[0] != '{' || decoder.Decode(value) != nil || decoder.InputOffset() < int64(len(data)) {
		return &api.FieldError{Sentinel: api.ErrInvalidJSON, Text: "not one JSON object with the fields of this call"}
	}
	return nil
}
