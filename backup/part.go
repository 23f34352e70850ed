package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/vault-guardian/guardian/backend"
)

const (
	// partSize is what a part holds before compression: what does not compress
	// still fits into one object of a storage.
	partSize = 3 << 20
	// maxParts keeps a manifest within one object as well.
	maxParts = 40_000
)

// Streams of a backup.
const (
	streamData  = "data"
	streamIndex = "index"
)

func partKey(id, stream string, number int) string {
	return fmt.Sprintf("%s/%s-%06d", id, stream, number)
}

// partWriter cuts a stream into parts.
type partWriter struct {
	store      backend.Backend
	id, stream string
	encoder    *zstd.Encoder
	pending    []byte
	parts      []Part
	bytes      int64
}

func (p *Place) newPartWriter(id, stream string) (*partWriter, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("preparing compression: %w", err)
	}
	return &partWriter{store: p.store, id: id, stream: stream, encoder: encoder, parts: []Part{}}, nil
}

func (w *partWriter) write(ctx context.Context, data []byte) error {
	w.bytes += int64(len(data))
	for len(data) > 0 {
		fits := min(len(data), partSize-len(w.pending))
		w.pending, data = append(w.pending, data[:fits]...), data[fits:]
		if len(w.pending) < partSize {
			break
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// flush puts what is pending, if anything, as a part.
func (w *partWriter) flush(ctx context.Context) error {
	if len(w.pending) == 0 {
		return nil
	}
	if len(w.parts) == maxParts {
		return fmt.Errorf("a backup has at most %d parts of %d bytes", maxParts, partSize)
	}
	packed := w.encoder.EncodeAll(w.pending, nil)
	if _, err := w.store.Put(ctx, partKey(w.id, w.stream, len(w.parts)+1), packed, backend.Revision{}); err != nil {
		return fmt.Errorf("writing backup: %w", err)
	}
	sum := sha256.Sum256(packed)
	w.parts = append(w.parts, Part{len(packed), hex.EncodeToString(sum[:])})
	w.pending = w.pending[:0]
	return nil
}

// partReader reads a stream of which every part is what the manifest says.
type partReader struct {
	ctx        context.Context // an io.Reader has no other place for it
	store      backend.Backend
	id, stream string
	parts      []Part
	decoder    *zstd.Decoder
	next       int
	unread     bytes.Reader
}

func (p *Place) newPartReader(ctx context.Context, id, stream string, parts []Part) (*partReader, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(partSize))
	if err != nil {
		return nil, fmt.Errorf("preparing decompression: %w", err)
	}
	return &partReader{ctx: ctx, store: p.store, id: id, stream: stream, parts: parts, decoder: decoder}, nil
}

// Read implements io.Reader. Errors: ErrDamaged, and those of the storage.
func (r *partReader) Read(into []byte) (int, error) {
	for r.unread.Len() == 0 {
		if r.next == len(r.parts) {
			return 0, io.EOF
		}
		data, err := r.fetch()
		if err != nil {
			return 0, err
		}
		r.unread.Reset(data)
	}
	return r.unread.Read(into)
}

func (r *partReader) fetch() ([]byte, error) {
	part := r.parts[r.next]
	r.next++
	name := fmt.Sprintf("part %s-%06d", r.stream, r.next)
	packed, _, err := r.store.Get(r.ctx, partKey(r.id, r.stream, r.next))
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return nil, damaged(r.id, name+" is missing")
	case errors.Is(err, backend.ErrTooLarge):
		return nil, damaged(r.id, name+" is too large")
	case err != nil:
		return nil, fmt.Errorf("reading backup: %w", err)
	}
	sum := sha256.Sum256(packed)
	if hex.EncodeToString(sum[:]) != part.SHA256 || len(packed) != part.Size {
		return nil, damaged(r.id, name+" is not what was written")
	}
	data, err := r.decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, damaged(r.id, name+" does not decompress: "+err.Error())
	}
	return data, nil
}
