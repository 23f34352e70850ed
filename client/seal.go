package client

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/shamir"
)

// batch is what one push sends: a request for each guardian, in order of
// position, all of one split.
type batch struct {
	split    string
	requests []api.PushRequest
	// unnamed says why a guardian is not named in the manifest and is not sent
	// its share, which it would refuse. nodes are those that are.
	unnamed map[int]error
	nodes   []string
	policy  manifest.Policy // zero without an owner
}

// place is where a version of the vault's secret is kept.
func (v *Vault) place(identity string, version uint64) envelope.Place {
	return envelope.Place{Identity: identity, Name: v.name(), Version: version}
}

func (v *Vault) name() string {
	if v.owner == nil {
		return ""
	}
	return v.owner.name
}

// seal makes the payload of a secret. Without an owner it is the secret.
func (v *Vault) seal(identity string, version uint64, secret []byte) ([]byte, error) {
	if v.owner == nil {
		return append([]byte(nil), secret...), nil
	}
	payload, err := envelope.Seal(secret, v.place(identity, version), v.owner.root)
	if err != nil {
		return nil, fmt.Errorf("sealing the secret: %w", err)
	}
	return payload, nil
}

// open is the reverse of seal.
func (v *Vault) open(identity string, version uint64, payload []byte) ([]byte, error) {
	if v.owner == nil {
		return payload, nil
	}
	secret, err := envelope.Open(payload, v.place(identity, version), v.owner.root)
	if err != nil {
		return nil, fmt.Errorf("opening version %d: %w: %w", version, ErrAuthentication, err)
	}
	return secret, nil
}

// prepare seals and splits a secret, for the nodes that previous names where
// they do not say themselves which they are.
func (v *Vault) prepare(ctx context.Context, identity string, version uint64, secret []byte, previous *manifest.Manifest) (*batch, error) {
	payload, err := v.seal(identity, version, secret)
	if err != nil {
		return nil, err
	}
	defer clear(payload)
	shares, err := v.splitPayload(payload)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, share := range shares {
			clear(share)
		}
	}()
	var id [api.SplitSize]byte
	rand.Read(id[:])
	made := &batch{split: hex.EncodeToString(id[:])}
	signed, err := v.sign(ctx, identity, version, payload, shares, made, previous)
	if err != nil {
		return nil, err
	}
	for _, share := range shares {
		made.requests = append(made.requests, api.PushRequest{
			Identity: identity, Share: base64.StdEncoding.EncodeToString(share), Version: &version,
			Threshold: v.Threshold(), Split: made.split, Manifest: base64.StdEncoding.EncodeToString(signed),
		})
	}
	return made, nil
}

// splitPayload gives each guardian the share at its point.
func (v *Vault) splitPayload(payload []byte) ([][]byte, error) {
	shares, err := shamir.Split(payload, v.Threshold(), v.points)
	if err != nil {
		return nil, fmt.Errorf("splitting the secret: %w", err)
	}
	return shares, nil
}

// sign makes the manifest of the shares, nil without an owner.
func (v *Vault) sign(ctx context.Context, identity string, version uint64, payload []byte, shares [][]byte, made *batch, previous *manifest.Manifest) ([]byte, error) {
	if v.owner == nil {
		return nil, nil
	}
	policy, err := v.policy.over(previous, v.Threshold(), len(shares))
	if err != nil {
		return nil, err
	}
	holders, unnamed := v.nodes(ctx, previous)
	made.unnamed, made.policy = unnamed, policy
	for i, share := range shares {
		made.nodes = append(made.nodes, holders[i].Node)
		holders[i].X, holders[i].SHA256 = share[0], sha256.Sum256(share)
	}
	slices.SortFunc(holders, func(a, b manifest.Holder) int { return cmp.Compare(a.X, b.X) })
	m := manifest.Manifest{
		Identity: identity, Name: v.name(), Version: version,
		Threshold: v.Threshold(), Split: made.split,
		PayloadSize: len(payload), PayloadSHA256: sha256.Sum256(payload), Holders: holders,
		Policy: policy,
		Owner:  v.owner.key.Public().(ed25519.PublicKey),
	}
	signed, err := m.Sign(v.owner.key)
	if err != nil {
		return nil, fmt.Errorf("signing the manifest: %w", err)
	}
	return signed, nil
}

// readManifest returns what an answer carries as manifest, nil for none, and its
// hash. It must be the owner's, and about what was answered.
func (v *Vault) readManifest(identity string, response api.PullResponse) (m *manifest.Manifest, hash [sha256.Size]byte, err error) {
	if response.Manifest == "" {
		return nil, hash, nil
	}
	data, err := base64.StdEncoding.DecodeString(response.Manifest)
	if err != nil {
		return nil, hash, errNotManifest
	}
	if m, err = manifest.Parse(data); err != nil {
		return nil, hash, fmt.Errorf("%w: %w", errNotManifest, err)
	}
	if m.Identity != identity || m.Name != v.name() || m.Version != response.Version {
		return nil, hash, errOtherManifest
	}
	return m, sha256.Sum256(data), nil
}

var (
	errNotManifest   = errors.New("its manifest is not one that the owner signed")
	errOtherManifest = errors.New("its manifest is about something else")
)
