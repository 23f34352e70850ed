package httpapi

import (
	"errors"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
)

func (s *server) challenge(r api.ChallengeRequest) (api.ChallengeResponse, error) {
	identity, err := api.ParseIdentity(r.Identity)
	if err != nil {
		return api.ChallengeResponse{}, err
	}
	c, err := s.cfg.Sessions.Challenge(identity)
	return api.ChallengeResponse{Nonce: c.Nonce, CreatedNS: c.CreatedNS, Tag: c.Tag}, err
}

func (s *server) session(r api.SessionRequest) (api.SessionResponse, error) {
	identity, err := api.ParseIdentity(r.Identity)
	if err != nil {
		return api.SessionResponse{}, err
	}
	session, err := s.cfg.Sessions.Open(auth.Challenge{Identity: identity, Nonce: r.Nonce, CreatedNS: r.CreatedNS, Tag: r.Tag})
	if errors.Is(err, auth.ErrSessionInvalid) {
		return api.SessionResponse{}, api.ErrSessionInvalid
	}
	if err != nil {
		return api.SessionResponse{}, err
	}
	return api.SessionResponse{Identity: session.Identity, ExpiryNS: session.ExpiryNS, Tag: session.Tag}, nil
}
