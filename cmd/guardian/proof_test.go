package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/auth"
)

// What may prove ownership here is what is configured: the names that this
// guardian goes by, and the oldest proof.
func TestProofsThatAreTaken(t *testing.T) {
	for name, test := range map[string]struct {
		environ []string
		want    map[string]int // of an audience; "" is a proof of version 1
	}{
		"by default": {nil, map[string]int{
			"": http.StatusNotFound, "ADDR": http.StatusNotFound, "guardian.example:443": http.StatusUnauthorized,
		}},
		"advertised": {[]string{"GUARDIAN_ADVERTISE_URL=https://guardian.example"}, map[string]int{
			"ADDR": http.StatusUnauthorized, "guardian.example:443": http.StatusNotFound,
		}},
		"further names": {[]string{"GUARDIAN_AUDIENCES=guardian.example:443"}, map[string]int{
			"ADDR": http.StatusNotFound, "guardian.example:443": http.StatusNotFound, "guardian.example:80": http.StatusUnauthorized,
		}},
		"new proofs only": {[]string{"GUARDIAN_PROOF=2"}, map[string]int{
			"": http.StatusUnauthorized, "ADDR": http.StatusNotFound,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := launch(thisProgram(t), t.TempDir(), bareEnvironment(append(test.environ, "GUARDIAN_BIND=127.0.0.1:0")...))
			if err != nil {
				t.Fatal(err)
			}
			defer p.kill()
			for audience, want := range test.want {
				if audience == "ADDR" {
					audience = p.address
				}
				if got := statusOfProof(t, p, audience); got != want {
					t.Errorf("%q is answered %d, want %d", audience, got, want)
				}
			}
		})
	}
}

// statusOfProof is what a pull is answered with a proof for the audience.
func statusOfProof(t *testing.T, p *process, audience string) int {
	t.Helper()
	version := auth.V2
	if audience == "" {
		version = auth.V1
	}
	return newKeyOwner(t).ask(t, p, version, auth.Claim{Verb: auth.Pull, Audience: audience})
}

// keyOwner is somebody who owns an identity.
type keyOwner struct {
	private  ed25519.PrivateKey
	identity string
}

func newKeyOwner(t *testing.T) keyOwner {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return keyOwner{private, auth.IdentityOf(public)}
}

// ask makes the call of a claim, with a proof unless the version is 0, and
// returns its status.
func (o keyOwner) ask(t *testing.T, p *process, version int, claim auth.Claim) int {
	t.Helper()
	claim.Identity, claim.Time = o.identity, time.Now().Unix()
	call := map[string]any{"identity": o.identity, "share": claim.Share, "version": claim.Version}
	if claim.Verb == auth.Pull {
		call = map[string]any{"identity": o.identity}
	}
	if version > 0 {
		signature, err := claim.Sign(version, o.private)
		if err != nil {
			t.Fatal(err)
		}
		call["pubkey"], call["signature"] = hex.EncodeToString(o.private.Public().(ed25519.PublicKey)), signature
		call["timestamp"], call["proof"], call["audience"] = claim.Time, version, claim.Audience
	}
	body, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+p.address+"/v1/vault/"+string(claim.Verb), "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// What was written with a proof asks for one from then on, also once the
// guardian runs in another mode; only where that is off nobody asks.
func TestOwnershipOverRestarts(t *testing.T) {
	dir, owner := t.TempDir(), newKeyOwner(t)
	for _, run := range []struct {
		mode         string
		push         int // answer to a push with a proof
		bare, proved int // answers to a pull
	}{
		{"off", http.StatusOK, http.StatusOK, http.StatusOK}, // without a proof being looked at
		{"sticky", http.StatusOK, http.StatusUnauthorized, http.StatusOK},
		{"off", http.StatusOK, http.StatusOK, http.StatusOK},
		{"required", http.StatusOK, http.StatusUnauthorized, http.StatusOK},
		{"", http.StatusOK, http.StatusUnauthorized, http.StatusOK},
	} {
		p, err := launch(thisProgram(t), dir, bareEnvironment("GUARDIAN_OWNERSHIP="+run.mode), "--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		version := uint64(time.Now().UnixNano()) // above that of the run before
		push := owner.ask(t, p, auth.V2, auth.Claim{Verb: auth.Push, Version: version, Audience: p.address, Share: []byte("share")})
		bare := owner.ask(t, p, 0, auth.Claim{Verb: auth.Pull})
		proved := owner.ask(t, p, auth.V2, auth.Claim{Verb: auth.Pull, Audience: p.address})
		if push != run.push || bare != run.bare || proved != run.proved {
			t.Errorf("%q: push %d, bare pull %d, pull %d", run.mode, push, bare, proved)
		}
		p.kill()
	}
}
