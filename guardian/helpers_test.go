package guardian

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/integrity"
)

var quiet = slog.New(slog.DiscardHandler)

func testSealer(t testing.TB) *integrity.Sealer {
	t.Helper()
	source := integrity.InlineSource{Text: strings.Repeat("0f", integrity.KeySize)}
	sealer, err := integrity.NewSealer(t.Context(), "local", source, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}
