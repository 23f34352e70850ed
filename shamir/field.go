package shamir

// reduction is x^8 + x^4 + x^3 + x + 1 without its top term.
const reduction = 0x1b

// lanes has a 1 in each of the eight bytes of a word. A word holds eight field
// elements, none of which ever reaches into the next.
const lanes = 0x0101010101010101

// double multiplies by x, the polynomial, which is the number 2.
func double(a byte) byte { return byte(doubleLanes(uint64(a))) }

// mul multiplies two field elements in constant time.
func mul(a, b byte) byte { return byte(mulLanes(uint64(a), uint64(b))) }

// inv returns 1/a in constant time, and 0 for 0.
func inv(a byte) byte { return byte(invLanes(uint64(a))) }

// mulLanes multiplies the elements of two words in constant time.
func mulLanes(a, b uint64) uint64 {
	var product uint64
	for range 8 {
		bit := b & lanes
		product ^= (bit<<8 - bit) & a // bit*0xff
		a = doubleLanes(a)
		b >>= 1
	}
	return product
}

// invLanes inverts the elements of a word in constant time. The non-zero
// elements are a group of order 255, so 1/a = a^254 = a^(2+4+8+16+32+64+128).
func invLanes(a uint64) uint64 {
	power := mulLanes(a, a)
	inverse := power
	for range 6 {
		power = mulLanes(power, power)
		inverse = mulLanes(inverse, power)
	}
	return inverse
}

// doubleLanes is double on each element. One whose top bit is set overflows:
// top - top>>7 has 0x7f in those lanes and 0 in the others, and no borrow
// crosses between lanes.
func doubleLanes(word uint64) uint64 {
	top := word & (0x80 * lanes)
	return (word^top)<<1 ^ (top-top>>7)&(reduction*lanes)
}

// quadrupleLanes multiplies each element by x^2. The two bits that overflow
// are multiplied by x^8, which is (x+1)*(x^3+1).
func quadrupleLanes(word uint64) uint64 {
	const kept = 0x3f * lanes
	over := (word &^ kept) >> 6
	over ^= over << 1
	return word&kept<<2 ^ over ^ over<<3
}

// packLanes puts up to eight elements into a word, the first into the lowest
// lane.
func packLanes(elements []byte) uint64 {
	var word uint64
	for i, e := range elements {
		word |= uint64(e) << (8 * i)
	}
	return word
}

// laneMask covers the element of the given index, or nothing where a word has
// no such element.
func laneMask(index int) uint64 {
	if index < 0 || index > 7 {
		return 0
	}
	return 0xff << (8 * index)
}

// unless returns the word with 1 for the elements under mask.
func unless(mask, word uint64) uint64 { return word&^mask | lanes&mask }
