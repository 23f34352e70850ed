package check

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

// The encodings of the package documentation, computed by other code (Python's
// hashlib and hmac, and OpenSSL).
var vectors = map[string]string{
	"batch":        "3e72d14467e417d3b949f31942de20b56cc791fa0f05f0f4f527ad10090dad25",
	"open":         "677561726469616e2d636865636b2d6f70656e2d76313e72d14467e417d3b949f31942de20b56cc791fa0f05f0f4f527ad10090dad25034343434343434343434343434343434343434343434343434343434343434343",
	"session":      "ca2eaad6f822a51072138e7b4300d532583367dfb286a856dff3e9b45357fd7f",
	"received":     "1186b718621904871571c294688feb68c5a9ca6220cd5045e5c08701ee461d86",
	"sealed":       "01ed1552212effe6e4ce491aff51beb623589a48c7cb7d80e5978f9fc4583ed98b102fbee98d7ce11135bc2cace9c8be",
	"seed":         "a307fc4ae6437f9c163e61f0e411e41b8e63f18f9f55b841a6208c874b77c9f4",
	"seal":         "677561726469616e2d636865636b2d736565642d7631ca2eaad6f822a51072138e7b4300d532583367dfb286a856dff3e9b45357fd7fa307fc4ae6437f9c163e61f0e411e41b8e63f18f9f55b841a6208c874b77c9f403",
	"rows":         "12e439b662b7c80056cfda53aae288bd32df81732b6d53329e091e3dae9db945df8347a38785218fa82cb0ffcd79b243",
	"matrix's end": "3a5de6b68a0b67c0e17437fffc93955f40b79902429c0818e1b6ca6ba3ffd11c",
}

func TestEncodings(t *testing.T) {
	const x, sender = 3, 1
	got := map[string][]byte{}
	keep := func(name string, d digest) { got[name] = d[:] }

	b := vectorBatch(t)
	roster := Roster{Dealers: []byte{1, 2}}
	var acks []Ack
	for _, x := range b.Holders() {
		roster.Members = append(roster.Members, Member{X: x, Key: times32(0x40 + x)})
		acks = append(acks, Ack{x, times32(0x80 + x), times32(0xc0 + x)})
	}
	session := sessionOf(b, roster)
	seed := seedOf(session, acks)
	keep("batch", b.hash)
	keep("session", session)
	keep("received", receivedOf(session, x, [][]byte{bytes.Repeat([]byte{1}, sealedSize), bytes.Repeat([]byte{2}, sealedSize)}))
	keep("seed", seed)
	got["open"] = openMessage(b.hash, x, roster.keyOf(x))
	got["seal"] = sealMessage(session, seed, x)
	got["rows"] = make([]byte, 48)
	keystream(seed, "guardian-check-rows-v1").XORKeyStream(got["rows"], got["rows"])
	matrix := make([]byte, rows*rows)
	keystream(seed, "guardian-check-matrix-v1").XORKeyStream(matrix, matrix)
	got["matrix's end"] = matrix[len(matrix)-32:]

	private, err := ecdh.X25519().NewPrivateKey(times32(0x11))
	must(t, err)
	peer, err := ecdh.X25519().NewPrivateKey(times32(0x13))
	must(t, err)
	aead, err := dealing(private, peer.PublicKey().Bytes(), session, sender, x)
	must(t, err)
	values := make([]byte, columns)
	for i := range values {
		values[i] = byte(i)
	}
	got["sealed"] = aead.Seal(nil, make([]byte, aead.NonceSize()), values, nil)

	if len(got) != len(vectors) {
		t.Errorf("%d values for %d vectors", len(got), len(vectors))
	}
	for name, want := range vectors {
		if hex.EncodeToString(got[name]) != want {
			t.Errorf("%s: got %x, want %s", name, got[name], want)
		}
	}
}

// vectorBatch is one record of known keys, K=2.
func vectorBatch(t *testing.T) *Batch {
	t.Helper()
	r := &record.Record{Threshold: 2, ShareSize: 5}
	for i := range r.Hash {
		r.Hash[i] = byte(i)
	}
	for x := byte(1); x <= 3; x++ {
		r.Holders = append(r.Holders, manifest.Holder{X: x, Key: times32(x), SHA256: sha256.Sum256([]byte{x})})
	}
	b, err := NewBatch([]*record.Record{r})
	must(t, err)
	return b
}

func times32(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
