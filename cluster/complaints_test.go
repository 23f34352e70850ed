package cluster

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestComplaints(t *testing.T) {
	var told journal
	log := slog.New(slog.NewTextHandler(&told, nil))
	var c complaints
	step := func(want int, now ...complaint) {
		t.Helper()
		before := len(told.with())
		c.report(log, now)
		if got := len(told.with()) - before; got != want {
			t.Errorf("%v: %d lines, want %d", now, got, want)
		}
	}
	one, two := complaint{nodeID: "g1", text: "one"}, complaint{nodeID: "g2", text: "one"}
	step(0)
	step(1, one)
	step(0, one)
	step(0, one, one)
	step(1, one, two, two)
	step(0, two)
	step(1, one, two) // it was gone, and is back
	step(0)
	var flood []complaint
	for i := range 1000 {
		flood = append(flood, complaint{nodeID: fmt.Sprintf("g%d", i), text: "flood"})
	}
	step(maxLines+1, flood...)
	if last := told.with("more records of the registry were ignored", "count=980"); len(last) != 1 {
		t.Errorf("the rest is told as %q", last)
	}
	step(0, flood...)
	if found := told.with(`level=WARN msg=one node_id=g1`); len(found) != 2 {
		t.Errorf("told is %s", strings.Join(told.with(), ""))
	}
}
