// Package last keeps when the last backup of a guardian succeeded: an object in the
// guardian's own storage, which guardianctl writes and every replica reads. Where the
// guardian has its storage to itself, guardianctl has it write the object. It is
// sealed, so that whoever can write to the storage, or reach the guardian's admin
// plane, cannot have the guardian believe in a backup that nobody made; removing it,
// or putting an older one back, makes the backup look older, which is found.
//
// It says something about the storage that it lies in, and goes with no copy of it:
// it is left out of backups, and so is not there after a restore or in a storage
// that was migrated to.
package last

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
	"github.com/vault-guardian/guardian/integrity"
)

// TooOld is how old the last backup of a guardian may become that is backed up every
// day: a day, and two hours for the backup itself.
const TooOld = 26 * time.Hour

const (
	// Key is where it lies.
	Key = "backup-last"
	// label seals it.
	label = "backup-last"
	// skew is how far the clock of whoever made the backup may be ahead.
	skew = time.Minute
	// maxSize bounds what is looked at of it.
	maxSize = 4096
)

// ErrNotBelieved reports an object that this guardian's keyring has not sealed, or
// that names a time to come.
var ErrNotBelieved = errors.New("what the storage says of the last backup is not believed")

// Backup is one that succeeded. The zero value stands for none.
type Backup struct {
	ID   string `json:"id,omitempty"`
	Kind string `json:"kind,omitempty"`
	// FinishedNS is when its manifest was written, in nanoseconds since 1970.
	FinishedNS int64 `json:"finished_ns,omitempty"`
}

// Finished is when its manifest was written, zero where there is no backup.
func (b Backup) Finished() time.Time {
	if b.FinishedNS == 0 {
		return time.Time{}
	}
	return time.Unix(0, b.FinishedNS).UTC()
}

// Put keeps a backup as the last one.
func Put(ctx context.Context, store backend.Backend, sealer *integrity.Sealer, b Backup) error {
	object, err := Seal(sealer, b)
	if err != nil {
		return err
	}
	return put(ctx, store, object, backend.AnyRevision)
}

// Seal returns the object that Put writes, for Watch.Keep where another process has
// the storage to itself.
func Seal(sealer *integrity.Sealer, b Backup) ([]byte, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", Key, err)
	}
	return seal(sealer, data)
}

// seal returns a line with the id of the key and the seal, and the data.
func seal(sealer *integrity.Sealer, data []byte) ([]byte, error) {
	keyID, tag, err := sealer.Seal(label, []byte(Key), data)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", Key, err)
	}
	return append(fmt.Appendf(nil, "hmac %s %x\n", keyID, tag), data...), nil
}

func put(ctx context.Context, store backend.Backend, object []byte, rev backend.Revision) error {
	if _, err := store.Put(ctx, Key, object, rev); err != nil {
		return fmt.Errorf("writing %s: %w", Key, err)
	}
	return nil
}

// Get returns the last backup, the zero Backup if there never was one. Errors:
// ErrNotBelieved, and those of the storage.
func Get(ctx context.Context, store backend.Backend, sealer *integrity.Sealer) (Backup, error) {
	object, _, err := store.Get(ctx, Key)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return Backup{}, nil
	case errors.Is(err, backend.ErrTooLarge):
		return Backup{}, fmt.Errorf("%w: it is too large", ErrNotBelieved)
	case err != nil:
		return Backup{}, fmt.Errorf("reading %s: %w", Key, err)
	}
	return parse(ctx, sealer, object)
}

// parse reads an object. Errors are ErrNotBelieved.
func parse(ctx context.Context, sealer *integrity.Sealer, object []byte) (Backup, error) {
	_, data, err := open(ctx, sealer, object)
	if err != nil {
		return Backup{}, err
	}
	var b Backup
	if json.Unmarshal(data, &b) != nil || b.FinishedNS <= 0 {
		return Backup{}, fmt.Errorf("%w: it is of another kind", ErrNotBelieved)
	}
	if ahead := time.Until(b.Finished()); ahead > skew {
		return Backup{}, fmt.Errorf("%w: by this machine's clock it ends in %s", ErrNotBelieved, ahead.Round(time.Second))
	}
	return b, nil
}

// open checks the seal. Errors are ErrNotBelieved.
func open(ctx context.Context, sealer *integrity.Sealer, object []byte) (keyID string, data []byte, err error) {
	seal, data, found := bytes.Cut(object, []byte("\n"))
	fields := strings.Split(string(seal), " ")
	if !found || len(object) > maxSize || len(fields) != 3 || fields[0] != "hmac" {
		return "", nil, fmt.Errorf("%w: it is not sealed", ErrNotBelieved)
	}
	tag, err := hex.DecodeString(fields[2])
	if err != nil {
		return "", nil, fmt.Errorf("%w: it is not sealed", ErrNotBelieved)
	}
	if err := sealer.Open(ctx, label, fields[1], tag, []byte(Key), data); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrNotBelieved, err)
	}
	return fields[1], data, nil
}

// Rekey seals the object under the primary key and reports whether it was under
// another one. What is not believed is left as it is: the next backup replaces it.
func Rekey(ctx context.Context, store backend.Backend, sealer *integrity.Sealer) (resealed bool, err error) {
	object, rev, err := store.Get(ctx, Key)
	if errors.Is(err, backend.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", Key, err)
	}
	keyID, data, err := open(ctx, sealer, object)
	if err != nil || keyID == sealer.PrimaryKeyID() {
		return false, nil
	}
	if object, err = seal(sealer, data); err == nil {
		err = put(ctx, store, object, rev)
	}
	if errors.Is(err, backend.ErrConflict) { // a backup has ended just now, maybe under the old key
		err = nil
	}
	return err == nil, err
}
