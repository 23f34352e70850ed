package auth

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Whatever is sent, only what the owner has signed opens the owner's identity.
func FuzzVerify(f *testing.F) {
	v := verifierAt(f, time.Unix(noon, 0), here, "[::1]:7500")
	signatures := map[string]bool{}
	for _, c := range []Claim{
		{Verb: Push, Identity: id, Name: "a", Version: 1, Audience: here, Share: testShare},
		{Verb: Push, Identity: strings.ToUpper(id), Version: 1, Audience: "[::1]:7500", Share: testShare, Manifest: testShare},
		{Verb: Pull, Identity: id, Time: noon, Audience: here},
		{Verb: Delete, Identity: id, Version: 1, Time: noon, Audience: here},
		{Verb: List, Identity: id, Time: noon, Audience: here},
	} {
		for _, version := range []int{V1, V2} {
			proof := prove(f, version, ownerKey(), c)
			signatures[signed(c, version)+proof.Signature] = true
			f.Add(version, proof.PublicKey, proof.Signature, string(c.Verb), c.Identity, c.Name, c.Version, c.Time, c.Audience, c.Share, c.Manifest)
		}
	}
	f.Fuzz(func(t *testing.T, version int, key, signature, verb, identity, name string, number uint64, seconds int64, audience string, share, manifest []byte) {
		c := Claim{Verb(verb), identity, name, number, seconds, audience, share, manifest}
		err := v.Verify(Proof{version, key, signature}, c)
		if err != nil {
			if !errors.Is(err, ErrProofInvalid) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		folded := c
		folded.Identity = strings.ToLower(identity)
		signature = strings.ToLower(signature)
		if !signatures[signed(c, version)+signature] && !signatures[signed(folded, version)+signature] {
			t.Fatalf("v%d %+v was never signed", version, c)
		}
	})
}
