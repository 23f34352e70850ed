package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sethvargo/go-diceware/diceware"
	"golang.org/x/text/secure/precis"
)

const (
	passphraseWords     = 7
	passphraseSeparator = "-"

	maxRealm      = 255 // bytes
	maxUser       = 255 // bytes, as mapped
	maxPassphrase = 1024
	// mappedShrinks is more than any text loses by being mapped, and so bounds
	// what is mapped: NFC and the folding of widths make three bytes one.
	mappedShrinks = 4
)

// NewPassphrase draws seven different words of EFF's large list, in lower case,
// with hyphens between them: 90 bits. The four words of the list that have a
// hyphen themselves are left out. An error means that crypto/rand failed.
func NewPassphrase() (string, error) {
	for {
		words, err := diceware.GenerateWithWordList(passphraseWords, diceware.WordListEffLarge())
		if err != nil {
			return "", fmt.Errorf("drawing a passphrase: %w", err)
		}
		if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, passphraseSeparator) }) {
			return strings.Join(words, passphraseSeparator), nil
		}
	}
}

// diceWords are the words of EFF's large list: one for each throw of five dice.
var diceWords = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	list := diceware.WordListEffLarge()
	for throw := 11111; throw <= 66666; throw++ {
		words[list.WordAt(throw)] = true
	}
	delete(words, "") // what is no throw
	return words
})

// asGenerated writes seven words of the list as NewPassphrase does, whatever
// their case and with whatever spaces and hyphens between them. All else it
// returns as it is.
func asGenerated(passphrase string) string {
	words := strings.FieldsFunc(strings.ToLower(passphrase), func(r rune) bool { return r == ' ' || r == '-' })
	if len(words) != passphraseWords {
		return passphrase
	}
	for _, word := range words {
		if !diceWords()[word] {
			return passphrase
		}
	}
	return strings.Join(words, passphraseSeparator)
}

func checkRealm(realm string) error {
	if len(realm) > maxRealm {
		return fmt.Errorf("%w: longer than %d bytes", ErrRealm, maxRealm)
	}
	if strings.ContainsFunc(realm, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%w: only printable ASCII without spaces, as any other text has more than one spelling", ErrRealm)
	}
	return nil
}

func mapUser(user string) (string, error) {
	mapped, err := enforce(precis.UsernameCaseMapped, user, maxUser)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUser, err)
	}
	return mapped, nil
}

func mapPassphrase(passphrase string) (string, error) {
	mapped, err := enforce(precis.OpaqueString, passphrase, maxPassphrase)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	return asGenerated(mapped), nil
}

// enforce applies a profile of PRECIS (RFC 8264). Its errors do not quote the
// text. UTF-8 is checked first, as the profiles would take different malformed
// texts for the same one.
func enforce(profile *precis.Profile, text string, limit int) (string, error) {
	if text == "" {
		return "", errors.New("empty")
	}
	if len(text) > mappedShrinks*limit {
		return "", tooLong(limit)
	}
	if !utf8.ValidString(text) {
		return "", errors.New("not UTF-8")
	}
	mapped, err := profile.String(text)
	if err != nil {
		return "", fmt.Errorf("a character is not allowed there: %w", err)
	}
	if len(mapped) > limit {
		return "", tooLong(limit)
	}
	return mapped, nil
}

func tooLong(limit int) error { return fmt.Errorf("longer than %d bytes", limit) }
