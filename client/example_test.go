package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// Keep a secret under 24 words, and bring it back with nothing but them.
func Example() {
	words, err := envelope.NewMnemonic() // write them down: they are all that is needed
	if err != nil {
		log.Fatal(err)
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		log.Fatal(err)
	}
	defer root.Wipe()
	urls := []string{
		"https://guardian-1.example", "https://guardian-2.example", "https://guardian-3.example",
		"https://guardian-4.example", "https://guardian-5.example",
	}
	vault, err := client.NewVault(urls, []string{"the bearer token"}, 0, client.WithRoot(root))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stored, err := vault.Store(ctx, root.Identity(), []byte("the seed of a wallet"))
	if err != nil {
		log.Fatal(err) // a *client.QuorumError says what each guardian said
	}
	fmt.Printf("version %d is with %d guardians\n", stored.Version, stored.Got)
	secret, report, err := vault.Pull(ctx, root.Identity())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes from %d shares\n", len(secret), report.Used)
	for _, guardian := range report.Guardians {
		if guardian.State != client.StateGood {
			fmt.Printf("%s is %s: %v\n", guardian.Guardian, guardian.State, guardian.Err)
		}
	}
}

// Open the same secret by a user name and passphrase. What is kept under those
// is nothing but the entropy of the words.
func ExampleWithRoot_passphrase() {
	ctx, urls := context.Background(), []string{"https://guardian-1.example", "https://guardian-2.example", "https://guardian-3.example"}
	byPassphrase, err := envelope.FromPassphrase("", "alice", "remark-vividly-oxidize-smith-pelican-ramp-kindle")
	if err != nil {
		log.Fatal(err)
	}
	vault, err := client.NewVault(urls, nil, 0, client.WithRoot(byPassphrase))
	if err != nil {
		log.Fatal(err)
	}
	entropy, _, err := vault.Pull(ctx, byPassphrase.Identity())
	if errors.Is(err, api.ErrNotFound) {
		log.Fatal("nothing is kept for this user and passphrase")
	}
	if err != nil {
		log.Fatal(err)
	}
	words, err := envelope.MnemonicOf(entropy)
	if err != nil {
		log.Fatal(err)
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the secret is kept under", root.Identity())
}

// See whether every guardian still has its share, without rebuilding anything.
func ExampleVault_Verify() {
	urls := []string{"https://guardian-1.example", "https://guardian-2.example", "https://guardian-3.example"}
	root, err := envelope.FromKeyFile(make([]byte, 32))
	if err != nil {
		log.Fatal(err)
	}
	vault, err := client.NewVault(urls, nil, 0, client.WithRoot(root), client.WithName("wallet"))
	if err != nil {
		log.Fatal(err)
	}
	report, err := vault.Verify(context.Background(), root.Identity())
	if errors.Is(err, client.ErrAuthentication) {
		fmt.Println("somebody shows a share that is not the owner's:", err)
	}
	fmt.Printf("%d of %d shares are good, %d are needed\n", report.Good, report.Holders, report.Threshold)
}

// Errors tell what to do next.
func ExampleQuorumError() {
	var err error = &client.QuorumError{Action: "push", Need: 4, Got: 3, Errs: []error{
		&client.Error{Guardian: "https://guardian-2.example", Status: 429, Err: api.ErrRateLimited},
	}}
	if failed, ok := errors.AsType[*client.QuorumError](err); ok {
		fmt.Printf("needed %d, got %d\n", failed.Need, failed.Got)
	}
	fmt.Println(errors.Is(err, api.ErrRateLimited))
	// Output:
	// needed 4, got 3
	// true
}
