package envelope_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vault-guardian/guardian/envelope"
)

// The 24 words are all that is needed to open what was sealed for them.
func Example() {
	words, err := envelope.NewMnemonic() // show them once, for the owner to write down
	if err != nil {
		fmt.Println(err)
		return
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer root.Wipe()
	at := envelope.Place{Identity: root.Identity(), Name: "launch", Version: 1}
	payload, err := envelope.Seal([]byte("attack at dawn"), at, root)
	if err != nil {
		fmt.Println(err)
		return
	}

	typed, err := envelope.FromMnemonic(strings.ToUpper(words)) // on another day, on another machine
	if err != nil {
		fmt.Println(err)
		return
	}
	defer typed.Wipe()
	at = envelope.Place{Identity: typed.Identity(), Name: "launch", Version: 1}
	secret, err := envelope.Open(payload, at, typed)
	fmt.Printf("%s %v\n", secret, err)
	// Output: attack at dawn <nil>
}

// A payload can have several ways in. Its place is that of the first one.
func ExampleSeal() {
	owner, err := envelope.FromMnemonic(strings.Repeat("abandon ", 23) + "art")
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := envelope.FromKeyFile([]byte("thirty-two bytes from a key file"))
	if err != nil {
		fmt.Println(err)
		return
	}
	at := envelope.Place{Identity: owner.Identity(), Name: "tls", Version: 7}
	payload, err := envelope.Seal([]byte("attack at dawn"), at, owner, server)
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := envelope.Open(payload, at, server)
	fmt.Printf("%s %v\n", secret, err)

	at.Version = 8 // what is of version 7 does not pass for version 8
	_, err = envelope.Open(payload, at, owner)
	fmt.Println(errors.Is(err, envelope.ErrOpen))
	// Output:
	// attack at dawn <nil>
	// true
}

// A typing error is told without repeating what was typed.
func ExampleEntropyOf() {
	_, err := envelope.EntropyOf(strings.Repeat("abandon ", 22) + "abondan art")
	fmt.Println(err)
	_, err = envelope.EntropyOf(strings.Repeat("abandon ", 24))
	fmt.Println(err)
	// Output:
	// not a recovery phrase of 24 words: word 23 is not in the list of BIP-39; check its spelling
	// not a recovery phrase of 24 words: the checksum is wrong; a word was taken for another, or their order changed
}
