package repair

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/check"
	"github.com/vault-guardian/guardian/repair/recovery"
)

// Route is one call that a Repairer answers, and the most that its body may
// take, in bytes.
type Route struct {
	Path    string
	MaxBody int64
}

// Bounds of request bodies, in bytes.
const (
	maxSmall    = 16 << 10
	maxOffers   = 128 << 10 // 255 offers
	maxBucket   = 2*record.MaxSize + maxSmall
	maxNotice   = 64 << 10  // 100 slots
	maxStanding = 128 << 10 // 256 records
	// maxCertificates is for a whole round: base64 of check.MaxChains, or of one
	// chain, and 510 followers.
	maxCertificates = backend.MaxObjectSize
)

// Routes are all of them.
func Routes() []Route {
	routes := []Route{
		{RouteSurvey, maxSmall},
		{RouteOffer, maxSmall},
		{RouteContribute, maxOffers},
		{RouteInventory, maxSmall},
		{RouteBucket, maxBucket},
		{RouteNotice, maxNotice},
		{RouteStanding, maxStanding},
		{RouteCertificates, maxCertificates},
	}
	for _, step := range check.Steps() {
		routes = append(routes, Route{RouteCheck + string(step), int64(step.MaxRequest())})
	}
	return routes
}

// answerer answers one route.
type answerer func(ctx context.Context, caller ed25519.PublicKey, body []byte) ([]byte, error)

func (r *Repairer) answerers() map[string]answerer {
	all := map[string]answerer{
		RouteSurvey:     answering(r.answerSurvey),
		RouteOffer:      answering(r.answerOffer),
		RouteContribute: answering(r.answerContribute),
		RouteInventory:  answering(r.scrubber.answerInventory),
		RouteBucket:     answering(r.scrubber.answerBucket),
		RouteNotice:     answering(r.scrubber.answerNotice),

		RouteStanding:     answering(r.answerStanding),
		RouteCertificates: answering(r.answerCertificates),
	}
	for _, step := range check.Steps() {
		all[RouteCheck+string(step)] = func(ctx context.Context, caller ed25519.PublicKey, body []byte) ([]byte, error) {
			answer, err := r.checks.Serve(ctx, caller, step, body)
			return answer, refusalOf(err)
		}
	}
	return all
}

// Handle answers a member of the cluster that has proved to hold the key
// caller. Errors are those of package api, or a *RefusedError, and quote nothing
// of a share. A Repairer without a node key refuses everything.
func (r *Repairer) Handle(ctx context.Context, caller ed25519.PublicKey, route string, body []byte) ([]byte, error) {
	answer, known := r.routes[route]
	if !known || r.cfg.Key == nil {
		return nil, &RefusedError{CodeMalformed, "no such call"}
	}
	return answer(ctx, caller, body)
}

// answering decodes one JSON object, and encodes what comes of it. Unknown
// fields are ignored: another guardian may be newer.
func answering[Request, Answer any](f func(context.Context, ed25519.PublicKey, Request) (Answer, error)) answerer {
	return func(ctx context.Context, caller ed25519.PublicKey, body []byte) ([]byte, error) {
		var request Request
		body = bytes.TrimSpace(body)
		if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &request) != nil {
			return nil, malformed("not the JSON of this call")
		}
		answer, err := f(ctx, caller, request)
		if err != nil {
			return nil, refusalOf(err)
		}
		data, err := json.Marshal(answer)
		if err != nil {
			return nil, fmt.Errorf("encoding the answer: %w", err)
		}
		return data, nil
	}
}

// refusals are the codes of what the protocols refuse.
var refusals = []struct {
	err  error
	code string
}{
	{recovery.ErrNotHolder, CodeNotHolder},
	{recovery.ErrOffers, CodeOffers},
	{recovery.ErrNoShare, CodeNoShare},
	{recovery.ErrBusy, CodeBusy},
	{check.ErrMalformed, CodeMalformed},
	{check.ErrBatch, CodeMalformed},
	{check.ErrTooFew, CodeMalformed},
	{check.ErrNoShare, CodeNoShare},
	{check.ErrSession, CodeSession},
	{check.ErrBusy, CodeBusy},
}

func refusalOf(err error) error {
	for _, row := range refusals {
		if errors.Is(err, row.err) {
			return &RefusedError{row.code, err.Error()}
		}
	}
	return err
}

func malformed(format string, args ...any) error {
	return &RefusedError{CodeMalformed, fmt.Sprintf(format, args...)}
}

// slot checks the name of a slot that came over the wire.
func slotOf(identity, name string) (guardian.Slot, error) {
	slot := guardian.Slot{Identity: identity, Name: name}
	if !slot.Valid() {
		return guardian.Slot{}, malformed("no slot has that name")
	}
	return slot, nil
}

// slotNamed checks the name of a record that came over the wire.
func slotNamed(ref record.Ref) (guardian.Slot, error) {
	if len(ref.Hash) != sha256.Size {
		return guardian.Slot{}, malformed("the hash of a record has %d bytes", sha256.Size)
	}
	return slotOf(ref.Identity, ref.Name)
}

// pointOf makes a point of a number that came over the wire: 256 would be 0 in
// a byte, and 0 is where the secret lies.
func pointOf(x int) (byte, error) {
	if x < 1 || x > 255 {
		return 0, malformed("a point is 1 to 255")
	}
	return byte(x), nil
}
