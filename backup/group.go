package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/guardian"
)

// Kinds of group.
const (
	kindOther = 'o' // one object that belongs to no slot; its name is its key
	kindSlot  = 's' // all objects of a slot
)

// Group is what is copied, changed and restored as one.
type Group struct {
	kind    byte
	name    string
	objects []object
}

type object struct {
	key  string
	data []byte
}

// id tells groups apart.
func (g Group) id() string { return string(g.kind) + g.name }

// slotName is the name of a slot's group.
func slotName(slot guardian.Slot) string { return slot.Identity + "/" + slot.Name }

const (
	maxNameLength = 512
	maxObjects    = 1 << 16
)

// encode renders the group as it stands in a stream: its kind, its name, how
// many objects there are, and each one's key and data; numbers and lengths are
// unsigned varints.
func (g Group) encode() []byte {
	text := []byte{g.kind}
	text = appendBytes(text, []byte(g.name))
	text = binary.AppendUvarint(text, uint64(len(g.objects)))
	for _, o := range g.objects {
		text = appendBytes(appendBytes(text, []byte(o.key)), o.data)
	}
	return text
}

func appendBytes(to, data []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(data))), data...)
}

// readGroup reads the next one of a stream; io.EOF behind the last one.
func readGroup(from *bufio.Reader) (g Group, err error) {
	if g.kind, err = from.ReadByte(); err != nil {
		return Group{}, err
	}
	name, err := readBytes(from, maxNameLength)
	if err != nil {
		return Group{}, err
	}
	g.name = string(name)
	count, err := readNumber(from, maxObjects)
	if err != nil {
		return Group{}, err
	}
	for range count {
		key, err := readBytes(from, maxNameLength)
		if err != nil {
			return Group{}, err
		}
		data, err := readBytes(from, backend.MaxObjectSize)
		if err != nil {
			return Group{}, err
		}
		g.objects = append(g.objects, object{string(key), data})
	}
	return g, nil
}

// entry is where the objects of a group are: in the backup of that depth, with
// the hash of the group as it stands there.
type entry struct {
	hash  [sha256.Size]byte
	depth int
}

func encodeEntry(id string, e entry) []byte {
	text := appendBytes(nil, []byte(id))
	return binary.AppendUvarint(append(text, e.hash[:]...), uint64(e.depth))
}

func readEntry(from *bufio.Reader) (id string, e entry, err error) {
	if _, err := from.Peek(1); err != nil {
		return "", entry{}, err
	}
	name, err := readBytes(from, maxNameLength)
	if err != nil {
		return "", entry{}, err
	}
	if _, err := io.ReadFull(from, e.hash[:]); err != nil {
		return "", entry{}, cutOff(err)
	}
	e.depth, err = readNumber(from, maxDepth)
	return string(name), e, err
}

// maxDepth bounds how many incremental backups stand upon one another.
const maxDepth = 1000

func readBytes(from *bufio.Reader, most int) ([]byte, error) {
	length, err := readNumber(from, most)
	if err != nil {
		return nil, err
	}
	data := make([]byte, length)
	_, err = io.ReadFull(from, data)
	return data, cutOff(err)
}

func readNumber(from *bufio.Reader, most int) (int, error) {
	n, err := binary.ReadUvarint(from)
	if err == nil && n > uint64(most) {
		err = fmt.Errorf("%w: a length of %d", ErrDamaged, n)
	}
	return int(n), cutOff(err)
}

// cutOff tells the end of a stream in the midst of something from that behind it.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrDamaged)
	}
	return err
}
