package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
)

// serve is every call with a body: decode the Request, parse it into something
// valid, answer it. The two functions return errors of package api.
func serve[Request, Valid, Response any](
	parse func(Request) (Valid, error),
	answer func(context.Context, Valid) (Response, error),
) echo.HandlerFunc {
	return func(c echo.Context) error {
		request, err := decode[Request](bodyOf(c))
		if err != nil {
			return err
		}
		valid, err := parse(request)
		if err != nil {
			return err
		}
		response, err := answer(c.Request().Context(), valid)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, response)
	}
}

// decode reads exactly one JSON object. Unknown fields are ignored.
func decode[Request any](body []byte) (request Request, err error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return request, api.ErrEmptyBody
	}
	if body[0] != '{' {
		return request, fmt.Errorf("%w: not an object", api.ErrInvalidJSON)
	}
	err = json.Unmarshal(body, &request)
	if mistyped, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return request, ofType(mistyped.Field)
	}
	if err != nil {
		return request, fmt.Errorf("%w: %w", api.ErrInvalidJSON, err)
	}
	return request, nil
}

// ofType is the error for a field whose JSON value is of another type, or a
// number that its type cannot hold.
func ofType(field string) error {
	switch field {
	case "identity":
		return &api.FieldError{Sentinel: api.ErrInvalidIdentity, Text: "identity must be a string"}
	case "share":
		return &api.FieldError{Sentinel: api.ErrInvalidShare, Text: "share must be a string"}
	case "version":
		return &api.FieldError{
			Sentinel: api.ErrInvalidVersion,
			Text:     "version must be a whole number from 0 to 18446744073709551615, without exponent",
		}
	case "threshold":
		return errThreshold
	case "split":
		return errSplit
	case "manifest":
		return &api.FieldError{Sentinel: api.ErrInvalidManifest, Text: "manifest must be a string"}
	}
	return api.ErrInvalidJSON
}
