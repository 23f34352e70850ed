package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/guardiantest"
)

func namedVault(t *testing.T, cluster *guardiantest.Cluster, name string) *client.Vault {
	t.Helper()
	vault, err := client.NewVault(cluster.URLs(), nil, 0, client.WithRoot(owner), client.WithName(name))
	if err != nil {
		t.Fatalf("NewVault: %v", err)
	}
	return vault
}

func wantStored(t *testing.T, vault *client.Vault, secret string, version uint64) {
	t.Helper()
	if report, err := vault.Store(t.Context(), owned, []byte(secret)); err != nil || report.Version != version {
		t.Fatalf("Store of %q: version %d, %v; want %d", secret, report.Version, err, version)
	}
}

func wantOwned(t *testing.T, vault *client.Vault, want string) {
	t.Helper()
	if secret, _, err := vault.Pull(t.Context(), owned); err != nil || string(secret) != want {
		t.Fatalf("Pull returned %q, %v; want %q", secret, err, want)
	}
}

// wantListed checks names and versions, written name@version. Four of five hold
// what was acknowledged, and four of five answer, so three at least list it.
func wantListed(t *testing.T, vault *client.Vault, want ...string) {
	t.Helper()
	report, err := vault.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	var got []string
	for _, s := range report.Secrets {
		got = append(got, fmt.Sprintf("%s@%d", s.Name, s.Version))
		if s.Guardians < 3 || s.Guardians > report.Got || s.Size < 2 {
			t.Errorf("listed %+v by %d", s, report.Got)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func TestNamesAreKeptApart(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	a, b, bare := namedVault(t, cluster, "a_Key-1"), namedVault(t, cluster, "b"), ownedVault(t, cluster)
	wantListed(t, bare)
	for _, vault := range []*client.Vault{bare, a, b} {
		wantStored(t, vault, "first", 1)
	}
	wantStored(t, a, "second", 2)
	wantStored(t, a, "of a", 3)
	wantStored(t, b, "of b", 2)
	wantStored(t, bare, "of none", 2)
	wantOwned(t, a, "of a")
	wantOwned(t, b, "of b")
	wantOwned(t, bare, "of none")
	for _, vault := range []*client.Vault{a, bare} {
		wantListed(t, vault, "a_Key-1@3", "b@2")
	}
	if report, err := a.Delete(t.Context(), owned); err != nil || len(report.Lacking) > 0 {
		t.Fatalf("Delete: %+v, %v", report, err)
	}
	if _, _, err := a.Pull(t.Context(), owned); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Pull of what was deleted: %v", err)
	}
	if _, err := a.Delete(t.Context(), owned); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("Delete of what was deleted: %v", err)
	}
	wantListed(t, bare, "b@2")
	wantOwned(t, b, "of b")
	wantOwned(t, bare, "of none")
	wantStored(t, a, "again", 4)
	wantOwned(t, a, "again")
}

func TestHistoryOfAName(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	vault := namedVault(t, cluster, "name")
	wantStored(t, ownedVault(t, cluster), "another one", 1)
	if _, err := vault.History(t.Context(), owned); !errors.Is(err, api.ErrNotFound) {
		t.Fatalf("History of nothing: %v", err)
	}
	wantStored(t, vault, "a secret", 1)
	wantStored(t, vault, "a secret", 2)
	all, err := vault.History(t.Context(), owned)
	if err != nil {
		t.Fatal(err)
	}
	wantHistory(t, all, len("\x01a secret")+envelope.Overhead, false, 2, 1)
	older := uint64(1)
	first := guardianOf(t, cluster, 0, client.WithRoot(owner), client.WithName("name"))
	if response, err := first.Pull(t.Context(), api.PullRequest{Identity: owned, Version: &older}); err != nil || response.Version != 1 {
		t.Errorf("version 1: %+v, %v", response, err)
	}
	if _, err := vault.Delete(t.Context(), owned); err != nil {
		t.Fatal(err)
	}
	if all, err = vault.History(t.Context(), owned); err != nil {
		t.Fatal(err)
	}
	wantHistory(t, all, 0, true, 2)
}

func TestANameWithGuardiansGone(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	vault := namedVault(t, cluster, "name")
	wantStored(t, vault, "before", 1)
	cluster.Stop(1)
	wantStored(t, vault, "after", 2)
	wantOwned(t, vault, "after")
	report, err := vault.List(t.Context())
	want := client.ListedSecret{Name: "name", Version: 2, Size: len("\x01after") + envelope.Overhead, Guardians: 4}
	if err != nil || len(report.Secrets) != 1 || report.Secrets[0] != want || len(report.Lacking) != 1 {
		t.Errorf("List with one gone: %+v, %v", report, err)
	}
	cluster.Start(1)
	wantListed(t, vault, "name@2")
	cluster.Stop(2)
	cluster.Stop(3)
	_, err = vault.List(t.Context())
	wantQuorumError(t, err, 4, 3, cluster.URLs()[2], cluster.URLs()[3])
}

func TestANameNeedsAKeyAndLetters(t *testing.T) {
	t.Parallel()
	if _, err := client.New("http://a", "", client.WithName("name")); err == nil || !strings.Contains(err.Error(), "key of its owner") {
		t.Errorf("a name without a key: %v", err)
	}
	for _, name := range []string{"a/b", "..", "a b", "ä", "a\n", ":name", strings.Repeat("a", 129)} {
		if _, err := client.New("http://a", "", client.WithRoot(owner), client.WithName(name)); !errors.Is(err, api.ErrInvalidName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	cluster := guardiantest.New(t, 3)
	requests := record(cluster)
	if _, err := newVault(t, cluster.URLs(), 0).List(t.Context()); err == nil {
		t.Error("a vault without a key listed")
	}
	if _, err := guardianOf(t, cluster, 0).List(t.Context()); err == nil {
		t.Error("a guardian without a key listed")
	}
	if len(requests()) > 0 {
		t.Errorf("%d requests were sent", len(requests()))
	}
}

// answerOnly makes guardian 0 answer a route of its own accord.
func answerOnly(cluster *guardiantest.Cluster, route, body string) {
	cluster.Front(0, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != route {
				real.ServeHTTP(w, r)
				return
			}
			_, _ = w.Write([]byte(body))
		})
	})
}

func list(t *testing.T, guardian *client.Guardian) error {
	t.Helper()
	_, err := guardian.List(t.Context())
	return err
}

func TestStrangeAnswersOverNames(t *testing.T) {
	t.Parallel()
	version := uint64(1)
	push := func(t *testing.T, g *client.Guardian) error { t.Helper(); return replay(t, g, pushOf("\x01share")) }
	remove := func(t *testing.T, g *client.Guardian) error {
		t.Helper()
		return replay(t, g, api.DeleteRequest{Identity: owned, Version: &version})
	}
	route := strings.Replace(api.RouteSecret, ":name", "name", 1)
	for name, test := range map[string]struct {
		route, body string
		call        func(*testing.T, *client.Guardian) error
	}{
		"somebody else's session": {api.RouteV2Session, `{"identity":"` + identity + `","expiry_ns":1,"tag":"ab"}`, list},
		"a session of no hex":     {api.RouteV2Session, `{"identity":"` + owned + `","expiry_ns":1,"tag":"\r\nX: y"}`, list},
		"names out of order":      {api.RouteSecrets, `{"secrets":[{"name":"b"},{"name":"a"}]}`, list},
		"a name twice":            {api.RouteSecrets, `{"secrets":[{"name":"a"},{"name":"a"}]}`, list},
		"terminal control":        {api.RouteSecrets, `{"secrets":[{"name":"\u001b[2J"}]}`, list},
		"a put of another":        {route, `{"status":"stored","name":"other","version":1}`, push},
		"a put of version 2":      {route, `{"status":"stored","name":"name","version":2}`, push},
		"a put that is none":      {route, `{}`, push},
		"a delete of another":     {route, `{"status":"deleted","name":"other"}`, remove},
		"a delete that is none":   {route, `{"status":"stored","name":"name"}`, remove},
	} {
		cluster := guardiantest.New(t, 1)
		answerOnly(cluster, test.route, test.body)
		err := test.call(t, guardianOf(t, cluster, 0, client.WithRoot(owner), client.WithName("name")))
		failure, ok := errors.AsType[*client.Error](err)
		if !ok || failure.Status != http.StatusOK || !strings.Contains(err.Error(), "is there a guardian behind this URL?") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a named call carries is good at the guardian that was dialled only.
func TestEveryNamedCallIsProved(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.NewWithToken(t, 1, token)
	var headers []http.Header
	cluster.Front(0, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(api.HeaderSession) != "" {
				headers = append(headers, r.Header)
			}
			real.ServeHTTP(w, r)
		})
	})
	guardian, err := client.New(cluster.URLs()[0], token, client.WithRoot(owner), client.WithName("name"))
	if err != nil {
		t.Fatal(err)
	}
	version := uint64(1)
	for _, request := range []any{
		pushOf("\x01share"),
		api.PullRequest{Identity: owned},
		api.HistoryRequest{Identity: owned},
		api.DeleteRequest{Identity: owned, Version: &version},
	} {
		if err := replay(t, guardian, request); err != nil {
			t.Errorf("%T: %v", request, err)
		}
	}
	if err := list(t, guardian); err != nil {
		t.Errorf("List: %v", err)
	}
	if len(headers) != 5 {
		t.Errorf("%d calls in a session", len(headers))
	}
	for _, header := range headers {
		if header.Get(api.HeaderProof) != "2" || header.Get(api.HeaderAudience) != hostPort(cluster, 0) || header.Get(api.HeaderPubkey) != pubkey {
			t.Errorf("a call with proof %q for %q", header.Get(api.HeaderProof), header.Get(api.HeaderAudience))
		}
	}
}
