package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vault-guardian/guardian/api"
	backendfs "github.com/vault-guardian/guardian/backend/fs"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/registry"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// nodeKeyOf is the public key of a node, whose private one is the SHA-256 of
// its id.
func nodeKeyOf(node string) ed25519.PublicKey {
	seed := sha256.Sum256([]byte(node))
	return publicOf(ed25519.NewKeyFromSeed(seed[:]))
}

// In the scripts, $G1 to $G5 are node keys. `register DIR NODE [DOMAIN]`
// registers a guardian in a registry, `record DIR FILE` makes a file the roster
// there, whatever it is; `flip FILE OFFSET` changes a byte.
func TestRosterScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/roster",
		Setup: func(env *testscript.Env) error {
			for _, node := range []string{"g1", "g2", "g3", "g4", "g5"} {
				env.Setenv(strings.ToUpper(node), hex.EncodeToString(nodeKeyOf(node)))
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitsWith, "register": registerNode, "record": recordRoster, "flip": flipByte,
		},
	})
}

func inDirectory(dir string, do func(cluster.Registry) error) error {
	store, err := backendfs.Open(dir)
	if err != nil {
		return err
	}
	opened := cluster.NewBucket(store, nil)
	return errors.Join(do(opened), opened.Close())
}

func registerNode(script *testscript.TestScript, _ bool, args []string) {
	m := cluster.Member{
		NodeID: args[1], ClientURL: "http://" + args[1], PeerURL: "https://" + args[1] + ":7501",
		PublicKey: nodeKeyOf(args[1]), FailureDomain: strings.Join(args[2:], " "),
	}
	script.Check(inDirectory(script.MkAbs(args[0]), func(r cluster.Registry) error {
		_, err := r.Register(context.Background(), m)
		return err
	}))
}

func recordRoster(script *testscript.TestScript, _ bool, args []string) {
	script.Check(inDirectory(script.MkAbs(args[0]), func(r cluster.Registry) error {
		_, rev, err := r.Load(context.Background(), cluster.RosterKey)
		if err != nil && !errors.Is(err, cluster.ErrNoRecord) {
			return err
		}
		_, err = r.Swap(context.Background(), cluster.RosterKey, []byte(script.ReadFile(args[1])), rev)
		return err
	}))
}

func flipByte(script *testscript.TestScript, _ bool, args []string) {
	offset, err := strconv.Atoi(args[1])
	script.Check(err)
	data := []byte(script.ReadFile(args[0]))
	data[offset] ^= 1
	script.Check(os.WriteFile(script.MkAbs(args[0]), data, 0o600))
}

// rosterDir holds an admission key and a draft with guardians.
type rosterDir struct {
	key, draft, signed string
	public             ed25519.PublicKey
}

func newRosterDir(t *testing.T, nodes ...string) *rosterDir {
	t.Helper()
	dir := t.TempDir()
	d := &rosterDir{key: filepath.Join(dir, "admission.key"), draft: filepath.Join(dir, "roster.json"), signed: filepath.Join(dir, "roster.signed")}
	out, _ := guardianctl(t, exitOK, "roster", "init", "-o", d.key, "--roster", d.draft)
	var err error
	if d.public, err = parsePublicKey(strings.TrimSpace(strings.TrimPrefix(out, "GUARDIAN_ADMISSION_KEY="))); err != nil {
		t.Fatalf("init prints %q, %v", out, err)
	}
	for i, node := range nodes {
		d.add(t, node, i+1)
	}
	return d
}

func (d *rosterDir) add(t *testing.T, node string, index int) {
	t.Helper()
	guardianctl(t, exitOK, "roster", "add", node, "--key", hex.EncodeToString(nodeKeyOf(node)), "--index", strconv.Itoa(index),
		"--failure-domain", "in "+node, "--roster", d.draft)
}

func (d *rosterDir) sign(t *testing.T) (*cluster.Roster, []byte) {
	t.Helper()
	guardianctl(t, exitOK, "roster", "sign", "--admission-key-file", d.key, "--roster", d.draft, "-o", d.signed)
	return d.read(t)
}

func (d *rosterDir) read(t *testing.T) (*cluster.Roster, []byte) {
	t.Helper()
	data, err := os.ReadFile(d.signed)
	if err != nil {
		t.Fatal(err)
	}
	r, err := cluster.ParseRoster(data, d.public)
	if err != nil {
		t.Fatal(err)
	}
	return r, data
}

func rosterOf(serial uint64, nodes ...string) *cluster.Roster {
	r := &cluster.Roster{Serial: serial, Entries: []cluster.Entry{}}
	for i, node := range nodes {
		r.Entries = append(r.Entries, cluster.Entry{NodeID: node, Index: i + 1, Key: nodeKeyOf(node), FailureDomain: "in " + node[:min(len(node), 61)]})
	}
	return r
}

// What guardians read is what was signed, up to the largest roster.
func TestRosterSignedIsWhatGuardiansRead(t *testing.T) {
	var all []string
	for i := range cluster.MaxIndex {
		all = append(all, fmt.Sprintf("%063d", i))
	}
	for name, nodes := range map[string][]string{"nobody": {}, "one": {"g1"}, "all": all} {
		t.Run(name, func(t *testing.T) {
			d := newRosterDir(t)
			draft, err := readDraft(d.draft)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range rosterOf(1, nodes...).Entries {
				if err := draft.add(entryOf(e)); err != nil {
					t.Fatal(err)
				}
			}
			if err := draft.write(d.draft, true); err != nil {
				t.Fatal(err)
			}
			for serial := uint64(1); serial <= 2; serial++ {
				if got, _ := d.sign(t); !reflect.DeepEqual(got, rosterOf(serial, nodes...)) {
					t.Errorf("signed %+v", got)
				}
			}
		})
	}
}

// A crash between the two files leaves a serial out. That of a roster is never
// given again, whichever file is lost.
func TestRosterSerialIsGivenOnce(t *testing.T) {
	d := newRosterDir(t, "g1")
	given := map[uint64][]byte{}
	sign := func(want uint64) {
		t.Helper()
		r, data := d.sign(t)
		if given[r.Serial] != nil || r.Serial != want {
			t.Errorf("signed serial %d, want %d", r.Serial, want)
		}
		given[r.Serial] = data
	}
	sign(1)
	// Nothing can be written there, by root either.
	_, errs := guardianctl(t, exitFailure, "roster", "sign", "--admission-key-file", d.key, "--roster", d.draft, "-o", "/proc/roster.signed")
	wantText(t, errs, "writing /proc/roster.signed", "next: choose another file with -o, and run it again")
	draft, err := readDraft(d.draft)
	if err != nil || draft.Serial != 2 {
		t.Fatalf("the draft has serial %d, %v", draft.Serial, err)
	}
	sign(3)
	if err := os.Remove(d.signed); err != nil {
		t.Fatal(err)
	}
	sign(4)
	draft.Serial = 0 // an old copy
	if err := draft.write(d.draft, true); err != nil {
		t.Fatal(err)
	}
	sign(5)
	draft.Serial = math.MaxUint64 - 2
	if err := draft.write(d.draft, true); err != nil {
		t.Fatal(err)
	}
	sign(math.MaxUint64 - 1)
	for _, last := range []uint64{math.MaxUint64 - 1, math.MaxUint64} {
		draft.Serial = last
		if err := draft.write(d.draft, true); err != nil {
			t.Fatal(err)
		}
		_, errs = guardianctl(t, exitFailure, "roster", "sign", "--admission-key-file", d.key, "--roster", d.draft, "-o", d.signed)
		wantText(t, errs, fmt.Sprintf("the last serial is %d: ", last), "none could ever follow it", `next: correct "serial" in the draft`)
	}
	if r, _ := d.read(t); r.Serial != math.MaxUint64-1 {
		t.Errorf("serial %d is there", r.Serial)
	}
}

// Many sign at once: those that are not refused have a serial of their own.
func TestRosterSignedAtOnce(t *testing.T) {
	d := newRosterDir(t, "g1")
	const signers = 16
	var all sync.WaitGroup
	codes := [signers]int{}
	for i := range signers {
		all.Go(func() {
			var out bytes.Buffer
			codes[i] = run(t.Context(), []string{
				"roster", "sign", "--admission-key-file", d.key, "--roster", d.draft, "-o", d.signed + strconv.Itoa(i),
			}, streams{strings.NewReader(""), &out, &out})
			if codes[i] != exitOK && !strings.Contains(out.String(), "another command works on "+d.draft) {
				t.Errorf("exit %d: %s", codes[i], &out)
			}
		})
	}
	all.Wait()
	serials := map[uint64]bool{}
	for i, code := range codes {
		if code != exitOK {
			continue
		}
		data, err := os.ReadFile(d.signed + strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		r, err := cluster.ParseRoster(data, d.public)
		if err != nil || serials[r.Serial] {
			t.Fatalf("serial %d came before: %v", r.Serial, err)
		}
		serials[r.Serial] = true
	}
	draft, err := readDraft(d.draft)
	if err != nil || len(serials) == 0 || draft.Serial != uint64(len(serials)) {
		t.Errorf("%d were signed, and the draft has serial %d, %v", len(serials), draft.Serial, err)
	}
}

func TestRosterDraftIsLocked(t *testing.T) {
	d := newRosterDir(t, "g1")
	dir, err := os.Open(filepath.Dir(d.draft))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(d.draft, link); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"sign", "--admission-key-file", d.key, "-o", d.signed},
		{"remove", "g1"},
		{"add", "g2", "--index", "2", "--key", hex.EncodeToString(nodeKeyOf("g2"))},
	} {
		for _, draft := range []string{d.draft, link} {
			_, errs := guardianctl(t, exitFailure, append(append([]string{"roster"}, args...), "--roster", draft)...)
			wantText(t, errs, "another command works on", "next: wait until it has ended")
		}
	}
	if draft, err := readDraft(d.draft); err != nil || draft.Serial != 0 || len(draft.Guardians) != 1 {
		t.Errorf("the draft is %+v, %v", draft, err)
	}
}

// A draft that is not understood to the last character is not touched.
func TestRosterHostileDrafts(t *testing.T) {
	key := func(node string) string { return hex.EncodeToString(nodeKeyOf(node)) }
	entry := func(node, index, key string) string {
		return fmt.Sprintf(`{"node_id":%q,"index":%s,"node_key":%q,"failure_domain":""}`, node, index, key)
	}
	whole := func(guardians, retired string) string {
		return fmt.Sprintf("{\n\"format\":\"guardian-roster-draft-v1\",\n\"admission_key\":%q,\n\"serial\":1,\n\"guardians\":[%s],\n\"retired\":[%s]}", key("admission"), guardians, retired)
	}
	g1 := entry("g1", "1", key("g1"))
	if _, err := parseDraft("x", []byte(whole(g1, `{"node_id":"g2","index":2}`))); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":              {"", "empty or cut off"},
		"cut off":            {whole(g1, "")[:100], "cut off"},
		"two":                {whole("", "") + "{}", "something follows the last brace"},
		"nothing":            {"null", "its format is not"},
		"a list":             {"[]", "line 1: it cannot be array"},
		"not JSON":           {whole("g1", ""), "line 5: this is no JSON"},
		"deep":               {whole(strings.Repeat("[", 20_000), ""), "exceeded max depth"},
		"huge":               {whole(g1, "") + strings.Repeat(" ", maxDraft), "too long"},
		"another format":     {strings.Replace(whole("", ""), "draft-v1", "draft-v2", 1), "its format is not guardian-roster-draft-v1"},
		"a later format":     {strings.Replace(strings.Replace(whole(g1, ""), "draft-v1", "draft-v2", 1), `"serial":1`, `"serial":"1","epoch":7`, 1), "next: name a draft that guardianctl roster init has made; if a later guardianctl has, use that one"},
		"no serial":          {strings.Replace(whole(g1, ""), `"serial":1,`, "", 1), "serial, guardians or retired is missing"},
		"null for a serial":  {strings.Replace(whole(g1, ""), `"serial":1`, `"serial":null`, 1), "serial, guardians or retired is missing"},
		"no retired":         {strings.Replace(whole(g1, ""), ",\n\"retired\":[]", "", 1), "serial, guardians or retired is missing"},
		"an unknown field":   {whole(strings.Replace(g1, `"index"`, `"share_index"`, 1), ""), `unknown field "share_index"`},
		"a long field":       {whole(strings.Replace(g1, `"index"`, `"`+strings.Repeat("x", 1000)+`"`, 1), ""), `unknown field "xxx`},
		"a name twice":       {whole(strings.Replace(g1, `"index":1`, `"index":1,"index":2`, 1), ""), `"index" comes twice`},
		"in another case":    {whole(strings.Replace(g1, `"index":1`, `"index":1,"Index":2`, 1), ""), `"index" comes twice`},
		"with a long s":      {strings.Replace(whole(g1, ""), `"serial":1`, `"serial":1,"\u017ferial":2`, 1), `"serial" comes twice`},
		"guardians twice":    {strings.Replace(whole(g1, ""), `"serial":1`, `"guardians":[],"serial":1`, 1), `"guardians" comes twice`},
		"negative serial":    {strings.Replace(whole(g1, ""), `"serial":1`, `"serial":-1`, 1), "line 4: serial cannot be number -1"},
		"serial too high":    {strings.Replace(whole(g1, ""), `"serial":1`, `"serial":18446744073709551616`, 1), "line 4: serial cannot be number"},
		"index as text":      {whole(entry("g1", `"1"`, key("g1")), ""), "line 5: guardians.index cannot be string"},
		"index 0":            {whole(entry("g1", "0", key("g1")), ""), "guardians, number 1: the index of g1 is 0, and not 1 to 255"},
		"index 256":          {whole(g1+","+entry("g2", "256", key("g2")), ""), "guardians, number 2: the index of g2 is 256, and not 1 to 255"},
		"index 1.5":          {whole(entry("g1", "1.5", key("g1")), ""), "line 5: guardians.index cannot be number 1.5"},
		"retired index 0":    {whole(g1, `{"node_id":"g2","index":0}`), "retired, number 1: the index of g2 is 0"},
		"no node id":         {whole(entry("", "1", key("g1")), ""), "its node id is not 1 to 63"},
		"a long node id":     {whole(entry(strings.Repeat("g", 64), "1", key("g1")), ""), "its node id is not 1 to 63"},
		"another's controls": {whole(`{"node_id":"\u001b[2J","index":1,"node_key":""}`, ""), "its node id is not 1 to 63"},
		"no key":             {whole(entry("g1", "1", ""), ""), "the key of g1 is not an Ed25519 public key: 64 hex digits"},
		"a short key":        {whole(entry("g1", "1", key("g1")[2:]), ""), "the key of g1 is not an Ed25519 public key"},
		"a long key":         {whole(entry("g1", "1", key("g1")+"00"), ""), "the key of g1 is not an Ed25519 public key"},
		"no hex":             {whole(entry("g1", "1", strings.Repeat("g", 64)), ""), "the key of g1 is not an Ed25519 public key"},
		"failure domain":     {whole(strings.Replace(g1, `"failure_domain":""`, `"failure_domain":"Zürich"`, 1), ""), "the failure domain of g1 is not at most 64 of printable ASCII"},
		"same key":           {whole(g1+","+entry("g2", "2", key("g1")), ""), "g2 has the same key as g1"},
		"same key, upper":    {whole(g1+","+entry("g2", "2", strings.ToUpper(key("g1"))), ""), "g2 has the same key as g1"},
		"same index":         {whole(g1+","+entry("g2", "1", key("g2")), ""), "g2 has the same index as g1"},
		"same node":          {whole(g1+","+entry("g1", "2", key("g2")), ""), "g1 is there twice"},
		"retired too":        {whole(g1, `{"node_id":"g1","index":1}`), "retired, number 1: g1 is there twice"},
		"a retired index":    {whole(g1, `{"node_id":"g2","index":1}`), "g2 has the same index as g1"},
		"no admission key":   {strings.Replace(whole(g1, ""), key("admission"), "", 1), "admission_key is not an Ed25519 public key"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRosterDir(t)
			if err := os.WriteFile(d.draft, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"sign", "--admission-key-file", d.key, "-o", d.signed, "--roster", d.draft},
				{"add", "g9", "--index", "9", "--key", key("g9"), "--roster", d.draft},
				{"remove", "g1", "--roster", d.draft},
			} {
				_, errs := guardianctl(t, exitFailure, append([]string{"roster"}, args...)...)
				wantText(t, errs, c.says, "next: ")
				if len(errs) > 600 || strings.Contains(errs, "\x1b") {
					t.Errorf("%s says %q", args[0], errs)
				}
			}
			if text, err := os.ReadFile(d.draft); err != nil || string(text) != c.text || exists(d.signed) {
				t.Errorf("the draft became %.200q, %v; signed: %v", text, err, exists(d.signed))
			}
		})
	}
}

// swapping is a registry in which something comes before or goes wrong at each
// Swap.
type swapping struct {
	cluster.Registry
	before []func(cluster.Registry) error // of each Swap
	after  []error                        // in place of what each Swap says
	swaps  int
}

func (s *swapping) Swap(ctx context.Context, key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
	s.swaps++
	if len(s.before) >= s.swaps {
		if err := s.before[s.swaps-1](s.Registry); err != nil {
			return cluster.Revision{}, err
		}
	}
	now, err := s.Registry.Swap(ctx, key, data, rev)
	if err == nil && len(s.after) >= s.swaps {
		err = s.after[s.swaps-1]
	}
	return now, err
}

func TestRosterPublishInRaces(t *testing.T) {
	d := newRosterDir(t, "g1")
	_, first := d.sign(t)
	_, second := d.sign(t)
	_, third := d.sign(t)
	_, theirs := newRosterDir(t, "g1").sign(t)
	puts := func(data []byte) func(cluster.Registry) error {
		return func(r cluster.Registry) error {
			_, rev, err := r.Load(t.Context(), cluster.RosterKey)
			if err != nil && !errors.Is(err, cluster.ErrNoRecord) {
				return err
			}
			_, err = r.Swap(t.Context(), cluster.RosterKey, data, rev)
			return err
		}
	}
	refuses := errors.New("no")
	fails := func(cluster.Registry) error { return refuses }
	for name, c := range map[string]struct {
		before []func(cluster.Registry) error
		after  []error
		swaps  int
		want   []byte
		says   string
	}{
		"alone":                    {nil, nil, 1, second, ""},
		"an older one came before": {[]func(cluster.Registry) error{puts(first)}, nil, 2, second, ""},
		"a newer one came before":  {[]func(cluster.Registry) error{puts(third)}, nil, 1, third, "serial 3, and this one has 2"},
		"the same one came before": {[]func(cluster.Registry) error{puts(second)}, nil, 1, second, ""},
		"garbage came before":      {[]func(cluster.Registry) error{puts([]byte("x"))}, nil, 2, second, ""},
		"another's came before":    {[]func(cluster.Registry) error{puts(theirs)}, nil, 1, theirs, "that this admission key has not signed"},
		"the answer was lost":      {nil, []error{refuses}, 1, second, ""},
		"not done once":            {[]func(cluster.Registry) error{fails}, nil, 2, second, ""},
		"never done":               {[]func(cluster.Registry) error{fails, fails, fails, fails}, nil, 4, nil, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			err := inDirectory(t.TempDir(), func(r cluster.Registry) error {
				s := &swapping{Registry: r, before: c.before, after: c.after}
				_, err := publish(t.Context(), s, second, d.public, false)
				if s.swaps != c.swaps || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("after %d swaps: %v", s.swaps, err)
				}
				there, _, err := r.Load(t.Context(), cluster.RosterKey)
				if errors.Is(err, cluster.ErrNoRecord) {
					err = nil
				}
				if !bytes.Equal(there, c.want) {
					t.Errorf("there is %q", there)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// In rqlite and in a bucket; no password is ever shown.
func TestRosterInOtherRegistries(t *testing.T) {
	d := newRosterDir(t, "g1", "g2")
	_, signed := d.sign(t)
	const password = "hunter2"
	server := s3test.Versity(t)
	setenv(t, server.Environ())
	rqlite := rqlitetest.New(t, 3, rqlitetest.Options{User: "admin", Password: password})
	for _, url := range []string{rqlite.URL(), "s3://" + server.NewBucket(t) + "/registry"} {
		t.Setenv("GUARDIAN_REGISTRY", url)
		args := []string{"--admission-key", hex.EncodeToString(d.public)}
		steps := [][]string{
			append([]string{"roster", "publish", d.signed}, args...),
			append([]string{"roster", "publish", d.signed, "--json"}, args...),
			append([]string{"roster", "show"}, args...),
			{"roster", "publish", "--help"},
		}
		shown := ""
		for _, step := range steps {
			out, errs := guardianctl(t, exitOK, step...)
			shown += out + errs
		}
		wantText(t, shown, "published serial 1 with 2 guardians in ", `"already_there": true`, "signature verified")
		if strings.Contains(shown, password) {
			t.Errorf("it shows the password: %s", shown)
		}
		at, err := registry.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := at.Open(t.Context(), registry.Options{SkipProbe: true})
		if err != nil {
			t.Fatal(err)
		}
		if there, _, err := opened.Load(t.Context(), cluster.RosterKey); err != nil || !bytes.Equal(there, signed) {
			t.Errorf("there is %q, %v", there, err)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
	rqlite.Stop(0)
	rqlite.Stop(1)
	rqlite.Stop(2)
	t.Setenv("GUARDIAN_REGISTRY", rqlite.URL())
	for _, args := range [][]string{{"publish", d.signed}, {"show"}} {
		_, errs := guardianctl(t, exitFailure, append(append([]string{"roster"}, args...), "--timeout", "500ms")...)
		wantText(t, errs, "the registry rqlite+http://127.0.0.1:", "next: see whether ")
		if strings.Contains(errs, password) {
			t.Errorf("it shows the password: %s", errs)
		}
	}
}

// What a guardian says of itself is taken for what it is: a claim.
func TestRosterAddFromGuardian(t *testing.T) {
	var says []api.GuardianInfo
	guardian := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != api.RouteGuardians {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(api.GuardiansResponse{Guardians: says})
	}))
	defer guardian.Close()
	t.Setenv("GUARDIAN_REGISTRY", "nowhere") // --from is nearer
	key := hex.EncodeToString(nodeKeyOf("g1"))
	other := hex.EncodeToString(nodeKeyOf("thief"))
	sound := api.GuardianInfo{NodeID: "g1", NodeKey: key, Index: 3, FailureDomain: "eu-1"}
	for name, c := range map[string]struct {
		change func(*api.GuardianInfo)
		args   []string
		code   int
		says   string
		want   draftEntry
	}{
		"unasked":            {nil, []string{"--yes"}, exitOK, "", draftEntry{"g1", 3, key, "eu-1"}},
		"the same key":       {nil, []string{"--key", strings.ToUpper(key)}, exitOK, "", draftEntry{"g1", 3, key, "eu-1"}},
		"another key":        {nil, []string{"--key", other}, exitVerification, "says that g1 has the key " + key, draftEntry{}},
		"another key, --yes": {nil, []string{"--key", other, "--yes"}, exitVerification, "and not that of --key", draftEntry{}},
		"nobody compares":    {nil, nil, exitUsage, "nobody is there to compare the key", draftEntry{}},
		"other index":        {nil, []string{"--yes", "--index", "7"}, exitFailure, "says otherwise: g1 was given index 3, for life: it gets no other, such as 7", draftEntry{}},
		"no failure domain":  {nil, []string{"--yes", "--failure-domain", ""}, exitOK, "", draftEntry{"g1", 3, key, ""}},
		"no index":           {func(i *api.GuardianInfo) { i.Index = 0 }, []string{"--yes"}, exitUsage, "g1 has no share index yet", draftEntry{}},
		"no index, one given": {
			func(i *api.GuardianInfo) { i.Index = 0 },
			[]string{"--yes", "--index", "255"},
			exitOK, "",
			draftEntry{"g1", 255, key, "eu-1"},
		},
		"index 256":     {func(i *api.GuardianInfo) { i.Index = 256 }, []string{"--yes"}, exitNotFound, "known there: nobody", draftEntry{}},
		"no key":        {func(i *api.GuardianInfo) { i.NodeKey = "" }, []string{"--yes"}, exitNotFound, "knows no g1 with a node key", draftEntry{}},
		"a bad key":     {func(i *api.GuardianInfo) { i.NodeKey = key[1:] + "g" }, []string{"--yes"}, exitNotFound, "knows no g1", draftEntry{}},
		"another node":  {func(i *api.GuardianInfo) { i.NodeID = "g2" }, []string{"--yes"}, exitNotFound, "known there: g2", draftEntry{}},
		"drives screen": {func(i *api.GuardianInfo) { i.FailureDomain = "\x1b[2J" }, []string{"--yes"}, exitNotFound, "known there: nobody", draftEntry{}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newRosterDir(t)
			info := sound
			if c.change != nil {
				c.change(&info)
			}
			says = []api.GuardianInfo{info}
			args := append([]string{"roster", "add", "g1", "--from", guardian.URL, "--roster", d.draft}, c.args...)
			_, errs := guardianctl(t, c.code, args...)
			wantText(t, errs, c.says)
			draft, err := readDraft(d.draft)
			var got draftEntry
			if err == nil && len(draft.Guardians) == 1 {
				got = draft.Guardians[0]
			}
			if err != nil || got != c.want {
				t.Errorf("the draft has %+v, %v", draft, err)
			}
		})
	}
	_, errs := guardianctl(t, exitFailure, "roster", "add", "g1", "--from", "http://127.0.0.1:1", "--yes", "--roster", newRosterDir(t).draft)
	wantText(t, errs, "next: correct --from")
}
