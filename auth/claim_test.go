package auth

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"
)

// A proof opens what it was made for: each claim of a set is shown every proof
// of the set.
func TestProofOpensNothingElse(t *testing.T) {
	other := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	owners := map[string]ed25519.PrivateKey{id: ownerKey(), IdentityOf(other.Public().(ed25519.PublicKey)): other}
	var claims []Claim
	for identity := range owners {
		for _, name := range []string{"", "a"} {
			claims = append(
				claims,
				Claim{Verb: Push, Identity: identity, Name: name, Version: 1, Audience: here, Share: testShare},
				Claim{Verb: Push, Identity: identity, Name: name, Version: 2, Audience: here, Share: testShare},
				Claim{Verb: Push, Identity: identity, Name: name, Version: 1, Audience: here, Share: []byte("x")},
				Claim{Verb: Push, Identity: identity, Name: name, Version: 1, Audience: here, Share: testShare, Manifest: testShare},
				Claim{Verb: Push, Identity: identity, Name: name, Version: 1, Audience: "g2:7500", Share: testShare},
				Claim{Verb: Pull, Identity: identity, Name: name, Time: noon, Audience: here},
				Claim{Verb: Pull, Identity: identity, Name: name, Time: noon + 1, Audience: here},
				Claim{Verb: Pull, Identity: identity, Name: name, Time: noon, Audience: "g2:7500"},
				Claim{Verb: Delete, Identity: identity, Name: name, Version: 1, Time: noon, Audience: here},
				Claim{Verb: Delete, Identity: identity, Name: name, Version: 2, Time: noon, Audience: here},
			)
		}
		claims = append(claims, Claim{Verb: List, Identity: identity, Time: noon, Audience: here})
	}
	v := verifierAt(t, time.Unix(noon, 0), here, "g2:7500")
	for _, made := range claims {
		for _, version := range []int{V1, V2} {
			proof := prove(t, version, owners[made.Identity], made)
			for _, shown := range claims {
				for _, as := range []int{V1, V2} {
					proof.Version = as
					err := v.Verify(proof, shown)
					if same := signed(made, version) == signed(shown, as); same != (err == nil) || err != nil && !errors.Is(err, ErrProofInvalid) {
						t.Fatalf("a v%d proof of %+v\nshown as v%d for %+v: %v", version, made, as, shown, err)
					}
				}
			}
		}
	}
}

func TestSignRefuses(t *testing.T) {
	other := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	good := Claim{Verb: Pull, Identity: id, Time: noon, Audience: here}
	upper := good
	upper.Audience = strings.ToUpper(here)
	for name, c := range map[string]struct {
		claim   Claim
		version int
		key     ed25519.PrivateKey
	}{
		"key of another":  {good, V2, other},
		"version 0":       {good, 0, ownerKey()},
		"upper audience":  {upper, V2, ownerKey()},
		"no verb":         {Claim{Identity: id}, V1, ownerKey()},
		"audience absent": {Claim{Verb: List, Identity: id}, V2, ownerKey()},
	} {
		if signature, err := c.claim.Sign(c.version, c.key); !errors.Is(err, ErrClaim) || signature != "" {
			t.Errorf("%s: %q, %v", name, signature, err)
		}
	}
}
