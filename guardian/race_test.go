//go:build race

package guardian

// The model is a search, and the race detector makes it ten times slower: with
// it on, scenarios have no faults. make test runs both.
func init() { mostFaults = 0 }
