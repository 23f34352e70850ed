package hot_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/backup/hot"
	"github.com/vault-guardian/guardian/integrity"
)

func sealerOf(t *testing.T, nodeID, key string) *integrity.Sealer {
	t.Helper()
	sealer, err := integrity.NewSealer(t.Context(), nodeID, integrity.InlineSource{Text: strings.Repeat(key, integrity.KeySize)}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// Only what this guardian's keyring has sealed just now is answered.
func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := sealerOf(t, "g1", "0a")
		request := func(sealer *integrity.Sealer) hot.Request {
			r, err := hot.NewRequest(sealer)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		sound := request(own)
		later, earlier, untagged, odd := sound, sound, sound, sound
		later.AskedNS++
		earlier.AskedNS = 0
		untagged.Tag, odd.Tag = "", "zz"
		for name, r := range map[string]hot.Request{
			"nothing": {}, "another key": request(sealerOf(t, "g1", "0b")), "another guardian": request(sealerOf(t, "g2", "0a")),
			"another time": later, "no time": earlier, "no tag": untagged, "no hex": odd,
		} {
			if err := r.Check(t.Context(), own); !errors.Is(err, hot.ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, wait := range []time.Duration{0, 2 * time.Minute} {
			time.Sleep(wait)
			if err := sound.Check(t.Context(), own); err != nil {
				t.Errorf("after %v: %v", wait, err)
			}
		}
		time.Sleep(time.Second)
		if err := sound.Check(t.Context(), own); !errors.Is(err, hot.ErrRefused) || !strings.Contains(err.Error(), "it was made 2m1s ago") {
			t.Errorf("too late: %v", err)
		}
	})
}
