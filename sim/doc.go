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
// TestMoveSimulation makes other runs, in which shares are moved: all guardians
// share a registry and a key that admits them, owners permit whatever can be done
// with their shares, and not everybody holds one at first. Operators have shares
// refreshed and moved to other members and thresholds at two guardians, while
// rounds of others go on; rounds begin by themselves, or to replace who is gone
// for good. The registry is a party of its own that can be slow, cut off, emptied
// or hostile; coordinators crash at any step, and above all when they have just
// committed; clocks are off by more than a round is held for. These runs are short
// and mostly small. What is asserted is in move_invariants_test.go.
//
//	go test ./sim -run '^TestSimulation$' -sim.runs=20000
//	go test ./sim -run '^TestMoveSimulation$' -sim.runs=100000 -timeout 0
//	go test ./sim -run '^TestSimulation$' -sim.seed=17 -sim.runs=1 -v
//
// The last replays one seed. A failure prints the seed, this command, and the
// end of the trace.
package sim
