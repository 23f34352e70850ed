package main

import (
	"testing"

	"github.com/vault-guardian/guardian/freeze"
)

func TestFreezeAndThaw(t *testing.T) {
	t.Parallel()
	p := newFakePlane(t, map[string]func(int) (int, any){
		postFreeze: in(200, freeze.State{Frozen: true, By: "admin\x1b[2J", SinceNS: 1}),
		postThaw:   in(200, freeze.State{}),
	})
	out, _ := guardianctl(t, exitOK, "freeze", "--admin", p.URL)
	wantText(t, out, "writes are frozen since 1970-01-01T00:00:00Z", `\x1b[2J`)
	out, _ = guardianctl(t, exitOK, "freeze", "--admin", p.URL, "--json")
	wantText(t, out, `"frozen": true`)
	out, _ = guardianctl(t, exitOK, "thaw", "--admin", p.URL)
	wantText(t, out, "writes are taken")
}
