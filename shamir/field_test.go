package shamir

import "testing"

func TestFixedPoints(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want byte
	}{
		{"mul(42,127)", mul(42, 127), 82},
		{"mul(255,255)", mul(255, 255), 19},
		{"inv(200)", inv(200), 169},
		{"p(1)", valueAt(1, 42, 5, 7), 40},
		{"p(4)", valueAt(4, 42, 5, 7), 78},
		{"p(255)", valueAt(255, 42, 5, 7), 125},
	} {
		if c.got != c.want {
			t.Errorf("%s = %d, want %d", c.name, c.got, c.want)
		}
	}
}

// valueAt evaluates a polynomial with the code that evaluates shares.
func valueAt(x byte, coefficients ...byte) byte {
	terms := make([][]byte, len(coefficients))
	for i, c := range coefficients {
		terms[i] = []byte{c}
	}
	y := make([]byte, 1)
	weightedSum(y, powers([]byte{x}, len(coefficients))[0], terms)
	return y[0]
}

func TestMulIsThatOfGenerator3(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			if got, want := mul(byte(a), byte(b)), oracleMul(byte(a), byte(b)); got != want {
				t.Fatalf("mul(%d,%d) = %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestFieldAxioms goes through all pairs and triples. Addition is XOR, whose
// own axioms need no test.
func TestFieldAxioms(t *testing.T) {
	var product [256][256]byte
	for a := range 256 {
		for b := range 256 {
			product[a][b] = mul(byte(a), byte(b))
		}
	}
	for a := range 256 {
		checkElement(t, byte(a))
		row := &product[a]
		for b := range 256 {
			if row[b] != product[b][a] {
				t.Fatalf("%d*%d does not commute", a, b)
			}
			rowB, rowAB := &product[b], &product[row[b]]
			for c := range 256 {
				if rowAB[c] != row[rowB[c]] {
					t.Fatalf("(%d*%d)*%d is not %d*(%d*%d)", a, b, c, a, b, c)
				}
				if row[b^c] != row[b]^row[c] {
					t.Fatalf("%d*(%d+%d) does not distribute", a, b, c)
				}
			}
		}
	}
}

func checkElement(t *testing.T, a byte) {
	t.Helper()
	if mul(a, 1) != a {
		t.Fatalf("%d*1 = %d", a, mul(a, 1))
	}
	if mul(a, 0) != 0 {
		t.Fatalf("%d*0 = %d", a, mul(a, 0))
	}
	if double(a) != mul(a, 2) {
		t.Fatalf("double(%d) = %d, want %d", a, double(a), mul(a, 2))
	}
	if a == 0 {
		if inv(a) != 0 {
			t.Fatalf("inv(0) = %d", inv(a))
		}
		return
	}
	if mul(a, inv(a)) != 1 {
		t.Fatalf("%d * inv(%d) = %d", a, a, mul(a, inv(a)))
	}
}
