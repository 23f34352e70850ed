package record

import "crypto/sha256"

// HashOf returns the hash of the record that a chain is of, without a look at
// anything that it rests on: to tell cheaply whether it is a known one. Error:
// ErrInvalid.
func HashOf(chain []byte) ([sha256.Size]byte, error) {
	if !isContainer(chain) {
		return sha256.Sum256(chain), nil
	}
	c, err := decodeContainer(chain)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(c.links[len(c.links)-1].body), nil
}

// ManifestOf returns the owner's manifest, as it was signed, that a chain begins
// with; it verifies nothing. Error: ErrInvalid.
func ManifestOf(chain []byte) ([]byte, error) {
	if !isContainer(chain) {
		return chain, nil
	}
	c, err := decodeContainer(chain)
	if err != nil {
		return nil, err
	}
	return c.manifest, nil
}
