package shamir

// reduction is x^8 + x^4 + x^3 + x + 1 without its top term.
const reduction = 0x1b

// double multiplies by x, the polynomial, which is the number 2.
func double(a byte) byte {
	return a<<1 ^ -(a>>7)&reduction
}

// mul multiplies two field elements in constant time.
func mul(a, b byte) byte {
	var product byte
	for i := range 8 {
		product ^= -(b >> i & 1) & a
		a = double(a)
	}
	return product
}

// inv returns 1/a in constant time, and 0 for 0. The non-zero elements are a
// group of order 255, so 1/a = a^254 = a^(2+4+8+16+32+64+128).
func inv(a byte) byte {
	power, inverse := a, byte(1)
	for range 7 {
		power = mul(power, power)
		inverse = mul(inverse, power)
	}
	return inverse
}
