package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBackupsOfAKeyThatIsGone hold up neither lists nor new backups, and none is
// removed by who can read none.
func TestBackupsOfAKeyThatIsGone(t *testing.T) {
	t.Parallel()
	dir, kept := storageWith(t, soundID), filepath.Join(t.TempDir(), "kept")
	keys := filepath.Join(dir, "integrity.key")
	guardianctl(t, exitOK, "backup", "full", "--storage", dir, "--to", kept)
	rotate(t, dir)
	guardianctl(t, exitOK, "rekey", "--storage", dir)
	if err := changeKeyFile(keys, func(ring *keyFile) { delete(ring.Keys, "k1") }); err != nil {
		t.Fatal(err)
	}
	_, errs := guardianctl(t, exitFailure, "backup", "cleanup", "--from", kept, "--integrity-key-file", keys, "--retention-days", "0")
	wantText(t, errs, "none is removed", `"k1"`, "put the key that is named back")
	guardianctl(t, exitOK, "backup", "full", "--storage", dir, "--to", kept)
	guardianctl(t, exitOK, "backup", "incremental", "--storage", dir, "--to", kept)
	guardianctl(t, exitOK, "drill", "--from", kept, "--integrity-key-file", keys)
	out, errs := guardianctl(t, exitFailure, "backup", "list", "--from", kept, "--integrity-key-file", keys)
	wantText(t, out, "  incremental  ", "  full  ", "  unreadable")
	wantText(t, errs, `"k1"`)
	out, _ = guardianctl(t, exitOK, "backup", "cleanup", "--from", kept, "--integrity-key-file", keys, "--retention-days", "0")
	wantText(t, out, "removed 1 ", "kept 2")
}

// TestRetentionThatOverflows: no time before now is so long ago.
func TestRetentionThatOverflows(t *testing.T) {
	t.Parallel()
	for _, days := range []string{"-1", "36526", "9223372036854775807"} {
		_, errs := guardianctl(t, exitUsage, "backup", "cleanup", "--retention-days", days)
		wantText(t, errs, "--retention-days must be 0 to 36525")
	}
}

// TestRestoreIntoThePlace: guardian and backups would be each other's.
func TestRestoreIntoThePlace(t *testing.T) {
	t.Parallel()
	kept := t.TempDir()
	for _, to := range []string{kept, filepath.Join(kept, "backups", "local")} {
		_, errs := guardianctl(t, exitUsage, "backup", "restore", "--from", kept, "--to", to)
		wantText(t, errs, "overlap", "a directory or prefix of its own")
	}
}

// TestCopiedBackups are as good, without the locks that lie beside the others.
func TestCopiedBackups(t *testing.T) {
	t.Parallel()
	dir, kept, copied := storageWith(t, soundID), t.TempDir(), t.TempDir()
	keys := filepath.Join(dir, "integrity.key")
	guardianctl(t, exitOK, "backup", "full", "--storage", dir, "--to", kept)
	if err := os.CopyFS(filepath.Join(copied, "backups"), os.DirFS(filepath.Join(kept, "backups"))); err != nil {
		t.Fatal(err)
	}
	guardianctl(t, exitOK, "backup", "restore", "--from", copied, "--to", filepath.Join(t.TempDir(), "to"), "--integrity-key-file", keys)
}
