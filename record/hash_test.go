package record

import (
	"bytes"
	"errors"
	"testing"
)

func TestHashOfAndManifestOf(t *testing.T) {
	first := signed0(t, sample(3, 5))
	for epoch, chain := range line(t, first, among(3, 2, 3, 4, 5, 6), among(3, 7, 8, 9, 10)) {
		hash, err := HashOf(chain)
		if err != nil || hash != mustParse(t, chain).Hash {
			t.Errorf("epoch %d: %x, %v", epoch, hash, err)
		}
		if signed, err := ManifestOf(chain); err != nil || !bytes.Equal(signed, first) {
			t.Errorf("epoch %d: %x, %v", epoch, signed, err)
		}
		if epoch == 0 {
			continue
		}
		if hash, err := HashOf(chain[:len(chain)-1]); !errors.Is(err, ErrInvalid) || hash != [32]byte{} {
			t.Errorf("epoch %d, cut off: %v", epoch, err)
		}
		if signed, err := ManifestOf(append(bytes.Clone(chain), 0)); !errors.Is(err, ErrInvalid) || signed != nil {
			t.Errorf("epoch %d, gone on: %v", epoch, err)
		}
	}
}
