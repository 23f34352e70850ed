package client

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/envelope"
)

// owner proves calls to one guardian.
type owner struct {
	root     *envelope.Root
	key      ed25519.PrivateKey
	audience string
	name     string // of the secret, "" for the share under the identity alone
}

// newOwner returns nil for no root.
func newOwner(root *envelope.Root, name string, dialled *url.URL) (*owner, error) {
	switch {
	case name != "" && !validName(name):
		return nil, errName
	case name != "" && root == nil:
		return nil, fmt.Errorf("naming a secret: %w", errNoKey)
	case root == nil:
		return nil, nil
	}
	audience, err := auth.AudienceOf(dialled)
	if err != nil {
		return nil, fmt.Errorf("naming the guardian in proofs: %w", err)
	}
	return &owner{root, root.Owner(), audience, name}, nil
}

func (o *owner) identity() string { return o.root.Identity() }

// prove returns the proof to send with a call, the one given if nobody is
// known as its owner. Proofs are made anew for each attempt, as their time is
// soon over.
func (o *owner) prove(claim auth.Claim, given api.Proof) (api.Proof, error) {
	if o == nil {
		return given, nil
	}
	claim.Audience = o.audience
	if claim.Verb != auth.List {
		claim.Name = o.name
	}
	signature, err := claim.Sign(auth.V2, o.key)
	if err != nil {
		return api.Proof{}, fmt.Errorf("proving ownership: %w", err)
	}
	return api.Proof{
		Pubkey: hex.EncodeToString(o.key.Public().(ed25519.PublicKey)), Signature: signature,
		Proof: auth.V2, Audience: o.audience, Timestamp: claim.Time,
	}, nil
}

// provePush signs the very bytes that the request carries.
func (o *owner) provePush(request api.PushRequest) (api.Proof, error) {
	if o == nil {
		return request.Proof, nil
	}
	share, err := base64.StdEncoding.DecodeString(request.Share)
	if err != nil {
		return api.Proof{}, fmt.Errorf("proving ownership: %w", api.ErrInvalidShare)
	}
	manifest, err := base64.StdEncoding.DecodeString(request.Manifest)
	if err != nil {
		return api.Proof{}, fmt.Errorf("proving ownership: %w", api.ErrInvalidManifest)
	}
	if request.Version == nil {
		return api.Proof{}, fmt.Errorf("proving ownership: %w", api.ErrInvalidVersion)
	}
	claim := auth.Claim{
		Verb: auth.Push, Identity: request.Identity, Version: *request.Version, Share: share, Manifest: manifest,
	}
	return o.prove(claim, request.Proof)
}

// claimNow is a claim of anything but a push.
func claimNow(verb auth.Verb, identity string) auth.Claim {
	return auth.Claim{Verb: verb, Identity: identity, Time: time.Now().Unix()}
}
