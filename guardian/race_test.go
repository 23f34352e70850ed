//go:build race

package guardian

// The model is a search, and the race detector makes it ten times slower: with
// it on, scenarios have no faults, and so fewer states. make test runs both.
func init() { mostFaults, fewestStates = 0, 5 }
