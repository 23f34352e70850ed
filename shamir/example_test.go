package shamir_test

import (
	"fmt"

	"github.com/vault-guardian/guardian/shamir"
)

func Example() {
	shares, err := shamir.Split([]byte("attack at dawn"), 3, []byte{1, 2, 3, 4, 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := shamir.Combine(shares[2:])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", secret)
	// Output: attack at dawn
}
