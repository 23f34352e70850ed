package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/repair"
)

// tiny is quick with less of everything.
var tiny = plan{
	slots: 120, s3Slots: 30,
	latency: latencyPlan{slots: 20, rate: 40, windows: 2, window: 300 * time.Millisecond},
	rounds:  1, shapes: []shape{{5, 3}, {4, 2}}, sizes: []int{100, 10 << 10},
	moves: movePlan{identities: 3, holders: []int{4}},
}

func TestAll(t *testing.T) {
	p := tiny
	if _, err := findServer(); err != nil {
		t.Log("without S3:", err)
		p.s3Slots = 0
	}
	var out bytes.Buffer
	if err := measure(t.Context(), &out, p); err != nil {
		t.Fatalf("%v after\n%s", err, out.String())
	}
	scrubs := 1 + min(p.s3Slots, 1)
	for text, times := range map[string]int{
		"the report is equal": scrubs,
		"x-read":              2 * scrubs,
		"walk without rests":  1,
		" cold ":              4,
		" warm ":              4,
		" contribute ":        4,
		"in 1 rounds":         1,
		"K*N of them":         1,
	} {
		if found := strings.Count(out.String(), text); found != times {
			t.Errorf("%q is there %d times, not %d:\n%s", text, found, times, out.String())
		}
	}
}

// What is counted on the wire holds what must have gone over it: K contributions
// in base64, and for a client K shares and N.
func TestTrafficIsCounted(t *testing.T) {
	const size = 8 << 10
	r, err := recoverOften(t.Context(), shape{4, 2}, size, 1)
	if err != nil {
		t.Fatal(err)
	}
	encoded := int64(base64.StdEncoding.EncodedLen(size - 1))
	for what, test := range map[string]struct {
		c           cost
		least, most int64
		conns       int64
	}{
		"cold recovery": {r.recoverCold[0], 2 * encoded, 4 * encoded, 3},
		"warm recovery": {r.recoverWarm[0], 2 * encoded, 3 * encoded, 0},
		"cold client":   {r.clientCold[0], (2 + 4) * encoded, 9 * encoded, 4},
		"warm client":   {r.clientWarm[0], (2 + 4) * encoded, 8 * encoded, 0},
	} {
		if test.c.bytes < test.least || test.c.bytes > test.most || test.c.conns != test.conns {
			t.Errorf("%s: %d bytes, %d connections; want %d to %d, %d", what, test.c.bytes, test.c.conns, test.least, test.most, test.conns)
		}
	}
	if r.recoverCold[0].bytes < r.recoverWarm[0].bytes+3*1000 {
		t.Error("three handshakes are missing")
	}
	if n := r.number[repair.RouteContribute]; n != 2 {
		t.Errorf("%d contributions, not 2", n)
	}
}

func TestCompare(t *testing.T) {
	whole := passed{ScrubReport: repair.ScrubReport{Slots: 5000, Good: 4990, Corrupt: 10, StartedNS: 1, BusyNS: 2}}
	same, other := whole.ScrubReport, whole.ScrubReport
	same.StartedNS, same.BusyNS = 3, 4
	other.Good--
	for name, test := range map[string]struct {
		parts
		slots int
		want  error
	}{
		"nothing again":    {parts{[]int64{2000, 3000}, same}, 5000, nil},
		"some again":       {parts{[]int64{3000, 3000}, same}, 5000, nil},
		"too many again":   {parts{[]int64{3001, 3000}, same}, 5000, errResumed},
		"some left out":    {parts{[]int64{2000, 2999}, same}, 5000, errResumed},
		"another report":   {parts{[]int64{2000, 3000}, other}, 5000, errReports},
		"a slot was found": {parts{[]int64{2000, 3000}, same}, 4999, errSlots},
	} {
		if err := test.compare(new(bytes.Buffer), whole, test.slots); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// A guardian that stalls is charged for all that was to be sent meanwhile.
func TestLoadIsOpen(t *testing.T) {
	const stall, rate = 500 * time.Millisecond, 100
	var one sync.Mutex
	var first sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		one.Lock()
		defer one.Unlock()
		first.Do(func() { time.Sleep(stall) })
		_ = json.NewEncoder(w).Encode(api.PullResponse{Share: base64.StdEncoding.EncodeToString(make([]byte, loadShareSize))})
	}))
	defer server.Close()
	l, err := newLoad(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer l.client.CloseIdleConnections()
	pushes, pulls, _, err := l.run(t.Context(), rate, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, took := range append(pushes, pulls...) {
		if took > 0.1 {
			slow++
		}
	}
	if slow < 40 {
		t.Errorf("%d of %d requests were slow, want 40", slow, len(pushes)+len(pulls))
	}
}

func TestLoadJudgesAnswers(t *testing.T) {
	for status, test := range map[int]struct {
		refused int
		want    error
	}{
		http.StatusOK:                 {0, errShare}, // without a share
		http.StatusServiceUnavailable: {10, nil},
		http.StatusConflict:           {0, errAnswer},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("{}"))
		}))
		l, err := newLoad(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _, refused, err := l.run(t.Context(), 100, 100*time.Millisecond)
		if refused != test.refused || !errors.Is(err, test.want) {
			t.Errorf("%d: %d refused, %v; want %d, %v", status, refused, err, test.refused, test.want)
		}
		l.client.CloseIdleConnections()
		server.Close()
	}
}

func TestProcessorTime(t *testing.T) {
	for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); {
	}
	used, err := processorTime()
	if err != nil {
		t.Fatal(err)
	}
	if seen := processorTimeOf(os.Getpid()); seen == 0 || (seen-used).Abs() > 100*time.Millisecond {
		t.Errorf("it is %v by getrusage and %v by /proc", used, seen)
	}
}
