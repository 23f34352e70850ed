package check

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
	"github.com/vault-guardian/guardian/record"
)

const (
	// MaxRecords bounds the generations of one batch.
	MaxRecords = 256
	// MaxBytes bounds the bytes of all shares that one holder has of a batch.
	MaxBytes = 8 << 20
)

// Batch is what one check is about: generations that have the same holders, the
// same points and the same K. It is immutable and safe for concurrent use.
type Batch struct {
	records []*record.Record
	hash    [sha256.Size]byte
	// proposal is where the batch moves to; nil in an audit.
	proposal *record.Proposal
}

// NewBatch makes a batch of 1 to [MaxRecords] distinct records whose shares
// have at most [MaxBytes] in all. The order counts. Errors wrap [ErrBatch].
func NewBatch(records []*record.Record) (*Batch, error) {
	if len(records) == 0 || len(records) > MaxRecords {
		return nil, fmt.Errorf("%w: %d records", ErrBatch, len(records))
	}
	hash := sha256.New()
	hash.Write([]byte("guardian-check-batch-v1"))
	hash.Write(binary.BigEndian.AppendUint16(nil, uint16(len(records))))
	size, seen := 0, map[[sha256.Size]byte]bool{}
	for i, r := range records {
		size += r.ShareSize
		switch {
		case r.ShareSize < 2 || size > MaxBytes:
			return nil, fmt.Errorf("%w: shares of more than %d bytes, or of none", ErrBatch, MaxBytes)
		case seen[r.Hash]:
			return nil, fmt.Errorf("%w: record %d is there twice", ErrBatch, i)
		case !Together(records[0], r):
			return nil, fmt.Errorf("%w: record %d has other holders or another K", ErrBatch, i)
		}
		seen[r.Hash] = true
		hash.Write(r.Hash[:])
	}
	return &Batch{records: slices.Clone(records), hash: [sha256.Size]byte(hash.Sum(nil))}, nil
}

// Together tells whether two generations can be in one batch: their K, points
// and keys are the same.
func Together(a, b *record.Record) bool {
	return a.Threshold == b.Threshold && slices.EqualFunc(a.Holders, b.Holders, func(a, b manifest.Holder) bool {
		return a.X == b.X && a.Key.Equal(b.Key)
	})
}

// Holders returns the points, ascending, that have a key: those that can take
// part.
func (b *Batch) Holders() []byte {
	var xs []byte
	for _, h := range b.records[0].Holders {
		if len(h.Key) == ed25519.PublicKeySize {
			xs = append(xs, h.X)
		}
	}
	return xs
}

// Threshold is K.
func (b *Batch) Threshold() int { return b.records[0].Threshold }

func (b *Batch) keyAt(x byte) (ed25519.PublicKey, bool) {
	holder, ok := b.records[0].At(x)
	return holder.Key, ok && len(holder.Key) == ed25519.PublicKeySize
}

func (b *Batch) refs() []record.Ref {
	refs := make([]record.Ref, len(b.records))
	for i, r := range b.records {
		refs[i] = r.Ref()
	}
	return refs
}
