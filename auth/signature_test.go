package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// The signatures were made by another implementation, OpenSSL's.
func TestVectors(t *testing.T) {
	const public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	v := verifierAt(t, time.Unix(noon, 0), here)
	for _, vector := range []struct {
		claim     Claim
		version   int
		signature string
	}{
		{
			Claim{Verb: Pull, Identity: id, Time: noon},
			V1,
			"6f04dfe30194991d0fd9fa32e82aebd7d6da19398ff44caafe292907725195c681c8122b83f818737379e1b700892aeb70f59567c45758b5bbb69136ffb67707",
		},
		{
			Claim{Verb: Push, Identity: id, Name: "my_secret-1", Version: math.MaxUint64, Audience: here, Share: testShare, Manifest: []byte("test manifest")},
			V2,
			"93381f69ab8cd0c069870945536008f3ce4d3e755c396d5e22d8fafe72f2c12c270dd4be265f0f4178163fdf98c27b14d959c5448c03ef7360622e15ef364e08",
		},
	} {
		if err := v.Verify(Proof{vector.version, public, vector.signature}, vector.claim); err != nil {
			t.Error(err)
		}
		if got := prove(t, vector.version, ownerKey(), vector.claim); got.Signature != vector.signature || got.PublicKey != public {
			t.Errorf("signed as %v", got)
		}
	}
}

func TestFlippedBits(t *testing.T) {
	v := verifierAt(t, time.Unix(noon, 0), here)
	claim := Claim{Verb: Pull, Identity: id, Time: noon, Audience: here}
	proof := prove(t, V2, ownerKey(), claim)
	signature, err := hex.DecodeString(proof.Signature)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(signature) {
		flipped := bytes.Clone(signature)
		flipped[bit/8] ^= 1 << (bit % 8)
		proof.Signature = hex.EncodeToString(flipped)
		if err := v.Verify(proof, claim); !errors.Is(err, ErrProofInvalid) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}

// Of a signature (R, S) nobody can make a second one by adding the group order
// to S.
func TestSignaturesAreNotMalleable(t *testing.T) {
	order, err := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010") // little-endian
	if err != nil {
		t.Fatal(err)
	}
	claim := Claim{Verb: Pull, Identity: id, Time: noon}
	proof := prove(t, V1, ownerKey(), claim)
	signature, err := hex.DecodeString(proof.Signature)
	if err != nil {
		t.Fatal(err)
	}
	carry := 0
	for i, digit := range order {
		carry += int(signature[32+i]) + int(digit)
		signature[32+i], carry = byte(carry), carry>>8
	}
	proof.Signature = hex.EncodeToString(signature)
	if err := verifierAt(t, time.Unix(noon, 0)).Verify(proof, claim); !errors.Is(err, ErrProofInvalid) || carry != 0 {
		t.Errorf("got %v, carry %d", err, carry)
	}
}

// Under the key that encodes the neutral element anyone can sign. All that it
// opens is the identity of those very bytes.
func TestKeyOfSmallOrder(t *testing.T) {
	v := verifierAt(t, time.Unix(noon, 0))
	neutral := "01" + strings.Repeat("00", 31)
	key, err := hex.DecodeString(neutral)
	if err != nil {
		t.Fatal(err)
	}
	zero := strings.Repeat("00", 32)
	proof := Proof{V1, neutral, neutral + zero}
	own := Claim{Verb: Pull, Identity: fmt.Sprintf("%x", sha256.Sum256(key)), Time: noon}
	if err := v.Verify(proof, own); err != nil {
		t.Errorf("the doc comment of Verify is wrong: %v", err)
	}
	if err := v.Verify(proof, Claim{Verb: Pull, Identity: id, Time: noon}); !errors.Is(err, ErrProofInvalid) {
		t.Errorf("it opens the identity of another key: %v", err)
	}
	for name, r := range map[string]string{
		"with the sign bit": "01" + strings.Repeat("00", 30) + "80",
		"plus the prime":    "ee" + strings.Repeat("ff", 30) + "7f",
	} {
		if err := v.Verify(Proof{V1, neutral, r + zero}, own); !errors.Is(err, ErrProofInvalid) {
			t.Errorf("R in a second encoding, %s: %v", name, err)
		}
	}
}
