package httpapi_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
	records "github.com/vault-guardian/guardian/record"
)

func nodeKey(x byte) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte{x})
	return ed25519.NewKeyFromSeed(seed[:])
}

// movable makes a manifest one of three holders whose owner lets guardians make
// new shares.
func movable(m *manifest.Manifest) {
	first := m.Holders[0].X
	m.Policy = manifest.Policy{Refresh: true, MinThreshold: 2, MaxHolders: 3}
	m.Holders = append(m.Holders, manifest.Holder{X: first + 2, Node: "third"})
	for i := range m.Holders {
		m.Holders[i].Key = nodeKey(first + byte(i)).Public().(ed25519.PublicKey)
	}
}

// refreshed is what a round makes of a share at epoch 0, with the bytes given: as
// it is prepared and as it is committed.
func refreshed(t *testing.T, version uint64, signed, data []byte) (prepared, certified guardian.Share) {
	t.Helper()
	base, err := records.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	p := records.Proposal{Threshold: base.Threshold}
	for _, h := range base.Holders {
		p.Holders = append(p.Holders, records.Target{X: h.X, Node: h.Node, Key: h.Key})
	}
	c := records.Certificate{Seed: sha256.Sum256([]byte("seed"))}
	next, body, err := records.Next(base, p, c.Seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range base.Holders {
		share := sha256.Sum256(append([]byte{h.X}, data[1:]...))
		agreed, kept := records.AgreedMessage(next.Hash, c.Seed, h.X), records.PreparedMessage(next.Hash, c.Seed, h.X, share)
		c.Agreed = append(c.Agreed, records.Vote{X: h.X, Signature: ed25519.Sign(nodeKey(h.X), agreed)})
		c.Prepared = append(c.Prepared, records.Vote{X: h.X, Share: share, Signature: ed25519.Sign(nodeKey(h.X), kept)})
	}
	prepared = guardian.Share{Data: data, Version: version, Epoch: 1, Manifest: signed}
	certified = prepared
	if prepared.Chain, err = records.Draft(signed, body, c.Seed); err != nil {
		t.Fatal(err)
	}
	if certified.Chain, err = records.Extend(signed, body, c); err != nil {
		t.Fatal(err)
	}
	return prepared, certified
}

// A prepared share is served to who asks for its epoch, the committed one to all
// others, on both ways in.
func TestPullOfAnEpoch(t *testing.T) {
	p := start(t, nil)
	o := newOwner()
	first, second := []byte("test share data"), []byte("test share next")
	for _, name := range []string{"", "name"} {
		slot := guardian.Slot{Identity: o.id, Name: name}
		signed := []byte(o.manifest(t, name, 3, string(first), movable))
		prepared, certified := refreshed(t, 3, signed, second)
		by := guardian.Caller{Proof: 2}
		if err := p.node.Push(t.Context(), slot, guardian.Share{Data: first, Version: 3, Manifest: signed}, by); err != nil {
			t.Fatal(err)
		}
		if err := p.node.Prepare(t.Context(), slot, prepared); err != nil {
			t.Fatal(err)
		}
		pull := func(epoch int) answer {
			t.Helper()
			proof := o.proof(t, 2, auth.Claim{Verb: auth.Pull, Name: name})
			if name == "" {
				return p.send(t, pullRoute, api.PullRequest{Identity: o.id, Epoch: numberOf(epoch), Proof: proof}, nil)
			}
			header, query := headersOf(proof, auth.Pull), ""
			if header.Set(api.HeaderSession, p.session(t, o.id)); epoch >= 0 {
				query = fmt.Sprint("?epoch=", epoch)
			}
			return p.do(t, "GET", api.RouteSecrets+"/name"+query, "", header)
		}
		wantShare := func(asked int, data []byte, epoch uint64) {
			t.Helper()
			got := pull(asked)
			var share struct {
				Share []byte
				Epoch uint64
			}
			if err := json.Unmarshal(got.body, &share); err != nil || got.status != 200 || !bytes.Equal(share.Share, data) || share.Epoch != epoch {
				t.Errorf("epoch %d of %q: %d %s", asked, name, got.status, got.body)
			}
		}
		wantShare(-1, first, 0)
		wantShare(0, first, 0)
		wantShare(1, second, 1)
		wants(t, name+" not there", pull(2), 404, "not_found")
		if err := p.node.Mend(t.Context(), slot, certified); err != nil {
			t.Fatal(err)
		}
		wantShare(-1, second, 1)
		wantShare(1, second, 1)
		wants(t, name+" erased", pull(0), 404, "not_found")
		if name == "" {
			continue
		}
		header := headersOf(o.proof(t, 2, auth.Claim{Verb: auth.List}), auth.List)
		header.Set(api.HeaderSession, p.session(t, o.id))
		got := p.do(t, "GET", api.RouteSecrets, "", header)
		var listed api.SecretsResponse
		if err := json.Unmarshal(got.body, &listed); err != nil || len(listed.Secrets) != 1 || listed.Secrets[0].Epoch != 1 || listed.Secrets[0].Version != 3 {
			t.Errorf("listed: %d %s", got.status, got.body)
		}
	}
}

// numberOf is nil for what is below 0.
func numberOf(epoch int) *uint64 {
	if epoch < 0 {
		return nil
	}
	number := uint64(epoch)
	return &number
}
