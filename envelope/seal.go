package envelope

import (
	"crypto/rand"
	"fmt"
)

// Seal returns the payload to split and push: the envelope and 32 random bytes,
// which keep hashes of the payload from telling anything. Every root can open
// it, at this place alone. Two payloads of one secret have nothing in common
// but their length. The length is that of the secret plus Overhead, and
// SlotSize for each root beyond the first.
//
// Errors: ErrSecretSize for a secret that is empty or gives a payload longer
// than MaxPayload, ErrPlace, ErrRoots.
func Seal(secret []byte, at Place, roots ...*Root) ([]byte, error) {
	random := new(draw)
	defer wipe(random.dataKey[:])
	for _, part := range [][]byte{random.salt[:], random.dataKey[:], random.pad[:]} {
		if _, err := rand.Read(part); err != nil {
			return nil, fmt.Errorf("drawing keys: %w", err)
		}
	}
	return seal(secret, at, roots, random)
}

// draw is what is random in a payload.
type draw struct {
	salt    [saltSize]byte
	dataKey [keySize]byte
	pad     [padSize]byte
}

// seal gives the same payload for the same draw, which must not be used twice.
func seal(secret []byte, at Place, roots []*Root, random *draw) ([]byte, error) {
	if err := checkRoots(roots); err != nil {
		return nil, err
	}
	overhead := Overhead + (len(roots)-1)*SlotSize
	if len(secret) == 0 || len(secret) > MaxPayload-overhead {
		return nil, fmt.Errorf("%w: %d bytes, not 1 to %d", ErrSecretSize, len(secret), MaxPayload-overhead)
	}
	place, err := at.encode()
	if err != nil {
		return nil, err
	}
	header, err := sealHeader(make([]byte, 0, overhead+len(secret)), place, roots, random)
	if err != nil {
		return nil, err
	}
	envelope, err := sealBody(header, secret, place, random)
	if err != nil {
		return nil, err
	}
	return append(envelope, random.pad[:]...), nil
}

func checkRoots(roots []*Root) error {
	if len(roots) < 1 || len(roots) > MaxSlots {
		return fmt.Errorf("%w: %d, not 1 to %d", ErrRoots, len(roots), MaxSlots)
	}
	for i, root := range roots {
		if !root.usable() {
			return fmt.Errorf("%w: number %d was wiped", ErrRoots, i+1)
		}
	}
	return nil
}

// sealHeader appends everything before the body to dst, which is empty.
func sealHeader(dst []byte, place string, roots []*Root, random *draw) ([]byte, error) {
	dst = append(dst, format...)
	dst = append(dst, random.salt[:]...)
	dst = append(dst, byte(len(roots)))
	preamble := dst
	for i, root := range roots {
		var err error
		dst = append(dst, byte(root.kind))
		if dst, err = sealSlot(dst, preamble, place, i, root, random.dataKey[:]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func sealSlot(dst, preamble []byte, place string, index int, root *Root, dataKey []byte) ([]byte, error) {
	slot, err := slotLock(root, preamble, index, place)
	if err != nil {
		return nil, err
	}
	defer slot.wipe()
	return slot.close(dst, dataKey, slotContext(preamble, index, root.kind))
}

func sealBody(header, secret []byte, place string, random *draw) ([]byte, error) {
	body, err := bodyLock(random.dataKey[:], header[:preambleSize], place)
	if err != nil {
		return nil, err
	}
	defer body.wipe()
	return body.close(header, secret, bodyContext(header, random.pad[:]))
}
