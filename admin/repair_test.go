package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/admin"
	"github.com/vault-guardian/guardian/backend/backendtest"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/repair"
)

var someIdentity = strings.Repeat("0a", 32)

// repairPlane is a plane before a Repairer of a node without a cluster.
type repairPlane struct {
	*plane
	store *backendtest.Faulty
	node  *guardian.Node
}

func startRepair(t *testing.T, with ...func(*repair.Config)) *repairPlane {
	t.Helper()
	p := &repairPlane{store: &backendtest.Faulty{Backend: backendtest.NewMemory()}}
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(t.Context(), "g1", integrity.InlineSource{Text: strings.Repeat("0f", 32)}, log)
	if err == nil {
		p.node, err = guardian.Open(t.Context(), p.store, sealer, guardian.Config{Retain: 2, RequestTimeout: time.Minute, Logger: log})
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg := repair.Config{Node: p.node, Poll: 20 * time.Millisecond, Logger: log}
	for _, change := range with {
		change(&cfg)
	}
	repairer := repair.New(cfg)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { repairer.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		_ = p.node.Close(context.Background())
	})
	p.plane = start(t, reloaded, func(server *http.Server) {
		server.Handler = admin.New(admin.Config{
			Registry: admin.NewRegistry(), Reload: reloaded, Repairer: repairer, Logger: slog.New(slog.NewTextHandler(logOf{p}, nil)),
		})
	})
	return p
}

// logOf is the log of a plane that is not made yet.
type logOf struct{ *repairPlane }

func (l logOf) Write(data []byte) (int, error) { return l.log.Write(data) }

func (p *repairPlane) post(t *testing.T, path, body string) answer {
	t.Helper()
	return p.do(t, p.request(t, http.MethodPost, path, body))
}

// decoded is the answer of a call that succeeds with the status given.
func decoded[T any](t *testing.T, got answer, status int) (into T) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.body), &into); err != nil || got.status != status {
		t.Fatalf("answered %d %s, want %d", got.status, got.body, status)
	}
	return into
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

func slotsBody(n int) string {
	var slots []repair.SlotName
	for i := range n {
		slots = append(slots, repair.SlotName{Identity: fmt.Sprintf("%064x", i), Name: strings.Repeat("n", 128)})
	}
	text, _ := json.Marshal(map[string]any{"slots": slots}) // strings can be encoded
	return string(text)
}

// A guardian without a cluster scrubs, and finds that what nobody knows need not
// be repaired.
func TestScrubAndRepairAlone(t *testing.T) {
	p := startRepair(t)
	slot := guardian.Slot{Identity: someIdentity, Name: "monday"}
	if err := p.node.Push(t.Context(), slot, guardian.Share{Data: []byte("xshare"), Version: 3, Threshold: 2}, guardian.Caller{}); err != nil {
		t.Fatal(err)
	}
	if progress := decoded[repair.ScrubProgress](t, p.get(t, "/admin/scrub"), http.StatusOK); progress.Last.FinishedNS != 0 {
		t.Errorf("before a scrub: %+v", progress)
	}
	decoded[repair.ScrubProgress](t, p.post(t, "/admin/scrub", ""), http.StatusAccepted)
	eventually(t, "the scrub is done", func() bool {
		return decoded[repair.ScrubProgress](t, p.get(t, "/admin/scrub"), http.StatusOK).Last.Good == 1
	})
	// The identity alone stands for its named secret, too.
	added := decoded[struct{ Queued int }](t, p.post(t, "/admin/repair", `{"slots":[{"identity":"`+someIdentity+`"}]}`), http.StatusAccepted)
	if added.Queued != 1 {
		t.Errorf("queued %d", added.Queued)
	}
	eventually(t, "the queue is empty", func() bool {
		status := decoded[repair.Status](t, p.get(t, "/admin/repair"), http.StatusOK)
		return status.Queued == 0 && status.Totals.Verified == 1 && status.Totals.Unknown == 1
	})
	p.post(t, "/admin/audit", "").refused(t, http.StatusConflict, "no_cluster")
	if report := decoded[repair.AuditReport](t, p.get(t, "/admin/audit"), http.StatusOK); report.Running || report.StartedNS != 0 {
		t.Errorf("an audit that was refused is reported: %+v", report)
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	p := startRepair(t)
	for name, test := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"cut":                {`{"slots":[`, 400, "invalid_json"},
		"array":              {`[{"identity":"` + someIdentity + `"}]`, 400, "invalid_json"},
		"null":               {`null`, 400, "invalid_json"},
		"string":             {`"` + someIdentity + `"`, 400, "invalid_json"},
		"two":                {`{"slots":[]}{"slots":[]}`, 400, "invalid_json"},
		"misspelt":           {`{"slot":[{"identity":"` + someIdentity + `"}]}`, 400, "invalid_json"},
		"misspelt inside":    {`{"slots":[{"id":"` + someIdentity + `"}]}`, 400, "invalid_json"},
		"wrong type":         {`{"slots":[7]}`, 400, "invalid_json"},
		"short identity":     {`{"slots":[{"identity":"` + someIdentity[1:] + `"}]}`, 400, "invalid_slots"},
		"upper case":         {`{"slots":[{"identity":"` + strings.ToUpper(someIdentity) + `"}]}`, 400, "invalid_slots"},
		"no identity":        {`{"slots":[{"name":"x"}]}`, 400, "invalid_slots"},
		"a path for a name":  {`{"slots":[{"identity":"` + someIdentity + `","name":"../x"}]}`, 400, "invalid_slots"},
		"Unicode for a name": {`{"slots":[{"identity":"` + someIdentity + `","name":"mön"}]}`, 400, "invalid_slots"},
		"too many":           {slotsBody(1001), 413, "body_too_large"},
		"huge":               {`{"slots":[]` + strings.Repeat(" ", 1<<20) + `}`, 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/admin/repair", "/admin/audit"} {
				got := p.post(t, path, test.body)
				got.refused(t, test.status, test.code)
				if strings.Contains(got.body, "mön") {
					t.Errorf("it quotes what it got: %s", got.body)
				}
			}
		})
	}
	for _, body := range []string{"", "{}", " {} \n", `{"slots":[]}`, `{"slots":null}`} {
		p.post(t, "/admin/repair", body).refused(t, http.StatusBadRequest, "invalid_slots")
	}
	decoded[struct{}](t, p.post(t, "/admin/repair", slotsBody(1000)), http.StatusAccepted)
	if log := p.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the log: %s", log)
	}
}

// Nothing on the new routes is begun for a page of another origin, or under a
// name that such a page's owner may have pointed here.
func TestRepairRoutesAreGuarded(t *testing.T) {
	p := startRepair(t)
	for _, path := range []string{"/admin/scrub", "/admin/repair", "/admin/repair/run", "/admin/audit"} {
		body := `{"slots":[{"identity":"` + someIdentity + `"}]}`
		for name, header := range map[string]map[string]string{
			"cross-site":  {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
			"old browser": {"Origin": "https://evil.example", "Content-Type": "text/plain"},
			"sandboxed":   {"Origin": "null"},
		} {
			request := p.request(t, http.MethodPost, path, body)
			for key, value := range header {
				request.Header.Set(key, value)
			}
			t.Log(path, name)
			p.do(t, request).refused(t, http.StatusForbidden, "forbidden_origin")
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			request := p.request(t, method, path, body)
			request.Host = "evil.example:9090"
			p.do(t, request).refused(t, http.StatusForbidden, "forbidden_host")
		}
		p.do(t, p.request(t, http.MethodDelete, path, "")).refused(t, http.StatusMethodNotAllowed, "method_not_allowed")
	}
	status := decoded[repair.Status](t, p.get(t, "/admin/repair"), http.StatusOK)
	if progress := decoded[repair.ScrubProgress](t, p.get(t, "/admin/scrub"), http.StatusOK); status.Queued+int(status.Totals.Unknown) > 0 || progress.Last.FinishedNS > 0 || progress.Running {
		t.Errorf("something was begun: %+v, %+v", status, progress)
	}
}

// What the storage cannot take in is not acknowledged, and the answer says so
// without what the storage said.
func TestRepairWithoutStorage(t *testing.T) {
	p := startRepair(t)
	p.store.SetInject(func(backendtest.Call) backendtest.Fault { return backendtest.NotApplied })
	body := `{"slots":[{"identity":"` + someIdentity + `","name":"x"}]}`
	for _, got := range []answer{p.post(t, "/admin/repair", body), p.get(t, "/admin/repair"), p.post(t, "/admin/repair/run", "")} {
		got.refused(t, http.StatusServiceUnavailable, "storage_unavailable")
		if strings.Contains(got.body, backendtest.ErrInjected.Error()) {
			t.Errorf("answered %s", got.body)
		}
	}
	if !strings.Contains(p.log.String(), backendtest.ErrInjected.Error()) {
		t.Errorf("the log does not say why: %s", p.log)
	}
}
