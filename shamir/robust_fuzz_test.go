package shamir

import "testing"

// FuzzCombineRobust splits up to 4 bytes, with the coefficients given, adds the
// errors, each [share][byte][difference], and compares with brute force.
func FuzzCombineRobust(f *testing.F) {
	f.Add([]byte("abcdefghijkl"), byte(7), byte(3), []byte{})
	f.Add([]byte("abcdefghijkl"), byte(7), byte(3), []byte{0, 0, 1, 6, 3, 255})
	f.Add([]byte("abcdefghijkl"), byte(7), byte(3), []byte{0, 0, 1, 2, 0, 7, 4, 0, 9})
	f.Add([]byte("abcdefghijkl"), byte(7), byte(3), []byte{0, 0, 1, 2, 1, 7, 4, 2, 9})
	f.Add([]byte("abcdefghijkl"), byte(8), byte(3), []byte{0, 0, 1, 2, 1, 7, 4, 2, 9})
	f.Add([]byte("ab"), byte(8), byte(2), []byte{0, 0, 1, 2, 0, 7, 4, 0, 9})
	f.Add([]byte("abcd"), byte(4), byte(4), []byte{1, 0, 1})
	f.Add([]byte("abcd"), byte(5), byte(4), []byte{1, 0, 1})
	f.Add([]byte("abcd"), byte(6), byte(4), []byte{1, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte, n, k byte, planted []byte) {
		shares, threshold := fuzzedShares(data, int(n), int(k))
		if shares == nil {
			return
		}
		for ; len(planted) >= 3; planted = planted[3:] {
			share := shares[int(planted[0])%len(shares)]
			share[1+int(planted[1])%(len(share)-1)] ^= planted[2]
		}
		compareWithBruteForce(t, shares, threshold)
	})
}

// fuzzedShares returns at most 8 shares of at most 4 bytes, or nil if data is
// too short to split.
func fuzzedShares(data []byte, n, k int) (shares [][]byte, threshold int) {
	n = 2 + n%7
	k = 2 + k%(n-1)
	size := min(len(data)/k, 4)
	if size == 0 {
		return nil, 0
	}
	points := []byte{1, 2, 3, 77, 128, 200, 254, 255}
	return oracleSplit(data[:size], k, points[:n], data[size:]), k
}
