package shamir

// The oracle is the textbook implementation that nobody should use on
// secrets: one byte at a time through logarithm tables of the generator 3. The
// tests check the package against it, the benchmarks measure it as baseline.

var oracleLog, oracleExp = oracleTables()

func oracleTables() (logs [256]byte, exps [510]byte) {
	power := 1
	for i := range 255 {
		exps[i], exps[i+255] = byte(power), byte(power)
		logs[power] = byte(i)
		power ^= power << 1
		if power > 255 {
			power ^= 0x11b
		}
	}
	return logs, exps
}

func oracleMul(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return oracleExp[int(oracleLog[a])+int(oracleLog[b])]
}

func oracleDiv(a, b byte) byte {
	if a == 0 {
		return 0
	}
	return oracleExp[int(oracleLog[a])+255-int(oracleLog[b])]
}

// oraclePolynomial is p(x) by Horner's rule, the constant term first.
func oraclePolynomial(x byte, coefficients ...byte) byte {
	var y byte
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = oracleMul(y, x) ^ coefficients[i]
	}
	return y
}

// oracleSplit takes the coefficients of each byte in turn from random, which
// holds k-1 for every byte of the secret.
func oracleSplit(secret []byte, k int, points, random []byte) [][]byte {
	shares := newShares(points, len(secret))
	polynomial := make([]byte, k)
	for i, b := range secret {
		polynomial[0] = b
		copy(polynomial[1:], random[i*(k-1):])
		for j, x := range points {
			shares[j][1+i] = oraclePolynomial(x, polynomial...)
		}
	}
	return shares
}

func oracleCombine(shares [][]byte) []byte {
	weights := oracleWeights(shares)
	secret := make([]byte, len(shares[0])-1)
	for i := range secret {
		for j, share := range shares {
			secret[i] ^= oracleMul(weights[j], share[1+i])
		}
	}
	return secret
}

func oracleWeights(shares [][]byte) []byte {
	weights := make([]byte, len(shares))
	for i, a := range shares {
		weights[i] = 1
		for _, b := range shares {
			if a[0] != b[0] {
				weights[i] = oracleMul(weights[i], oracleDiv(b[0], a[0]^b[0]))
			}
		}
	}
	return weights
}
