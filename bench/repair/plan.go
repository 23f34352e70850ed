package main

import "time"

// plan is how much to measure.
type plan struct {
	slots, s3Slots int
	latency        latencyPlan
	// rounds is how often a share is recovered over new connections, and again
	// over those.
	rounds int
	shapes []shape
	sizes  []int
	moves  movePlan
}

// latencyPlan is how requests are timed.
type latencyPlan struct {
	slots   int
	rate    int // requests per second
	windows int // of each kind
	window  time.Duration
}

// movePlan is how many identities are refreshed, and among how many holders.
type movePlan struct {
	identities int
	holders    []int
}

// shape is n guardians of which k rebuild a secret.
type shape struct{ n, k int }

var (
	full = plan{
		slots: 100_000, s3Slots: 10_000,
		latency: latencyPlan{slots: 20_000, rate: 100, windows: 5, window: 10 * time.Second},
		rounds:  5, shapes: []shape{{5, 3}, {14, 4}, {100, 33}}, sizes: []int{100, 10 << 10, 512 << 10},
		moves: movePlan{identities: 10_000, holders: []int{5, 14}},
	}
	quick = plan{
		slots: 300, s3Slots: 60,
		latency: latencyPlan{slots: 300, rate: 100, windows: 2, window: time.Second},
		rounds:  2, shapes: []shape{{5, 3}}, sizes: []int{100, 10 << 10},
		moves: movePlan{identities: 100, holders: []int{5, 14}},
	}
)
