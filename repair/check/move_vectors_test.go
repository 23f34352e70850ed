package check

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/vault-guardian/guardian/record"
)

// The encodings of a redistribution, computed by other code (Python's hashlib,
// hmac and cryptography); of what is signed there is the SHA-256.
var moveVectors = map[string]string{
	"move":       "9c9f06f1fa1be411e282d2932469598e5eedcb6f3c75d0c52291024d696b6f93",
	"open-new":   "cb2f799535c28bdc4126a878545cc212c3acf8f91127e635207343f582b3f6f1",
	"session":    "94f6b3c85cde0d765e99318e20e1d992f83de87ca42cada7492645d9ee577bf6",
	"share":      "fee5d2ef011b208155a13d83c9fb96f867da1eae815168f65fd101084d84c5dbc21d1a2fa2",
	"taken":      "6073dba4d85e630c2051df5deb4a66595f2da17b27d25747e2e12c0c08a1cec6",
	"seed":       "9a51d8338d2682e2bdfc3e887ade94776f0122c58a6aac1181604d86b9797dae",
	"seal-new":   "4734a66a0ea854a1cedb25b8a1c5d9247afc70f6a45bccf25021da3f83fcee6b",
	"answer-old": "37cfd81cd22b4a90270067712c196a76d6852213c8382e5af054ba98bb01ea46",
	"answer-new": "1329724d1b44314534c8560f0c2baa485eba4fbc828322f815268b5ad719f053",
}

func TestMoveEncodings(t *testing.T) {
	const x, sender = 9, 1
	got := map[string]digest{}
	b := *vectorBatch(t)
	p := record.Proposal{Threshold: 2}
	for _, target := range []struct {
		x    byte
		node string
	}{{2, "two"}, {9, "nine"}, {77, "node-77"}} {
		p.Holders = append(p.Holders, record.Target{X: target.x, Node: target.node, Key: times32(0x20 + target.x)})
	}
	b.proposal, b.hash = &p, movedOf(b.hash, p)
	roster := Roster{Dealers: []byte{1, 2}}
	var acks sides[Ack]
	for _, x := range b.Holders() {
		roster.Members = append(roster.Members, Member{X: x, Key: times32(0x40 + x)})
		acks.old = append(acks.old, Ack{x, times32(0x80 + x), times32(0xc0 + x)})
	}
	for _, x := range b.targets() {
		roster.New = append(roster.New, Member{X: x, Key: times32(0x60 + x)})
		acks.new = append(acks.new, Ack{x, times32(0x90 + x), times32(0xd0 + x)})
	}
	session := sessionOf(&b, roster)
	seed := seedOf(session, acks.old, acks.new)
	columns := [][]byte{bytes.Repeat([]byte{6}, rows), bytes.Repeat([]byte{7}, rows)}
	received := AnswerAnswer{Columns: columns}
	published := AnswerAnswer{Shares: bytes.Repeat([]byte{5}, rows), Columns: columns}
	got["move"], got["session"], got["seed"] = b.hash, session, seed
	got["open-new"] = sha256.Sum256(openMessageOf(b.hash, Party{true, x}, roster.keyFor(Party{true, x})))
	got["taken"] = takenOf(session, x, []digest{sha256.Sum256(bytes.Repeat([]byte{1}, 37)), sha256.Sum256(bytes.Repeat([]byte{2}, 37))})
	got["seal-new"] = sha256.Sum256(sealMessageOf(session, seed, Party{true, x}))
	got["answer-old"] = sha256.Sum256(answerMessage(session, seed, Party{X: 3}, published))
	got["answer-new"] = sha256.Sum256(answerMessage(session, seed, Party{true, x}, received))

	private, err := ecdh.X25519().NewPrivateKey(times32(0x11))
	must(t, err)
	peer, err := ecdh.X25519().NewPrivateKey(times32(0x13))
	must(t, err)
	values := make([]byte, 21)
	for i := range values {
		values[i] = byte(i)
	}
	sealed, err := sealShare(private, peer.PublicKey().Bytes(), session, sender, x, values)
	must(t, err)

	if len(got)+1 != len(moveVectors) || hex.EncodeToString(sealed) != moveVectors["share"] {
		t.Errorf("%d values for %d vectors, share %x", len(got), len(moveVectors), sealed)
	}
	for name, value := range got {
		if hex.EncodeToString(value[:]) != moveVectors[name] {
			t.Errorf("%s: got %x, want %s", name, value, moveVectors[name])
		}
	}
}
