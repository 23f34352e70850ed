// Package sim is a deterministic simulator of a cluster that repairs itself. It
// holds tests only: what runs in it is production code, [guardian.Node] and
// [repair.Repairer], over a clock, a network and a storage per guardian that one
// seed drives.
//
// One run is one seed and one bubble of testing/synctest. Every call of the
// storage, and every request and answer of the network, is an event that waits
// for one scheduler. When all goroutines of the bubble are blocked, the
// scheduler puts the new events in an order that does not depend on which
// goroutine came first, draws from the seed what becomes of each and when, and
// lets one go on; when there is none to let go, the clock of the bubble moves on.
// Crypto randomness is drawn from the seed as well.
//
// A run has three parts. Owners first store their secrets in calm. Then comes a
// storm: guardians crash at any step and come back, answers are lost, the
// network is cut and healed, clocks are off by minutes, files are deleted and
// changed, whole disks are lost or put back to an earlier state, owners push and
// delete, operators press scrub and repair at two guardians at once, audits run,
// and some guardians lie. Damage is dealt as far as the design promises to bear
// it. In the last part the faults stop, and within bounded time everything must
// be whole. What is asserted is in invariants_test.go.
//
//	go test ./sim -run TestSimulation -sim.runs=20000
//	go test ./sim -run TestSimulation -sim.seed=17 -sim.runs=1 -v
//
// The second replays one seed. A failure prints the seed, this command, and the
// end of the trace.
package sim
