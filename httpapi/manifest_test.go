package httpapi_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/manifest"
)

var testSplit = strings.Repeat("5c", api.SplitSize)

// manifest is what the owner signs about a share, for the node "local" and one
// more, both needed.
func (o owner) manifest(t testing.TB, name string, version uint64, share string, changes ...func(*manifest.Manifest)) string {
	t.Helper()
	m := manifest.Manifest{
		Identity: o.id, Name: name, Version: version, Threshold: 2, Split: testSplit,
		PayloadSize: len(share) - 1,
		Policy:      manifest.Policy{MinThreshold: 2, MaxHolders: 2},
		Holders: []manifest.Holder{
			{X: share[0], Node: "local", SHA256: sha256.Sum256([]byte(share))},
			{X: share[0] + 1, Node: "other"},
		},
	}
	for _, change := range changes {
		change(&m)
	}
	signed, err := m.Sign(o.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// largest makes a manifest as large as one can be.
func largest(m *manifest.Manifest) {
	m.Holders = m.Holders[:1]
	for x := 1; x <= 255; x++ {
		if byte(x) == m.Holders[0].X {
			continue
		}
		key := sha256.Sum256([]byte{byte(x)})
		m.Holders = append(m.Holders, manifest.Holder{X: byte(x), Node: fmt.Sprintf("%063d", x), Key: key[:]})
	}
	slices.SortFunc(m.Holders, func(a, b manifest.Holder) int { return cmp.Compare(a.X, b.X) })
}

// push is a share with whatever manifest, as V1 and V2 carry it.
type push struct {
	name      string // "" for V1
	version   uint64
	share     string
	manifest  string
	threshold int
	split     string
}

// push sends it with a proof of version 2, which fits.
func (o owner) push(t testing.TB, p *plane, session string, c push) answer {
	t.Helper()
	share := base64.StdEncoding.EncodeToString([]byte(c.share))
	signed := base64.StdEncoding.EncodeToString([]byte(c.manifest))
	if c.name != "" {
		return o.v2(t, p, v2{
			method: http.MethodPut, name: c.name, version: c.version, share: c.share, manifest: c.manifest,
			proof: auth.V2, session: session, body: encode(t, api.PutSecretRequest{
				Share: share, Version: &c.version, Manifest: signed, Threshold: c.threshold, Split: c.split,
			}),
		})
	}
	claim := auth.Claim{Verb: auth.Push, Version: c.version, Share: []byte(c.share), Manifest: []byte(c.manifest)}
	return p.send(t, api.RoutePush, api.PushRequest{
		Identity: o.id, Share: share, Version: &c.version, Manifest: signed, Threshold: c.threshold, Split: c.split,
		Proof: o.proof(t, auth.V2, claim),
	}, nil)
}

// pulled is what the guardian gives back of a push.
func (o owner) pulled(t testing.TB, p *plane, session, name string) (got api.PullResponse) {
	t.Helper()
	answered := o.v1(t, p, v1{verb: auth.Pull, proof: auth.V2})
	if name != "" {
		answered = o.v2(t, p, v2{method: http.MethodGet, name: name, proof: auth.V2, session: session})
	}
	if err := json.Unmarshal(answered.body, &got); err != nil || answered.status != http.StatusOK {
		t.Fatalf("%d %s", answered.status, answered.body)
	}
	return got
}

const heldShare = "\x03share"

// misfits are ways in which a manifest, given as the right one, is not about
// the push of heldShare at version 7; change makes another that is signed.
var misfits = map[string]struct {
	change func(*manifest.Manifest)
	push   func(t *testing.T, c *push)
	want   string
}{
	"an older version":     {change: func(m *manifest.Manifest) { m.Version = 6 }, want: "manifest is for version 6, the push for 7"},
	"a newer version":      {change: func(m *manifest.Manifest) { m.Version = 8 }, want: "manifest is for version 8, the push for 7"},
	"another node":         {change: func(m *manifest.Manifest) { m.Holders[0].Node = "g2" }, want: `manifest gives the share at point 3 to node "g2", this is "local"`},
	"node not known":       {change: func(m *manifest.Manifest) { m.Holders[0].Node = "" }, want: `manifest gives the share at point 3 to node "", this is "local"`},
	"node at other point":  {change: func(m *manifest.Manifest) { m.Holders[0].Node, m.Holders[1].Node = "other", "local" }, want: `manifest gives the share at point 3 to node "other", this is "local"`},
	"point not among them": {change: func(m *manifest.Manifest) { m.Holders[0].X = 2 }, want: "share is not the manifest's: it names no holder of point 3"},
	"another hash":         {change: func(m *manifest.Manifest) { m.Holders[0].SHA256[31] ^= 1 }, want: "share is not the manifest's: the hash at point 3 is another"},
	"another size":         {change: func(m *manifest.Manifest) { m.PayloadSize++ }, want: "share is not the manifest's: it has 6 bytes in place of 7"},
	"another threshold":    {push: func(_ *testing.T, c *push) { c.threshold = 3 }, want: "manifest has threshold 2, the push 3"},
	"another split":        {push: func(_ *testing.T, c *push) { c.split = strings.Repeat("0", 32) }, want: "manifest is for another split"},
	"share of other bytes": {push: func(_ *testing.T, c *push) { c.share = "\x03shard" }, want: "share is not the manifest's: the hash at point 3 is another"},
	"the other's share":    {push: func(_ *testing.T, c *push) { c.share = "\x04share" }, want: "share is not the manifest's: the hash at point 4 is another"},
	"share of a byte":      {push: func(_ *testing.T, c *push) { c.share = "\x03" }, want: "share is not the manifest's: it has 1 bytes in place of 6"},
	"another owner's":      {push: ofAnother, want: "manifest is for another identity"},
	"signed by another":    {push: signedByAnother, want: "manifest not signed by its owner"},
	"not signed":           {push: func(_ *testing.T, c *push) { c.manifest = c.manifest[:len(c.manifest)-ed25519.SignatureSize] }, want: "invalid manifest: it is cut off, goes on, or has a field of the wrong form"},
	"signature of zeros": {push: func(_ *testing.T, c *push) {
		c.manifest = unsigned(c.manifest) + strings.Repeat("\x00", ed25519.SignatureSize)
	}, want: "manifest not signed by its owner"},
	"no manifest but bytes": {push: func(_ *testing.T, c *push) { c.manifest = "manifest" }, want: "invalid manifest: it is cut off"},
	"of another format":     {push: func(_ *testing.T, c *push) { c.manifest = strings.Replace(c.manifest, "-v1\n", "-v2\n", 1) }, want: `invalid manifest: it does not begin with "guardian-manifest-v1\n"`},
	"64 KiB of nothing":     {push: func(_ *testing.T, c *push) { c.manifest = strings.Repeat("\x00", api.MaxManifestSize) }, want: `invalid manifest: it does not begin with "guardian-manifest-v1\n"`},
	"of another name":       {change: func(m *manifest.Manifest) { m.Name += "x" }},
}

func unsigned(manifest string) string { return manifest[:len(manifest)-ed25519.SignatureSize] }

// ofAnother is in order, but for somebody else.
func ofAnother(t *testing.T, c *push) {
	c.manifest = newOwner().manifest(t, c.name, c.version, c.share)
}

// signedByAnother names our owner.
func signedByAnother(_ *testing.T, c *push) {
	body := unsigned(c.manifest)
	c.manifest = body + string(ed25519.Sign(newOwner().key, []byte(body)))
}

// A manifest that does not fit its push is refused, with what does not fit, and
// nothing of the push is kept.
func TestMisfits(t *testing.T) {
	for mode := range modes {
		for _, name := range []string{"", "name"} {
			t.Run(mode+"/"+cmp.Or(name, "V1"), func(t *testing.T) {
				store := backendtest.NewMemory()
				p := startOver(t, setup{store: store}, withOwnership(modes[mode]))
				o := newOwner()
				session := p.session(t, o.id)
				before := store.Objects()
				right := push{name: name, version: 7, share: heldShare, manifest: o.manifest(t, name, 7, heldShare)}
				for what, misfit := range misfits {
					wrong := right
					if misfit.change != nil {
						wrong.manifest = o.manifest(t, name, 7, heldShare, misfit.change)
					}
					if misfit.push != nil {
						misfit.push(t, &wrong)
					}
					got := o.push(t, p, session, wrong)
					wants(t, what, got, http.StatusBadRequest, "invalid_manifest")
					want := cmp.Or(misfit.want, fmt.Sprintf("manifest is for the name %q, the push for %q", name+"x", name))
					if text := got.failure(t).Error; text != want {
						t.Errorf("%s: refused with %q, want %q", what, text, want)
					}
				}
				settle(t, p)
				if !maps.EqualFunc(store.Objects(), before, bytes.Equal) {
					t.Errorf("%d objects are kept, there were %d", len(store.Objects()), len(before))
				}
				wants(t, "the right one", o.push(t, p, session, right), http.StatusOK, "")
			})
		}
	}
}

// What fits is stored, comes back, and may be sent again.
func TestManifestIsKept(t *testing.T) {
	for _, name := range []string{"", "name"} {
		p := start(t, nil)
		o := newOwner()
		session := p.session(t, o.id)
		for i, change := range []func(*manifest.Manifest){func(*manifest.Manifest) {}, largest} {
			version := uint64(7 + i)
			bare := push{name: name, version: version, share: heldShare, manifest: o.manifest(t, name, version, heldShare, change)}
			full := bare
			full.threshold, full.split = 2, strings.ToUpper(testSplit)
			wants(t, "push", o.push(t, p, session, bare), http.StatusOK, "")
			got := o.pulled(t, p, session, name)
			if signed, err := base64.StdEncoding.DecodeString(got.Manifest); err != nil || string(signed) != bare.manifest {
				t.Errorf("the manifest came back as %q, %v", signed, err)
			}
			// What was left out of the push, the manifest says.
			if got.Threshold != 2 || got.Split != testSplit || got.Version != version {
				t.Errorf("came back as %+v", got)
			}
			for _, again := range []push{bare, full} {
				exactly(t, "again", o.push(t, p, session, again), http.StatusConflict, fmt.Sprintf(conflictOf, version, true))
			}
			other := bare
			other.manifest = o.manifest(t, name, version, heldShare, func(m *manifest.Manifest) { m.Policy.Refresh = true })
			exactly(t, "with another manifest", o.push(t, p, session, other), http.StatusConflict, fmt.Sprintf(conflictOf, version, false))
		}
	}
}

// A manifest seen at one place opens no other: another guardian, another name,
// the other plane.
func TestCapturedManifests(t *testing.T) {
	here, there := start(t, nil), startOver(t, setup{nodeID: "other"})
	o := newOwner()
	signed := map[string]string{}
	for _, name := range []string{"", "name"} {
		signed[name] = o.manifest(t, name, 1, heldShare)
		c := push{name: name, version: 1, share: heldShare, manifest: signed[name]}
		wants(t, "push", o.push(t, here, here.session(t, o.id), c), http.StatusOK, "")
		wants(t, "to another guardian", o.push(t, there, there.session(t, o.id), c), http.StatusBadRequest, "invalid_manifest")
	}
	for _, name := range []string{"", "name", "third"} {
		for of, captured := range signed {
			if of != name {
				c := push{name: name, version: 1, share: heldShare, manifest: captured}
				wants(t, "of "+of+" to "+name, o.push(t, here, here.session(t, o.id), c), http.StatusBadRequest, "invalid_manifest")
			}
		}
	}
}
