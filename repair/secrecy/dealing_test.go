package secrecy

import "slices"

// dealing is one secret, shared: a polynomial of degree below k for each byte
// of the payload. What nobody was told of it comes in this order: the
// coefficients but the constant ones, then the bytes of the payload, those of
// the pad first.
type dealing struct {
	*field
	k, size int
	// pad is how many bytes at the end of the payload are random. None counts as
	// such where even the payload must stay hidden.
	pad int
	// before and after count the coefficients of earlier and later dealings of
	// the same payload. They come before and after the dealing's own.
	before, after int
}

// line returns dealings of one payload, with these thresholds one after the
// other. A view of any of them is one of the line.
func line(f *field, size int, thresholds ...int) (all []dealing) {
	before := 0
	for _, k := range thresholds {
		all = append(all, dealing{field: f, k: k, size: size, before: before})
		before += (k - 1) * size
	}
	for e := range all {
		all[e].after = before - all[e].before - all[e].coefficients()
	}
	return all
}

// coefficients is how many a dealing has but the constant ones.
func (d dealing) coefficients() int { return (d.k - 1) * d.size }

// unknowns is how many there are.
func (d dealing) unknowns() int { return d.before + d.coefficients() + d.after + d.size }

// hidden is how many of them come before the bytes of the secret.
func (d dealing) hidden() int { return d.unknowns() - d.size + d.pad }

// unknown is the place of a coefficient of the polynomial of a byte.
func (d dealing) unknown(index, power int) int {
	if power > 0 {
		return d.before + index*(d.k-1) + power - 1
	}
	return d.unknowns() - d.size + (index+d.pad)%d.size
}

// add puts weight times the share of a byte at x into the part of a row that is
// the dealing's.
func (d dealing) add(part []byte, weight byte, index int, x byte) {
	for power, p := range d.powers(x, d.k) {
		part[d.unknown(index, power)] ^= d.products[weight][p]
	}
}

// view is what some nodes see of one session: one row for each byte, its
// weights first those of the session's own randomness, then those of the
// dealing's unknowns. What the nodes know is left out, as they can subtract it.
type view struct {
	own  int
	rows [][]byte
}

// add appends a row of zeros, and returns its two parts.
func (v *view) add(d dealing) (own, dealt []byte) {
	row := make([]byte, v.own+d.unknowns())
	v.rows = append(v.rows, row)
	return row[:v.own], row[v.own:]
}

// shares is the view of who holds the shares of these points.
func (d dealing) shares(points ...byte) view {
	var v view
	for _, x := range points {
		for index := range d.size {
			_, dealt := v.add(d)
			d.add(dealt, 1, index, x)
		}
	}
	return v
}

// join puts views of one dealing together; no two share randomness.
func join(d dealing, views ...view) view {
	var all view
	for _, v := range views {
		all.own += v.own
	}
	before := 0
	for _, v := range views {
		for _, row := range v.rows {
			own, dealt := all.add(d)
			copy(own[before:], row[:v.own])
			copy(dealt, row[v.own:])
		}
		before += v.own
	}
	return all
}

// subsets returns all sets of size points out of those given.
func subsets(points []byte, size int) (all [][]byte) {
	if size == 0 {
		return [][]byte{nil}
	}
	for i, x := range points {
		for _, rest := range subsets(points[i+1:], size-1) {
			all = append(all, append([]byte{x}, rest...))
		}
	}
	return all
}

// without returns the points that are not among those left out.
func without(points []byte, left ...byte) []byte {
	return slices.DeleteFunc(slices.Clone(points), func(x byte) bool { return slices.Contains(left, x) })
}

// upTo returns the points 1 to n.
func upTo(n int) []byte {
	points := make([]byte, n)
	for i := range points {
		points[i] = byte(i + 1)
	}
	return points
}
