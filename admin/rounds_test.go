package admin_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/round"
)

// nobodyElse are the peers of a guardian whose cluster is itself.
type nobodyElse struct{ self repair.Member }

func (nobodyElse) Dial(ed25519.PublicKey) (repair.Conn, error) { return nil, repair.ErrUnknownPeer }
func (nobodyElse) Members() []repair.Member                    { return nil }
func (n nobodyElse) Self() repair.Member                       { return n.self }

// roundsPlane is a plane before a node that is a member of a cluster.
type roundsPlane struct {
	*repairPlane
	registry *backendtest.Faulty
}

// roundsStatus is what the plane tells.
type roundsStatus struct {
	Progress repair.RoundsReport
	Open     []repair.OpenEpoch
}

func startRounds(t *testing.T, with ...func(*repair.Config)) *roundsPlane {
	t.Helper()
	key, err := integrity.ParseNodeKey([]byte(strings.Repeat("0e", 32)))
	if err != nil {
		t.Fatal(err)
	}
	p := &roundsPlane{registry: &backendtest.Faulty{Backend: backendtest.NewMemory()}}
	p.repairPlane = startRepair(t, append([]func(*repair.Config){func(cfg *repair.Config) {
		cfg.Key, cfg.Registry = key, cluster.NewBucket(p.registry, nil)
		cfg.Peers = nobodyElse{repair.Member{Key: key.PublicKey(), NodeID: "g1", Index: 1, Alive: true}}
	}}, with...)...)
	return p
}

func (p *roundsPlane) status(t *testing.T) roundsStatus {
	t.Helper()
	return decoded[roundsStatus](t, p.get(t, "/admin/rounds"), http.StatusOK)
}

// ended waits for the end of the rounds that go on.
func (p *roundsPlane) ended(t *testing.T) (progress repair.RoundsReport) {
	t.Helper()
	eventually(t, "the rounds end", func() bool {
		progress = p.status(t).Progress
		return !progress.Running && progress.FinishedNS != 0
	})
	return progress
}

// What cannot be moved is told, and stays.
func TestRoundsOfWhatCannotMove(t *testing.T) {
	p := startRounds(t)
	if before := p.status(t); before.Progress.StartedNS != 0 || before.Open == nil || len(before.Open) != 0 {
		t.Errorf("before any: %+v", before)
	}
	slot := guardian.Slot{Identity: someIdentity, Name: "monday"}
	if err := p.node.Push(t.Context(), slot, guardian.Share{Data: []byte("xshare"), Version: 3, Threshold: 2}, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "{}", `{"slots":null,"threshold":0,"members":[]}`, `{"slots":[{"identity":"` + someIdentity + `","name":"monday"}]}`, `{"threshold":255,"members":["g1"]}`} {
		begun := decoded[roundsStatus](t, p.post(t, "/admin/rounds", body), http.StatusAccepted)
		if begun.Progress.StartedNS == 0 || begun.Open == nil {
			t.Errorf("begun: %+v", begun)
		}
		progress := p.ended(t)
		if progress.StartedNS != begun.Progress.StartedNS || progress.Refused != 1 || progress.Moved+progress.Failed != 0 || len(progress.Problems) != 1 ||
			progress.Problems[0].SlotName != repair.SlotName(slot) || !strings.Contains(progress.Problems[0].Error, "without a manifest") {
			t.Errorf("%s came to %+v", body, progress)
		}
	}
	p.post(t, "/admin/rounds", `{"slots":[{"identity":"`+strings.Repeat("0b", 32)+`"}]}`)
	if progress := p.ended(t); progress.Generations != 0 || progress.Error != "" {
		t.Errorf("rounds of what is not there: %+v", progress)
	}
}

func TestRoundsThatAreRefused(t *testing.T) {
	p := startRounds(t)
	members := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("g%d", i+1))
		}
		text, _ := json.Marshal(map[string]any{"members": all}) // strings can be encoded
		return string(text)
	}
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"cut":                {`{"slots":[`, 400, "invalid_json"},
		"array":              {`[]`, 400, "invalid_json"},
		"null":               {`null`, 400, "invalid_json"},
		"two":                {`{}{}`, 400, "invalid_json"},
		"misspelt":           {`{"treshold":4}`, 400, "invalid_json"},
		"misspelt inside":    {`{"slots":[{"id":"` + someIdentity + `"}]}`, 400, "invalid_json"},
		"a text for K":       {`{"threshold":"4"}`, 400, "invalid_json"},
		"half a K":           {`{"threshold":2.5}`, 400, "invalid_json"},
		"a huge K":           {`{"threshold":99999999999999999999}`, 400, "invalid_json"},
		"a number of nodes":  {`{"members":5}`, 400, "invalid_json"},
		"numbers for nodes":  {`{"members":[1,2,3]}`, 400, "invalid_json"},
		"K of 1":             {`{"threshold":1}`, 400, "invalid_threshold"},
		"K below 0":          {`{"threshold":-1}`, 400, "invalid_threshold"},
		"K of 256":           {`{"threshold":256}`, 400, "invalid_threshold"},
		"256 members":        {members(256), 400, "invalid_members"},
		"short identity":     {`{"slots":[{"identity":"` + someIdentity[1:] + `"}]}`, 400, "invalid_slots"},
		"upper case":         {`{"slots":[{"identity":"` + strings.ToUpper(someIdentity) + `"}]}`, 400, "invalid_slots"},
		"no identity":        {`{"slots":[{"name":"x"}]}`, 400, "invalid_slots"},
		"a path for a name":  {`{"slots":[{"identity":"` + someIdentity + `","name":"../x"}]}`, 400, "invalid_slots"},
		"Unicode for a name": {`{"slots":[{"identity":"` + someIdentity + `","name":"mön"}]}`, 400, "invalid_slots"},
		"too many slots":     {slotsBody(1001), 400, "invalid_slots"},
		"huge":               {`{"slots":[]` + strings.Repeat(" ", 1<<20) + `}`, 413, "body_too_large"},
		"huge members":       {`{"members":["` + strings.Repeat("g", 1<<20) + `"]}`, 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.post(t, "/admin/rounds", test.body)
			got.refused(t, test.status, test.code)
			if strings.Contains(got.body, "mön") || len(got.body) > 1000 {
				t.Errorf("it quotes what it got: %.200s", got.body)
			}
		})
	}
	if status := p.status(t); status.Progress.StartedNS != 0 {
		t.Errorf("something was begun: %+v", status)
	}
	decoded[roundsStatus](t, p.post(t, "/admin/rounds", slotsBody(1000)), http.StatusAccepted)
}

// One order is carried out at a time.
func TestRoundsWhileOthersGoOn(t *testing.T) {
	p := startRounds(t)
	hold := make(chan struct{})
	p.store.SetInject(func(backendtest.Call) backendtest.Fault {
		<-hold
		return backendtest.None
	})
	decoded[roundsStatus](t, p.post(t, "/admin/rounds", ""), http.StatusAccepted)
	p.post(t, "/admin/rounds", `{"threshold":4}`).refused(t, http.StatusConflict, "running")
	close(hold)
	p.ended(t)
	decoded[roundsStatus](t, p.post(t, "/admin/rounds", ""), http.StatusAccepted)
	p.ended(t)
}

func TestRoundsWithoutACluster(t *testing.T) {
	for name, p := range map[string]*repairPlane{
		"alone":       startRepair(t),
		"no registry": startRounds(t, func(cfg *repair.Config) { cfg.Registry = nil }).repairPlane,
	} {
		t.Run(name, func(t *testing.T) {
			p.post(t, "/admin/rounds", "").refused(t, http.StatusConflict, "no_cluster")
			p.get(t, "/admin/rounds/groups").refused(t, http.StatusConflict, "no_cluster")
			if status := decoded[roundsStatus](t, p.get(t, "/admin/rounds"), http.StatusOK); status.Progress.StartedNS != 0 {
				t.Errorf("what was refused is reported: %+v", status)
			}
		})
	}
}

func TestRoundGroups(t *testing.T) {
	p := startRounds(t)
	type answer struct{ Groups []repair.RoundGroup }
	if got := p.get(t, "/admin/rounds/groups"); !strings.Contains(got.body, `"groups":[]`) {
		t.Errorf("before any: %s", got.body)
	}
	rounds := round.New(cluster.NewBucket(p.registry, nil), "g2", time.Now)
	group := round.GroupOf(3, nil)
	if _, err := rounds.Open(t.Context(), group, round.Summary{FromThreshold: 3, ToThreshold: 4, ToHolders: 6, Generations: 7}); err != nil {
		t.Fatal(err)
	}
	got := decoded[answer](t, p.get(t, "/admin/rounds/groups"), http.StatusOK)
	if len(got.Groups) != 1 || got.Groups[0].Group != group.String() || got.Groups[0].State.Phase != round.Open || got.Groups[0].State.Coordinator != "g2" || got.Groups[0].State.Proposal.ToThreshold != 4 {
		t.Errorf("it tells of %+v", got)
	}
}

// A registry that fails is no storage that fails, and one that is out of reach is
// told from one whose list is broken.
func TestRoundGroupsWithoutARegistry(t *testing.T) {
	p := startRounds(t)
	rounds := round.New(cluster.NewBucket(p.registry, nil), "g2", time.Now)
	if _, err := rounds.Open(t.Context(), round.GroupOf(3, nil), round.Summary{}); err != nil {
		t.Fatal(err)
	}
	p.registry.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	p.wantRegistry(t, backendtest.ErrInjected)
	if got := p.get(t, "/admin/rounds"); got.status != http.StatusOK {
		t.Errorf("what this node leads needs no registry: %d %s", got.status, got.body)
	}

	p.registry.SetInject(nil)
	registry := cluster.NewBucket(p.registry, nil)
	_, rev, err := registry.Load(t.Context(), "rounds-index")
	if err == nil {
		_, err = registry.Swap(t.Context(), "rounds-index", []byte("{"), rev)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.wantRegistry(t, round.ErrMalformed)
}

func (p *roundsPlane) wantRegistry(t *testing.T, cause error) {
	t.Helper()
	got := p.get(t, "/admin/rounds/groups")
	got.refused(t, http.StatusServiceUnavailable, "registry_unavailable")
	if said := got.failure(t).Error; !strings.Contains(said, "registry's rounds cannot be read") || !strings.Contains(said, cause.Error()) || !strings.Contains(p.log.String(), cause.Error()) {
		t.Errorf("answered %s, logged %s", got.body, p.log)
	}
}

// Nothing is begun for a page of another origin.
func TestRoundsRoutesAreGuarded(t *testing.T) {
	p := startRounds(t)
	for _, path := range []string{"/admin/rounds", "/admin/rounds/groups"} {
		for _, header := range []map[string]string{
			{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
			{"Origin": "https://evil.example", "Content-Type": "text/plain"},
			{"Origin": "null"},
		} {
			request := p.request(t, http.MethodPost, path, "{}")
			for key, value := range header {
				request.Header.Set(key, value)
			}
			p.do(t, request).refused(t, http.StatusForbidden, "forbidden_origin")
		}
		request := p.request(t, http.MethodGet, path, "")
		request.Host = "evil.example:9090"
		p.do(t, request).refused(t, http.StatusForbidden, "forbidden_host")
		p.do(t, p.request(t, http.MethodDelete, path, "")).refused(t, http.StatusMethodNotAllowed, "method_not_allowed")
	}
	if status := p.status(t); status.Progress.StartedNS != 0 {
		t.Errorf("something was begun: %+v", status)
	}
}

// The answer says nothing of what the storage said.
func TestRoundsWithoutStorage(t *testing.T) {
	p := startRounds(t)
	p.store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	got := p.get(t, "/admin/rounds")
	got.refused(t, http.StatusServiceUnavailable, "storage_unavailable")
	if strings.Contains(got.body, backendtest.ErrInjected.Error()) || !strings.Contains(p.log.String(), backendtest.ErrInjected.Error()) {
		t.Errorf("answered %s, logged %s", got.body, p.log)
	}
	decoded[roundsStatus](t, p.post(t, "/admin/rounds", ""), http.StatusAccepted)
	p.store.SetInject(nil)
	if progress := p.ended(t); progress.Error == "" && progress.Generations != 0 {
		t.Errorf("%+v", progress)
	}
}
