package shamir_test

import (
	"fmt"

	"github.com/vault-guardian/guardian/shamir"
)

// Two of seven guardians answer with garbage.
func ExampleCombineRobust() {
	shares, err := shamir.Split([]byte("attack at dawn"), 3, []byte{1, 2, 3, 4, 5, 6, 7})
	if err != nil {
		fmt.Println(err)
		return
	}
	clear(shares[1][1:])
	shares[6][5] ^= 0x40

	found, err := shamir.CombineRobust(shares, 3)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s; wrong: %v of at most %d\n", found.Secret, found.Wrong, found.Bound)
	// Output: attack at dawn; wrong: [1 6] of at most 2
}
