package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// prefix begins every manifest, and with it what is signed. No proof of
// ownership begins so.
const prefix = "guardian-manifest-v1\n"

const splitSize = 16

// encode is all but the signature, of fields that were checked.
func (m *Manifest) encode() []byte {
	b := append([]byte(prefix), m.Owner...)
	b = appendShort(b, []byte(m.Name))
	b = binary.BigEndian.AppendUint64(b, m.Version)
	b = append(b, byte(m.Threshold))
	b, _ = hex.AppendDecode(b, []byte(m.Split))
	b = binary.BigEndian.AppendUint32(b, uint32(m.PayloadSize))
	b = append(b, m.PayloadSHA256[:]...)
	b = m.Policy.append(b)
	b = append(b, byte(len(m.Holders)))
	for _, h := range m.Holders {
		b = h.append(b)
	}
	return b
}

func (p *Policy) append(b []byte) []byte {
	var refresh byte
	if p.Refresh {
		refresh = 1
	}
	b = append(b, refresh, byte(p.MinThreshold), byte(p.MaxHolders))
	return appendShort(b, p.Admission)
}

func (h *Holder) append(b []byte) []byte {
	b = append(b, h.X)
	b = appendShort(b, []byte(h.Node))
	b = appendShort(b, h.Key)
	return append(b, h.SHA256[:]...)
}

// appendShort appends a string of at most 255 bytes behind its length.
func appendShort(b, text []byte) []byte {
	return append(append(b, byte(len(text))), text...)
}

// decode reads what encode wrote, to the last byte. Of what it returns the form
// is right; bounds and signature are for the caller to check.
func decode(body []byte) (*Manifest, error) {
	rest, begins := bytes.CutPrefix(body, []byte(prefix))
	if !begins {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrInvalid, prefix)
	}
	m := &Manifest{Owner: make([]byte, ed25519.PublicKeySize)}
	s := cryptobyte.String(rest)
	if !m.read(&s) || !s.Empty() {
		return nil, fmt.Errorf("%w: it is cut off, goes on, or has a field of the wrong form", ErrInvalid)
	}
	m.Identity = identityOf(m.Owner)
	return m, nil
}

func (m *Manifest) read(s *cryptobyte.String) bool {
	var size uint32
	split := make([]byte, splitSize)
	if !s.CopyBytes(m.Owner) || !readText(s, &m.Name) || !s.ReadUint64(&m.Version) ||
		!readByte(s, &m.Threshold) || !s.CopyBytes(split) ||
		!s.ReadUint32(&size) || !s.CopyBytes(m.PayloadSHA256[:]) || !m.Policy.read(s) {
		return false
	}
	m.Split, m.PayloadSize = hex.EncodeToString(split), int(size)
	return m.readHolders(s)
}

func (p *Policy) read(s *cryptobyte.String) bool {
	var refresh int
	if !readByte(s, &refresh) || refresh > 1 {
		return false
	}
	p.Refresh = refresh == 1
	return readByte(s, &p.MinThreshold) && readByte(s, &p.MaxHolders) && readKey(s, &p.Admission)
}

func (m *Manifest) readHolders(s *cryptobyte.String) bool {
	var count uint8
	if !s.ReadUint8(&count) {
		return false
	}
	m.Holders = make([]Holder, count)
	for i := range m.Holders {
		h := &m.Holders[i]
		if !s.ReadUint8(&h.X) || !readText(s, &h.Node) || !readKey(s, &h.Key) || !s.CopyBytes(h.SHA256[:]) {
			return false
		}
	}
	return true
}

func readByte(s *cryptobyte.String, into *int) bool {
	var b uint8
	read := s.ReadUint8(&b)
	*into = int(b)
	return read
}

func readText(s *cryptobyte.String, into *string) bool {
	var text cryptobyte.String
	read := s.ReadUint8LengthPrefixed(&text)
	*into = string(text)
	return read
}

// readKey reads a key, or the length 0 that stands for none.
func readKey(s *cryptobyte.String, into *ed25519.PublicKey) bool {
	var key cryptobyte.String
	read := s.ReadUint8LengthPrefixed(&key)
	if !key.Empty() {
		*into = bytes.Clone(key)
	}
	return read
}
