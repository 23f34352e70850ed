package main

import (
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
)

func bytesOf(costs []cost) float64 {
	return median(costs, func(c cost) float64 { return float64(c.bytes) })
}

func callsOf(costs []cost) float64 {
	return median(costs, func(c cost) float64 { return float64(c.requests) })
}

func connsOf(costs []cost) float64 {
	return median(costs, func(c cost) float64 { return float64(c.conns) })
}

func cpuOf(costs []cost) float64 {
	return median(costs, func(c cost) float64 { return float64(c.cpu.Microseconds()) / 1e3 })
}

// printTraffic has one line for each shape and size. x-client is bytes, or
// processor time, of the recovery divided by the client's; x-shares its bytes
// divided by those of the K shares that it works on.
func printTraffic(out io.Writer, all []*result) {
	fmt.Fprintf(out, "  %-10s %7s %-5s %6s %9s %12s %12s %9s %9s %9s %9s %9s\n", "(n,k)", "share", "conns", "new", "requests",
		"bytes", "client's", "x-client", "x-shares", "cpu ms", "client's", "x-client")
	for _, r := range all {
		r.print(out, "cold", r.recoverCold, r.clientCold)
		r.print(out, "warm", r.recoverWarm, r.clientWarm)
	}
}

func (r *result) print(out io.Writer, conns string, ours, clients []cost) {
	fmt.Fprintf(out, "  %-10s %7d %-5s %6.0f %9.0f %12.0f %12.0f %9.2f %9.2f %9.1f %9.1f %9.2f\n",
		fmt.Sprintf("(%d,%d)", r.n, r.k), r.size, conns, connsOf(ours), callsOf(ours), bytesOf(ours), bytesOf(clients),
		bytesOf(ours)/bytesOf(clients), bytesOf(ours)/float64(r.k*r.size), cpuOf(ours), cpuOf(clients), cpuOf(ours)/cpuOf(clients))
}

// printRoutes tells what the bytes are for, without HTTP and TLS.
func printRoutes(out io.Writer, all []*result) {
	fmt.Fprintf(out, "\n  JSON of a recovery, requests and answers\n  %-10s %7s %-14s %6s %12s %12s\n", "(n,k)", "share", "route", "calls", "bytes", "per call")
	for _, r := range all {
		for _, route := range slices.Sorted(maps.Keys(r.number)) {
			n, size := r.number[route], r.json[route]
			fmt.Fprintf(out, "  %-10s %7d %-14s %6d %12d %12.0f\n", fmt.Sprintf("(%d,%d)", r.n, r.k), r.size, path.Base(route), n, size, float64(size)/float64(n))
		}
	}
}
