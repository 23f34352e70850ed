//go:build race

package guardian

// The model is a search, and the race detector makes it ten times slower: with
// it on, scenarios have one fault at most. make test runs both.
func init() { mostFaults = 1 }
