package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/client"
)

// benchPrefix is what identities of a run without proofs begin with, so that an
// operator can tell them. Those with a key are its hash.
const benchPrefix = "be9c4be9c4"

var errWrongShare = errors.New("the guardian gave another share than was stored")

// benchTarget is one or more guardians that share the load.
type benchTarget struct {
	urls  []string
	lanes []*lane
}

// lane is one connection to one guardian, with one request under way at a time,
// and identities that no other lane knows.
type lane struct {
	guardian *client.Guardian
	audience string
	bare     bool
	// share is what all versions consist of, and sent as.
	share []byte
	sent  string
	// kept have a share; those in created may have one, and are to be deleted.
	kept, created []*benchIdentity
	next          int
}

// benchIdentity is one identity, and which version it has.
type benchIdentity struct {
	digits string
	key    ed25519.PrivateKey // nil without proofs
	// acknowledged and sent are versions, 0 for none yet.
	acknowledged, sent uint64
}

func newBenchTarget(plan benchPlan, urls, tokens []string, roots *x509.CertPool) (*benchTarget, error) {
	if len(tokens) > 1 && len(tokens) != len(urls) {
		return nil, fmt.Errorf("there are %d tokens for %d guardians", len(tokens), len(urls))
	}
	share := make([]byte, plan.size)
	rand.Read(share)
	target := &benchTarget{}
	for i := range plan.connections {
		at := i % len(urls)
		token := ""
		if len(tokens) > 0 {
			token = tokens[at%len(tokens)]
		}
		// A client of its own has a connection of its own.
		guardian, err := client.New(urls[at], token, client.WithRootCAs(roots))
		if err != nil {
			return nil, err
		}
		dialled, err := url.Parse(guardian.URL())
		if err != nil {
			return nil, err
		}
		audience, err := auth.AudienceOf(dialled)
		if err != nil {
			return nil, err
		}
		if i < len(urls) {
			target.urls = append(target.urls, guardian.URL())
		}
		target.lanes = append(target.lanes, &lane{
			guardian: guardian, audience: audience, bare: plan.bare,
			share: share, sent: base64.StdEncoding.EncodeToString(share),
		})
	}
	return target, nil
}

func (l *lane) newIdentity() (*benchIdentity, error) {
	if l.bare {
		return &benchIdentity{digits: benchPrefix + randomHex()[len(benchPrefix):]}, nil
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return &benchIdentity{digits: auth.IdentityOf(public), key: key}, nil
}

// prove signs a call as the identity's owner does.
func (l *lane) prove(i *benchIdentity, claim auth.Claim) (api.Proof, error) {
	if i.key == nil {
		return api.Proof{}, nil
	}
	claim.Identity, claim.Audience = i.digits, l.audience
	signature, err := claim.Sign(auth.V2, i.key)
	return api.Proof{
		Pubkey: hex.EncodeToString(i.key.Public().(ed25519.PublicKey)), Signature: signature,
		Proof: auth.V2, Audience: l.audience, Timestamp: claim.Time,
	}, err
}

func (l *lane) proveNow(i *benchIdentity, verb auth.Verb, version uint64) (api.Proof, error) {
	return l.prove(i, auth.Claim{Verb: verb, Version: version, Time: time.Now().Unix()})
}

// add gives an identity of the lane its first version. One that may be stored is
// to be deleted, though there was no answer.
func (l *lane) add(ctx context.Context) (*benchIdentity, error) {
	i, err := l.newIdentity()
	if err != nil {
		return nil, err
	}
	err = l.pushOf(ctx, i)
	if said, ok := errors.AsType[*client.Error](err); !ok || said.Status == 0 || said.Status >= http.StatusInternalServerError {
		l.created = append(l.created, i)
	}
	return i, err
}

func (l *lane) pushNew(ctx context.Context) error {
	_, err := l.add(ctx)
	return err
}

func (l *lane) pushOf(ctx context.Context, i *benchIdentity) error {
	version := i.sent + 1
	proof, err := l.prove(i, auth.Claim{Verb: auth.Push, Version: version, Share: l.share})
	if err != nil {
		return err
	}
	i.sent = version
	err = l.guardian.Push(ctx, api.PushRequest{Identity: i.digits, Share: l.sent, Version: &version, Proof: proof})
	if err == nil {
		i.acknowledged = version
	}
	return err
}

func (l *lane) push(ctx context.Context) error {
	l.next = (l.next + 1) % len(l.kept)
	return l.pushOf(ctx, l.kept[l.next])
}

// some is one of the identities that have a share.
func (l *lane) some() *benchIdentity {
	return l.kept[mathrand.IntN(len(l.kept))] //nolint:gosec // it draws no secrets
}

// pull wants the share that was stored, at no version below the one acknowledged.
func (l *lane) pull(ctx context.Context) error {
	i := l.some()
	proof, err := l.proveNow(i, auth.Pull, 0)
	if err != nil {
		return err
	}
	answer, err := l.guardian.Pull(ctx, api.PullRequest{Identity: i.digits, Proof: proof})
	if err == nil && (answer.Share != l.sent || answer.Version < i.acknowledged || answer.Version > i.sent) {
		err = errWrongShare
	}
	return err
}

func (l *lane) history(ctx context.Context) error {
	i := l.some()
	proof, err := l.proveNow(i, auth.Pull, 0)
	if err != nil {
		return err
	}
	_, err = l.guardian.History(ctx, api.HistoryRequest{Identity: i.digits, Proof: proof})
	return err
}

func (l *lane) health(ctx context.Context) error {
	_, err := l.guardian.Health(ctx)
	return err
}

// remove deletes an identity, at whichever of its versions is there.
func (l *lane) remove(ctx context.Context, i *benchIdentity) error {
	err := l.removeAt(ctx, i, i.acknowledged)
	if conflict, ok := errors.AsType[*api.VersionConflictError](err); ok {
		err = l.removeAt(ctx, i, conflict.Current)
	}
	if errors.Is(err, api.ErrNotFound) {
		err = nil
	}
	return err
}

func (l *lane) removeAt(ctx context.Context, i *benchIdentity, version uint64) error {
	proof, err := l.proveNow(i, auth.Delete, version)
	if err != nil {
		return err
	}
	return l.guardian.Delete(ctx, api.DeleteRequest{Identity: i.digits, Version: &version, Proof: proof})
}
