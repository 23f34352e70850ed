package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
)

const (
	// windowSize is how many bytes in a row of a share count as a part of it: by
	// chance they occur nowhere else.
	windowSize = 16
	// blockSize is such that every window has a whole block of its share in it:
	// only blocks need be kept.
	blockSize = windowSize / 2
)

// windows finds parts of shares.
type windows struct {
	shares [][]byte
	blocks map[uint64][]place
}

// place is where a block lies.
type place struct{ share, at int }

func windowsOf(shares [][]byte) *windows {
	w := &windows{shares, map[uint64][]place{}}
	for i, share := range shares {
		for at := 0; at+blockSize <= len(share); at += blockSize {
			block := binary.BigEndian.Uint64(share[at:])
			w.blocks[block] = append(w.blocks[block], place{i, at})
		}
	}
	return w
}

// in returns of which shares there is a part in data: as it is, or as hex or
// either base64, wherever that begins.
func (w *windows) in(data []byte) map[int]bool {
	found := map[int]bool{}
	w.search(data, found)
	for run := range bytes.FieldsFuncSeq(data, isNot(isHexDigit)) {
		for _, digits := range [][]byte{run, run[min(1, len(run)):]} {
			decoded := make([]byte, len(digits)/2)
			n, _ := hex.Decode(decoded, digits[:len(digits)&^1]) // all are digits
			w.search(decoded[:n], found)
		}
	}
	standard := bytes.Map(toStandard, data)
	for run := range bytes.FieldsFuncSeq(standard, isNot(isBase64Digit)) {
		for skip := range min(4, len(run)) {
			digits := run[skip:]
			decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
			n, _ := base64.RawStdEncoding.Decode(decoded, digits) // what is left over is no byte
			w.search(decoded[:n], found)
		}
	}
	return found
}

// search looks for blocks, and where one is for what is around it in its share.
func (w *windows) search(data []byte, found map[int]bool) {
	for at := 0; at+blockSize <= len(data); at++ {
		for _, p := range w.blocks[binary.BigEndian.Uint64(data[at:])] {
			if !found[p.share] && w.isWindow(data, at, p) {
				found[p.share] = true
			}
		}
	}
}

// isWindow reports whether the block of a share that data has at a place belongs
// to a whole window.
func (w *windows) isWindow(data []byte, at int, p place) bool {
	share := w.shares[p.share]
	before, after := 0, blockSize
	for before < min(at, p.at, windowSize) && data[at-before-1] == share[p.at-before-1] {
		before++
	}
	for after < min(len(data)-at, len(share)-p.at, windowSize) && data[at+after] == share[p.at+after] {
		after++
	}
	return before+after >= windowSize
}

func isNot(is func(rune) bool) func(rune) bool { return func(r rune) bool { return !is(r) } }

func isHexDigit(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
}

func isBase64Digit(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '+' || r == '/'
}

// toStandard turns the digits of base64 for URLs into those of the other.
func toStandard(r rune) rune {
	switch r {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return r
}

// disguises are the ways in which a part of a share may be said.
var disguises = map[string]func([]byte) []byte{
	"raw":    func(part []byte) []byte { return part },
	"hex":    func(part []byte) []byte { return []byte(hex.EncodeToString(part)) },
	"HEX":    func(part []byte) []byte { return bytes.ToUpper([]byte(hex.EncodeToString(part))) },
	"base64": func(part []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(part)) },
	"URL":    func(part []byte) []byte { return []byte(base64.RawURLEncoding.EncodeToString(part)) },
}

// foundAll reports whether a part of each share is found in all its disguises.
func (w *windows) foundAll() bool {
	for i, share := range w.shares {
		middle := len(share) / 2
		part := share[max(0, middle-windowSize):middle]
		for _, disguise := range disguises {
			if !w.in(append([]byte(`{"masked":"`), disguise(part)...))[i] {
				return false
			}
		}
	}
	return true
}
