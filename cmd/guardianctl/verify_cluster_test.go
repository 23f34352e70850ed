package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/repair"
)

// audited is a plane whose audit takes two looks, and finds what is given.
func audited(t *testing.T, found repair.AuditReport) *fakePlane {
	t.Helper()
	begun := repair.AuditReport{Running: true, StartedNS: 5}
	return newFakePlane(t, map[string]func(int) (int, any){postAudit: in(202, begun), getAudit: in(200, begun, begun, found)})
}

func holders(of ...repair.AuditHolder) []repair.AuditGroup {
	return []repair.AuditGroup{{N: 5, K: 3, Bound: 1, Generations: 1, Holders: of}}
}

func TestVerifyCluster(t *testing.T) {
	t.Parallel()
	good := repair.AuditHolder{X: 1, Node: "g1", Good: 1}
	for name, test := range map[string]struct {
		found repair.AuditReport
		code  int
		want  string
	}{
		"sound":               {repair.AuditReport{Generations: 1, Sound: 1, Groups: holders(good)}, exitOK, ""},
		"one is silent":       {repair.AuditReport{Generations: 1, Sound: 1, Groups: holders(good, repair.AuditHolder{X: 2, Node: "g2", Silent: 1})}, exitOK, ""},
		"some lack manifests": {repair.AuditReport{Generations: 1, Sound: 1, WithoutManifest: 4, Groups: holders(good)}, exitOK, ""},
		"wrong": {repair.AuditReport{Generations: 1, Groups: holders(good, repair.AuditHolder{
			X: 2, Node: "g2", Wrong: 1, WrongSlots: []repair.SlotName{{Identity: firstIdentity, Name: "monday"}},
		})}, exitVerification, "1 shares are wrong"},
		"cheated":             {repair.AuditReport{Generations: 1, Groups: holders(repair.AuditHolder{X: 2, Cheated: 2})}, exitVerification, "2 shares are wrong"},
		"damaged here":        {repair.AuditReport{Unsound: 1}, exitVerification, "1 shares are wrong"},
		"wrong and undecided": {repair.AuditReport{Generations: 2, Undecided: 1, Groups: holders(repair.AuditHolder{X: 2, Wrong: 1})}, exitVerification, "1 shares are wrong"},
		"undecided":           {repair.AuditReport{Generations: 2, Sound: 1, Undecided: 1, Groups: holders(good)}, exitQuorum, "1 secrets could not be decided"},
		"no manifest":         {repair.AuditReport{WithoutManifest: 2}, exitVerification, "there is no manifest"},
		"nothing":             {repair.AuditReport{}, exitNotFound, "keeps nothing"},
		"broken off":          {repair.AuditReport{Generations: 1, Sound: 1, Error: "storage\x1b"}, exitFailure, `broken off: "storage\x1b"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.found.StartedNS, test.found.FinishedNS = 5, 6
			out, errs := guardianctl(t, test.code, "verify", "--cluster", "--admin", audited(t, test.found).URL)
			wantText(t, errs, test.want)
			wantText(t, out, "GUARDIAN", "secrets are sound with all that answered")
			if name == "wrong" {
				wantText(t, out, "g2: wrong share of "+firstIdentity+"/monday")
			}
			out, _ = guardianctl(t, test.code, "verify", "--cluster", "--json", "--admin", audited(t, test.found).URL)
			var r repair.AuditReport
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Generations != test.found.Generations || r.FinishedNS != 6 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// What a guardian says of another audit is no result.
func TestVerifyClusterForgotten(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]repair.AuditReport{"started again": {}, "another": {StartedNS: 9, FinishedNS: 10, Generations: 1, Sound: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := guardianctl(t, exitFailure, "verify", "--cluster", "--admin", audited(t, now).URL)
			wantText(t, errs, "has forgotten the audit", "next: run it again")
		})
	}
	for code, want := range map[string]string{"no_cluster": "next: give the guardian a GUARDIAN_REGISTRY", "running": "next: wait for the one that runs"} {
		p := newFakePlane(t, map[string]func(int) (int, any){postAudit: refusing(409, code, "no")})
		_, errs := guardianctl(t, exitFailure, "verify", "--cluster", "--admin", p.URL)
		wantText(t, errs, want)
	}
}

func TestVerifyClusterNames(t *testing.T) {
	t.Parallel()
	p := audited(t, repair.AuditReport{StartedNS: 5, FinishedNS: 6, Generations: 1, Sound: 1})
	guardianctl(t, exitOK, "verify", "--cluster", "--admin", p.URL, "--audit", strings.ToUpper(firstIdentity), "--audit", firstIdentity, "--audit", nextIdentity+"/monday")
	want := postAudit + ` {"slots":[{"identity":"` + firstIdentity + `"},{"identity":"` + nextIdentity + `","name":"monday"}]}`
	if said := p.said()[0]; said != want {
		t.Errorf("it says %s, want %s", said, want)
	}
}

// Flags of the one way to verify are refused with the other.
func TestVerifyFlagsTogether(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--key-file", "k"},
		{"--mnemonic"},
		{"--mnemonic-file", "m"},
		{"--user", "joe"},
		{"--name", "x"},
		{"--identity", firstIdentity},
		{"--identity-file", "f"},
		{"--guardians", "http://h"},
		{"--threshold", "3"},
		{"--timeout", "1s"},
		{"--token-file", "t"},
		{"--ca-file", "c"},
	} {
		p := audited(t, repair.AuditReport{})
		_, errs := guardianctl(t, exitUsage, append([]string{"verify", "--cluster", "--admin", p.URL}, args...)...)
		wantText(t, errs, args[0]+": not with --cluster", "--audit")
		if said := p.said(); len(said) != 0 {
			t.Errorf("%v: it says %q", args, said)
		}
	}
	for _, args := range [][]string{{"--audit", firstIdentity}, {"--admin", defaultAdmin}, {"--admin", defaultAdmin, "--cluster=false"}} {
		_, errs := guardianctl(t, exitUsage, append([]string{"verify", "--identity", firstIdentity, "--guardians", "http://127.0.0.1:1"}, args...)...)
		wantText(t, errs, args[0]+": only with --cluster")
	}
	guardianctl(t, exitUsage, "verify", "--cluster", "--audit", "x")
	guardianctl(t, exitUsage, "verify", "--cluster", "--audit", firstIdentity+"/mön")
	guardianctl(t, exitUsage, "verify", "--cluster", "--audit", "")
}
