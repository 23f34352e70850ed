package httpapi

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
)

// secretCall is a V2 call before its verb counts.
type secretCall struct {
	identity string // as it was sent
	name     string // "" of a list
	version  string // of the query, as is epoch
	epoch    string
	proof    api.Proof
	body     []byte
}

func (s *server) secretCall(c echo.Context) (secretCall, error) {
	name, hasName := c.Param("name"), c.Path() != api.RouteSecrets
	if hasName {
		if err := checkName(name); err != nil {
			return secretCall{}, err
		}
	}
	identity, err := s.needSession(c)
	if err != nil {
		return secretCall{}, err
	}
	proof, err := proofOf(c)
	return secretCall{identity, name, c.QueryParam("version"), c.QueryParam("epoch"), proof, callOf(c).takeBody()}, err
}

func checkName(name string) error {
	switch {
	case len(name) > guardian.MaxNameLength:
		return &api.FieldError{Sentinel: api.ErrInvalidName, Text: "secret name too long"}
	case !guardian.ValidName(name):
		return &api.FieldError{Sentinel: api.ErrInvalidName, Text: "secret name invalid: only alphanumeric, underscore, hyphen allowed"}
	}
	return nil
}

// proofOf reads a proof from the headers.
func proofOf(c echo.Context) (api.Proof, error) {
	header := c.Request().Header
	p := api.Proof{
		Pubkey: header.Get(api.HeaderPubkey), Signature: header.Get(api.HeaderSignature),
		Audience: header.Get(api.HeaderAudience),
	}
	for name, field := range map[string]func(int64){
		api.HeaderTimestamp: func(n int64) { p.Timestamp = n },
		api.HeaderProof:     func(n int64) { p.Proof = int(n) },
	} {
		text := header.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return p, fmt.Errorf("%w: %s is no number", api.ErrOwnershipInvalid, name)
		}
		field(n)
	}
	return p, nil
}

// ask is what the owner of the secret signs for a verb.
func (sc secretCall) ask(verb auth.Verb) ask {
	return ask{
		slot: guardian.Slot{Identity: strings.ToLower(sc.identity), Name: sc.name},
		claim: auth.Claim{
			Verb: verb, Identity: sc.identity, Name: sc.name, Time: sc.proof.Timestamp, Audience: sc.proof.Audience,
		},
		proof: sc.proof,
	}
}

func parsePut(sc secretCall) (deposit, error) {
	request, err := decode[api.PutSecretRequest](sc.body)
	if err != nil {
		return deposit{}, err
	}
	d := deposit{ask: sc.ask(auth.Push)}
	return d, d.fill(request.Version, request.Share, request.Threshold, request.Split, request.Manifest)
}

func parseGet(sc secretCall) (l lookup, err error) {
	l.ask = sc.ask(auth.Pull)
	if l.version, err = parseNumber(sc.version, errVersionNumber); err != nil {
		return lookup{}, err
	}
	l.epoch, err = parseNumber(sc.epoch, errEpochNumber)
	return l, err
}

// parseNumber reads a number of the query, nil where there is none.
func parseNumber(digits string, refusal error) (*uint64, error) {
	if digits == "" {
		return nil, nil
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return nil, refusal
	}
	return &number, nil
}

func parseVersions(sc secretCall) (ask, error)     { return sc.ask(auth.Pull), nil }
func parseList(sc secretCall) (ask, error)         { return sc.ask(auth.List), nil }
func parseDeleteSecret(sc secretCall) (ask, error) { return sc.ask(auth.Delete), nil }

func (s *server) putSecret(ctx context.Context, by guardian.Caller, d deposit) (api.PutSecretResponse, error) {
	_, err := s.push(ctx, by, d)
	return api.PutSecretResponse{Status: "stored", Name: d.slot.Name, Version: d.share.Version}, err
}

func (s *server) getSecret(ctx context.Context, by guardian.Caller, l lookup) (api.SecretResponse, error) {
	share, err := s.fetch(ctx, by, l)
	return api.SecretResponse{
		Share: base64.StdEncoding.EncodeToString(share.Data), Name: l.slot.Name, Version: share.Version,
		Threshold: share.Threshold, Split: share.Split, Epoch: share.Epoch,
		Manifest:  base64.StdEncoding.EncodeToString(share.Manifest),
		CreatedNS: share.CreatedNS, UpdatedNS: share.UpdatedNS,
	}, err
}

// deleteSecret deletes whatever version is the current one: V2 names none. One
// that another call replaces meanwhile is deleted at its new version.
func (s *server) deleteSecret(ctx context.Context, by guardian.Caller, a ask) (api.DeleteSecretResponse, error) {
	version, err := s.cfg.Node.DeleteCurrent(ctx, a.slot, by)
	s.logDelete(ctx, a.slot, version, err)
	return api.DeleteSecretResponse{Status: "deleted", Name: a.slot.Name}, err
}

func (s *server) listSecrets(ctx context.Context, by guardian.Caller, a ask) (api.SecretsResponse, error) {
	found, err := s.cfg.Node.Secrets(ctx, a.slot.Identity, by)
	if err != nil {
		return api.SecretsResponse{}, s.readFailed(ctx, a.slot, err)
	}
	response := api.SecretsResponse{Secrets: []api.SecretInfo{}}
	for _, info := range found {
		response.Secrets = append(response.Secrets, api.SecretInfo(info))
	}
	return response, nil
}
