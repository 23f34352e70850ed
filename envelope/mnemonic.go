package envelope

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

const (
	mnemonicWords = 24
	entropySize   = 32
	// codedSize is 24 words of 11 bits: the entropy and 8 bits of checksum.
	codedSize = entropySize + 1
	// maxMnemonic bounds what is read, in bytes; 24 words need 215 at most.
	maxMnemonic = 4096
)

// NewMnemonic draws a mnemonic of 256 bits (BIP-39, English): 24 words in lower
// case, single spaces between them. An error means that crypto/rand failed.
func NewMnemonic() (string, error) {
	entropy := make([]byte, entropySize)
	defer wipe(entropy)
	if _, err := rand.Read(entropy); err != nil {
		return "", fmt.Errorf("drawing a recovery phrase: %w", err)
	}
	return MnemonicOf(entropy)
}

// MnemonicOf returns the words for 32 bytes of entropy, as NewMnemonic writes
// them. Error: ErrKeySize.
func MnemonicOf(entropy []byte) (string, error) {
	if len(entropy) != entropySize {
		return "", fmt.Errorf("entropy of %d bytes: %w", len(entropy), ErrKeySize)
	}
	coded := withChecksum(entropy)
	defer wipe(coded)
	words := make([]string, mnemonicWords)
	for i := range words {
		words[i] = wordAt(bitsOf(coded, i))
	}
	return strings.Join(words, " "), nil
}

// EntropyOf returns the 32 bytes that a mnemonic stands for. Upper case, other
// forms of letters and spaces that Unicode holds equivalent (NFKD), line breaks
// and repeated white space do not matter. Error: ErrMnemonic; what wraps it
// says whether the number of words, one of them or the checksum is wrong, and
// quotes none. The time does not tell which words of the list were given.
func EntropyOf(words string) ([]byte, error) {
	typed, err := splitWords(words)
	if err != nil {
		return nil, err
	}
	coded := make([]byte, codedSize)
	defer wipe(coded)
	for i, word := range typed {
		index, known := indexOf(word)
		if known == 0 {
			return nil, fmt.Errorf("%w: word %d is not in the list of BIP-39; check its spelling", ErrMnemonic, i+1)
		}
		setBits(coded, i, index)
	}
	entropy := coded[:entropySize]
	if sum := sha256.Sum256(entropy); subtle.ConstantTimeByteEq(sum[0], coded[entropySize]) == 0 {
		return nil, fmt.Errorf("%w: the checksum is wrong; a word was taken for another, or their order changed", ErrMnemonic)
	}
	return slices.Clone(entropy), nil
}

func splitWords(words string) ([]string, error) {
	if len(words) > maxMnemonic {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMnemonic, maxMnemonic)
	}
	split := strings.Fields(strings.ToLower(norm.NFKD.String(words)))
	if len(split) != mnemonicWords {
		return nil, fmt.Errorf("%w: %d words were given", ErrMnemonic, len(split))
	}
	return split, nil
}

func withChecksum(entropy []byte) []byte {
	sum := sha256.Sum256(entropy)
	return append(append(make([]byte, 0, codedSize), entropy...), sum[0])
}

// bitsOf reads the 11 bits of one word, most significant first.
func bitsOf(coded []byte, word int) (index uint64) {
	for at := word * wordBits; at < (word+1)*wordBits; at++ {
		index = index<<1 | uint64(coded[at/8]>>(7-at%8)&1)
	}
	return index
}

// setBits writes into zeros what bitsOf reads.
func setBits(coded []byte, word int, index uint64) {
	for bit := range wordBits {
		at := word*wordBits + bit
		coded[at/8] |= byte(index>>(wordBits-1-bit)&1) << (7 - at%8)
	}
}

// seedOf is the seed of BIP-39, without the optional passphrase of that
// standard, of a mnemonic as MnemonicOf writes it.
func seedOf(mnemonic string) ([]byte, error) {
	seed, err := pbkdf2.Key(sha512.New, mnemonic, []byte("mnemonic"), 2048, 64)
	if err != nil {
		return nil, fmt.Errorf("stretching the recovery phrase: %w", err)
	}
	return seed, nil
}
