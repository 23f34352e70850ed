package client_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

var (
	owner  = rootOf(7)
	pubkey = hex.EncodeToString(owner.Owner().Public().(ed25519.PublicKey))
	owned  = owner.Identity()
)

func ownedVault(t *testing.T, cluster *guardiantest.Cluster) *client.Vault {
	t.Helper()
	vault, err := client.NewVault(cluster.URLs(), nil, 0, client.WithRoot(owner))
	if err != nil {
		t.Fatalf("NewVault: %v", err)
	}
	return vault
}

// guardianOf speaks to one guardian of a cluster.
func guardianOf(t *testing.T, cluster *guardiantest.Cluster, i int, with ...client.Option) *client.Guardian {
	t.Helper()
	guardian, err := client.New(cluster.URLs()[i], "", with...)
	if err != nil {
		t.Fatal(err)
	}
	return guardian
}

// sent is a request as it came to a guardian.
type sent struct {
	guardian int
	route    string
	body     []byte
}

// decode reads a request of any kind.
func decode[Request any](t *testing.T, s sent) (request Request) {
	t.Helper()
	if err := json.Unmarshal(s.body, &request); err != nil {
		t.Fatalf("%s: %v", s.route, err)
	}
	return request
}

// record returns what has come to the guardians since.
func record(cluster *guardiantest.Cluster) func() []sent {
	return recordThen(cluster, func(_ int, real http.Handler, w http.ResponseWriter, r *http.Request) { real.ServeHTTP(w, r) })
}

// recordThen is record with a way to answer.
func recordThen(cluster *guardiantest.Cluster, answer func(i int, real http.Handler, w http.ResponseWriter, r *http.Request)) func() []sent {
	var mu sync.Mutex
	var all []sent
	for i := range cluster.URLs() {
		cluster.Front(i, func(real http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				mu.Lock()
				all = append(all, sent{i, r.URL.Path, body})
				mu.Unlock()
				answer(i, real, w, r)
			})
		})
	}
	return func() []sent {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func hostPort(cluster *guardiantest.Cluster, i int) string {
	return strings.TrimPrefix(cluster.URLs()[i], "http://")
}

// claimOf is what the owner must have signed of a request.
func claimOf(t *testing.T, s sent) (auth.Claim, api.Proof) {
	t.Helper()
	verbs := map[string]auth.Verb{
		api.RoutePush: auth.Push, api.RoutePull: auth.Pull, api.RouteHistory: auth.Pull, api.RouteDelete: auth.Delete,
	}
	push := decode[api.PushRequest](t, s)
	share, errShare := base64.StdEncoding.DecodeString(push.Share)
	manifest, errManifest := base64.StdEncoding.DecodeString(push.Manifest)
	if err := errors.Join(errShare, errManifest); err != nil {
		t.Fatal(err)
	}
	claim := auth.Claim{
		Verb: verbs[s.route], Identity: push.Identity, Time: push.Timestamp, Audience: push.Audience,
		Share: share, Manifest: manifest,
	}
	if push.Version != nil {
		claim.Version = *push.Version
	}
	return claim, push.Proof
}

// Each guardian can verify each call by what it got, knowing no other name than
// the one by which it was dialled.
func TestEveryCallOfAnOwnerIsProved(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	requests := record(cluster)
	vault := ownedVault(t, cluster)
	var errs [4]error
	_, errs[0] = vault.Store(t.Context(), owned, []byte("secret"))
	_, _, errs[1] = vault.Pull(t.Context(), strings.ToUpper(owned))
	_, errs[2] = vault.History(t.Context(), owned)
	_, errs[3] = vault.Delete(t.Context(), owned)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	routes := map[string]int{}
	for _, request := range requests() {
		if request.route == api.RouteStatus {
			continue // open to everybody
		}
		routes[request.route]++
		claim, proof := claimOf(t, request)
		verifier, err := auth.NewVerifier([]string{hostPort(cluster, request.guardian)}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		err = verifier.Verify(auth.Proof{Version: proof.Proof, PublicKey: proof.Pubkey, Signature: proof.Signature}, claim)
		if err != nil || proof.Proof != auth.V2 {
			t.Errorf("%s carries a proof of version %d: %v", request.route, proof.Proof, err)
		}
	}
	for _, route := range []string{api.RoutePush, api.RoutePull, api.RouteHistory, api.RouteDelete} {
		if routes[route] < vault.WriteQuorum() {
			t.Errorf("%d requests to %s", routes[route], route)
		}
	}
}

func TestCallsWithoutKeyAreBare(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	requests := record(cluster)
	vault := newVault(t, cluster.URLs(), 0)
	mustPush(t, vault, "secret")
	mustPull(t, vault, "secret")
	if len(requests()) == 0 {
		t.Error("nothing was sent")
	}
	for _, request := range requests() {
		if _, proof := claimOf(t, request); proof != (api.Proof{}) {
			t.Errorf("%s carries %+v", request.route, proof)
		}
	}
}

// What was written bare can be read bare until its owner writes it; from then
// on nobody else can do anything with it, not even after it was deleted.
func TestOwnershipSticks(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	bare, mine := newVault(t, cluster.URLs(), 0), ownedVault(t, cluster)
	if _, err := bare.Store(t.Context(), owned, []byte("bare")); err != nil {
		t.Fatalf("bare Store: %v", err)
	}
	if secret, _, err := bare.Pull(t.Context(), owned); err != nil || string(secret) != "bare" {
		t.Fatalf("bare Pull of what was stored bare: %q, %v", secret, err)
	}
	if secret, _, err := mine.Pull(t.Context(), owned); !errors.Is(err, client.ErrAuthentication) || secret != nil {
		t.Fatalf("owned Pull of what was stored bare: %q, %v", secret, err)
	}
	if report, err := mine.Store(t.Context(), owned, []byte("mine")); err != nil || report.Version != 2 {
		t.Fatalf("owned Store: %+v, %v", report, err)
	}
	wantBareRefused(t, bare, "owned")
	if secret, _, err := mine.Pull(t.Context(), owned); err != nil || string(secret) != "mine" {
		t.Fatalf("owned Pull: %q, %v", secret, err)
	}
	if _, err := mine.Delete(t.Context(), owned); err != nil {
		t.Fatalf("owned Delete: %v", err)
	}
	wantBareRefused(t, bare, "deleted")
	if _, _, err := mine.Pull(t.Context(), owned); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("owned Pull of what was deleted: %v", err)
	}
	if report, err := mine.Store(t.Context(), owned, []byte("again")); err != nil || report.Version != 3 {
		t.Fatalf("owned Store of what was deleted: %+v, %v", report, err)
	}
}

func wantBareRefused(t *testing.T, bare *client.Vault, what string) {
	t.Helper()
	for name, call := range map[string]func() error{
		"Push":    func() error { _, err := bare.Push(t.Context(), owned, 9, []byte("bare")); return err },
		"Store":   func() error { _, err := bare.Store(t.Context(), owned, []byte("bare")); return err },
		"Pull":    func() error { _, _, err := bare.Pull(t.Context(), owned); return err },
		"History": func() error { _, err := bare.History(t.Context(), owned); return err },
		"Delete":  func() error { _, err := bare.Delete(t.Context(), owned); return err },
	} {
		err := call()
		if _, ok := errors.AsType[*client.QuorumError](err); !ok || !errors.Is(err, api.ErrOwnershipRequired) {
			t.Errorf("bare %s of what is %s: %v", name, what, err)
		}
	}
}

// replay shows a request to a guardian as whoever captured it can, and returns
// the guardian's refusal.
func replay(t *testing.T, guardian *client.Guardian, request any) (err error) {
	t.Helper()
	switch r := request.(type) {
	case api.PushRequest:
		err = guardian.Push(t.Context(), r)
	case api.PullRequest:
		_, err = guardian.Pull(t.Context(), r)
	case api.HistoryRequest:
		_, err = guardian.History(t.Context(), r)
	case api.DeleteRequest:
		err = guardian.Delete(t.Context(), r)
	default:
		t.Fatalf("a %T cannot be replayed", request)
	}
	return err
}

func pushOf(share string) api.PushRequest {
	version := uint64(1)
	return api.PushRequest{Identity: owned, Share: base64.StdEncoding.EncodeToString([]byte(share)), Version: &version}
}

// capture has the owner do everything at the first guardian, and returns what
// that one got.
func capture(t *testing.T, cluster *guardiantest.Cluster) (push api.PushRequest, others []any) {
	t.Helper()
	requests, version := record(cluster), uint64(1)
	first := guardianOf(t, cluster, 0, client.WithRoot(owner))
	for _, call := range []any{
		pushOf("\x01share"),
		api.PullRequest{Identity: owned},
		api.HistoryRequest{Identity: owned},
		api.DeleteRequest{Identity: owned, Version: &version},
	} {
		if err := replay(t, first, call); err != nil {
			t.Fatalf("%T of the owner: %v", call, err)
		}
	}
	got := requests()
	return decode[api.PushRequest](t, got[0]), []any{
		decode[api.PullRequest](t, got[1]), decode[api.HistoryRequest](t, got[2]), decode[api.DeleteRequest](t, got[3]),
	}
}

func TestProofsCapturedAtOneGuardianOpenNoOther(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	push, others := capture(t, cluster)
	for i := 1; i < 5; i++ {
		thief, mine := guardianOf(t, cluster, i), guardianOf(t, cluster, i, client.WithRoot(owner))
		if err := replay(t, thief, push); !errors.Is(err, api.ErrOwnershipInvalid) {
			t.Errorf("push at guardian %d: %v", i, err)
		}
		if _, err := mine.Pull(t.Context(), api.PullRequest{Identity: owned}); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("guardian %d after the push: %v", i, err)
		}
		if err := mine.Push(t.Context(), pushOf("\x02share")); err != nil {
			t.Fatal(err)
		}
		for _, request := range others {
			if err := replay(t, thief, request); !errors.Is(err, api.ErrOwnershipInvalid) {
				t.Errorf("%T at guardian %d: %v", request, i, err)
			}
		}
		if _, err := mine.Pull(t.Context(), api.PullRequest{Identity: owned}); err != nil {
			t.Errorf("guardian %d after the delete: %v", i, err)
		}
	}
	// The very guardian takes it: what the others refused was in order.
	if err := replay(t, guardianOf(t, cluster, 0), others[1]); err != nil {
		t.Errorf("history at its own guardian: %v", err)
	}
}

func TestProofOfAPushCarriesNothingElse(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 1)
	push, _ := capture(t, cluster)
	next := uint64(2)
	for name, change := range map[string]func(*api.PushRequest){
		"other bytes":   func(r *api.PushRequest) { r.Share = pushOf("\x01shard").Share },
		"other version": func(r *api.PushRequest) { r.Version = &next },
		"a manifest":    func(r *api.PushRequest) { r.Manifest = "AAAA" },
		"as version 1":  func(r *api.PushRequest) { r.Proof.Proof = auth.V1 },
		"other name":    func(r *api.PushRequest) { r.Audience = "guardian.example:7500" },
	} {
		changed := push
		change(&changed)
		if err := replay(t, guardianOf(t, cluster, 0), changed); !errors.Is(err, api.ErrOwnershipInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Unchanged it is proved, and too late.
	if err := replay(t, guardianOf(t, cluster, 0), push); !errors.Is(err, api.ErrVersionConflict) {
		t.Errorf("unchanged: %v", err)
	}
}

func TestProofsAreSoonOver(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 1)
	if err := guardianOf(t, cluster, 0, client.WithRoot(owner)).Push(t.Context(), pushOf("\x01share")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		age  time.Duration
		want error
	}{
		"of now":           {0, nil},
		"of a minute ago":  {time.Minute, nil},
		"too old":          {auth.ProofAge + time.Second, api.ErrOwnershipInvalid},
		"of the far ahead": {-auth.ProofAge - time.Minute, api.ErrOwnershipInvalid},
	} {
		claim := auth.Claim{
			Verb: auth.Pull, Identity: owned, Audience: hostPort(cluster, 0), Time: time.Now().Add(-test.age).Unix(),
		}
		signature, err := claim.Sign(auth.V2, owner.Owner())
		if err != nil {
			t.Fatal(err)
		}
		proof := api.Proof{Pubkey: pubkey, Signature: signature, Proof: auth.V2, Audience: claim.Audience, Timestamp: claim.Time}
		err = replay(t, guardianOf(t, cluster, 0), api.PullRequest{Identity: owned, Proof: proof})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheKeyMustBeTheIdentitys(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	requests := record(cluster)
	vault, guardian, version := ownedVault(t, cluster), guardianOf(t, cluster, 0, client.WithRoot(owner)), uint64(1)
	for name, call := range map[string]func() error{
		"Push":    func() error { _, err := vault.Push(t.Context(), identity, 1, []byte("x")); return err },
		"Store":   func() error { _, err := vault.Store(t.Context(), identity, []byte("x")); return err },
		"Pull":    func() error { _, _, err := vault.Pull(t.Context(), identity); return err },
		"History": func() error { _, err := vault.History(t.Context(), identity); return err },
		"Delete":  func() error { _, err := vault.Delete(t.Context(), identity); return err },
		"one's": func() error {
			return guardian.Push(t.Context(), api.PushRequest{Identity: identity, Version: &version})
		},
	} {
		if err := call(); !errors.Is(err, auth.ErrClaim) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, request := range map[string]api.PushRequest{
		"share":    {Identity: owned, Version: &version, Share: "%"},
		"manifest": {Identity: owned, Version: &version, Manifest: "%"},
		"version":  {Identity: owned},
	} {
		if err := guardian.Push(t.Context(), request); err == nil || api.RowOf(err).Code != "invalid_"+name {
			t.Errorf("Push without a %s that can be signed: %v", name, err)
		}
	}
	if len(requests()) > 0 {
		t.Errorf("%d requests were sent", len(requests()))
	}
}
