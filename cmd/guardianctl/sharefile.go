package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"strconv"
)

// The format of a share file is published in docs/FORMATS.md.
const (
	shareType  = "GUARDIAN SHARE"
	shareBegin = "-----BEGIN " + shareType + "-----"
	shareEnd   = "-----END " + shareType + "-----"

	shareFormat     = 1
	shareCheckLabel = "guardian/v1/share-file"
	// shareHeaders is how many headers a share has.
	shareHeaders = 8

	// padSize random bytes follow the secret in what is split, so that its hash
	// tells nothing about the secret.
	padSize = 32
	// maxShares is the number of points, and leastThreshold the least for which
	// one share alone tells nothing.
	maxShares, leastThreshold = 255, 2
	// maxSplitSize bounds the shares of one split together, in bytes: all of
	// them are in memory at once.
	maxSplitSize = 128 << 20
)

// splitFacts is what all share files of one split say alike.
type splitFacts struct {
	id        [16]byte
	threshold int
	shares    int
	size      int               // of the secret, in bytes
	hash      [sha256.Size]byte // of the payload: the secret and its pad
}

func (f splitFacts) name() string { return hex.EncodeToString(f.id[:]) }

// String is how warnings tell facts apart.
func (f splitFacts) String() string {
	return fmt.Sprintf("%d of %d shares, %d bytes, hash %x", f.threshold, f.shares, f.size, f.hash)
}

// shareFile is a share, and what is said of its split.
type shareFile struct {
	splitFacts
	data []byte // [x][y...], as package shamir has it
}

func (s shareFile) point() byte { return s.data[0] }

// check finds accidental damage. It is no signature: who changes a share on
// purpose makes a new one.
func (s shareFile) check() string {
	h := sha256.New()
	h.Write([]byte(shareCheckLabel))
	h.Write(s.id[:])
	h.Write([]byte{byte(s.threshold), byte(s.shares)})
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(s.size)))
	h.Write(s.hash[:])
	h.Write(s.data)
	return hex.EncodeToString(h.Sum(nil))
}

// text is the share file. The caller wipes it.
func (s shareFile) text() ([]byte, error) {
	var text bytes.Buffer
	text.Grow(len(s.data)*3/2 + 1<<10) // at once: growing leaves copies
	err := pem.Encode(&text, &pem.Block{Type: shareType, Bytes: s.data[1:], Headers: map[string]string{
		"Format":    strconv.Itoa(shareFormat),
		"Split":     s.name(),
		"Point":     strconv.Itoa(int(s.point())),
		"Threshold": strconv.Itoa(s.threshold),
		"Shares":    strconv.Itoa(s.shares),
		"Size":      strconv.Itoa(s.size),
		"Hash":      hex.EncodeToString(s.hash[:]),
		"Check":     s.check(),
	}})
	return text.Bytes(), err
}

// parseShareFile returns the shares in a text that are whole, and an error if
// there are none or others are damaged. What stands around shares is ignored.
// Errors do not quote the text.
func parseShareFile(text []byte) (whole []shareFile, problem error) {
	blocks := 0
	for block := range shareBlocks(text) {
		if blocks++; blocks > maxShares {
			return nil, fmt.Errorf("it holds more than %d shares: no split has so many", maxShares)
		}
		share, err := parseShare(block)
		if err == nil {
			whole = append(whole, share)
		} else if problem == nil {
			problem = err
		}
	}
	switch ended := bytes.Count(text, []byte(shareEnd)); {
	case problem == nil && ended > blocks:
		problem = errors.New("a share is damaged: there is no line " + shareBegin)
	case problem == nil && blocks == 0:
		problem = errors.New("it holds no share: there is no line " + shareBegin)
	}
	return whole, problem
}

// shareBlocks cuts a text in front of each share.
func shareBlocks(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for start := bytes.Index(text, []byte(shareBegin)); start >= 0; {
			text = text[start:]
			next := bytes.Index(text[len(shareBegin):], []byte(shareBegin))
			if next < 0 {
				yield(text)
				return
			}
			start = len(shareBegin) + next
			if !yield(text[:start]) {
				return
			}
		}
	}
}

// parseShare reads the share that a text begins with.
func parseShare(text []byte) (shareFile, error) {
	end := bytes.Index(text, []byte(shareEnd))
	if end < 0 {
		return shareFile{}, errors.New("a share is cut off: there is no line " + shareEnd)
	}
	// Base64 has no colon. Without this pem would keep headers by the million.
	if bytes.Count(text[:end], []byte(":")) != shareHeaders {
		return shareFile{}, fmt.Errorf("a share is damaged: it does not have %d headers", shareHeaders)
	}
	block, _ := pem.Decode(text[:end+len(shareEnd)])
	if block == nil || block.Type != shareType {
		return shareFile{}, errors.New("a share is damaged: its text is garbled")
	}
	defer clear(block.Bytes)
	return readBlock(block)
}

func readBlock(block *pem.Block) (shareFile, error) {
	var s shareFile
	h := headerFields{of: block.Headers}
	if h.of["Format"] != strconv.Itoa(shareFormat) {
		return shareFile{}, fmt.Errorf("a share is damaged or of a newer guardianctl: its format is not %d", shareFormat)
	}
	h.digits("Split", s.id[:])
	h.digits("Hash", s.hash[:])
	s.shares = h.number("Shares", leastThreshold, maxShares)
	s.threshold = h.number("Threshold", leastThreshold, s.shares)
	s.size = h.number("Size", 1, maxSplitSize)
	point := h.number("Point", 1, s.shares)
	if h.err != nil {
		return shareFile{}, h.err
	}
	if len(block.Bytes) != s.size+padSize {
		return shareFile{}, fmt.Errorf("a share is damaged: it has %d bytes in place of %d", len(block.Bytes), s.size+padSize)
	}
	s.data = make([]byte, 1+len(block.Bytes))
	s.data[0] = byte(point)
	copy(s.data[1:], block.Bytes)
	if s.check() != h.of["Check"] {
		clear(s.data)
		return shareFile{}, errors.New("a share is damaged: it does not have the SHA-256 that Check says")
	}
	return s, nil
}

// headerFields are those of a share. err is the first thing wrong with them.
type headerFields struct {
	of  map[string]string
	err error
}

// number takes one spelling only.
func (h *headerFields) number(name string, least, most int) int {
	n, err := strconv.Atoi(h.of[name])
	if h.err == nil && (err != nil || n < least || n > most || strconv.Itoa(n) != h.of[name]) {
		h.err = fmt.Errorf("a share is damaged: %s is not a number from %d to %d", name, least, most)
	}
	return n
}

func (h *headerFields) digits(name string, into []byte) {
	decoded, err := hex.DecodeString(h.of[name])
	if h.err == nil && (err != nil || len(decoded) != len(into) || hex.EncodeToString(decoded) != h.of[name]) {
		h.err = fmt.Errorf("a share is damaged: %s is not %d hex digits in lower case", name, 2*len(into))
	}
	copy(into, decoded)
}
