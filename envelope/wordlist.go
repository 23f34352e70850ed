package envelope

import "github.com/tyler-smith/go-bip39/wordlists"

// wordBits is how much of a mnemonic one word carries: there are 2048.
const wordBits = 11

// packedWords are the English words of BIP-39, each as a number, so that they
// can be looked up without the time telling which one was meant.
var packedWords = packList(wordlists.English)

func packList(list []string) [1 << wordBits]uint64 {
	var packed [1 << wordBits]uint64
	for i, word := range list {
		packed[i] = pack(word)
	}
	return packed
}

// pack writes a word of up to eight letters as a number. What is no such word
// gives 0, which none of the list has; the others take no branch that depends
// on their letters.
func pack(word string) uint64 {
	if len(word) > 8 {
		return 0
	}
	var packed uint64
	for _, letter := range []byte(word) {
		if letter < 'a' || letter > 'z' {
			return 0
		}
		packed = packed<<8 | uint64(letter)
	}
	return packed
}

// indexOf always looks at the whole list. known is 1, or 0 for a word that is
// not there.
func indexOf(word string) (index, known uint64) {
	packed := pack(word)
	for i, candidate := range packedWords {
		same := equal(packed, candidate)
		index |= -same & uint64(i)
		known |= same
	}
	return index, known
}

// wordAt always looks at the whole list.
func wordAt(index uint64) string {
	var packed uint64
	for i, candidate := range packedWords {
		packed |= -equal(index, uint64(i)) & candidate
	}
	var letters []byte
	for shift := 56; shift >= 0; shift -= 8 {
		if letter := byte(packed >> shift); letter != 0 {
			letters = append(letters, letter)
		}
	}
	return string(letters)
}

// equal returns 1 or 0 without a branch: either the difference or its negative
// has the top bit, unless it is zero.
func equal(a, b uint64) uint64 {
	difference := a ^ b
	return 1 ^ (difference|-difference)>>63
}
