package envelope

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tyler-smith/go-bip39"
	"github.com/tyler-smith/go-bip39/wordlists"
	"pgregory.net/rapid"
)

const zeros = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
	"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"

// wide is the text in the fullwidth letters and spaces of Unicode.
func wide(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' {
			return '\u3000'
		}
		return r - 'a' + 'ａ'
	}, text)
}

// TestOracle compares with another implementation of BIP-39.
func TestOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entropy := rapid.SliceOfN(rapid.Byte(), entropySize, entropySize).Draw(t, "entropy")
		words, err := MnemonicOf(entropy)
		want, wantErr := bip39.NewMnemonic(entropy)
		if err != nil || wantErr != nil || words != want {
			t.Fatalf("%q, %v; the oracle says %q, %v", words, err, want, wantErr)
		}
		back, err := EntropyOf(words)
		if err != nil || !bytes.Equal(back, entropy) {
			t.Fatalf("%q stands for %x, %v, not %x", words, back, err, entropy)
		}
		seed, err := seedOf(words)
		if err != nil || !bytes.Equal(seed, bip39.NewSeed(words, "")) {
			t.Fatalf("%q: another seed than the oracle's: %v", words, err)
		}
	})
}

// TestOracleChecksum: any words of the list stand for something in both
// implementations or in none.
func TestOracleChecksum(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom(wordlists.English), mnemonicWords, mnemonicWords).Draw(t, "words")
		if rapid.Bool().Draw(t, "with a good checksum") {
			words[23] = lastWord(t, words)
		}
		text := strings.Join(words, " ")
		entropy, err := EntropyOf(text)
		want, wantErr := bip39.EntropyFromMnemonic(text)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(entropy, want) {
			t.Fatalf("%q: %x, %v; the oracle says %x, %v", text, entropy, err, want, wantErr)
		}
		if err == nil {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("no mnemonic was a good one")
	}
}

func lastWord(t *rapid.T, words []string) string {
	for _, last := range wordlists.English {
		if bip39.IsMnemonicValid(strings.Join(append(slices.Clone(words[:23]), last), " ")) {
			return last
		}
	}
	t.Fatalf("no last word fits %q", words)
	return ""
}

func TestWordList(t *testing.T) {
	if len(wordlists.English) != len(packedWords) {
		t.Fatalf("%d words", len(wordlists.English))
	}
	for i, word := range wordlists.English {
		if index, known := indexOf(word); index != uint64(i) || known != 1 {
			t.Errorf("%s is %d, %d, not %d", word, index, known, i)
		}
		if got := wordAt(uint64(i)); got != word {
			t.Errorf("%d is %q, not %q", i, got, word)
		}
	}
	for _, word := range []string{"", "a", "aband", "abandonx", "abandonabandon", "art\x00", "\x00art", "zooo", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if _, known := indexOf(word); known != 0 {
			t.Errorf("%q is known", word)
		}
	}
}

func TestTypedWords(t *testing.T) {
	words := strings.Fields(zeros)
	for name, typed := range map[string]string{
		"as written":           zeros,
		"upper case":           strings.ToUpper(zeros),
		"title case":           strings.Title(zeros), //nolint:staticcheck // SA1019: right for ASCII
		"spaces around":        "  " + zeros + "\t ",
		"one to a line":        strings.Join(words, "\n") + "\n",
		"lines of Windows":     strings.Join(words, "\r\n"),
		"many spaces":          strings.Join(words, "   "),
		"no-break spaces":      strings.Join(words, "\u00a0"),
		"ideographic spaces":   strings.Join(words, "\u3000"),
		"fullwidth":            wide(zeros),
		"fullwidth upper case": strings.ToUpper(wide(zeros)),
	} {
		entropy, err := EntropyOf(typed)
		if err != nil || !bytes.Equal(entropy, make([]byte, entropySize)) {
			t.Errorf("%s: %x, %v", name, entropy, err)
		}
	}
	plain, typed := must(FromMnemonic(zeros))(t), must(FromMnemonic(strings.ToUpper(wide(zeros))))(t)
	if plain.Identity() != typed.Identity() || !bytes.Equal(plain.wrap, typed.wrap) {
		t.Error("words typed otherwise lead elsewhere")
	}
}

func TestNoMnemonic(t *testing.T) {
	words := strings.Fields(zeros)
	with := func(position int, word string) string {
		changed := slices.Clone(words)
		changed[position-1] = word
		return strings.Join(changed, " ")
	}
	for name, c := range map[string]struct{ words, says string }{
		"nothing":              {"", "0 words"},
		"white space":          {" \n\t ", "0 words"},
		"12 words":             {strings.Join(words[:11], " ") + " about", "12 words"},
		"23 words":             {strings.Join(words[:23], " "), "23 words"},
		"25 words":             {zeros + " abandon", "25 words"},
		"twice":                {zeros + " " + zeros, "48 words"},
		"commas":               {strings.Join(words, ","), "1 words"},
		"one run":              {strings.Join(words, ""), "1 words"},
		"endless":              {strings.Repeat("abandon ", 1<<20), "longer than"},
		"endless in width":     {strings.Repeat("ﷺ", 1<<20), "longer than"},
		"first unknown":        {with(1, "hunter2"), "word 1 "},
		"seventh unknown":      {with(7, "hunter2"), "word 7 "},
		"last unknown":         {with(24, "hunter2"), "word 24 "},
		"four letters":         {with(3, "aban"), "word 3 "},
		"a number":             {with(9, "9"), "word 9 "},
		"French":               {with(2, "abaisser"), "word 2 "},
		"not UTF-8":            {with(5, "abandon\xff"), "word 5 "},
		"a zero byte":          {with(5, "abandon\x00"), "word 5 "},
		"a byte-order mark":    {"\ufeff" + zeros, "word 1 "},
		"an invisible space":   {with(6, "aban\u200bdon"), "word 6 "},
		"checksum, last word":  {with(24, "artist"), "checksum"},
		"checksum, first word": {with(1, "ability"), "checksum"},
		"checksum, order":      {strings.Join(append(words[23:24:24], words[:23]...), " "), "checksum"},
	} {
		for by, err := range map[string]error{
			"EntropyOf":    second(EntropyOf(c.words)),
			"FromMnemonic": second(FromMnemonic(c.words)),
		} {
			if !errors.Is(err, ErrMnemonic) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, %s: %v, which does not say %q", name, by, err, c.says)
			}
			for _, word := range []string{"hunter2", "abandon", "abaisser", "ability", "artist"} {
				if err != nil && strings.Contains(err.Error(), word) {
					t.Errorf("%s, %s: the error quotes a word: %v", name, by, err)
				}
			}
		}
	}
}

func TestEntropySizes(t *testing.T) {
	for _, size := range []int{0, 1, 16, 31, 33, 64, 1 << 20} {
		if words, err := MnemonicOf(make([]byte, size)); !errors.Is(err, ErrKeySize) || words != "" {
			t.Errorf("%d bytes: %q, %v", size, words, err)
		}
	}
}

func TestNewMnemonic(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		words := must(NewMnemonic())(t)
		if !bip39.IsMnemonicValid(words) || words != strings.Join(strings.Fields(words), " ") || words != strings.ToLower(words) {
			t.Fatalf("not a mnemonic as it should be written: %q", words)
		}
		if len(strings.Fields(words)) != mnemonicWords || seen[words] {
			t.Fatalf("another number of words, or drawn twice: %q", words)
		}
		seen[words] = true
	}
}

// TestArguments: entropy is left as it was, and what is returned is nobody
// else's memory.
func TestArguments(t *testing.T) {
	entropy := make([]byte, entropySize, 2*entropySize)
	_, _ = rand.Read(entropy[:cap(entropy)])
	before := bytes.Clone(entropy[:cap(entropy)])
	words := must(MnemonicOf(entropy))(t)
	clear(must(EntropyOf(words))(t))
	if !bytes.Equal(must(EntropyOf(words))(t), entropy) || !bytes.Equal(entropy[:cap(entropy)], before) {
		t.Error("memory is shared or was changed")
	}
}

func second[T any](_ T, err error) error { return err }
