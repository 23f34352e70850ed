package main

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// What the model takes for an explanation, and what not.
func TestRegisters(t *testing.T) {
	push := func(version uint64, share string) call { return call{kind: kindPush, version: version, share: share} }
	remove := func(version uint64) call { return call{kind: kindDelete, version: version} }
	holds := func(version uint64, share string) reply { return reply{version: version, share: share} }
	conflict := func(current uint64, stored bool) reply {
		return reply{verdict: verdictConflict, current: current, stored: stored}
	}
	pull, ok := call{kind: kindPull}, reply{}
	absent, unknown := reply{verdict: verdictNotFound}, reply{verdict: verdictUnknown}
	type at struct {
		from, to int64
		call     call
		reply    reply
	}
	for _, test := range []struct {
		name    string
		history []at
		want    porcupine.CheckResult
	}{
		{"one after the other", []at{
			{1, 2, pull, absent},
			{3, 4, push(1, "a"), ok},
			{5, 6, pull, holds(1, "a")},
			{7, 8, push(1, "a"), conflict(1, true)},
			{9, 10, push(1, "b"), conflict(1, false)},
			{11, 12, remove(2), conflict(1, false)},
			{13, 14, remove(1), ok},
			{15, 16, pull, absent},
			{17, 18, remove(1), absent},
			{19, 20, push(1, "a"), conflict(1, false)},
			{21, 22, push(2, "c"), ok},
		}, porcupine.Ok},
		{"version 0 comes first", []at{{1, 2, push(0, "a"), ok}, {3, 4, push(0, "a"), conflict(0, true)}}, porcupine.Ok},
		{"side by side", []at{{1, 9, push(1, "a"), ok}, {2, 8, push(2, "b"), ok}, {3, 7, pull, absent}}, porcupine.Ok},
		{"lost update", []at{{1, 2, push(1, "a"), ok}, {3, 4, pull, absent}}, porcupine.Illegal},
		{"two at one version", []at{{1, 9, push(1, "a"), ok}, {2, 8, push(1, "b"), ok}}, porcupine.Illegal},
		{"version goes back", []at{
			{1, 2, push(1, "a"), ok}, {3, 4, push(2, "b"), ok}, {5, 6, pull, holds(1, "a")},
		}, porcupine.Illegal},
		{"seen and gone", []at{
			{1, 20, push(1, "a"), ok}, {2, 3, pull, holds(1, "a")}, {4, 5, pull, absent},
		}, porcupine.Illegal},
		{"another share", []at{{1, 2, push(1, "a"), ok}, {3, 4, pull, holds(1, "b")}}, porcupine.Illegal},
		{"refused without a reason", []at{{1, 2, push(2, "a"), ok}, {3, 4, push(3, "b"), conflict(2, false)}}, porcupine.Illegal},
		{"refused by a version that is not there", []at{{1, 2, push(2, "a"), ok}, {3, 4, push(1, "b"), conflict(3, false)}}, porcupine.Illegal},
		{"stored, but not so", []at{{1, 2, push(1, "a"), ok}, {3, 4, push(1, "b"), conflict(1, true)}}, porcupine.Illegal},
		{"unknown, applied late", []at{
			{1, 2, push(2, "a"), unknown}, {3, 4, push(1, "b"), ok}, {5, 6, pull, holds(1, "b")}, {7, 8, pull, holds(2, "a")},
		}, porcupine.Ok},
		{"unknown, never applied", []at{{1, 2, push(2, "a"), unknown}, {3, 4, pull, absent}}, porcupine.Ok},
		{"unknown, applied and undone", []at{
			{1, 2, push(2, "a"), unknown}, {3, 4, pull, holds(2, "a")}, {5, 6, pull, absent},
		}, porcupine.Illegal},
		{"unknown, applied before it was sent", []at{{1, 2, pull, holds(2, "a")}, {3, 4, push(2, "a"), unknown}}, porcupine.Illegal},
		{"unknown, applied twice", []at{
			{1, 2, push(2, "a"), unknown}, {3, 4, push(3, "b"), ok}, {5, 6, push(4, "c"), conflict(2, false)},
		}, porcupine.Illegal},
		{"unknown delete, applied late", []at{
			{1, 2, push(1, "a"), ok}, {3, 4, remove(1), unknown}, {5, 6, pull, holds(1, "a")}, {7, 8, pull, absent},
		}, porcupine.Ok},
		{"unknown delete of another version", []at{
			{1, 2, push(1, "a"), ok}, {3, 4, remove(2), unknown}, {5, 6, pull, absent},
		}, porcupine.Illegal},
		{"pushed over a tombstone", []at{
			{1, 2, push(1, "a"), ok}, {3, 4, remove(1), ok}, {5, 6, push(1, "a"), ok},
		}, porcupine.Illegal},
		{"two deletes, one in doubt", []at{
			{1, 2, push(1, "a"), ok}, {3, 9, remove(1), ok}, {4, 8, remove(1), ok},
		}, porcupine.Ok},
		{"deleted, but still there", []at{
			{1, 2, push(1, "a"), ok}, {3, 4, remove(1), ok}, {5, 6, pull, holds(1, "a")},
		}, porcupine.Illegal},
	} {
		var history []porcupine.Operation
		for _, o := range test.history {
			history = append(history, porcupine.Operation{Input: o.call, Output: o.reply, Call: o.from, Return: o.to})
		}
		if got := porcupine.CheckOperationsTimeout(registers, closed(history), patience); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
