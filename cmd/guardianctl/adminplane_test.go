package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/repair"
)

func init() { adminLook, adminStall = 5*time.Millisecond, 2*time.Second }

// fakePlane stands in for a guardian's admin plane.
type fakePlane struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // "METHOD path body"
	// answers gives the nth answer, from 0, to a call, by "METHOD path".
	answers map[string]func(n int) (status int, body any)
	asked   map[string]int
}

func newFakePlane(t *testing.T, answers map[string]func(n int) (int, any)) *fakePlane {
	t.Helper()
	p := &fakePlane{answers: answers, asked: map[string]int{}}
	p.Server = httptest.NewServer(p)
	p.Config.Handler = p
	t.Cleanup(p.Close)
	return p
}

func (p *fakePlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	call := r.Method + " " + r.URL.Path
	p.mu.Lock()
	p.calls = append(p.calls, call+" "+strings.TrimSpace(body.String()))
	n := p.asked[call]
	p.asked[call]++
	p.mu.Unlock()
	answer := p.answers[call]
	if answer == nil {
		answer = refusing(http.StatusNotFound, "no_route", "not found")
	}
	status, value := answer(n)
	if text, ok := value.(string); ok {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (p *fakePlane) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// in gives one answer after the other, and the last for ever.
func in[T any](status int, values ...T) func(int) (int, any) {
	return func(n int) (int, any) { return status, values[min(n, len(values)-1)] }
}

func refusing(status int, code, text string) func(int) (int, any) {
	return in(status, map[string]string{"error": text, "code": code})
}

const (
	getScrub, postScrub         = "GET " + scrubPath, "POST " + scrubPath
	getRepair, postRepair       = "GET " + repairPath, "POST " + repairPath
	getAudit, postAudit         = "GET " + auditPath, "POST " + auditPath
	postRun                     = "POST " + repairPath + "/run"
	postFreeze, postThaw        = "POST " + freezePath, "POST " + thawPath
	getRounds, postRounds       = "GET " + roundsPath, "POST " + roundsPath
	firstIdentity, nextIdentity = soundID, damagedID
)

// adminCommands are all that ask an admin plane.
var adminCommands = map[string][]string{
	"freeze":        {"freeze"},
	"thaw":          {"thaw"},
	"scrub":         {"scrub"},
	"scrub shown":   {"scrub", "--no-start"},
	"repair status": {"repair", "status"},
	"repair add":    {"repair", "add", firstIdentity},
	"repair run":    {"repair", "run"},
	"verify":        {"verify", "--cluster"},
	"refresh":       {"refresh"},
	"redistribute":  {"redistribute", "--threshold", "4"},
	"rounds show":   {"rounds", "show"},
	"rounds list":   {"rounds", "list"},
}

// askOnce are those of adminCommands that make one request.
var askOnce = []string{"freeze", "thaw", "repair status", "scrub shown", "repair add", "rounds show", "rounds list"}

// Whatever answers in a guardian's place, the exit code and the advice are right.
func TestNoAdminPlane(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   any
		want   []string
	}{
		"another server":  {404, "404 page not found\n", []string{"no guardian's admin plane: HTTP 404", "next: pass the address of a guardian's admin plane with --admin"}},
		"a redirect":      {302, "", []string{"HTTP 302"}},
		"a web page":      {200, "<html>", []string{"the answer is not a guardian's"}},
		"half an answer":  {200, `{"queued":`, []string{"the answer is not a guardian's"}},
		"an old guardian": {404, map[string]string{"error": "not found", "code": "no_route"}, []string{"the guardian answered: not found", "next: update the guardian, which is too old"}},
		"a name":          {403, map[string]string{"error": "no", "code": "forbidden_host"}, []string{"next: name its host with an IP address"}},
		"no storage":      {503, map[string]string{"error": "storage unavailable", "code": "storage_unavailable"}, []string{"storage unavailable", "next: look into the guardian's log"}},
		"a terminal's":    {500, map[string]string{"error": "a\x1b[2Jb", "code": "internal"}, []string{`a\x1b[2Jb`}},
	} {
		for command, args := range adminCommands {
			t.Run(name+" "+command, func(t *testing.T) {
				t.Parallel()
				p := newFakePlane(t, nil)
				p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", "http://127.0.0.1:1/")
					w.WriteHeader(test.status)
					if text, ok := test.body.(string); ok {
						_, _ = w.Write([]byte(text))
						return
					}
					_ = json.NewEncoder(w).Encode(test.body)
				})
				out, errs := guardianctl(t, exitFailure, append(args, "--admin", p.URL, "--json")...)
				wantText(t, errs, test.want...)
				wantText(t, out, `"code": 1`)
			})
		}
	}
}

func TestNoGuardianThere(t *testing.T) {
	t.Parallel()
	p := newFakePlane(t, nil)
	p.Close()
	for _, args := range adminCommands {
		_, errs := guardianctl(t, exitFailure, append(args, "--admin", p.URL)...)
		wantText(t, errs, "asking the guardian at "+p.URL, "next: start the guardian, or pass the address")
	}
}

func TestAdminAddresses(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"http://127.0.0.1:9090": true, "http://127.0.0.1:9090/": true, "http://[::1]:1": true, "http://localhost": true,
		"": false, "127.0.0.1:9090": false, "http://": false, "http://:9090": false, "https://127.0.0.1:9090": true, "https://guardian.example": true, "https://:9090": false,
		"http://127.0.0.1:9090/metrics": false, "http://127.0.0.1:9090//": false, "http://127.0.0.1:9090?x": false, "http://127.0.0.1:9090?": false,
		"http://127.0.0.1:9090#x": false, "http://u:secret@127.0.0.1": false, "http://127.0.0.1:99999": false, "http://127.0.0.1:x": false,
		"http://a b": false, "\x7f": false, "unix:///run/guardian": false,
	} {
		f := adminFlags{url: url}
		err := f.check()
		if (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && (advised(err).code != exitUsage || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: exit code %d, %v", url, advised(err).code, err)
		}
		if ok && strings.HasSuffix(f.url, "/") {
			t.Errorf("%q is asked as %q", url, f.url)
		}
	}
	for _, args := range adminCommands {
		guardianctl(t, exitUsage, append(args, "--admin", "127.0.0.1:9090")...)
	}
}

func TestAdminVariable(t *testing.T) {
	p := newFakePlane(t, map[string]func(int) (int, any){getRepair: in(200, repair.Status{})})
	t.Setenv(adminVariable, p.URL)
	guardianctl(t, exitOK, "repair", "status")
	t.Setenv(adminVariable, "nonsense")
	_, errs := guardianctl(t, exitUsage, "repair", "status")
	wantText(t, errs, adminVariable)
	guardianctl(t, exitOK, "repair", "status", "--admin", p.URL)
}

// Ctrl-C ends each of them wherever it is, and blames nobody.
func TestAdminCommandsInterrupted(t *testing.T) {
	t.Parallel()
	rounds := roundsStatus{Progress: repair.RoundsReport{Running: true, StartedNS: 1}}
	endless := map[string]func(int) (int, any){
		getScrub: in(200, repair.ScrubProgress{Running: true}), postScrub: in(202, repair.ScrubProgress{Running: true}),
		getRepair:  in(200, repair.Status{Queued: 1, Working: 1, Items: []repair.ItemStatus{{SlotName: repair.SlotName{Identity: firstIdentity}}}}),
		postRun:    in(200, repair.Status{Queued: 1}),
		postRepair: in(202, addResult{100}),
		getAudit:   in(200, repair.AuditReport{Running: true, StartedNS: 1}), postAudit: in(202, repair.AuditReport{Running: true, StartedNS: 1}),
		getRounds: in(200, rounds), postRounds: in(202, rounds),
	}
	for name, args := range adminCommands {
		for at := range 4 {
			if at > 0 && slices.Contains(askOnce, name) {
				continue
			}
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				p := newFakePlane(t, endless)
				var count atomic.Int64
				p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if count.Add(1) > int64(at) {
						_, _ = new(bytes.Buffer).ReadFrom(r.Body)
						cancel()
						<-r.Context().Done()
						return
					}
					p.ServeHTTP(w, r)
				})
				var out, errs bytes.Buffer
				code := run(ctx, append(args, "--admin", p.URL), streams{strings.NewReader(""), &out, &errs})
				if code != exitFailure || !strings.Contains(errs.String(), "next: interrupted: run the command again") || strings.Contains(errs.String(), p.URL) {
					t.Errorf("exit code %d: %s%s", code, &out, &errs)
				}
			})
		}
	}
}

// A guardian that says for ever that it goes on, and does nothing, is not waited
// for.
func TestAdminStall(t *testing.T) {
	t.Parallel()
	p := newFakePlane(t, map[string]func(int) (int, any){
		getScrub: in(200, repair.ScrubProgress{}), postScrub: in(202, repair.ScrubProgress{}),
		postRun: in(200, repair.Status{}), getRepair: in(200, repair.Status{Inbox: []repair.InboxStatus{{File: "f", Entries: 2, Taken: 1}}}),
	})
	for _, args := range [][]string{{"scrub"}, {"repair", "run"}} {
		_, errs := guardianctl(t, exitFailure, append(args, "--admin", p.URL)...)
		wantText(t, errs, "nothing has happened for 2s", "next: look into the guardian's log")
	}
}
