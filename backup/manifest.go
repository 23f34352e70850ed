package backup

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/integrity"
)

// Kinds of backup.
const (
	Full        = "full"
	Incremental = "incremental"
)

// Manifest says what a backup holds.
type Manifest struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	NodeID string `json:"node_id"`
	// KeyID is the key that sealed the manifest.
	KeyID string `json:"key_id"`
	// Parent is the backup that an incremental one was made upon, Depth how many
	// there are below it.
	Parent string `json:"parent,omitempty"`
	Depth  int    `json:"depth"`
	// What was stored before Started is in it.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// Identities are all that it restores, named secrets counted each; Others is
	// how many more objects it does.
	Identities int `json:"identities"`
	Others     int `json:"others"`
	// Damaged is how many identities were damaged when it was made: of those it
	// has what its parent has, if anything.
	Damaged int `json:"damaged"`
	// Changed is how many identities and other objects are in its own parts,
	// Objects and Bytes what these hold, before compression.
	Changed int   `json:"changed"`
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	// Data are the parts with the objects, Index those that say where each is.
	Data  []Part `json:"data"`
	Index []Part `json:"index"`
}

// Part is one stored piece of a backup, compressed.
type Part struct {
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// Stored is the size of all parts, in bytes.
func (m Manifest) Stored() (size int64) {
	for _, parts := range [][]Part{m.Data, m.Index} {
		for _, part := range parts {
			size += int64(part.Size)
		}
	}
	return size
}

// Last is what the guardian keeps of the backup.
func (m Manifest) Last() last.Backup {
	return last.Backup{ID: m.ID, Kind: m.Kind, FinishedNS: m.Finished.UnixNano()}
}

const (
	format        = 1
	labelManifest = "backup"
	sealMark      = "\nhmac "
)

// seal renders the manifest as it is stored: a line of JSON, and a line with key
// id and HMAC.
func (m Manifest) seal(sealer *integrity.Sealer) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	keyID, tag, err := sealer.Seal(labelManifest, text)
	if err != nil {
		return nil, fmt.Errorf("sealing manifest: %w", err)
	}
	if keyID != m.KeyID {
		return nil, errors.New("the keyring was rotated meanwhile")
	}
	return fmt.Appendf(text, "%s%s %x\n", sealMark, keyID, tag), nil
}

// manifest reads and opens that of a backup. Errors are those of Find.
func (p *Place) manifest(ctx context.Context, id string) (Manifest, error) {
	if begunAt(id).IsZero() {
		return Manifest{}, fmt.Errorf("%w: %q is no id", ErrNotFound, id)
	}
	sealed, _, err := p.store.Get(ctx, id+nameManifest)
	switch {
	case errors.Is(err, backend.ErrNotFound), errors.Is(err, backend.ErrInvalidKey):
		return Manifest{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	case errors.Is(err, backend.ErrTooLarge):
		return Manifest{}, damaged(id, "its manifest is too large")
	case err != nil:
		return Manifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	m, err := openManifest(ctx, p.sealer, sealed)
	if errors.Is(err, integrity.ErrMismatch) {
		return Manifest{}, fmt.Errorf("%w: %s: its manifest does not verify: %w", ErrDamaged, id, err)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("opening manifest of %s: %w", id, err)
	}
	if m.Format != format {
		return Manifest{}, fmt.Errorf("backup %s has format %d: use a newer guardianctl", id, m.Format)
	}
	if m.ID != id || m.NodeID != p.sealer.NodeID() {
		return Manifest{}, damaged(id, "its manifest is that of "+m.ID)
	}
	return m, nil
}

func openManifest(ctx context.Context, sealer *integrity.Sealer, sealed []byte) (m Manifest, err error) {
	text, seal, found := bytes.Cut(sealed, []byte(sealMark))
	keyID, tagHex, _ := strings.Cut(string(seal), " ")
	tag, err := hex.DecodeString(strings.TrimSuffix(tagHex, "\n"))
	// Hex has two spellings of a digit: one is ours.
	if !found || err != nil || fmt.Sprintf("%x\n", tag) != tagHex {
		return Manifest{}, fmt.Errorf("%w: malformed", integrity.ErrMismatch)
	}
	if err := sealer.Open(ctx, labelManifest, keyID, tag, text); err != nil {
		return Manifest{}, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: not JSON", integrity.ErrMismatch)
	}
	return m, nil
}

func damaged(id, why string) error { return fmt.Errorf("%w: %s: %s", ErrDamaged, id, why) }
