package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/crypto/cryptobyte"

	"github.com/vault-guardian/guardian/manifest"
)

// bodyPrefix begins every body, and nothing else that is hashed to name a
// record: a manifest begins otherwise.
const bodyPrefix = "guardian-record-v1\n"

const splitSize = 16

// encode is the body of a record of which all fields were checked.
func (r *Record) encode() []byte {
	b := cryptobyte.NewBuilder([]byte(bodyPrefix))
	addHex(b, r.Identity)
	addShort(b, r.Name)
	b.AddUint64(r.Version)
	b.AddUint64(r.Epoch)
	b.AddUint8(uint8(r.Threshold))
	addHex(b, r.Split)
	b.AddUint32(uint32(r.ShareSize))
	b.AddBytes(r.Base[:])
	b.AddBytes(r.Lineage[:])
	b.AddUint8(uint8(len(r.Holders)))
	for _, h := range r.Holders {
		b.AddUint8(h.X)
		addShort(b, h.Node)
		b.AddBytes(h.Key)
	}
	return b.BytesOrPanic() // no field is too long for its length
}

func addHex(b *cryptobyte.Builder, digits string) {
	text, _ := hex.DecodeString(digits)
	b.AddBytes(text)
}

func addShort(b *cryptobyte.Builder, text string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

// decodeBody reads what encode wrote, to the last byte. Of what it returns the
// form is right; bounds are for the caller to check.
func decodeBody(body []byte) (*Record, error) {
	rest, begins := bytes.CutPrefix(body, []byte(bodyPrefix))
	if !begins {
		return nil, invalid("it does not begin with %q", bodyPrefix)
	}
	r := &Record{Hash: sha256.Sum256(body)}
	s := cryptobyte.String(rest)
	if !r.read(&s) || !s.Empty() {
		return nil, invalid("its body is cut off, goes on, or has a field of the wrong form")
	}
	return r, nil
}

func (r *Record) read(s *cryptobyte.String) bool {
	var threshold uint8
	var size uint32
	if !readHex(s, &r.Identity, sha256.Size) || !readShort(s, &r.Name) ||
		!s.ReadUint64(&r.Version) || !s.ReadUint64(&r.Epoch) || !s.ReadUint8(&threshold) ||
		!readHex(s, &r.Split, splitSize) || !s.ReadUint32(&size) ||
		!s.CopyBytes(r.Base[:]) || !s.CopyBytes(r.Lineage[:]) {
		return false
	}
	r.Threshold, r.ShareSize = int(threshold), int(size)
	return r.readHolders(s)
}

func (r *Record) readHolders(s *cryptobyte.String) bool {
	var count uint8
	if !s.ReadUint8(&count) {
		return false
	}
	r.Holders = make([]manifest.Holder, count)
	for i := range r.Holders {
		h := &r.Holders[i]
		h.Key = make([]byte, ed25519.PublicKeySize)
		if !s.ReadUint8(&h.X) || !readShort(s, &h.Node) || !s.CopyBytes(h.Key) {
			return false
		}
	}
	return true
}

func readHex(s *cryptobyte.String, into *string, size int) bool {
	var text []byte
	read := s.ReadBytes(&text, size)
	*into = hex.EncodeToString(text)
	return read
}

func readShort(s *cryptobyte.String, into *string) bool {
	var text cryptobyte.String
	read := s.ReadUint8LengthPrefixed(&text)
	*into = string(text)
	return read
}
