package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/repair"
)

func fileWith(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identities")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// slotsIn are those of a page that was sent.
func slotsIn(t *testing.T, said string) []repair.SlotName {
	t.Helper()
	body, ok := strings.CutPrefix(said, postRepair+" ")
	var page struct{ Slots []repair.SlotName }
	if err := json.Unmarshal([]byte(body), &page); err != nil || !ok {
		t.Fatalf("%q: %v", said, err)
	}
	return page.Slots
}

// adding takes in pages until the one numbered, and refuses that.
func adding(t *testing.T, until int) *fakePlane {
	t.Helper()
	return newFakePlane(t, map[string]func(int) (int, any){postRepair: func(n int) (int, any) {
		if n >= until {
			return refusing(503, "storage_unavailable", "storage unavailable")(0)
		}
		return 202, addResult{100}
	}})
}

func TestRepairAdd(t *testing.T) {
	t.Parallel()
	whole, monday := repair.SlotName{Identity: firstIdentity}, repair.SlotName{Identity: nextIdentity, Name: "monday"}
	for name, test := range map[string]struct {
		args []string
		file string
		want []repair.SlotName
	}{
		"arguments":        {[]string{firstIdentity, nextIdentity + "/monday"}, "", []repair.SlotName{whole, monday}},
		"upper case":       {[]string{strings.ToUpper(firstIdentity)}, "", []repair.SlotName{whole}},
		"twice":            {[]string{firstIdentity, firstIdentity}, firstIdentity + "\n" + firstIdentity, []repair.SlotName{whole}},
		"a file":           {nil, firstIdentity + "\n" + nextIdentity + " monday\n", []repair.SlotName{whole, monday}},
		"no end of line":   {nil, firstIdentity, []repair.SlotName{whole}},
		"of Windows":       {nil, "\ufeff" + firstIdentity + "\r\n\r\n" + nextIdentity + "\tmonday\r\n", []repair.SlotName{whole, monday}},
		"comments":         {nil, "# all of them, wörtlich\n\n  " + firstIdentity + "  # mine\n", []repair.SlotName{whole}},
		"both":             {[]string{firstIdentity}, nextIdentity + "/monday", []repair.SlotName{whole, monday}},
		"a name of digits": {[]string{firstIdentity + "/" + strings.Repeat("9", 128)}, "", []repair.SlotName{{Identity: firstIdentity, Name: strings.Repeat("9", 128)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := adding(t, 1)
			args := append([]string{"repair", "add", "--admin", p.URL}, test.args...)
			if test.file != "" {
				args = append(args, "--file", fileWith(t, test.file))
			}
			out, _ := guardianctl(t, exitOK, args...)
			wantText(t, out, "queued 100") // what the guardian says
			if said := p.said(); len(said) != 1 || !slices.Equal(slotsIn(t, said[0]), test.want) {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// One line that is wrong, and nothing is queued.
func TestRepairAddRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		code int
		args []string
		file string
		want string
	}{
		"nothing":             {exitUsage, nil, "", "no identity is named"},
		"an empty file":       {exitUsage, nil, "\n# none\n", "no identity is named"},
		"half an identity":    {exitUsage, []string{firstIdentity, firstIdentity[:63]}, "", "argument 2: identity must be exactly 64 hex"},
		"no hex":              {exitUsage, nil, firstIdentity + "\n\n" + firstIdentity[:63] + "g\n", "line 3: identity must be hex"},
		"Unicode":             {exitUsage, []string{firstIdentity + "/mön"}, "", "argument 1: a name is 1 to 128"},
		"an empty name":       {exitUsage, []string{firstIdentity + "/"}, "", "a name is"},
		"two names":           {exitUsage, nil, firstIdentity + " a b", "line 1: a name is"},
		"a path":              {exitUsage, []string{firstIdentity + "/../x"}, "", "a name is"},
		"a long name":         {exitUsage, []string{firstIdentity + "/" + strings.Repeat("n", 129)}, "", "a name is"},
		"binary":              {exitUsage, nil, "\x00\xff\xfe", "line 1: "},
		"a file that is not":  {exitFailure, []string{"--file", "/nonexistent"}, "", "next: name a file that can be read"},
		"a directory":         {exitFailure, []string{"--file", os.TempDir()}, "", "next: name a file that can be read"},
		"no name of a file":   {exitUsage, []string{firstIdentity, "--file", ""}, "", "--file is empty"},
		"more than 16 MiB":    {exitFailure, nil, strings.Repeat("#\n", 8<<20) + "\n", "larger than 16 MiB\nnext: split it, or put it into queue/inbox/"},
		"a line without end":  {exitUsage, nil, strings.Repeat("a", 1<<20), "line 1: "},
		"a flag that is none": {exitUsage, []string{"--name", "x"}, "", "unknown flag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := adding(t, 9)
			args := append([]string{"repair", "add", "--admin", p.URL}, test.args...)
			if test.file != "" {
				args = append(args, "--file", fileWith(t, test.file))
			}
			_, errs := guardianctl(t, test.code, args...)
			wantText(t, errs, test.want)
			if len(errs) > 1000 {
				t.Errorf("it says %d bytes", len(errs))
			}
			if said := p.said(); len(said) != 0 {
				t.Errorf("it queued: %q", said)
			}
		})
	}
}

func TestRepairAddMany(t *testing.T) {
	t.Parallel()
	const many = 10_000
	var lines strings.Builder
	for i := range many {
		fmt.Fprintf(&lines, "%064x\n", i)
	}
	path := fileWith(t, lines.String())
	p := adding(t, many)
	out, _ := guardianctl(t, exitOK, "repair", "add", "--file", path, "--json", "--admin", p.URL)
	wantText(t, out, `"queued": 10000`)
	n := 0
	for _, said := range p.said() {
		for _, slot := range slotsIn(t, said) {
			if slot.Identity != fmt.Sprintf("%064x", n) {
				t.Fatalf("in place %d there is %v", n, slot)
			}
			n++
		}
	}
	if n != many {
		t.Errorf("%d were sent", n)
	}
	_, errs := guardianctl(t, exitFailure, "repair", "add", "--file", path, "--admin", adding(t, 3).URL)
	wantText(t, errs, "storage unavailable; 300 of 10000 are queued", "next: look into the guardian's log")
}

func waiting(identity string, attempts int) repair.ItemStatus {
	return repair.ItemStatus{
		SlotName: repair.SlotName{Identity: identity}, Reason: repair.ReasonDamaged, Good: 2, Attempts: attempts,
		NextNS: time.Now().Add(time.Hour).UnixNano(), LastError: "2 of 3 needed holders\x1b[2J",
	}
}

func statusWith(due int, items ...repair.ItemStatus) repair.Status {
	return repair.Status{Queued: len(items), Due: due, Waiting: len(items) - due, Items: items}
}

// queueing is a plane whose queue is as given: before it is told to run, and at
// each look afterwards.
func queueing(t *testing.T, before repair.Status, after ...repair.Status) *fakePlane {
	t.Helper()
	return newFakePlane(t, map[string]func(int) (int, any){
		getRepair: in(200, append([]repair.Status{before}, after...)...), postRun: in(200, before),
	})
}

func TestRepairRun(t *testing.T) {
	t.Parallel()
	failing, again, other := waiting(firstIdentity, 3), waiting(firstIdentity, 4), waiting(nextIdentity, 0)
	working := again
	working.Working, working.Attempts = true, 3
	var listed []repair.ItemStatus // of a queue that is longer
	for i := range 1000 {
		listed = append(listed, waiting(fmt.Sprintf("%064x", i), 2))
	}
	tried := slices.Clone(listed)
	for i := range tried {
		tried[i].Attempts++
	}
	long := func(queued, due int, items []repair.ItemStatus) repair.Status {
		return repair.Status{Queued: queued, Due: due, Waiting: queued - due, Items: items}
	}
	for name, test := range map[string]struct {
		before repair.Status
		after  []repair.Status
		code   int
		want   string
	}{
		"nothing":                 {repair.Status{}, []repair.Status{{}}, exitOK, ""},
		"all repaired":            {statusWith(1, failing), []repair.Status{statusWith(1, failing), {}}, exitOK, ""},
		"one that keeps failing":  {statusWith(0, failing), []repair.Status{statusWith(1, failing), statusWith(1, again)}, exitFailure, "1 shares could not be repaired yet"},
		"due again at once":       {statusWith(1, failing), []repair.Status{statusWith(1, again)}, exitFailure, "1 shares could not"},
		"one that is at work":     {statusWith(0, failing), []repair.Status{statusWith(0, working), statusWith(0, again)}, exitFailure, "1 shares could not"},
		"one that came meanwhile": {statusWith(0, failing), []repair.Status{statusWith(1, again, other), statusWith(0, again)}, exitFailure, "1 shares could not"},
		"a directory in the inbox": {repair.Status{}, []repair.Status{{Inbox: []repair.InboxStatus{
			{File: "a/", Problem: "a directory"}, {File: "b", Entries: 3, Taken: 3, Done: 2, Bad: 1, BadLines: []int{7}},
		}}}, exitOK, ""},
		"a file in the inbox": {repair.Status{}, []repair.Status{{Inbox: []repair.InboxStatus{{File: "b", Entries: 3, Taken: 1}}}, {}}, exitOK, ""},
		"more than is listed": {long(2000, 2000, listed), []repair.Status{long(2000, 1500, tried), long(2000, 900, tried)}, exitFailure, "2000 shares could not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs := guardianctl(t, test.code, "repair", "run", "--admin", queueing(t, test.before, test.after...).URL)
			wantText(t, errs, test.want)
			last := test.after[len(test.after)-1]
			wantText(t, out, fmt.Sprintf("%d queued", last.Queued))
			if strings.Contains(out, "\x1b") {
				t.Errorf("what a guardian says drives the terminal: %q", out)
			}
			out, _ = guardianctl(t, test.code, "repair", "run", "--json", "--admin", queueing(t, test.before, test.after...).URL)
			var s repair.Status
			if err := json.Unmarshal([]byte(out), &s); err != nil || s.Queued != last.Queued {
				t.Errorf("%v: %.300s", err, out)
			}
		})
	}
}

func TestRepairStatus(t *testing.T) {
	t.Parallel()
	working := waiting(nextIdentity, 0)
	working.Working, working.Name, working.LastError, working.Good = true, "monday", "", -1
	status := statusWith(1, waiting(firstIdentity, 3), working)
	status.Queued = 1200
	status.Inbox = []repair.InboxStatus{{File: "a\x1b[2J", Problem: "a directory"}, {File: "b", Entries: 9, Taken: 9, Done: 4, Bad: 2, BadLines: []int{3, 7}}}
	status.Totals = repair.Totals{Repaired: 5, Verified: 6, Unknown: 7, Failed: 8, Bytes: 9}
	p := newFakePlane(t, map[string]func(int) (int, any){getRepair: in(200, status)})
	out, _ := guardianctl(t, exitOK, "repair", "status", "--admin", p.URL)
	wantText(t, out,
		"1200 queued: 1 due", firstIdentity, "damaged", "in 1h0m0s", `2 of 3 needed holders\x1b[2J`, nextIdentity+"/monday", "at work", "and 1198 more",
		`inbox "a\x1b[2J": a directory`, "inbox b: 4 of 9 done, 2 lines name no identity: [3 7]",
		"5 repaired, 6 found sound, 7 unknown, 8 tries failed, 9 bytes")
	guardianctl(t, exitUsage, "repair", "statuses")
	guardianctl(t, exitUsage, "repair", "status", "x")
	out, _ = guardianctl(t, exitOK, "repair")
	wantText(t, out, "guardianctl repair status")
}
