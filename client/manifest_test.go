package client_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/shamir"
)

const longSecret = "a secret that is longer than thirty-two bytes"

// within bounds a call as a user would.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// ownedBy7 is a vault over seven guardians, K=3, that holds longSecret.
func ownedBy7(t *testing.T) (*guardiantest.Cluster, *client.Vault) {
	t.Helper()
	cluster := guardiantest.New(t, 7)
	vault := ownedVault(t, cluster)
	storeEverywhere(t, vault, longSecret)
	return cluster, vault
}

// storeEverywhere stores until no guardian lacks its share.
func storeEverywhere(t *testing.T, vault *client.Vault, secret string) uint64 {
	t.Helper()
	for range 10 {
		report, err := vault.Store(t.Context(), owned, []byte(secret))
		if err != nil {
			t.Fatalf("Store: %v", err)
		}
		if len(report.Lacking) == 0 {
			return report.Version
		}
	}
	t.Fatal("Store always left somebody without a share")
	return 0
}

// garbage replaces a share by random bytes of the same length, at its point.
func garbage(answer *api.PullResponse) {
	share, _ := base64.StdEncoding.DecodeString(answer.Share)
	rand.Read(share[1:])
	answer.Share = base64.StdEncoding.EncodeToString(share)
}

func withoutManifest(answer *api.PullResponse) { answer.Manifest = "" }

func both(first, second func(*api.PullResponse)) func(*api.PullResponse) {
	return func(answer *api.PullResponse) { first(answer); second(answer) }
}

func silence(http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not notice that the client has gone
		<-r.Context().Done()
	})
}

// captured answers every pull with what the guardian answered when it was
// called.
func captured(t *testing.T, cluster *guardiantest.Cluster, i int) func(http.Handler) http.Handler {
	t.Helper()
	old, err := guardianOf(t, cluster, i, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned})
	if err != nil {
		t.Fatal(err)
	}
	return changingAnswers(func(answer *api.PullResponse) { *answer = old })
}

// wantStates checks the state of each guardian and that whatever is wrong with
// one is said.
func wantStates(t *testing.T, answers []client.PullAnswer, want map[int]client.State) {
	t.Helper()
	for i, answer := range answers {
		expected, special := want[i]
		if !special {
			expected = client.StateGood
		}
		if answer.State != expected {
			t.Errorf("guardian %d is %s (%v), want %s", i, answer.State, answer.Err, expected)
		}
		if wants := expected == client.StateWrong || expected == client.StateUnreachable; wants != (answer.Err != nil) {
			t.Errorf("guardian %d is %s, error: %v", i, answer.State, answer.Err)
		}
	}
}

// Garbage, an older version, a lie about the threshold, and silence.
func TestFourOfSevenAreNamed(t *testing.T) {
	t.Parallel()
	cluster, vault := ownedBy7(t)
	older := captured(t, cluster, 2)
	version := storeEverywhere(t, vault, longSecret)
	cluster.Front(1, changingAnswers(garbage))
	cluster.Front(2, older)
	cluster.Front(4, changingAnswers(func(answer *api.PullResponse) { answer.Threshold = 2 }))
	cluster.Front(6, silence)
	secret, report, err := vault.Pull(within(t, 20*time.Second), owned)
	if err != nil || string(secret) != longSecret {
		t.Fatalf("Pull: %q, %v", secret, err)
	}
	wantStates(t, report.Guardians, map[int]client.State{
		1: client.StateWrong, 2: client.StateStale, 4: client.StateWrong, 6: client.StateUnreachable,
	})
	if report.Version != version || report.Used != 3 || !report.Checked || !report.Manifest || report.Fallback {
		t.Errorf("report: %+v", report)
	}
	if text := report.Guardians[4].Err.Error(); !strings.Contains(text, "says that 2 shares are enough, the owner's manifest says 3") {
		t.Errorf("the lie about the threshold is called %q", text)
	}
}

// One guardian that shows the manifest is enough for the shares of all, and
// then N-K wrong ones do no harm.
func TestOneManifestJudgesAllShares(t *testing.T) {
	t.Parallel()
	cluster, vault := ownedBy7(t)
	for i := range 6 {
		lie := withoutManifest
		if i < 4 {
			lie = both(garbage, withoutManifest)
		}
		cluster.Front(i, changingAnswers(lie))
	}
	secret, report, err := vault.Pull(t.Context(), owned)
	if err != nil || string(secret) != longSecret || !report.Manifest {
		t.Fatalf("Pull: %q, %+v, %v", secret, report, err)
	}
	wantStates(t, report.Guardians, map[int]client.State{
		0: client.StateWrong, 1: client.StateWrong, 2: client.StateWrong, 3: client.StateWrong,
	})
}

// Without a manifest two of seven are found by decoding; with more the envelope
// has the last word.
func TestWithoutManifestsTheEnvelopeDecides(t *testing.T) {
	t.Parallel()
	for wrong := range 6 {
		cluster, vault := ownedBy7(t)
		want := map[int]client.State{}
		for i := range 7 {
			lie := withoutManifest
			if i < wrong {
				lie, want[i] = both(garbage, withoutManifest), client.StateWrong
			}
			cluster.Front(i, changingAnswers(lie))
		}
		secret, report, err := vault.Pull(t.Context(), owned)
		if wrong > 4 { // fewer than K right ones
			if err == nil || secret != nil || !errors.Is(err, client.ErrInconsistent) {
				t.Errorf("%d wrong: Pull: %q, %v", wrong, secret, err)
			}
			continue
		}
		if err != nil || string(secret) != longSecret || report.Manifest || !report.Checked {
			t.Fatalf("%d wrong: Pull: %q, %+v, %v", wrong, secret, report, err)
		}
		if report.ByEnvelope != (wrong > 2) || report.Used != 7-wrong {
			t.Errorf("%d wrong: report %+v", wrong, report)
		}
		wantStates(t, report.Guardians, want)
	}
}

// What was stored bare has neither manifest nor envelope: then beyond two of
// seven nothing is output.
func TestBareSharesBeyondTheBound(t *testing.T) {
	t.Parallel()
	for wrong := range 5 {
		cluster := guardiantest.New(t, 7)
		vault := newVault(t, cluster.URLs(), 0)
		if report, err := vault.Store(t.Context(), identity, []byte(longSecret)); err != nil || len(report.Lacking) > 0 {
			t.Fatalf("Store: %+v, %v", report, err)
		}
		for i := range wrong {
			cluster.Front(i, changingAnswers(garbage))
		}
		secret, report, err := vault.Pull(t.Context(), identity)
		if wrong > 2 {
			if !errors.Is(err, client.ErrInconsistent) || secret != nil {
				t.Errorf("%d wrong: Pull: %q, %v", wrong, secret, err)
			}
			continue
		}
		if err != nil || string(secret) != longSecret || report.ByEnvelope || !report.Checked {
			t.Errorf("%d wrong: Pull: %q, %+v, %v", wrong, secret, report, err)
		}
	}
}

// forge makes three guardians show shares of a split of their own.
func forge(t *testing.T, cluster *guardiantest.Cluster, version uint64, bare string) {
	t.Helper()
	shares, err := shamir.Split([]byte(bare), 3, []byte{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		cluster.Front(i, changingAnswers(func(answer *api.PullResponse) {
			answer.Version, answer.Manifest, answer.Split = version, "", strings.Repeat("ab", 16)
			answer.Share = base64.StdEncoding.EncodeToString(shares[i])
		}))
	}
}

// K guardians that agree on a version of their own can make up what a bare
// vault believes, but nothing that opens.
func TestKGuardiansCannotMakeUpASecret(t *testing.T) {
	t.Parallel()
	cluster, vault := ownedBy7(t)
	forge(t, cluster, 9, strings.Repeat("made up ", 50))
	secret, report, err := vault.Pull(t.Context(), owned)
	if err != nil || string(secret) != longSecret || report.Version == 9 || !report.Fallback || report.Newest != 9 {
		t.Errorf("Pull: %q, %+v, %v", secret, report, err)
	}
	wantStates(t, report.Guardians, map[int]client.State{0: client.StateWrong, 1: client.StateWrong, 2: client.StateWrong})
}

// When there is nothing else, it is an error and not "not found".
func TestMadeUpSharesAloneAreNotAuthentic(t *testing.T) {
	t.Parallel()
	cluster, vault := ownedBy7(t)
	forge(t, cluster, 9, strings.Repeat("made up ", 50))
	for i := 3; i < 7; i++ {
		cluster.Stop(i)
	}
	secret, _, err := vault.Pull(soon(t), owned)
	if !errors.Is(err, client.ErrAuthentication) || secret != nil {
		t.Errorf("Pull: %q, %v", secret, err)
	}
}

// A manifest counts for what its owner said in it, and nothing else.
func TestManifestsOfSomethingElse(t *testing.T) {
	t.Parallel()
	cluster, vault := ownedBy7(t)
	own, err := guardianOf(t, cluster, 0, client.WithRoot(owner)).Pull(t.Context(), api.PullRequest{Identity: owned})
	if err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(own.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	real, err := manifest.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if real.Threshold != 3 || len(real.Holders) != 7 || real.Holders[4].Node != "node-4" || !real.Policy.Refresh ||
		real.Policy.MinThreshold != 3 || real.Policy.MaxHolders != 7 || real.Identity != owned || real.Name != "" {
		t.Errorf("the manifest says %+v", real)
	}
	resigned := func(by byte, change func(*manifest.Manifest)) func(*api.PullResponse) {
		other := *real
		change(&other)
		root := rootOf(by)
		other.Owner = nil
		if by != 7 {
			other.Identity = root.Identity()
		}
		signed, err := other.Sign(root.Owner())
		if err != nil {
			t.Fatal(err)
		}
		return func(answer *api.PullResponse) { answer.Manifest = base64.StdEncoding.EncodeToString(signed) }
	}
	for name, lie := range map[string]func(*api.PullResponse){
		"of another owner": resigned(8, func(*manifest.Manifest) {}),
		"of another name":  resigned(7, func(m *manifest.Manifest) { m.Name = "other" }),
		"another version":  resigned(7, func(m *manifest.Manifest) { m.Version += 5 }),
		"no base64":        func(answer *api.PullResponse) { answer.Manifest = "%" },
		"no manifest":      func(answer *api.PullResponse) { answer.Manifest = "AAAA" },
		"one bit":          func(answer *api.PullResponse) { answer.Manifest = flipped(answer.Manifest) },
	} {
		cluster.Front(3, changingAnswers(lie))
		secret, report, err := vault.Pull(t.Context(), owned)
		if err != nil || string(secret) != longSecret || report.Used != 6 {
			t.Errorf("%s: Pull: %q, %+v, %v", name, secret, report, err)
			continue
		}
		wantStates(t, report.Guardians, map[int]client.State{3: client.StateWrong})
	}
}

func flipped(text string) string {
	data, _ := base64.StdEncoding.DecodeString(text)
	data[len(data)/2] ^= 4
	return base64.StdEncoding.EncodeToString(data)
}

// The K that the owner signed counts, whatever the vault's is; without a
// manifest a lower one could be a lie.
func TestTheSignedThresholdCounts(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	two, err := client.NewVault(cluster.URLs(), nil, 2, client.WithRoot(owner))
	if err != nil {
		t.Fatal(err)
	}
	storeEverywhere(t, two, longSecret)
	for _, i := range []int{0, 2, 3} {
		cluster.Stop(i)
	}
	three := ownedVault(t, cluster)
	secret, report, err := three.Pull(soon(t), owned)
	if err != nil || string(secret) != longSecret || report.Threshold != 2 || report.Used != 2 {
		t.Fatalf("Pull: %q, %+v, %v", secret, report, err)
	}
	for _, i := range []int{1, 4} {
		cluster.Front(i, changingAnswers(withoutManifest))
	}
	_, _, err = three.Pull(soon(t), owned)
	wantQuorumError(t, err, 3, 2)
}

// A liar about its node id keeps only itself from a share.
func TestAGuardianThatClaimsAnothersID(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	cluster.Front(1, changingStatus("node-3"))
	report, err := ownedVault(t, cluster).Store(t.Context(), owned, []byte(longSecret))
	if err != nil || report.Got != 4 || len(report.Lacking) != 1 || !errors.Is(report.Lacking[0], api.ErrInvalidManifest) {
		t.Fatalf("Store: %+v, %v", report, err)
	}
	if !strings.HasPrefix(report.Lacking[0].Error(), cluster.URLs()[1]) {
		t.Errorf("lacking: %v", report.Lacking)
	}
	for _, id := range []string{"", "NODE", strings.Repeat("a", 64), "a b"} {
		cluster.Front(1, changingStatus(id))
		report, err = ownedVault(t, cluster).Push(t.Context(), owned, report.Version+1, []byte(longSecret))
		if err != nil || len(report.Lacking) != 1 || !strings.Contains(report.Lacking[0].Error(), "did not say which node it is") {
			t.Errorf("%q: Push: %+v, %v", id, report, err)
		}
	}
	// One that takes another node's place at the same URL is asked again.
	vault := ownedVault(t, cluster)
	cluster.Front(1, changingStatus("node-9"))
	if report, err = vault.Store(t.Context(), owned, []byte(longSecret)); err != nil || len(report.Lacking) != 1 {
		t.Fatalf("Store: %+v, %v", report, err)
	}
	cluster.Start(1)
	if report, err = vault.Store(t.Context(), owned, []byte(longSecret)); err != nil || len(report.Lacking) != 0 {
		t.Errorf("Store after it came back: %+v, %v", report, err)
	}
}

// changingStatus makes a guardian give another node id than its own.
func changingStatus(id string) func(http.Handler) http.Handler {
	return func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RouteStatus {
				real.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(api.StatusResponse{Status: "ok", NodeID: id})
		})
	}
}

// A guardian that does not say which node it is, is taken for the one that it
// was in the manifest before.
func TestAnUnknownNodeIsTheOneItWas(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	storeEverywhere(t, ownedVault(t, cluster), longSecret)
	cluster.Front(2, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == api.RouteStatus {
				http.Error(w, `{"error":"not found","code":"no_route"}`, http.StatusNotFound)
				return
			}
			real.ServeHTTP(w, r)
		})
	})
	report, err := ownedVault(t, cluster).Store(t.Context(), owned, []byte(longSecret))
	if err != nil || len(report.Lacking) != 0 {
		t.Errorf("Store: %+v, %v", report, err)
	}
}

// A version that bears the owner's manifest counts, even if just one guardian
// shows it; a bare claim moves nothing.
func TestTheNextVersionFollowsManifests(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := ownedVault(t, cluster)
	storeEverywhere(t, vault, longSecret)
	for i := range 4 {
		cluster.Stop(i)
	}
	if _, err := vault.Push(soon(t), owned, 5000, []byte("reached one")); err == nil {
		t.Fatal("a push to one guardian was acknowledged")
	}
	for i := range 4 {
		cluster.Start(i)
	}
	if report, err := vault.Store(t.Context(), owned, []byte(longSecret)); err != nil || report.Version != 5001 {
		t.Errorf("after a manifest of version 5000 Store took version %d, %v", report.Version, err)
	}
	cluster.Front(1, changingAnswers(func(answer *api.PullResponse) { answer.Version = 90_000; answer.Manifest = "" }))
	if report, err := vault.Store(t.Context(), owned, []byte(longSecret)); err != nil || report.Version != 5002 {
		t.Errorf("after a bare claim of version 90000 Store took version %d, %v", report.Version, err)
	}
}

// An answer that is lost makes the client send the very same bytes again.
func TestRetriesSendTheSameBytes(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	var lost sync.Map // guardians whose first answer to a push was lost
	requests := recordThen(cluster, func(i int, real http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.RoutePush {
			if _, again := lost.LoadOrStore(i, true); !again {
				real.ServeHTTP(&recorder{header: http.Header{}}, r)
				panic(http.ErrAbortHandler)
			}
		}
		real.ServeHTTP(w, r)
	})
	report, err := ownedVault(t, cluster).Store(t.Context(), owned, []byte(longSecret))
	if err != nil || report.Got < 4 {
		t.Fatalf("Store: %+v, %v", report, err)
	}
	bodies := map[int][]string{}
	for _, request := range requests() {
		if request.route == api.RoutePush {
			push := decode[api.PushRequest](t, request)
			bodies[request.guardian] = append(bodies[request.guardian], push.Share+push.Manifest+push.Split)
		}
	}
	again := 0
	for i, sent := range bodies {
		if len(sent) > 1 {
			again++
		}
		if slices.ContainsFunc(sent, func(body string) bool { return body != sent[0] }) {
			t.Errorf("guardian %d got different bytes", i)
		}
	}
	if again < 4 {
		t.Errorf("%d guardians were pushed to again", again)
	}
}

// showing answers every pull with one answer.
func showing(shown api.PullResponse) func(http.Handler) http.Handler {
	return func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RoutePull {
				real.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(shown)
		})
	}
}
