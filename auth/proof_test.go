package auth

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// noon is the clock of the tests.
const noon = 1763714400

// ownerKey is the key of the first test vector in RFC 8032 section 7.1.
func ownerKey() ed25519.PrivateKey {
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		panic(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func publicHex(key ed25519.PrivateKey) string {
	return hex.EncodeToString(key.Public().(ed25519.PublicKey))
}

func verifierAt(t testing.TB, now time.Time, audiences ...string) *Verifier {
	t.Helper()
	v, err := NewVerifier(audiences, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func prove(t testing.TB, version int, key ed25519.PrivateKey, c Claim) Proof {
	t.Helper()
	signature, err := c.Sign(version, key)
	if err != nil {
		t.Fatal(err)
	}
	return Proof{Version: version, PublicKey: publicHex(key), Signature: signature}
}

func TestClock(t *testing.T) {
	for name, c := range map[string]struct {
		seconds int64
		late    time.Duration // of the clock, after noon
		want    bool
	}{
		"now":                  {noon, 0, true},
		"oldest":               {noon - 120, 0, true},
		"too old":              {noon - 121, 0, false},
		"newest":               {noon + 120, 0, true},
		"too new":              {noon + 121, 0, false},
		"too old by a moment":  {noon - 120, 1, false},
		"newest and a moment":  {noon + 120, 999 * time.Millisecond, true},
		"just not too old":     {noon - 119, 999_999_999, true},
		"too new by a moment":  {noon + 121, 999_999_999, false},
		"too new until now":    {noon + 121, time.Second, true},
		"1970":                 {0, 0, false},
		"before 1970":          {-noon, 0, false},
		"first":                {math.MinInt64, 0, false},
		"next to first":        {math.MinInt64 + 120, 0, false},
		"last":                 {math.MaxInt64, 0, false},
		"next to last":         {math.MaxInt64 - 120, 0, false},
		"last before overflow": {math.MaxInt64 - 62135596800, 0, false}, // of package time
		"milliseconds":         {noon * 1000, 0, false},
	} {
		v := verifierAt(t, time.Unix(noon, 0).Add(c.late), here)
		for _, verb := range []Verb{Pull, Delete, List, Push} {
			for _, version := range []int{V1, V2} {
				claim := Claim{Verb: verb, Identity: id, Time: c.seconds, Audience: here}
				err := v.Verify(prove(t, version, ownerKey(), claim), claim)
				if want := c.want || verb == Push; want != (err == nil) || err != nil && !errors.Is(err, ErrProofInvalid) {
					t.Errorf("%s: v%d %s: %v", name, version, verb, err)
				}
			}
		}
	}
}

func TestIdentityOfEitherCase(t *testing.T) {
	v := verifierAt(t, time.Unix(noon, 0), here)
	mixed := id[:32] + strings.ToUpper(id[32:])
	for _, version := range []int{V1, V2} {
		for _, sent := range []string{id, strings.ToUpper(id), mixed} {
			for _, written := range []string{id, strings.ToUpper(id), mixed} {
				claim := Claim{Verb: Pull, Identity: written, Time: noon, Audience: here}
				proof := prove(t, version, ownerKey(), claim)
				claim.Identity = sent
				err := v.Verify(proof, claim)
				if want := written == sent || written == id; want != (err == nil) {
					t.Errorf("v%d: signed over %s, sent as %s: %v", version, written, sent, err)
				}
			}
		}
	}
}

func TestAudiences(t *testing.T) {
	v := verifierAt(t, time.Unix(noon, 0), "G1.Example.com:7500", "[2001:DB8::1]:7500")
	for audience, want := range map[string]error{
		here:                  nil,
		"[2001:db8::1]:7500":  nil,
		"G1.Example.com:7500": ErrAudience,
		"g2.example.com:7500": ErrAudience,
		"g1.example.com:7501": ErrAudience,
		"g1.example.com":      ErrAudience,
		"":                    ErrAudience,
	} {
		claim := Claim{Verb: Pull, Identity: id, Time: noon, Audience: audience}
		signature := ed25519.Sign(ownerKey(), []byte(claim.messageV2()))
		err := v.Verify(Proof{V2, publicHex(ownerKey()), hex.EncodeToString(signature)}, claim)
		if !errors.Is(err, want) || want != nil && !errors.Is(err, ErrProofInvalid) {
			t.Errorf("%q: %v, want %v", audience, err, want)
		}
		if err := v.Verify(prove(t, V1, ownerKey(), claim), claim); err != nil {
			t.Errorf("%q counts in v1: %v", audience, err)
		}
	}
	claim := Claim{Verb: Pull, Identity: id, Time: noon, Audience: here}
	if err := verifierAt(t, time.Unix(noon, 0)).Verify(prove(t, V2, ownerKey(), claim), claim); !errors.Is(err, ErrAudience) {
		t.Errorf("a guardian without a name: %v", err)
	}
	if _, err := NewVerifier([]string{here, "g1"}, time.Now); !errors.Is(err, ErrAudienceMalformed) {
		t.Errorf("an audience without a port: %v", err)
	}
}

func TestMalformedProofs(t *testing.T) {
	v := verifierAt(t, time.Unix(noon, 0), here)
	claim := Claim{Verb: Pull, Identity: id, Time: noon, Audience: here}
	for _, version := range []int{V1, V2} {
		good := prove(t, version, ownerKey(), claim)
		upper := Proof{version, strings.ToUpper(good.PublicKey), strings.ToUpper(good.Signature)}
		if err := v.Verify(upper, claim); err != nil {
			t.Errorf("v%d in upper case: %v", version, err)
		}
		for name, bad := range map[string]Proof{
			"nothing":             {},
			"version 0":           {0, good.PublicKey, good.Signature},
			"version -1":          {-1, good.PublicKey, good.Signature},
			"version 3":           {3, good.PublicKey, good.Signature},
			"other version":       {V1 + V2 - version, good.PublicKey, good.Signature},
			"no key":              {version, "", good.Signature},
			"short key":           {version, good.PublicKey[:62], good.Signature},
			"odd key":             {version, good.PublicKey[:63], good.Signature},
			"long key":            {version, good.PublicKey + "00", good.Signature},
			"key in base64":       {version, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", good.Signature},
			"key with prefix":     {version, "0x" + good.PublicKey, good.Signature},
			"key and line":        {version, good.PublicKey + "\n", good.Signature},
			"another key":         {version, id, good.Signature},
			"no signature":        {version, good.PublicKey, ""},
			"truncated signature": {version, good.PublicKey, good.Signature[:126]},
			"long signature":      {version, good.PublicKey, good.Signature + "00"},
			"zeros":               {version, good.PublicKey, strings.Repeat("0", 128)},
			"not hex":             {version, good.PublicKey, strings.Repeat("g", 128)},
		} {
			err := v.Verify(bad, claim)
			if !errors.Is(err, ErrProofInvalid) {
				t.Errorf("v%d, %s: %v", version, name, err)
			} else if strings.Contains(err.Error(), good.Signature[:16]) || strings.Contains(err.Error(), good.PublicKey[:16]) {
				t.Errorf("v%d, %s: the error quotes the proof: %v", version, name, err)
			}
		}
	}
}
