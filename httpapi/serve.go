package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
)

// serve is every V1 call on a share: decode the Request, parse it into
// something valid, admit the caller, answer. The functions return errors of
// package api.
func serve[Request any, Valid question, Response any](
	s *server,
	parse func(Request) (Valid, error),
	answer func(context.Context, guardian.Caller, Valid) (Response, error),
) echo.HandlerFunc {
	return func(c echo.Context) error {
		request, err := decode[Request](callOf(c).takeBody())
		if err != nil {
			return err
		}
		valid, err := parse(request)
		if err != nil {
			return err
		}
		by, err := s.admit(c, valid.asked())
		if err != nil {
			return err
		}
		ctx, cancel := storageTime(c)
		defer cancel()
		response, err := answer(ctx, by, valid)
		if err != nil {
			return err
		}
		return s.succeed(c, response)
	}
}

// serveOpen is a call with a body that asks for nothing of anybody's.
func serveOpen[Request, Response any](s *server, answer func(Request) (Response, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		request, err := decode[Request](callOf(c).takeBody())
		if err != nil {
			return err
		}
		response, err := answer(request)
		if err != nil {
			return err
		}
		return s.answer(c, response)
	}
}

// serveSecret is every V2 call. Whose secrets they are the session says; the
// name is checked before anything else is done with it, and the proof is in
// the headers.
func serveSecret[Valid question, Response any](
	s *server,
	parse func(secretCall) (Valid, error),
	answer func(context.Context, guardian.Caller, Valid) (Response, error),
) echo.HandlerFunc {
	return func(c echo.Context) error {
		callOf(c).conflicts = true
		call, err := s.secretCall(c)
		if err != nil {
			return err
		}
		valid, err := parse(call)
		if err != nil {
			return err
		}
		a := valid.asked()
		if s.cfg.Ownership != guardian.OwnershipOff && a.proof.Signature == "" {
			return api.ErrOwnershipRequired
		}
		by, err := s.admit(c, a)
		if err != nil {
			return err
		}
		ctx, cancel := storageTime(c)
		defer cancel()
		response, err := answer(ctx, by, valid)
		if errors.Is(err, api.ErrNotFound) {
			return api.ErrSecretNotFound
		}
		if err != nil {
			return err
		}
		return s.succeed(c, response)
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
	if readPlain(body, &request) {
		return request, nil
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
		return errVersionNumber
	case "epoch":
		return errEpochNumber
	case "threshold":
		return errThreshold
	case "split":
		return errSplit
	case "manifest":
		return &api.FieldError{Sentinel: api.ErrInvalidManifest, Text: "manifest must be a string"}
	}
	return api.ErrInvalidJSON
}
