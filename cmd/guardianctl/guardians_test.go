package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/cluster"
)

func keyOf(i int) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", i)).Public().(ed25519.PublicKey)
}

func membersUpTo(n int) (members []client.Member) {
	for i := 1; i <= n; i++ {
		members = append(members, client.Member{NodeID: fmt.Sprintf("g%d", i), Index: i, URL: fmt.Sprintf("https://g%d.example", i), Key: keyOf(i)})
	}
	return members
}

func setting(from string, n int) func(*pins) error {
	return func(p *pins) error {
		p.setList(from, membersUpTo(n))
		return nil
	}
}

// What another process has kept since we looked stays.
func TestPinsOfAnotherMeanwhile(t *testing.T) {
	t.Parallel()
	p := &pins{Version: pinsVersion}
	for _, n := range []int{5, 5} {
		if err := p.addList("https://one", membersUpTo(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.addList("https://one", membersUpTo(4)); !errors.Is(err, errMeanwhile) {
		t.Errorf("of another list: %v", err)
	}
	if got, err := p.list("https://one"); err != nil || len(got) != 5 {
		t.Errorf("%d are left, %v", len(got), err)
	}
	roster := func(serial uint64, hash string, change func(m []client.Member)) *seenRoster {
		r := &seenRoster{serial, hash, membersUpTo(3)}
		change(r.members)
		return r
	}
	same := func([]client.Member) {}
	forgotten := roster(8, "b", func(m []client.Member) { m[1].URL = "" })
	for _, r := range []*seenRoster{roster(7, "a", same), forgotten} {
		if err := p.addRoster(keyOf(1), r); err != nil {
			t.Fatal(err)
		}
	}
	if forgotten.members[1].URL != "https://g2.example" {
		t.Errorf("a URL that is kept is not used: %+v", forgotten.members[1])
	}
	for name, r := range map[string]*seenRoster{
		"another URL":  roster(9, "c", func(m []client.Member) { m[0].URL = "https://elsewhere" }),
		"a URL moved":  roster(9, "c", func(m []client.Member) { m[0].URL, m[1].URL, m[1].Key = "", "https://g1.example", keyOf(50) }),
		"older":        roster(7, "a", same),
		"two rosters":  roster(8, "d", same),
		"urls swapped": roster(9, "c", func(m []client.Member) { m[0].URL, m[1].URL = m[1].URL, m[0].URL }),
	} {
		if err := p.addRoster(keyOf(1), r); !errors.Is(err, errMeanwhile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := p.roster(keyOf(1)); err != nil || got.serial != 8 || !reflect.DeepEqual(got.members, membersUpTo(3)) {
		t.Errorf("kept is %+v, %v", got, err)
	}
}

// Whoever holds the lock holds nobody up for longer than they wait.
func TestPinsThatAreLocked(t *testing.T) {
	t.Parallel()
	store := pinStore{path: filepath.Join(t.TempDir(), "guardians.json")}
	lock, err := os.Create(store.path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := lockFile(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := store.update(ctx, setting("https://one", 3)); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process has it") {
		t.Errorf("it is locked, and: %v", err)
	}
	_ = lock.Close()
	if err := store.update(t.Context(), setting("https://one", 3)); err != nil {
		t.Error(err)
	}
}

func TestPinsBehindALink(t *testing.T) {
	t.Parallel()
	ours, elsewhere := t.TempDir(), t.TempDir()
	store, target := pinStore{path: filepath.Join(ours, "guardians.json")}, filepath.Join(elsewhere, "pins.json")
	if err := os.Symlink(target, store.path); err != nil {
		t.Fatal(err)
	}
	if _, err := store.read(); err == nil || !strings.Contains(err.Error(), "a link to nothing") {
		t.Errorf("a link to nothing: %v", err)
	}
	if err := os.WriteFile(target, []byte(`{"version":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.update(t.Context(), setting("https://one", 3)); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(store.path); err != nil || to != target {
		t.Errorf("the link became %q, %v", to, err)
	}
	if kept, err := store.read(); err != nil || len(kept.Lists) != 1 {
		t.Errorf("kept are %+v, %v", kept, err)
	}
	for _, dir := range []string{elsewhere, ours} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := store.read(); err == nil || !strings.Contains(err.Error(), dir+": others can write to it") {
			t.Errorf("from %s: %v", dir, err)
		}
		if err := store.update(t.Context(), setting("https://two", 3)); err == nil {
			t.Errorf("%s: it was written", dir)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

type ownedBy struct {
	os.FileInfo
	uid uint32
}

func (o ownedBy) Sys() any { return &syscall.Stat_t{Uid: o.uid} }

func TestPinsOfAnotherUser(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	us := uint32(os.Geteuid())
	for uid, refused := range map[uint32]bool{us: false, 0: false, us + 1: true} {
		if err := oursAlone(ownedBy{info, uid}); (err != nil) != refused {
			t.Errorf("of user %d: %v", uid, err)
		}
	}
}

// Who was asked over https sends nobody to where everybody reads along.
func TestNoHTTPFromHTTPS(t *testing.T) {
	t.Parallel()
	plain := membersUpTo(2)
	plain[1].URL = "http://g2.example"
	for from, refused := range map[string]bool{"https://g1.example": true, "http://g1.example": false} {
		guardian, err := client.New(from, "")
		if err != nil {
			t.Fatal(err)
		}
		asked := &informant{guardian: guardian}
		if err := asked.asSafe(plain); errors.Is(err, client.ErrInvalidList) != refused {
			t.Errorf("%s: %v", from, err)
		}
		if err := asked.asSafe(membersUpTo(2)); err != nil {
			t.Errorf("%s: %v", from, err)
		}
	}
}

func TestPinsAreKept(t *testing.T) {
	t.Parallel()
	store := pinStore{path: filepath.Join(t.TempDir(), "a", "b", "guardians.json")}
	empty, err := store.read()
	if err != nil || empty.Lists != nil || empty.Rosters != nil {
		t.Fatalf("of no file: %+v, %v", empty, err)
	}
	roster := &seenRoster{serial: 1<<64 - 1, sha256: strings.Repeat("ab", 32), members: membersUpTo(255)}
	roster.members[7].URL = ""
	update := func(change func(*pins) error) {
		t.Helper()
		if err := store.update(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	update(setting("https://one", 5))
	update(func(p *pins) error { return p.setRoster(keyOf(1), roster) })
	update(setting("https://one", 4))
	update(setting("https://two", 3))
	older := &seenRoster{serial: 7, members: membersUpTo(1)}
	if err := store.update(t.Context(), func(p *pins) error { return p.setRoster(keyOf(1), older) }); !errors.Is(err, errMeanwhile) {
		t.Errorf("of an older roster: %v", err)
	}
	kept, err := store.read()
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string][]client.Member{"https://one": membersUpTo(4), "https://two": membersUpTo(3), "https://three": nil} {
		if got, err := kept.list(from); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", from, got, err)
		}
	}
	if got, err := kept.roster(keyOf(1)); err != nil || !reflect.DeepEqual(got, roster) {
		t.Errorf("the roster is %+v, %v", got, err)
	}
	if got, err := kept.roster(keyOf(2)); err != nil || got != nil {
		t.Errorf("another key's is %+v, %v", got, err)
	}
	for path, want := range map[string]os.FileMode{store.path: 0o600, filepath.Dir(store.path): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// Processes that pin at the same time undo nothing of each other's.
func TestPinsOfManyAtOnce(t *testing.T) {
	t.Parallel()
	store := pinStore{path: filepath.Join(t.TempDir(), "guardians.json")}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := store.update(t.Context(), setting(fmt.Sprintf("https://%d", i), 3)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if kept, err := store.read(); err != nil || len(kept.Lists) != 20 {
		t.Errorf("%d are kept, %v", len(kept.Lists), err)
	}
}

func TestPinsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"empty":     "",
		"cut off":   `{"version":1,"lists":[`,
		"two":       `{"version":1} {"version":1}`,
		"no object": `[1]`,
		"older":     `{"lists":[]}`,
		"future":    `{"version":2}`,
		"huge":      `{"version":1}` + strings.Repeat(" ", maxPins),
	} {
		store := pinStore{path: filepath.Join(t.TempDir(), "guardians.json")}
		if err := os.WriteFile(store.path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := store.read(); err == nil || advised(err).code != exitFailure || !strings.Contains(err.Error(), store.path) {
			t.Errorf("%s: %+v, %v", name, kept, err)
		}
		if err := store.update(t.Context(), setting("https://one", 3)); err == nil {
			t.Errorf("%s: it was written over", name)
		}
		if after, err := os.ReadFile(store.path); err != nil || string(after) != data {
			t.Errorf("%s: it holds %.40q, %v", name, after, err)
		}
	}
	for name, list := range map[string]string{
		"index twice": `[{"node_id":"a","index":1,"url":"http://a","node_key":"KEY1"},{"node_id":"b","index":1,"url":"http://b","node_key":"KEY2"}]`,
		"index 256":   `[{"node_id":"a","index":256,"url":"http://a","node_key":"KEY1"}]`,
		"no key":      `[{"node_id":"a","index":1,"url":"http://a"}]`,
		"password":    `[{"node_id":"a","index":1,"url":"http://me:pw@a","node_key":"KEY1"}]`,
		"empty":       `[]`,
	} {
		text := strings.NewReplacer("KEY1", hex.EncodeToString(keyOf(1)), "KEY2", hex.EncodeToString(keyOf(2))).Replace(list)
		kept, err := decodePins(fmt.Appendf(nil, `{"version":1,"lists":[{"from":"x","members":%s}],"rosters":[{"key":"%x","serial":1,"members":%s}]}`, text, keyOf(9), text))
		if err != nil {
			t.Fatal(name, err)
		}
		if got, err := kept.list("x"); !errors.Is(err, client.ErrInvalidList) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := kept.roster(keyOf(9)); !errors.Is(err, client.ErrInvalidList) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestPinsAreBounded(t *testing.T) {
	t.Parallel()
	store := pinStore{path: filepath.Join(t.TempDir(), "guardians.json")}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = store.update(t.Context(), setting(fmt.Sprintf("https://%d", i), 255))
	}
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a file without end: %v", err)
	}
	if kept, err := store.read(); err != nil || len(kept.Lists) < 3 {
		t.Errorf("what was kept before is lost: %v", err)
	}
}

func TestVerifyRoster(t *testing.T) {
	t.Parallel()
	admission := testAdmission.Public().(ed25519.PublicKey)
	sign := func(serial uint64, n int, key ed25519.PrivateKey) string {
		r := cluster.Roster{Serial: serial}
		for _, m := range membersUpTo(n) {
			r.Entries = append(r.Entries, cluster.Entry{NodeID: m.NodeID, Index: m.Index, Key: m.Key})
		}
		signed, err := r.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(signed)
	}
	seen, err := verifyRoster(sign(5, 3, testAdmission), admission, nil)
	if err != nil || seen.serial != 5 || len(seen.members) != 3 || seen.members[2].URL != "" {
		t.Fatalf("%+v, %v", seen, err)
	}
	for _, text := range []string{sign(5, 3, testAdmission), sign(6, 2, testAdmission)} {
		if _, err := verifyRoster(text, admission, seen); err != nil {
			t.Error(err)
		}
	}
	changed, _ := base64.StdEncoding.DecodeString(sign(7, 3, testAdmission))
	changed[30] ^= 1
	if _, err := verifyRoster(sign(4, 3, testAdmission), admission, seen); err == nil || !strings.Contains(err.Error(), "serial 4, and one with 5 was seen before") {
		t.Errorf("an older one: %v", err)
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"same, another":  {sign(5, 4, testAdmission), errTwoRosters},
		"another's key":  {sign(9, 3, ed25519.NewKeyFromSeed(make([]byte, 32))), cluster.ErrRosterSignature},
		"changed":        {base64.StdEncoding.EncodeToString(changed), nil},
		"without anyone": {sign(9, 0, testAdmission), cluster.ErrInvalidRoster},
		"no base64":      {"*", cluster.ErrInvalidRoster},
		"empty":          {"", cluster.ErrInvalidRoster},
	} {
		if got, err := verifyRoster(c.text, admission, seen); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	said := membersUpTo(5)[1:]
	said[0].Index, said[1].URL, said[2].Key = 9, "https://elsewhere", keyOf(77)
	want := []string{
		"g1 (index 1, https://g1.example): confirmed, and missing there",
		"g2: index 9 there, confirmed is 2",
		"g3: URL https://elsewhere there, confirmed is https://g3.example",
		fmt.Sprintf("g4: node key %x there, confirmed is %x", keyOf(77), keyOf(4)),
		"g5 (index 5, https://g5.example): there, and not confirmed",
	}
	if got := differences(membersUpTo(4), said); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := differences(membersUpTo(4), membersUpTo(4)); got != nil {
		t.Errorf("of the same: %q", got)
	}
}

// viewFrom is what gi says: states of g1, g2, ... in order, "" for not listed.
func viewFrom(i int, states ...string) client.GuardianView {
	v := client.GuardianView{Guardian: fmt.Sprintf("https://g%d.example", i)}
	v.Status = api.StatusResponse{Status: "ok", NodeID: fmt.Sprintf("g%d", i), RosterSerial: 3, Alive: 2}
	v.List = api.GuardiansResponse{Threshold: 3, WriteQuorum: 2}
	for j, state := range states {
		if state == "" {
			continue
		}
		m := membersUpTo(j + 1)[j]
		v.List.Guardians = append(v.List.Guardians, api.GuardianInfo{
			NodeID: m.NodeID, Index: m.Index, URL: m.URL, State: state, NodeKey: hex.EncodeToString(m.Key),
			ShareCount: int64(10*i + j), ShareCountApprox: i != j+1,
		})
	}
	return v
}

func TestCompare(t *testing.T) {
	t.Parallel()
	views := []client.GuardianView{
		viewFrom(1, "alive", "alive", "dead", "alive"),
		viewFrom(2, "alive", "alive", "dead"),
		viewFrom(3, "dead", "dead", "alive", "suspect"),
		{Guardian: "https://g4.example", Err: &client.Error{Guardian: "https://g4.example", Err: errors.New("gone")}},
	}
	views[2].Status.RosterSerial = 2
	views[2].List.Guardians[0].Index = 7
	views[1].List.Guardians[0].URL = "https://\x1b[2Jevil"
	result := compare(views, nil)
	type row struct {
		node, state, url string
		index, agreeing  int
		asked            int
		shares           int64
		approximate      bool
	}
	var rows []row
	for _, m := range result.Members {
		rows = append(rows, row{m.NodeID, m.State, m.URL, m.Index, m.Agreeing, m.Asked, m.Shares, m.SharesApproximate})
	}
	want := []row{
		{"g1", "alive", "https://g1.example", 1, 2, 3, 10, false},
		{"g2", "alive", "https://g2.example", 2, 2, 3, 21, false},
		{"g3", "dead", "https://g3.example", 3, 2, 3, 32, false},
		{"g4", "alive", "https://g4.example", 4, 1, 3, 33, true},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("got  %+v\nwant %+v", rows, want)
	}
	lines := []string{
		"state of g1, and who says so: alive: g1, g2; dead: g3",
		"index of g1, and who says so: 1: g1, g2; 7: g3",
		"URL of g1, and who says so: ?: g2; https://g1.example: g1, g3",
		"state of g2, and who says so: alive: g1, g2; dead: g3",
		"state of g3, and who says so: alive: g3; dead: g1, g2",
		"state of g4, and who says so: alive: g1; suspect: g3; unlisted: g2",
		"serial of the roster, and who says so: 2: g3; 3: g1, g2",
	}
	if !slices.Equal(result.Disagreements, lines) {
		t.Errorf("got %q", result.Disagreements)
	}
	var table, text bytes.Buffer
	if err := errors.Join(printCluster(&table, false, result), printCluster(&text, true, result)); err != nil || strings.Contains(table.String()+text.String(), "\x1b") {
		t.Errorf("%v: %s", err, &table)
	}
	if err := json.Unmarshal(text.Bytes(), &clusterResult{}); err != nil {
		t.Error(err)
	}
}

// Whatever guardians say, the table has one line for each of the members, and
// nothing in it drives a terminal.
func TestCompareHostileViews(t *testing.T) {
	t.Parallel()
	evil := viewFrom(1, "alive", "\x1b[2J")
	evil.Status.NodeID, evil.Status.Status = "g2", "ok\n\n"
	evil.List.Guardians[0].NodeID = "g\x07"
	evil.List.Guardians[0].NodeKey = "\x1b"
	result := compare([]client.GuardianView{viewFrom(2, "alive", "alive"), evil, {Guardian: "https://g3.example"}}, nil)
	var table bytes.Buffer
	if err := printCluster(&table, false, result); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(table.String(), func(r rune) bool { return r < ' ' && r != '\n' }) || len(result.Members) != 2 {
		t.Errorf("%q", table.String())
	}
	if name := result.Guardians[1].name; name != "https://g1.example" {
		t.Errorf("who claims to be another is cited as %q", name)
	}
	if empty := compare(nil, nil); len(empty.Members) != 0 || len(empty.Disagreements) != 0 {
		t.Errorf("of nobody: %+v", empty)
	}
}

// A guardian that says it is another is found out, and another key however late it
// differs.
func TestCompareImpostors(t *testing.T) {
	t.Parallel()
	views := []client.GuardianView{viewFrom(1, "alive", "alive"), viewFrom(2, "alive", "alive")}
	views[0].Status.NodeID = "g2"
	key := &views[1].List.Guardians[1].NodeKey
	*key = (*key)[:60] + strings.Repeat("0", 4)
	for name, test := range map[string]struct {
		members []client.Member
		lines   []string
		shares  int64
	}{
		"known": {membersUpTo(2), []string{
			"https://g1.example says that it is g2, and should be g1",
			fmt.Sprintf("node key of g2, and who says so: %.16[1]x: g2; %.16[1]x: https://g1.example", keyOf(2)[:8]),
		}, 21},
		"not known": {nil, []string{
			"https://g2.example says that it is g2, and so does another",
			fmt.Sprintf("node key of g2, and who says so: %.16[1]x: https://g2.example; %.16[1]x: g2", keyOf(2)[:8]),
		}, 11},
	} {
		result := compare(views, test.members)
		if !slices.Equal(result.Disagreements, test.lines) {
			t.Errorf("%s: %q", name, result.Disagreements)
		}
		if got := result.Members[1].Shares; got != test.shares {
			t.Errorf("%s: g2 has %d shares", name, got)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{0: "-", 0.25: "200ms", 15: "15s", 3700.19: "1h1m40.1s", -1: "?", 1e300: "?"} {
		if got := ago(seconds); got != want {
			t.Errorf("%v: %s, want %s", seconds, got, want)
		}
	}
}
