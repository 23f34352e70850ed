package client

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
)

// sessionMargin is how long before its end a session is taken for over: the
// guardian's clock may be ahead of ours, and a request takes its time.
const sessionMargin = time.Minute

// session is the session that is kept with a guardian, if any.
type session struct {
	mu     sync.Mutex
	token  string
	expiry time.Time
}

// kept returns its token, "" where there is none that is still good.
func (s *session) kept() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Until(s.expiry) < sessionMargin {
		return ""
	}
	return s.token
}

func (s *session) keep(opened auth.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.expiry = opened.Token(), time.Unix(0, opened.ExpiryNS)
}

// forget drops a token, unless another call has put a new one in its place.
func (s *session) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token, s.expiry = "", time.Time{}
	}
}

// openSession opens a session of the owner, keeps it and returns its token.
// Calls that open one at the same time get one each, and the last is kept.
func (g *Guardian) openSession(ctx context.Context) (string, error) {
	identity := g.owner.identity()
	challenge, err := do[api.ChallengeResponse](ctx, g, http.MethodPost, api.RouteV2Challenge, api.ChallengeRequest{Identity: identity})
	if err != nil {
		return "", err
	}
	response, err := do[api.SessionResponse](ctx, g, http.MethodPost, api.RouteV2Session, api.SessionRequest{
		Identity: identity, Nonce: challenge.Nonce, CreatedNS: challenge.CreatedNS, Tag: challenge.Tag,
	})
	if err != nil {
		return "", err
	}
	opened := auth.Session{Identity: response.Identity, ExpiryNS: response.ExpiryNS, Tag: response.Tag}
	if _, err := hex.DecodeString(opened.Tag); err != nil || opened.Identity != identity {
		return "", &Error{Guardian: g.URL(), Status: http.StatusOK, Err: errNotSession}
	}
	g.session.keep(opened)
	return opened.Token(), nil
}

// inSession sends a call with its proof in the headers, and in the session
// that is kept. One that the guardian does not accept is renewed once: it may
// have lost the key with which it made it.
func inSession[Answer any](ctx context.Context, g *Guardian, c call, proof api.Proof) (answer Answer, err error) {
	if kept := g.session.kept(); kept != "" {
		c.header = headerOf(kept, proof)
		answer, err = send[Answer](ctx, g, c)
		if !errors.Is(err, api.ErrTokenInvalid) {
			return answer, err
		}
		g.session.forget(kept)
	}
	opened, err := g.openSession(ctx)
	if err != nil {
		return answer, err
	}
	c.header = headerOf(opened, proof)
	answer, err = send[Answer](ctx, g, c)
	if errors.Is(err, api.ErrTokenInvalid) {
		g.session.forget(opened)
	}
	return answer, err
}

func headerOf(token string, proof api.Proof) http.Header {
	header := http.Header{}
	header.Set(api.HeaderSession, token)
	header.Set(api.HeaderPubkey, proof.Pubkey)
	header.Set(api.HeaderSignature, proof.Signature)
	header.Set(api.HeaderTimestamp, strconv.FormatInt(proof.Timestamp, 10))
	header.Set(api.HeaderProof, strconv.Itoa(proof.Proof))
	header.Set(api.HeaderAudience, proof.Audience)
	return header
}
