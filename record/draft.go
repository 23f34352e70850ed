package record

import (
	"bytes"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"

	"github.com/vault-guardian/guardian/manifest"
)

// MaxDraftSize bounds a draft, in bytes.
const MaxDraftSize = MaxSize + 64<<10

const draftPrefix = "guardian-draft-v1\n"

// Draft returns what a node keeps with a share that it has prepared: the chain of
// the record before, and the body and seed of a record that nobody has voted for
// yet. It is no chain. Errors: those of Parse.
func Draft(chain, body []byte, seed [sha256.Size]byte) ([]byte, error) {
	if _, err := readDraft(chain, body, seed); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder([]byte(draftPrefix))
	b.AddBytes(seed[:])
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(chain) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(body) })
	return b.BytesOrPanic(), nil // both were parsed, which bounds them
}

// ParseDraft returns the record of a draft, of which no share's hash is known,
// and the parts of the draft. Chain and body are slices of it. Errors: those of
// Parse.
func ParseDraft(draft []byte) (r *Record, baseChain, body []byte, seed [sha256.Size]byte, err error) {
	rest, begins := bytes.CutPrefix(draft, []byte(draftPrefix))
	if !begins || len(draft) > MaxDraftSize {
		return nil, nil, nil, seed, invalid("it does not begin with %q, or is larger than %d bytes", draftPrefix, MaxDraftSize)
	}
	s := cryptobyte.String(rest)
	var chain, text cryptobyte.String
	if !s.CopyBytes(seed[:]) || !s.ReadUint24LengthPrefixed(&chain) || !s.ReadUint16LengthPrefixed(&text) || !s.Empty() {
		return nil, nil, nil, seed, invalid("its draft is cut off, or goes on")
	}
	r, err = readDraft(chain, text, seed)
	if err != nil {
		return nil, nil, nil, seed, err
	}
	return r, chain, text, seed, nil
}

func readDraft(chain, body []byte, seed [sha256.Size]byte) (*Record, error) {
	base, _, err := pageRules.parse(manifest.Parse, chain)
	if err != nil {
		return nil, err
	}
	return pageRules.successor(base, body, seed)
}
