package envelope

import (
	"bytes"
	"fmt"
	"slices"
)

const (
	// MaxSlots is how many roots can open one payload.
	MaxSlots = 8
	// MaxPayload is the size of the largest payload, in bytes: a share is one
	// byte longer and must not exceed 512 KiB.
	MaxPayload = 512<<10 - 1
	// Overhead is what Seal adds to a secret for one root, in bytes, the 32
	// random ones included. Every further root adds SlotSize.
	Overhead = preambleSize + SlotSize + lockSize + padSize
	// SlotSize is what each further root adds, in bytes.
	SlotSize = 1 + lockSize + keySize
	// HeadSize is how many of the first bytes of a payload Matches looks at.
	HeadSize = preambleSize + MaxSlots*SlotSize

	// format begins a payload; its last byte is the version.
	format       = "GVE\x01"
	saltSize     = 32
	preambleSize = len(format) + saltSize + 1
	padSize      = 32

	labelKEK  = "guardian/v1/kek"
	labelBody = "guardian/v1/body"
)

// parts is a payload taken apart. It is the payload's own memory.
type parts struct {
	preamble []byte // format, salt, number of slots
	slots    [][]byte
	header   []byte // preamble and slots
	body     []byte
	pad      []byte
}

// parse checks lengths only, all of them before anything is looked at. Error:
// ErrFormat.
func parse(payload []byte) (*parts, error) {
	if len(payload) < Overhead+1 || len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(payload))
	}
	p, err := parseHead(payload)
	if err != nil {
		return nil, err
	}
	if len(payload) < len(p.header)+lockSize+1+padSize {
		return nil, errSlotCount
	}
	end := len(payload) - padSize
	p.body, p.pad = payload[len(p.header):end], payload[end:]
	return p, nil
}

var errSlotCount = fmt.Errorf("%w: impossible number of slots", ErrFormat)

// parseHead is parse for the first bytes of a payload, without body and pad.
func parseHead(head []byte) (*parts, error) {
	if len(head) < preambleSize || !bytes.HasPrefix(head, []byte(format)) {
		return nil, fmt.Errorf("%w: other first bytes", ErrFormat)
	}
	count := int(head[preambleSize-1])
	headerSize := preambleSize + count*SlotSize
	if count < 1 || count > MaxSlots || len(head) < headerSize {
		return nil, errSlotCount
	}
	return &parts{
		preamble: head[:preambleSize],
		slots:    slices.Collect(slices.Chunk(head[preambleSize:headerSize], SlotSize)),
		header:   head[:headerSize],
	}, nil
}

func saltOf(preamble []byte) []byte { return preamble[len(format):][:saltSize] }

// slotLock is the lock of one slot of one payload.
func slotLock(root *Root, preamble []byte, index int, place string) (lock, error) {
	return newLock(root.wrap, saltOf(preamble), labelKEK+string([]byte{byte(index)})+place)
}

// bodyLock is the lock of the secret in one payload.
func bodyLock(dataKey, preamble []byte, place string) (lock, error) {
	return newLock(dataKey, saltOf(preamble), labelBody+place)
}

// slotContext is what a slot authenticates beside the data key.
func slotContext(preamble []byte, index int, k kind) []byte {
	return append(slices.Clone(preamble), byte(index), byte(k))
}

// bodyContext is what the body authenticates beside the secret. The random
// bytes are in it so that every byte of a payload is covered.
func bodyContext(header, pad []byte) []byte { return slices.Concat(header, pad) }
