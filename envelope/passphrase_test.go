package envelope

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sethvargo/go-diceware/diceware"
)

func TestNewPassphrase(t *testing.T) {
	const draws = 3000
	seen, thrown := map[string]bool{}, map[byte]int{}
	throws := throwOf()
	for range draws {
		passphrase := must(NewPassphrase())(t)
		words := strings.Split(passphrase, "-")
		if len(words) != passphraseWords || len(slices.Compact(slices.Sorted(slices.Values(words)))) != passphraseWords {
			t.Fatalf("not seven different words: %q", passphrase)
		}
		for _, word := range words {
			throw, known := throws[word]
			if !known {
				t.Fatalf("%q is not in the list", word)
			}
			thrown[throw]++
		}
		if seen[passphrase] {
			t.Fatalf("%q was drawn twice", passphrase)
		}
		seen[passphrase] = true
		if mapped, err := mapPassphrase(passphrase); err != nil || mapped != passphrase {
			t.Fatalf("%q is not taken as it is: %q, %v", passphrase, mapped, err)
		}
	}
	// Chi-squared with 35 degrees of freedom passes 120 less than once in 10^10.
	expected, deviation := float64(draws*passphraseWords)/36, 0.0
	for _, count := range thrown {
		deviation += (float64(count) - expected) * (float64(count) - expected) / expected
	}
	if len(thrown) != 36 || deviation > 120 {
		t.Errorf("the first two dice are not fair: chi-squared %.1f over %d outcomes", deviation, len(thrown))
	}
}

// throwOf maps the words of EFF's large list to the first two of their dice.
func throwOf() map[string]byte {
	throws := map[string]byte{}
	for throw := 11111; throw <= 66666; throw++ {
		if word := diceware.WordListEffLarge().WordAt(throw); word != "" {
			throws[word] = byte(throw / 1000)
		}
	}
	return throws
}

func TestDiceWords(t *testing.T) {
	if len(diceWords()) != 7776 || !diceWords()["abacus"] || !diceWords()["zoom"] || diceWords()[""] {
		t.Errorf("not EFF's large list: %d words", len(diceWords()))
	}
}

func TestMapping(t *testing.T) {
	const generated = "prankish-duller-molecule-unwind-geology-cahoots-tulip"
	for name, c := range map[string]struct {
		mapped func(string) (string, error)
		typed  []string
		want   string
	}{
		"user":              {mapUser, []string{"alice", "Alice", "ALICE", "ａｌｉｃｅ", "ＡＬＩＣＥ"}, "alice"},
		"address":           {mapUser, []string{"alice@example.org", "Alice@Example.ORG"}, "alice@example.org"},
		"accents":           {mapUser, []string{"jo\u0308rg", "JO\u0308RG", "j\u00f6rg", "J\u00d6RG"}, "j\u00f6rg"},
		"sigma":             {mapUser, []string{"ΣΊΣΥΦΟΣ"}, "σίσυφοσ"}, // no final form: RFC 8265 maps letter by letter
		"longest user":      {mapUser, []string{strings.Repeat("A", 255), strings.Repeat("Ａ", 255)}, strings.Repeat("a", 255)},
		"spaces":            {mapPassphrase, []string{"caf\u00e9 noir", "cafe\u0301\u00a0noir", "caf\u00e9\u3000noir"}, "caf\u00e9 noir"},
		"case is kept":      {mapPassphrase, []string{"Correct Horse"}, "Correct Horse"},
		"width is kept":     {mapPassphrase, []string{"ａｌｉｃｅ"}, "ａｌｉｃｅ"},
		"one space":         {mapPassphrase, []string{" "}, " "},
		"spaces count":      {mapPassphrase, []string{"  a  "}, "  a  "},
		"hyphens are kept":  {mapPassphrase, []string{"-Ab - Cd-"}, "-Ab - Cd-"},
		"emoji":             {mapPassphrase, []string{"🔑🗝"}, "🔑🗝"},
		"a longer one":      {mapPassphrase, []string{generated + "-Zoom"}, generated + "-Zoom"},
		"a shorter one":     {mapPassphrase, []string{"Duller molecule"}, "Duller molecule"},
		"a word of another": {mapPassphrase, []string{"Prankish-duller-molecule-unwind-geology-cahoots-tulips"}, "Prankish-duller-molecule-unwind-geology-cahoots-tulips"},
		"a hyphenated word": {mapPassphrase, []string{"Drop-down-molecule-unwind-geology-cahoots"}, "Drop-down-molecule-unwind-geology-cahoots"},
		"generated": {mapPassphrase, []string{
			generated, strings.ToUpper(generated), strings.ReplaceAll(generated, "-", " "),
			"Prankish - Duller  molecule\u00a0unwind\u3000geology CAHOOTS tulip ", " -" + generated + "--",
		}, generated},
		"longest passphrase": {mapPassphrase, []string{strings.Repeat("x", 1024)}, strings.Repeat("x", 1024)},
	} {
		for _, typed := range c.typed {
			if got, err := c.mapped(typed); err != nil || got != c.want {
				t.Errorf("%s: %q is mapped to %q, %v", name, typed, got, err)
			}
		}
	}
}

// TestRefused goes the exported way: what is wrong is found before Argon2id.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		realm, user, passphrase string
		want                    error
	}{
		"no user":                {"", "", "hunter2", ErrUser},
		"user with a space":      {"", "al ice", "hunter2", ErrUser},
		"user and a line":        {"", "alice\n", "hunter2", ErrUser},
		"user of controls":       {"", "al\x00ice", "hunter2", ErrUser},
		"user not in UTF-8":      {"", "al\xffice", "hunter2", ErrUser},
		"user of two directions": {"", "alice\u05d0", "hunter2", ErrUser},
		"user of symbols":        {"", "alice♚", "hunter2", ErrUser},
		"user of a ligature":     {"", "al\ufb01ce", "hunter2", ErrUser},
		"user of 256":            {"", strings.Repeat("alice678", 32), "hunter2", ErrUser},
		"user of 256, mapped":    {"", strings.Repeat("Ａ", 256), "hunter2", ErrUser},
		"endless user":           {"", strings.Repeat("alice", 1<<20), "hunter2", ErrUser},
		"no passphrase":          {"", "alice", "", ErrPassphrase},
		"passphrase and a line":  {"", "alice", "hunter2\n", ErrPassphrase},
		"passphrase with a tab":  {"", "alice", "hunter2\thunter2", ErrPassphrase},
		"passphrase with a zero": {"", "alice", "hunter2\x00", ErrPassphrase},
		"passphrase not UTF-8":   {"", "alice", "hunter2\xff", ErrPassphrase},
		"passphrase half a rune": {"", "alice", "hunter2\xc3", ErrPassphrase},
		"passphrase unassigned":  {"", "alice", "hunter2\u0378", ErrPassphrase},
		"passphrase of 1025":     {"", "alice", strings.Repeat("hunter2", 147)[:1025], ErrPassphrase},
		"endless passphrase":     {"", "alice", strings.Repeat("hunter2", 1<<20), ErrPassphrase},
		"realm with a space":     {"ex ample", "alice", "hunter2", ErrRealm},
		"realm of Unicode":       {"exämple", "alice", "hunter2", ErrRealm},
		"realm and a line":       {"example\n", "alice", "hunter2", ErrRealm},
		"realm not in UTF-8":     {"example\xff", "alice", "hunter2", ErrRealm},
		"realm of 256":           {strings.Repeat("r", 256), "alice", "hunter2", ErrRealm},
	} {
		root, err := FromPassphrase(c.realm, c.user, c.passphrase)
		if root != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "alice") {
			t.Errorf("%s: the error quotes what was typed: %v", name, err)
		}
	}
}

// TestStretchSalt: realm and user cannot be read as another pair.
func TestStretchSalt(t *testing.T) {
	want := sha256.Sum256([]byte("guardian/v1/argon2id\x00\x05realm\x00\x05alice"))
	if got := stretchSalt("realm", "alice"); !bytes.Equal(got, want[:]) {
		t.Errorf("salt %x, want %x", got, want)
	}
	seen := map[string][2]string{}
	for _, pair := range [][2]string{
		{"", "alice"},
		{"alice", ""},
		{"a", "lice"},
		{"al", "ice"},
		{"", "\x00\x05alice"},
		{"\x00", "\x05alice"},
		{strings.Repeat("a", 255), "a"},
		{strings.Repeat("a", 254), "aa"},
		{"realm", "alice"},
		{"Realm", "alice"},
	} {
		salt := string(stretchSalt(pair[0], pair[1]))
		if other, taken := seen[salt]; taken {
			t.Errorf("%q and %q have one salt", pair, other)
		}
		seen[salt] = pair
	}
}

// TestMappingAtOnce is for the race detector: the profiles are shared.
func TestMappingAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				user, err := mapUser("ＪO\u0308RG")
				passphrase, err2 := mapPassphrase("cafe\u0301\u3000noir")
				if user != "j\u00f6rg" || passphrase != "caf\u00e9 noir" || err != nil || err2 != nil {
					t.Errorf("mapped to %q, %v and %q, %v", user, err, passphrase, err2)
					return
				}
			}
		})
	}
	wg.Wait()
}
