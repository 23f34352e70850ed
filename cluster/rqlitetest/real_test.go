//go:build rqlite

package rqlitetest_test

import (
	"net/http"
	"testing"

	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// TestRealAnswers holds the table that the stand-in is tested with against
// rqlite itself.
func TestRealAnswers(t *testing.T) {
	for name, start := range map[string]func(testing.TB, int) *rqlitetest.Real{"plain": rqlitetest.NewReal, "TLS": rqlitetest.NewRealTLS} {
		t.Run(name, func(t *testing.T) {
			r := start(t, 1)
			wantExchanges(t, func(path, body string) (int, http.Header, string, error) { return r.Ask(0, path, body) })
		})
	}
}
