package round

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
)

// someState is one of every field.
func someState() State {
	return State{
		Serial: 7, Phase: Voting, Session: one, Coordinator: "g1", Nonce: "n", Proposal: Summary{3, 4, 6, 2, 100},
		Bases: Hashes{{8}, {9}}.tags(), OpenedNS: 1, ChangedNS: 2,
		Aborted: []Ended{{Session: two, AtNS: 3}}, Committed: []Ended{{Session: other, AtNS: 4, Bases: Hashes{{7}}.tags()}},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	s := newStage(t)
	data, err := someState().encode()
	must(t, err)
	s.put(string(data))
	again, err := s.state().encode()
	must(t, err)
	if !bytes.Equal(data, again) {
		t.Errorf("%s became %s", data, again)
	}
	for _, unknown := range []string{`{"later":[{}],`, `{"serial":1,`} { // the last of two counts
		if _, err := parse(s.group, []byte(unknown+string(data[1:]))); err != nil {
			t.Error(err)
		}
	}
}

// TestHostileRecord: what no guardian writes is refused, and nothing is opened
// or voted on over it.
func TestHostileRecord(t *testing.T) {
	for name, change := range map[string]func(s *State){
		"no state":                     func(s *State) { s.Phase = "" },
		"unknown state":                func(s *State) { s.Phase = "done\x1b[2J" },
		"voting on nothing":            func(s *State) { s.Session = Session{} },
		"voting over nothing":          func(s *State) { s.Bases = nil },
		"voting on an aborted one":     func(s *State) { s.Session = two },
		"voting on a committed one":    func(s *State) { s.Session = other },
		"open with a session":          func(s *State) { s.Phase, s.Bases = Open, nil },
		"open with bases":              func(s *State) { s.Phase, s.Session = Open, Session{} },
		"committed, but not listed":    func(s *State) { s.Phase, s.Bases = Committed, nil },
		"committed with bases":         func(s *State) { s.Phase, s.Session = Committed, other },
		"aborted, but not listed":      func(s *State) { s.Phase, s.Bases = Aborted, nil },
		"idle with a round":            func(s *State) { s.Phase, s.Bases, s.Session = Idle, nil, Session{} },
		"serial 0":                     func(s *State) { s.Serial = 0 },
		"no serial left":               func(s *State) { s.Serial = maxSerial },
		"no coordinator":               func(s *State) { s.Coordinator = "" },
		"coordinator for the terminal": func(s *State) { s.Coordinator = "g1\x1b[2J" },
		"coordinator in disguise":      func(s *State) { s.Coordinator = "g\u202e1" },
		"long coordinator":             func(s *State) { s.Coordinator = strings.Repeat("g", maxNode+1) },
		"no nonce":                     func(s *State) { s.Nonce = "" },
		"time below 0":                 func(s *State) { s.ChangedNS = -1 },
		"opened below 0":               func(s *State) { s.OpenedNS = -1 },
		"bytes below 0":                func(s *State) { s.Proposal.Bytes = -1 },
		"K below 0":                    func(s *State) { s.Proposal.ToThreshold = -1 },
		"part of a base":               func(s *State) { s.Bases = s.Bases[1:] },
		"bases in disorder":            func(s *State) { s.Bases = append(bytes.Clone(s.Bases[tagSize:]), s.Bases[:tagSize]...) },
		"a base twice":                 func(s *State) { s.Bases = append(bytes.Clone(s.Bases), s.Bases[tagSize:]...) },
		"part of a committed base":     func(s *State) { s.Committed[0].Bases = s.Committed[0].Bases[1:] },
		"aborted and committed":        func(s *State) { s.Aborted = append(s.Aborted, Ended{Session: other}) },
		"aborted twice":                func(s *State) { s.Aborted = append(s.Aborted, s.Aborted...) },
		"committed twice":              func(s *State) { s.Committed = append(s.Committed, s.Committed...) },
		"aborted nothing":              func(s *State) { s.Aborted[0].Session = Session{} },
		"aborted with bases":           func(s *State) { s.Aborted[0].Bases = s.Bases },
		"aborted below 0":              func(s *State) { s.Aborted[0].AtNS = -1 },
		"committed below 0":            func(s *State) { s.Committed[0].AtNS = -1 },
		"too many aborted":             func(s *State) { s.Aborted = manyEnded(maxAborted + 1) },
		"too many committed":           func(s *State) { s.Committed = manyEnded(maxEnded + 1) },
		"too many bases":               func(s *State) { s.Bases = make(Tags, (maxOpenBases+1)*tagSize) },
	} {
		t.Run(name, func(t *testing.T) {
			state := someState()
			change(&state)
			data, err := json.Marshal(state)
			must(t, err)
			wantRefused(t, string(data))
		})
	}
	good, err := someState().encode()
	must(t, err)
	for name, text := range map[string]string{
		"empty": "", "null": "null", "a list": "[]", "truncated": string(good[:len(good)-1]), "more behind it": string(good) + "{}",
		"short session": strings.Replace(string(good), one.String(), one.String()[1:], 1),
		"upper case":    strings.Replace(string(good), `"n"`, `"n","session":"`+strings.Repeat("AB", 32)+`"`, 1),
		"no base64":     strings.Replace(string(good), `"bases":"`, `"bases":"*`, 1),
		"float":         strings.Replace(string(good), `"serial":7`, `"serial":1e300`, 1),
		"minus":         strings.Replace(string(good), `"serial":7`, `"serial":-7`, 1),
		"huge":          `{"later":"` + strings.Repeat("x", cluster.MaxRecordSize-12) + `"}`,
		"deep":          strings.Repeat("[", 100_000),
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, text) })
	}
}

func manyEnded(n int) []Ended {
	all := make([]Ended, n)
	for i := range all {
		all[i].Session = Session{1, 1, byte(i)}
	}
	return all
}

func wantRefused(t *testing.T, record string) {
	t.Helper()
	s := newStage(t)
	s.put(record)
	_, err := s.a.Look(t.Context(), s.group)
	want(t, err, ErrMalformed)
	_, err = s.a.Open(t.Context(), s.group, Summary{})
	want(t, err, ErrMalformed)
	want(t, s.cast(one, base), ErrMalformed)
	want(t, s.a.Close(t.Context(), s.group, other), ErrMalformed)
	if len(err.Error()) > 400 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestHashesAsText(t *testing.T) {
	for name, text := range map[string]string{"no base64": "*", "part of one": "AAAA", "line break": "AA\nAA", "twice": strings.Repeat("A", 43) + "=" + strings.Repeat("A", 43) + "="} {
		if err := new(Hashes).UnmarshalText([]byte(text)); !errors.Is(err, errHashes) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, hashes := range []Hashes{nil, {{1}}, {{1}, {2}, {3, 4}}} {
		text, err := hashes.MarshalText()
		must(t, err)
		var read Hashes
		if err := read.UnmarshalText(text); err != nil || fmt.Sprint(read) != fmt.Sprint(hashes) {
			t.Errorf("%v became %v: %v", hashes, read, err)
		}
	}
}

// FuzzRecord: no bytes make a panic, and what is taken is written as it is read
// and can be gone on from.
func FuzzRecord(f *testing.F) {
	good, err := someState().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"state":"idle"}`))
	f.Add([]byte(`{"serial":1,"state":"open","coordinator":"g","nonce":"n"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(Group{1}, data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		wantParsed(t, s)
		next, _, err := pageRules.open(s, claim{coordinator: "own", nonce: "own"}, Summary{}, modelNow(0))
		if err != nil {
			return
		}
		wantParsed(t, next)
		own := claim{next.Serial, "own", "own"}
		voted, _, err := pageRules.vote(next, own, Session{0xfe, 0xfe}, Hashes{{0xfe}}.tags(), modelNow(0))
		if err != nil {
			return
		}
		wantParsed(t, voted)
		committed, _, err := pageRules.commit(voted, own, voted.Session, modelNow(0))
		must(t, err)
		wantParsed(t, committed)
	})
}

func wantParsed(t *testing.T, s State) {
	t.Helper()
	data, err := s.encode()
	must(t, err)
	if _, err := parse(Group{1}, data); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
}
