// Package quorum says how many guardians a secret needs: K to read it and W to
// call a write done. Guardians report these figures; a client decides by Acks.
// All functions are pure.
package quorum

// minThreshold keeps two dishonest guardians from reading a secret together.
const minThreshold = 3

// Threshold returns K, the number of shares that rebuild a secret, for this
// many guardians alive: a third of them, and at least 3. It may be more than
// are alive.
func Threshold(alive int) int {
	return max(minThreshold, alive/3)
}

// WriteQuorum returns W, the number of guardians that must have stored a write
// when this many are alive: two thirds of them, rounded up. It is never below
// 1, as what nobody stored is not written.
func WriteQuorum(alive int) int {
	if alive < 1 {
		return 1
	}
	return alive - alive/3
}

// Acks returns how many of n guardians must acknowledge a push with threshold
// k before the client may: max(W(n), min(n, k+1)). An acknowledged push can
// then be rebuilt, and survives one more loss wherever n > k. It is never
// below 1.
func Acks(n, k int) int {
	if n <= k {
		return max(WriteQuorum(n), n)
	}
	return max(WriteQuorum(n), k+1)
}
