package client_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/guardiantest"
	"github.com/vault-guardian/guardian/manifest"
)

func memberKey(i int) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", i)).Public().(ed25519.PublicKey)
}

// listOf is what an honest guardian says of n.
func listOf(n int) []api.GuardianInfo {
	var list []api.GuardianInfo
	for i := 1; i <= n; i++ {
		list = append(list, api.GuardianInfo{
			NodeID: fmt.Sprintf("g%d", i), Index: i, URL: fmt.Sprintf("https://g%d.example:7500", i),
			NodeKey: hex.EncodeToString(memberKey(i)), State: "alive",
		})
	}
	return list
}

func rosterOf(list []api.GuardianInfo) []client.Member {
	members, err := client.MembersOf(list)
	if err != nil {
		panic(err)
	}
	for i := range members {
		members[i].URL = ""
	}
	return members
}

func TestMembersOf(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 255} {
		list := listOf(n)
		slices.Reverse(list)
		members, err := client.MembersOf(list)
		if err != nil || len(members) != n {
			t.Fatalf("%d members: %d, %v", n, len(members), err)
		}
		for i, m := range members {
			want := client.Member{NodeID: fmt.Sprintf("g%d", i+1), Index: i + 1, URL: fmt.Sprintf("https://g%d.example:7500", i+1), Key: memberKey(i + 1)}
			if !reflect.DeepEqual(m, want) {
				t.Errorf("got %+v, want %+v", m, want)
			}
		}
	}
	list := listOf(3)
	list[1].URL, list[2].URL = "", "HTTP://G3.example:80/"
	members, err := client.MembersOf(list)
	if err != nil || members[1].URL != "" || members[2].URL != "http://g3.example" {
		t.Errorf("got %+v, %v", members, err)
	}
}

// hostile are lists that no honest guardian gives, by what is wrong with them.
func hostile() map[string][]api.GuardianInfo {
	changed := func(change func(list []api.GuardianInfo)) []api.GuardianInfo {
		list := listOf(5)
		change(list)
		return list
	}
	lists := map[string][]api.GuardianInfo{
		"it has 0 guardians":                {},
		"it has 256 guardians":              listOf(256),
		"two guardians have the same URL":   changed(func(l []api.GuardianInfo) { l[4].URL = "HTTPS://G1.example:7500/" }),
		"same node id":                      changed(func(l []api.GuardianInfo) { l[4].NodeID = "g1" }),
		"same node key":                     changed(func(l []api.GuardianInfo) { l[4].NodeKey = strings.ToUpper(l[0].NodeKey) }),
		"same share index":                  changed(func(l []api.GuardianInfo) { l[4].Index = 1 }),
		"guardian 5: its share index is":    changed(func(l []api.GuardianInfo) { l[4].Index = 256 }),
		"guardian 4: its share index is":    changed(func(l []api.GuardianInfo) { l[3].Index = -1 }),
		"must not hold a user name":         changed(func(l []api.GuardianInfo) { l[2].URL = "https://me:hunter2@g3.example" }),
		"must not hold a user name or pass": changed(func(l []api.GuardianInfo) { l[2].URL = "https://hunter2@g3.example" }),
		"guardian 2: its node key is not":   changed(func(l []api.GuardianInfo) { l[1].NodeKey = "0123" }),
	}
	for i, id := range []string{"", "g 1", "G1", "g\x1b[2J", "g1\n", "ｇ1", "..", strings.Repeat("g", 64), "g1\x00"} {
		lists[fmt.Sprintf("guardian %d: its node id is not", i+1)] = slices.Concat(listOf(i), []api.GuardianInfo{{NodeID: id, Index: 250}})
	}
	for i, url := range []string{"ftp://g.example", "file:///etc/passwd", "javascript:alert(1)", "//g.example", "https://", "https://g.example?x", "https://g.example#x", "g.example:7500", "127.0.0.1:7500", "unix:/run/g", "https:g.example", "https://g:0", "https://g:65536", "https://[fe80::1%25eth0]", "https://g{}"} {
		lists[fmt.Sprintf("guardian %d: ", i+1)] = slices.Concat(listOf(i), []api.GuardianInfo{{NodeID: "x", Index: 250, URL: url}})
	}
	for i, url := range []string{"https://g\x1b.example", "https://g\n.example", "https://ｇ.example", "https://g\u202e.example", " https://g.example", "https://g.example/" + strings.Repeat("x", 512)} {
		lists[fmt.Sprintf("guardian %d: its URL is not", i+11)] = slices.Concat(listOf(i+10), []api.GuardianInfo{{NodeID: "x", Index: 250, URL: url}})
	}
	return lists
}

func TestHostileListsAreRefused(t *testing.T) {
	t.Parallel()
	for want, list := range hostile() {
		_, err := client.MembersOf(list)
		_, _, errLocate := client.Locate(rosterOf(listOf(5)), list)
		for _, err := range []error{err, errLocate} {
			if !errors.Is(err, client.ErrInvalidList) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
				continue
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error gives away what it should not: %q", err)
			}
		}
	}
	for want, change := range map[string]func(*api.GuardianInfo){
		"g2 has no share index": func(g *api.GuardianInfo) { g.Index = 0 },
		"g2 has no node key":    func(g *api.GuardianInfo) { g.NodeKey = "" },
	} {
		list := listOf(3)
		change(&list[1])
		if _, err := client.MembersOf(list); !errors.Is(err, client.ErrInvalidList) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, _, err := client.Locate(rosterOf(listOf(3)), list); err != nil {
			t.Errorf("where the roster counts: %v", err)
		}
	}
}

// Who the members of a roster are, and at which index, no list changes.
func TestLocate(t *testing.T) {
	t.Parallel()
	roster := rosterOf(listOf(4))
	list := listOf(6)
	list[0].Index, list[1].Index = 2, 1
	list[2].URL = ""
	list[3].NodeKey = hex.EncodeToString(memberKey(99))
	list[5].NodeKey = ""
	located, told, err := client.Locate(roster, list)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range located {
		want := roster[i]
		want.URL = []string{"https://g1.example:7500", "https://g2.example:7500", "", ""}[i]
		if !reflect.DeepEqual(m, want) {
			t.Errorf("got %+v, want %+v", m, want)
		}
	}
	if want := []string{"g3 has no URL there", "g4 has another key there than in the roster", "g5 is not in the roster", "g6 is not in the roster"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	located, told, err = client.Locate(roster, listOf(1))
	if err != nil || len(located) != 4 || len(told) != 3 {
		t.Errorf("of a list of one: %+v, %q, %v", located, told, err)
	}
}

func TestLocateNeverChangesMembers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		roster := rosterOf(listOf(rapid.IntRange(1, 8).Draw(t, "members")))
		var list []api.GuardianInfo
		for range rapid.IntRange(0, 10).Draw(t, "listed") {
			i := rapid.IntRange(0, 9).Draw(t, "which")
			list = append(list, api.GuardianInfo{
				NodeID: fmt.Sprintf("g%d", i), Index: rapid.IntRange(-1, 300).Draw(t, "index"),
				URL:     rapid.SampledFrom([]string{"", "https://a", "https://b", "http://c:1", "x", "https://d"}).Draw(t, "url"),
				NodeKey: rapid.SampledFrom([]string{"", "00", hex.EncodeToString(memberKey(1)), hex.EncodeToString(memberKey(2))}).Draw(t, "key"),
			})
		}
		located, _, err := client.Locate(roster, list)
		if err != nil {
			return
		}
		urls := map[string]bool{}
		for i, m := range located {
			if m.URL != "" && urls[m.URL] {
				t.Fatalf("%s is there twice", m.URL)
			}
			urls[m.URL] = true
			if m.URL = ""; !reflect.DeepEqual(m, roster[i]) {
				t.Fatalf("%+v became %+v", roster[i], m)
			}
		}
		if len(located) != len(roster) {
			t.Fatalf("%d of %d are left", len(located), len(roster))
		}
	})
}

// Manifests name members as the roster does, whatever guardians say of
// themselves, and nobody is asked.
func TestManifestNamesTheMembers(t *testing.T) {
	t.Parallel()
	root, err := envelope.FromKeyFile([]byte("a key of thirty-two bytes, a key"))
	if err != nil {
		t.Fatal(err)
	}
	guardians := guardiantest.New(t, 5)
	var asked atomic.Int32
	var members []client.Member
	for i, url := range guardians.URLs() {
		members = append(members, client.Member{NodeID: fmt.Sprintf("node-%d", i), Index: 10 * (i + 1), URL: url, Key: memberKey(i)})
		guardians.Front(i, func(own http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == api.RouteStatus {
					asked.Add(1)
				}
				own.ServeHTTP(w, r)
			})
		})
	}
	members[4].NodeID = "another" // refuses what names another at its point
	vault, err := client.NewVault(guardians.URLs(), nil, 0, client.WithRoot(root), client.WithMembers(members))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time with what was learnt the first
		report, err := vault.Store(t.Context(), root.Identity(), []byte("secret"))
		if err != nil || report.Got != 4 || len(report.Lacking) != 1 || !errors.Is(report.Lacking[0], api.ErrInvalidManifest) {
			t.Errorf("stored by %d, %v: %v", report.Got, report.Lacking, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("guardians were asked %d times who they are", asked.Load())
	}
	one, err := client.New(guardians.URLs()[0], "", client.WithRoot(root))
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := one.Pull(t.Context(), api.PullRequest{Identity: root.Identity()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := base64.StdEncoding.DecodeString(pulled.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range m.Holders {
		if int(h.X) != members[i].Index || h.Node != members[i].NodeID || !h.Key.Equal(members[i].Key) {
			t.Errorf("holder %d is %d %s, the member %+v", i, h.X, h.Node, members[i])
		}
	}
}

func TestMembersRefused(t *testing.T) {
	t.Parallel()
	members, err := client.MembersOf(listOf(3))
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{members[0].URL, members[1].URL}
	if vault, err := client.NewVault(urls, nil, 0, client.WithMembers(members)); err == nil || vault != nil {
		t.Error("two URLs for three members were taken")
	}
	urls = append(urls, members[2].URL)
	indices := client.WithIndices([]int{1, 2, 3})
	if _, err := client.NewVault(urls, nil, 0, client.WithMembers(members), indices); err != nil {
		t.Errorf("their own indices: %v", err)
	}
	for want, with := range map[string][]client.Option{
		"0 members for 3 guardians":  {client.WithMembers([]client.Member{})},
		"2 members for 3 guardians":  {client.WithMembers(members[:2]), indices},
		"not those of the members":   {client.WithMembers(members), client.WithIndices([]int{1, 2, 4})},
		"not those of the members: ": {client.WithIndices([]int{3, 2, 1}), client.WithMembers(members)},
	} {
		wantNoVault(t, urls, strings.TrimSuffix(want, ": "), with...)
	}
	for want, change := range map[string]func(m []client.Member){
		"share index 0 is not":                func(m []client.Member) { m[1].Index = 0 },
		"two members have the same share ind": func(m []client.Member) { m[1].Index = 1 },
		"share index 256 is not":              func(m []client.Member) { m[1].Index = 256 },
		"g2 is not at " + urls[0]:             func(m []client.Member) { m[0], m[1] = m[1], m[0] },
		"member 2: its node id is not":        func(m []client.Member) { m[1].NodeID = "" },
		"two members have the same node id":   func(m []client.Member) { m[1].NodeID, m[2].NodeID = "g1", "g1" },
		"g3 has no node key":                  func(m []client.Member) { m[2].Key = nil },
		"g2 has no node key":                  func(m []client.Member) { m[1].Key = m[1].Key[:31] },
		"two members have the same node key":  func(m []client.Member) { m[2].Key = m[0].Key },
	} {
		changed := slices.Clone(members)
		change(changed)
		wantNoVault(t, urls, want, client.WithMembers(changed))
	}
	for i := range members {
		members[i].URL = ""
	}
	if _, err := client.NewVault(urls, nil, 0, client.WithMembers(members)); err != nil {
		t.Errorf("members without a URL: %v", err)
	}
}

func wantNoVault(t *testing.T, urls []string, want string, with ...client.Option) {
	t.Helper()
	if vault, err := client.NewVault(urls, nil, 0, with...); err == nil || vault != nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// A list that is longer than there are indices is no answer.
func TestMembersInViewAreBounded(t *testing.T) {
	t.Parallel()
	guardians := guardiantest.New(t, 3)
	guardians.Front(1, func(own http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.RouteGuardians {
				own.ServeHTTP(w, r)
				return
			}
			_ = json.NewEncoder(w).Encode(api.GuardiansResponse{Guardians: listOf(256)})
		})
	})
	vault, err := client.NewVault(guardians.URLs(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vault.Views(t.Context()) {
		if errors.Is(v.Err, client.ErrInvalidList) != (i == 1) || i == 1 && v.List.Guardians != nil {
			t.Errorf("guardian %d: %v", i, v.Err)
		}
	}
}

func TestViews(t *testing.T) {
	t.Parallel()
	guardians := guardiantest.New(t, 3)
	guardians.Stop(1)
	vault, err := client.NewVault(guardians.URLs(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range vault.Views(t.Context()) {
		if v.Guardian != guardians.URLs()[i] || (v.Err != nil) != (i == 1) {
			t.Errorf("guardian %d: %+v", i, v)
		}
		if v.Err == nil && (v.Status.NodeID != fmt.Sprintf("node-%d", i) || len(v.List.Guardians) != 1 || v.List.Guardians[0].NodeID != v.Status.NodeID) {
			t.Errorf("guardian %d says %+v, %+v", i, v.Status, v.List)
		}
	}
}
