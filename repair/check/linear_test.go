package check

import (
	"slices"
	"testing"

	"github.com/vault-guardian/guardian/shamir"
)

func times(a, b byte) byte { return shamir.InnerProduct([]byte{a}, []byte{b}) }

func inverse(a byte) byte {
	for b := 1; b < 256; b++ {
		if times(a, byte(b)) == 1 {
			return byte(b)
		}
	}
	return 0
}

// reduce brings the first width columns into reduced row echelon form, in
// place, and returns their rank.
func reduce(matrix [][]byte, width int) int {
	rank := 0
	for column := range width {
		pivot := slices.IndexFunc(matrix[rank:], func(row []byte) bool { return row[column] != 0 })
		if pivot < 0 {
			continue
		}
		matrix[rank], matrix[rank+pivot] = matrix[rank+pivot], matrix[rank]
		scale := inverse(matrix[rank][column])
		for i := range matrix[rank] {
			matrix[rank][i] = times(matrix[rank][i], scale)
		}
		for i, row := range matrix {
			if factor := row[column]; i != rank && factor != 0 {
				for n := range row {
					row[n] ^= times(factor, matrix[rank][n])
				}
			}
		}
		if rank++; rank == len(matrix) {
			break
		}
	}
	return rank
}

// solve returns the one solution of rows * x = values, or nil if there is none
// or more than one.
func solve(rows [][]byte, values []byte) []byte {
	width, matrix := len(rows[0]), make([][]byte, len(rows))
	for i, row := range rows {
		matrix[i] = append(slices.Clone(row), values[i])
	}
	if reduce(matrix, width) != width {
		return nil
	}
	solution := make([]byte, width)
	for i, row := range matrix {
		if i < width {
			solution[i] = row[width]
		} else if row[width] != 0 {
			return nil
		}
	}
	return solution
}

// rowsOf returns r for payloads of that many bytes in all, by definition.
func rowsOf(seed digest, size int) [][]byte {
	coefficients := make([]byte, rows*size)
	keystream(seed, "guardian-check-rows-v1").XORKeyStream(coefficients, coefficients)
	r := make([][]byte, rows)
	for t := range r {
		for m := range size {
			r[t] = append(r[t], coefficients[rows*m+t])
		}
	}
	return r
}

func plus(a, b []byte) []byte {
	sum := slices.Clone(a)
	for i := range sum {
		sum[i] ^= b[i]
	}
	return sum
}

func TestSolve(t *testing.T) {
	unknown := randomBytes(5)
	var matrix [][]byte
	var values []byte
	for range 8 {
		row := randomBytes(5)
		matrix, values = append(matrix, row), append(values, shamir.InnerProduct(row, unknown))
	}
	if got := solve(matrix, values); !slices.Equal(got, unknown) {
		t.Errorf("got %x, want %x", got, unknown)
	}
	values[7] ^= 1
	if got := solve(matrix, values); got != nil {
		t.Errorf("a contradiction has the solution %x", got)
	}
	if got := solve(matrix[:4], values[:4]); got != nil {
		t.Errorf("4 equations for 5 unknowns have the only solution %x", got)
	}
}
