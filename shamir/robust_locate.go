package shamir

// locate decodes one column: it returns the places, ascending, of the at most
// bound points in which values of a polynomial of degree below k are wrong
// there, given any values that differ from those by such a polynomial.
// ErrUncorrectable says that there are no such places, or none needed: whoever
// asks until all is right is sure to come to an end. For the answer to be the
// only one, 2*bound is at most the number of points beyond k.
func locate(points, values []byte, k, bound int) ([]int, error) {
	locator := shortestRecurrence(syndromes(points, values, len(points)-k))
	degree := len(locator) - 1
	if degree == 0 || degree > bound {
		return nil, ErrUncorrectable
	}
	var wrong []int
	for i, x := range points {
		if isRoot(locator, x) {
			wrong = append(wrong, i)
		}
	}
	if len(wrong) != degree {
		return nil, ErrUncorrectable
	}
	return wrong, nil
}

// syndromes returns the sums of v_i * x_i^j * y_i for j below count, the number
// of points beyond k, where 1/v_i is the product of x_i-x_m over all other
// points. They are all 0 if and only if the values y are those of a polynomial
// of degree below k: this is the dual of the code (J. I. Hall, Notes on Coding
// Theory, chapter 5). Being linear, they depend on the errors alone.
func syndromes(points, values []byte, count int) []byte {
	sums := make([]byte, count)
	for i, v := range multipliers(points) {
		term := mul(v, values[i])
		for j := range sums {
			sums[j] ^= term
			term = mul(term, points[i])
		}
	}
	return sums
}

// shortestRecurrence returns the coefficients c, c[0] being 1, of the shortest
// recurrence with c[0]*s[i] + c[1]*s[i-1] + ... + c[L]*s[i-L] = 0 for all i
// from L on. (J. L. Massey, Shift-Register Synthesis and BCH Decoding, IEEE
// Transactions on Information Theory 15(1), 1969.)
//
// Of syndromes with errors at the points x_e, no more than half as many, it is
// the product of 1 - x_e*z.
func shortestRecurrence(s []byte) []byte {
	length, current, previous := 0, make([]byte, len(s)+1), make([]byte, len(s)+1)
	current[0], previous[0] = 1, 1
	for i := range s {
		copy(previous[1:], previous)
		previous[0] = 0
		gap := discrepancy(current[:length+1], s[:i+1])
		if gap == 0 {
			continue
		}
		corrected := plusMultiple(current, gap, previous)
		if 2*length <= i {
			length = i + 1 - length
			previous = plusMultiple(make([]byte, len(s)+1), inv(gap), current)
		}
		current = corrected
	}
	return current[:length+1]
}

// discrepancy is what the recurrence leaves of the last element of s.
func discrepancy(recurrence, s []byte) byte {
	var sum byte
	for j, c := range recurrence {
		sum ^= mul(c, s[len(s)-1-j])
	}
	return sum
}

// plusMultiple returns a + factor*b.
func plusMultiple(a []byte, factor byte, b []byte) []byte {
	sum := make([]byte, len(a))
	for i := range sum {
		sum[i] = a[i] ^ mul(factor, b[i])
	}
	return sum
}

// isRoot reports whether the locator vanishes at 1/x. It is multiplied by a
// power of x, so that nothing is divided.
func isRoot(locator []byte, x byte) bool {
	var value byte
	for _, c := range locator {
		value = mul(value, x) ^ c
	}
	return value == 0
}
