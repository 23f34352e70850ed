package httpapi_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
)

// The worked example of docs/API.md is taken as it stands there.
func TestWorkedExample(t *testing.T) {
	document, err := os.ReadFile("../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	type proof struct{ Message, Signature string }
	var example struct {
		Seed, Pubkey, Identity string
		V1, V2                 proof
	}
	found := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(document)
	if found == nil {
		t.Fatal("there is no example")
	}
	if err := json.Unmarshal(found[1], &example); err != nil {
		t.Fatal(err)
	}
	seed, err := hex.DecodeString(example.Seed)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if auth.IdentityOf(key.Public().(ed25519.PublicKey)) != example.Identity {
		t.Errorf("the identity is not that of the key")
	}
	for version, shown := range map[int]proof{1: example.V1, 2: example.V2} {
		if made := hex.EncodeToString(ed25519.Sign(key, []byte(shown.Message))); made != shown.Signature {
			t.Errorf("proof %d: the signature of the message is %s", version, made)
		}
		one := uint64(1)
		request := api.PushRequest{Identity: example.Identity, Share: testShare, Version: &one}
		request.Pubkey, request.Signature = example.Pubkey, shown.Signature
		if version == 2 {
			request.Proof.Proof, request.Audience = 2, audience
		}
		p := start(t, nil)
		wants(t, "push", p.send(t, pushRoute, request, nil), 200, "")
	}
}

// Each code and each call is in docs/API.md.
func TestAPIDocumentNamesEveryCode(t *testing.T) {
	document, err := os.ReadFile("../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(document)
	for _, row := range api.ErrorTable {
		if !strings.Contains(text, "`"+row.Code+"`") {
			t.Errorf("code %s is not in the document", row.Code)
		}
	}
	for _, route := range []string{
		api.RouteHealthz, api.RouteReadyz, api.RouteV1Health, api.RouteStatus, api.RouteGuardians, api.RouteRoster, api.RouteOpenAPI,
		api.RoutePush, api.RoutePull, api.RouteHistory, api.RouteDelete, api.RouteV2Challenge, api.RouteV2Session,
		api.RouteSecrets, api.RouteSecret, api.RouteVersions,
	} {
		if !strings.Contains(text, strings.Replace(route, ":name", "{name}", 1)) {
			t.Errorf("%s is not in the document", route)
		}
	}
}
