package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
)

// chainPrefix tells a chain from a bare manifest, which begins otherwise.
const chainPrefix = "guardian-chain-v1\n"

// container is a chain of epoch 1 or later, as it is kept.
type container struct {
	manifest []byte
	// ancestors are the hashes of the records of epoch 0 and all after it, but
	// for the last link's.
	ancestors [][sha256.Size]byte
	links     []link
}

// link is one record and its votes.
type link struct {
	body []byte
	certificate
}

func isContainer(chain []byte) bool { return bytes.HasPrefix(chain, []byte(chainPrefix)) }

func (c *container) encode() ([]byte, error) {
	b := cryptobyte.NewBuilder([]byte(chainPrefix))
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.manifest) })
	b.AddUint16(uint16(len(c.ancestors)))
	for _, hash := range c.ancestors {
		b.AddBytes(hash[:])
	}
	b.AddUint16(uint16(len(c.links)))
	for _, l := range c.links {
		l.add(b)
	}
	chain, err := b.Bytes()
	if err != nil || len(chain) > MaxSize {
		return nil, invalid("its chain is larger than %d bytes", MaxSize)
	}
	return chain, nil
}

func (l *link) add(b *cryptobyte.Builder) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(l.body) })
	b.AddBytes(l.Seed[:])
	b.AddUint8(uint8(len(l.Agreed)))
	for i, v := range l.Agreed {
		b.AddUint8(v.X)
		b.AddBytes(l.voters[i])
		b.AddBytes(v.Signature)
	}
	b.AddUint8(uint8(len(l.Prepared)))
	for _, v := range l.Prepared {
		b.AddUint8(v.X)
		b.AddBytes(v.Share[:])
		b.AddBytes(v.Signature)
	}
}

// decodeContainer reads what encode wrote, to the last byte. Of what it returns
// the form is right, and nothing else.
func decodeContainer(chain []byte) (*container, error) {
	rest, begins := bytes.CutPrefix(chain, []byte(chainPrefix))
	if !begins || len(chain) > MaxSize {
		return nil, invalid("it does not begin with %q, or is larger than %d bytes", chainPrefix, MaxSize)
	}
	c := &container{}
	s := cryptobyte.String(rest)
	if !c.read(&s) || !s.Empty() {
		return nil, invalid("its chain is cut off, goes on, or has a field of the wrong form")
	}
	return c, nil
}

func (c *container) read(s *cryptobyte.String) bool {
	var signed cryptobyte.String
	var epochs, links uint16
	if !s.ReadUint24LengthPrefixed(&signed) || !s.ReadUint16(&epochs) || epochs < 1 || epochs > MaxEpochs {
		return false
	}
	c.manifest = signed
	c.ancestors = make([][sha256.Size]byte, epochs)
	for i := range c.ancestors {
		if !s.CopyBytes(c.ancestors[i][:]) {
			return false
		}
	}
	if !s.ReadUint16(&links) || links < 1 || links > epochs {
		return false
	}
	c.links = make([]link, links)
	for i := range c.links {
		if !c.links[i].read(s) {
			return false
		}
	}
	return true
}

func (l *link) read(s *cryptobyte.String) bool {
	var body cryptobyte.String
	var agreed, prepared uint8
	if !s.ReadUint16LengthPrefixed(&body) || !s.CopyBytes(l.Seed[:]) || !s.ReadUint8(&agreed) {
		return false
	}
	l.body = body
	l.Agreed, l.voters = make([]Vote, agreed), make([]ed25519.PublicKey, agreed)
	for i := range l.Agreed {
		l.voters[i] = make([]byte, ed25519.PublicKeySize)
		if !s.ReadUint8(&l.Agreed[i].X) || !s.CopyBytes(l.voters[i]) || !readSignature(s, &l.Agreed[i]) {
			return false
		}
	}
	if !s.ReadUint8(&prepared) {
		return false
	}
	l.Prepared = make([]Vote, prepared)
	for i := range l.Prepared {
		v := &l.Prepared[i]
		if !s.ReadUint8(&v.X) || !s.CopyBytes(v.Share[:]) || !readSignature(s, v) {
			return false
		}
	}
	return true
}

func readSignature(s *cryptobyte.String, v *Vote) bool {
	return s.ReadBytes(&v.Signature, ed25519.SignatureSize)
}
