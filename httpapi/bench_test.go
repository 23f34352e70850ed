package httpapi_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

const (
	requestsPerRound  = 128
	roundsPerLap      = 4
	objectsPerVersion = 2 // share and checksum
)

var shareSizes = []struct {
	name  string
	bytes int
}{{"1KiB", 1 << 10}, {"64KiB", 64 << 10}}

// BenchmarkPush reports pushes per second of one guardian on a directory: of
// identities it has never seen, and of the next version of those it has. The
// baselines run in turns with it.
func BenchmarkPush(b *testing.B) {
	for _, size := range shareSizes {
		b.Run("new/"+size.name, func(b *testing.B) { pushNew(b, size.bytes) })
	}
	for _, size := range shareSizes {
		b.Run("next/"+size.name, func(b *testing.B) { pushNext(b, size.bytes) })
	}
}

func pushNew(b *testing.B, size int) {
	c := newContest(b, encoded(b, api.PushResponse{Status: "stored"}))
	pushes := func(round int) []exchange {
		return eachOf(round, func(identity string) exchange { return pushTo(b, identity, 1, size) })
	}
	untimed(b, pushes(0), c.all()...)
	rounds := c.measure(b, "push/s", func(round int) []exchange { return pushes(round + 1) })
	untimed(b, eachOf(rounds, func(identity string) exchange { return pullFrom(b, identity, 1, size) }), c.guardian)
}

func pushNext(b *testing.B, size int) {
	c := newContest(b, encoded(b, api.PushResponse{Status: "stored"}))
	pushes := func(version int) []exchange {
		return eachOf(0, func(identity string) exchange { return pushTo(b, identity, version, size) })
	}
	for version := range retained {
		untimed(b, pushes(version), c.all()...)
	}
	c.drops = objectsPerVersion * requestsPerRound
	rounds := c.measure(b, "push/s", func(round int) []exchange { return pushes(round + retained) })
	last := rounds - 1 + retained
	untimed(b, eachOf(0, func(identity string) exchange { return pullFrom(b, identity, last, size) }), c.guardian)
}

// BenchmarkPull reports pulls per second of one guardian on a directory. The
// baselines run in turns with it.
func BenchmarkPull(b *testing.B) {
	for _, size := range shareSizes {
		b.Run(size.name, func(b *testing.B) { pull(b, size.bytes) })
	}
}

func pull(b *testing.B, size int) {
	pulls := eachOf(0, func(identity string) exchange { return pullFrom(b, identity, 1, size) })
	c := newContest(b, pulls[0].want)
	pushes := eachOf(0, func(identity string) exchange { return pushTo(b, identity, 1, size) })
	untimed(b, pushes, c.file, c.guardian)
	untimed(b, pulls, c.all()...)
	c.measure(b, "pull/s", func(int) []exchange { return pulls })
}

// exchange is a request and the one right answer to it.
type exchange struct {
	route      string
	body, want []byte
}

// eachOf makes one exchange for every identity of a round; no two rounds have
// an identity in common.
func eachOf(round int, of func(identity string) exchange) []exchange {
	exchanges := make([]exchange, requestsPerRound)
	for i := range exchanges {
		exchanges[i] = of(fmt.Sprintf("%0*x", api.IdentityDigits, round*requestsPerRound+i))
	}
	return exchanges
}

func pushTo(b *testing.B, identity string, version, size int) exchange {
	body := pushBody(identity, shareOf(identity, version, size), fmt.Sprint(version))
	return exchange{api.RoutePush, []byte(body), encoded(b, api.PushResponse{Status: "stored"})}
}

func pullFrom(b *testing.B, identity string, version, size int) exchange {
	want := api.PullResponse{Share: shareOf(identity, version, size), Version: uint64(version)}
	return exchange{api.RoutePull, []byte(pullBody(identity)), encoded(b, want)}
}

// shareOf is another share for every identity and version.
func shareOf(identity string, version, size int) string {
	sum := sha256.Sum256(fmt.Append(nil, identity, version))
	return base64.StdEncoding.EncodeToString(bytes.Repeat(sum[:], size/len(sum)))
}

func encoded(b *testing.B, answer any) []byte {
	text, err := json.Marshal(answer)
	if err != nil {
		b.Fatal(err)
	}
	return append(text, '\n')
}
