package main

import (
	"fmt"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/check"
)

// print has the refresh next to the audits before and behind it (x-audit), what
// owners take for the same (x-client), and the shares that must be moved at
// least, one from each of K dealers to each of N holders (x-shares).
func (m *moved) print(out io.Writer) {
	fmt.Fprintf(out, "  (%d,%d): %d generations moved in %d rounds of at most %d, in %.1f s: %.1f identities/s\n", m.n, m.k,
		m.report.Moved, m.report.Rounds, check.MaxRecords, m.refresh.wall.Seconds(), perSecond(int64(m.identities), m.refresh.wall))
	m.printCompared(out)
	m.printShares(out)
	m.printMemory(out)
	m.printRegistry(out)
	m.printStored(out)
	m.printRest(out)
	m.printRoutes(out)
}

// printCompared has figures for one identity.
func (m *moved) printCompared(out io.Writer) {
	fmt.Fprintf(out, "    %-20s %12s %12s %12s %9s %12s %9s\n", "per identity", "refresh", "audit before", "audit behind", "x-audit", "client", "x-client")
	for _, row := range []struct {
		what     string
		of       func(stretch) float64
		ofClient func(stretch) float64
	}{
		{"wall time, ms", wallOf, wallOf},
		{"processor, ms", busyOf, busyOf},
		{"bytes on the wire", func(s stretch) float64 { return float64(s.wire) }, func(s stretch) float64 { return float64(s.clients) }},
	} {
		all := float64(m.identities)
		ours, before, after := row.of(m.refresh)/all, row.of(m.before)/all, row.of(m.after)/all
		clients := row.ofClient(m.clients) / float64(m.byClients)
		fmt.Fprintf(out, "    %-20s %12.2f %12.2f %12.2f %9.2f %12.2f %9.2f\n", row.what, ours, before, after, 2*ours/(before+after), clients, ours/clients)
	}
}

func wallOf(s stretch) float64 { return float64(s.wall.Microseconds()) / 1e3 }

func busyOf(s stretch) float64 { return float64(s.cpu.Microseconds()) / 1e3 }

func (m *moved) printShares(out io.Writer) {
	all, least := float64(m.identities), float64(m.k*m.n*movedSize)
	fmt.Fprintf(out, "    shares               K*N of them are %.0f bytes per identity; on the wire x-shares %.2f; the JSON of share and take alone %.0f, x-shares %.2f\n",
		least, float64(m.refresh.wire)/all/least, float64(m.dealt())/all, float64(m.dealt())/all/least)
}

// dealt is the JSON in which shares go from dealers to the coordinator, and from
// there to their holders.
func (m *moved) dealt() int64 {
	return m.refresh.json[repair.RouteCheck+string(check.StepShare)] + m.refresh.json[repair.RouteCheck+string(check.StepTake)]
}

func (m *moved) printMemory(out io.Writer) {
	s := m.refresh
	fmt.Fprintf(out, "    processors           %.1f s, %.2f of a core\n", s.cpu.Seconds(), s.ofACore())
	fmt.Fprintf(out, "    memory               heap of all %d guardians grew by %.1f MB at most, garbage included, %.1f MB of it by what they store; during audits %.1f and %.1f MB; %.0f MB resident at most\n",
		m.n, megabytes(s.heap), megabytes(s.grown), megabytes(m.before.heap), megabytes(m.after.heap), megabytes(s.resident))
}

func (m *moved) printRegistry(out io.Writer) {
	s, rounds := m.refresh, float64(m.report.Rounds)
	for _, call := range []string{"load", "swap"} {
		n, size := s.registry[call], s.records[call]
		fmt.Fprintf(out, "    registry, %ss      %d, %.1f per round; %d bytes, %.0f per round\n", call, n, float64(n)/rounds, size, float64(size)/rounds)
	}
	fmt.Fprintf(out, "    its bucket           %s\n", per("round", s.requests, int64(m.report.Rounds)))
}

func (m *moved) printStored(out io.Writer) {
	shares := int64(m.identities) * int64(m.n)
	fmt.Fprintf(out, "    calls of storages    %s; during audits %.2f and %.2f\n", per("share", m.refresh.stored, shares),
		float64(sum(m.before.stored))/float64(shares), float64(sum(m.after.stored))/float64(shares))
}

// printRest is about what is done behind the order: those who keep certificates
// for the coordinator look whether all others follow.
func (m *moved) printRest(out io.Writer) {
	s := m.rest
	fmt.Fprintf(out, "    afterwards           %.1f s until nothing is left to do: %.1f s of processors, %d bytes on the wire, %d loads, %d calls of storages\n",
		s.wall.Seconds(), s.cpu.Seconds(), s.wire, s.registry["load"], sum(s.stored))
	fmt.Fprintf(out, "    queued for repair    %d shares were recovered, %d found right\n", m.repairs.Repaired, m.repairs.Verified)
}

// printRoutes tells what the bytes are for, without HTTP and TLS.
func (m *moved) printRoutes(out io.Writer) {
	fmt.Fprintf(out, "    %-20s %12s %12s %12s\n", "JSON", "calls", "bytes", "per identity")
	for _, route := range slices.Sorted(maps.Keys(m.refresh.number)) {
		size := m.refresh.json[route]
		fmt.Fprintf(out, "    %-20s %12d %12d %12.0f\n", path.Base(route), m.refresh.number[route], size, float64(size)/float64(m.identities))
	}
}
