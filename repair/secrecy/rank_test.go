package secrecy

import "slices"

// echelon is a set of independent rows, each with a 1 in a column where all the
// others have 0.
type echelon struct {
	*field
	pivots []int
	rows   [][]byte
}

// reduce returns row less what the set accounts for.
func (e *echelon) reduce(row []byte) []byte {
	weights, rows := []byte{1}, [][]byte{row}
	for i, p := range e.pivots {
		if row[p] != 0 {
			weights, rows = append(weights, row[p]), append(rows, e.rows[i])
		}
	}
	return e.sum(weights, rows)
}

// insert takes in a reduced row that is not zero at column p.
func (e *echelon) insert(row []byte, p int) {
	row = e.sum([]byte{e.inverses[row[p]]}, [][]byte{row})
	for i, other := range e.rows {
		if other[p] != 0 {
			e.rows[i] = e.sum([]byte{1, other[p]}, [][]byte{other, row})
		}
	}
	e.pivots, e.rows = append(e.pivots, p), append(e.rows, row)
}

// residue returns rows that span whatever sums of the rows given are zero in
// the first cut columns, and leaves those columns out.
func (f *field) residue(rows [][]byte, cut int) (rest [][]byte) {
	e := echelon{field: f}
	for _, row := range rows {
		row = e.reduce(row)
		if p := slices.IndexFunc(row, func(b byte) bool { return b != 0 }); p >= 0 && p < cut {
			e.insert(row, p)
		} else if p >= 0 {
			rest = append(rest, row[cut:])
		}
	}
	return rest
}

// rank returns how many of the rows are independent.
func (f *field) rank(rows [][]byte) int {
	e := echelon{field: f}
	for _, row := range rows {
		row = e.reduce(row)
		if p := slices.IndexFunc(row, func(b byte) bool { return b != 0 }); p >= 0 {
			e.insert(row, p)
		}
	}
	return len(e.rows)
}

// learnt returns what the views tell of the dealing. The randomness of a
// session is in no other and so is eliminated within it.
func (d dealing) learnt(views ...view) (rows [][]byte) {
	for _, v := range views {
		rows = append(rows, d.residue(v.rows, v.own)...)
	}
	return rows
}

// leak returns how many independent bytes the views tell of the secret: 0 if
// and only if they are independent of it.
func (d dealing) leak(views ...view) int {
	return d.rank(d.residue(d.learnt(views...), d.hidden()))
}

// excess returns how much the views tell of the dealing beyond the shares of
// own.
func (d dealing) excess(own []byte, views ...view) int {
	return d.beyond(d.shares(own...), views...)
}

// beyond returns how much the views tell that these shares do not.
func (d dealing) beyond(shares view, views ...view) int {
	return d.rank(d.learnt(append(views, shares)...)) - d.rank(shares.rows)
}
