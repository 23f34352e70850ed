package envelope

import (
	"errors"
	"fmt"
)

// Open returns the secret that was sealed at this place for this root, among
// others perhaps. The payload may come from anybody.
//
// Errors: ErrFormat for bytes that are no payload, or one of a format not known
// here; ErrOpen for all that does not authenticate, be it for the root, the
// place, or a changed byte; ErrPlace; ErrRoots for a root that was wiped.
func Open(payload []byte, at Place, root *Root) ([]byte, error) {
	if !root.usable() {
		return nil, fmt.Errorf("%w: it was wiped", ErrRoots)
	}
	place, err := at.encode()
	if err != nil {
		return nil, err
	}
	p, err := parse(payload)
	if err != nil {
		return nil, err
	}
	dataKey, err := p.unwrap(place, root)
	if err != nil {
		return nil, err
	}
	defer wipe(dataKey)
	body, err := bodyLock(dataKey, p.preamble, place)
	if err != nil {
		return nil, err
	}
	defer body.wipe()
	return body.open(p.body, bodyContext(p.header, p.pad))
}

// Matches tells by the first bytes of a payload, HeadSize of them or all there
// are, whether it was sealed at this place for this root. Only Open tells
// whether the rest is whole. It is for those who must find the right one among
// many without making each whole.
func Matches(head []byte, at Place, root *Root) bool {
	if !root.usable() {
		return false
	}
	place, err := at.encode()
	if err != nil {
		return false
	}
	p, err := parseHead(head)
	if err != nil {
		return false
	}
	dataKey, err := p.unwrap(place, root)
	wipe(dataKey)
	return err == nil
}

// unwrap returns the data key from the slot that is for the root. Error: ErrOpen.
func (p *parts) unwrap(place string, root *Root) ([]byte, error) {
	for i, slot := range p.slots {
		if kind(slot[0]) != root.kind {
			continue
		}
		dataKey, err := p.openSlot(i, place, root)
		if !errors.Is(err, ErrOpen) {
			return dataKey, err
		}
	}
	return nil, ErrOpen
}

func (p *parts) openSlot(index int, place string, root *Root) ([]byte, error) {
	slot, err := slotLock(root, p.preamble, index, place)
	if err != nil {
		return nil, err
	}
	defer slot.wipe()
	return slot.open(p.slots[index][1:], slotContext(p.preamble, index, root.kind))
}
