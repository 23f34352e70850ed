package main

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// storedIn counts what lies under shares/ of a guardian's directory.
func storedIn(t *testing.T, dir string) (files, inodes int, bytes int64) {
	t.Helper()
	root := filepath.Join(dir, "shares")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		inodes++
		if entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "no such file") { // one that was dropped meanwhile
		t.Fatal(err)
	}
	return files, inodes, bytes
}

// What is reckoned is what real guardians keep after users have stored a file more
// often than versions are retained.
func TestCapacityOfRealGuardians(t *testing.T) {
	t.Parallel()
	const users, guardians, retain = 4, 5, 2
	c := newRealCluster(t, guardians, "GUARDIAN_RETAIN_VERSIONS="+strconv.Itoa(retain))
	var urls []string
	for _, id := range []string{"g1", "g2", "g3", "g4", "g5"} {
		urls = append(urls, c.running[id].url)
	}
	secret := make([]byte, 3000)
	for range users {
		root, err := envelope.FromKeyFile(randomBytes(keySize))
		if err != nil {
			t.Fatal(err)
		}
		vault, err := client.NewVault(urls, nil, 0, client.WithRoot(root))
		if err != nil {
			t.Fatal(err)
		}
		for range retain + 1 {
			if _, err := vault.Store(t.Context(), root.Identity(), secret); err != nil {
				t.Fatal(err)
			}
		}
	}
	shares, err := filepath.Glob(filepath.Join(c.dir, "g3", "shares", "*", "*", "share.bin"))
	if err != nil || len(shares) == 0 {
		t.Fatal(shares, err)
	}
	if got := lengthOf(t, shares[0]); got != len(secret)+199 { // as --help says
		t.Errorf("a share has %d bytes", got)
	}
	out, _ := guardianctl(t, exitOK, "capacity", "--users", strconv.Itoa(users), "--guardians", strconv.Itoa(guardians),
		"--retain", strconv.Itoa(retain), "--share-size", strconv.Itoa(lengthOf(t, shares[0])), "--json")
	var r capacityResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"g1", "g5"} {
		dir := filepath.Join(c.dir, id)
		c.await(t, "old versions to be dropped at "+id, func() bool { // behind the answer
			files, inodes, _ := storedIn(t, dir)
			return float64(files) == r.Node.Objects && float64(inodes) == r.Node.Inodes
		})
		if _, _, bytes := storedIn(t, dir); math.Abs(float64(bytes)/r.Node.Bytes-1) > 0.05 {
			t.Errorf("%s keeps %d bytes, %.0f were reckoned", id, bytes, r.Node.Bytes)
		}
	}
}

func lengthOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	out, _ := guardianctl(t, exitOK, "capacity", "--users", "100000", "--guardians", "5", "--share-size", "2000")
	wantText(t, out, "ONE GUARDIAN", "ALL 5", "500,000", "2,500,000", "800,000", "the prices are yours to check: 0.023 for a GB")

	// By hand: 10 secrets of one version in a bucket that costs 1 of each.
	l := load{Users: 5, Secrets: 2, Guardians: 5, ShareSize: 5000, Threshold: 3, Retain: 1, Pushes: 2, Pulls: 3}
	c := l.perGuardian(prices{Gigabyte: 1, Writes: 1, Reads: 1})
	bytes := 10.0 * (130 + 5000 + 480 + 772) // 184 + 5*79 bytes of manifest, as base64
	want := capacity{
		Objects: 30, Inodes: 50, Bytes: bytes, DiskBytes: 10 * 4096 * (1 + 2 + 1 + 2),
		Writes: 10*(2*4+30) + 518400, Reads: 10 * (2*1 + 3*3 + 30*3),
	}
	want.Cost = want.Bytes/1e9 + want.Writes/1000 + want.Reads/1000
	if c != want {
		t.Errorf("reckoned %+v, want %+v", c, want)
	}
	out, _ = guardianctl(t, exitOK, "capacity", "--users", "1000000000", "--secrets", "1000", "--guardians", "255", "--share-size", "524288", "--retain", "100", "--json")
	var most capacityResult
	if err := json.Unmarshal([]byte(out), &most); err != nil || most.Cluster.Bytes < 1e22 || most.Load.Threshold != 85 {
		t.Errorf("%v: %s", err, out)
	}
	for _, args := range []string{
		"", "--users 1", "--users 1 --guardians 5", "--users -1 --guardians 5 --share-size 10", "--users 1 --guardians 256 --share-size 10",
		"--users 1 --guardians 5 --share-size 524289", "--users 1 --guardians 5 --share-size 10 --retain 0",
		"--users 1 --guardians 5 --share-size 10 --threshold 6", "--users 1 --guardians 2 --share-size 10",
		"--users 1 --guardians 5 --share-size 10 --pushes -1", "--users 1 --guardians 5 --share-size 10 --price-gb NaN",
	} {
		_, errs := guardianctl(t, exitUsage, append([]string{"capacity"}, strings.Fields(args)...)...)
		wantText(t, errs, "next: ")
	}
}

func TestSizesAndNumbers(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64][2]string{
		0: {"0", "0 B"}, 999: {"999", "999 B"}, 1000: {"1,000", "1 kB"}, 12_345_678: {"12,345,678", "12.3 MB"}, 999_600: {"999,600", "1 MB"}, 2e21: {"2,000,000,000,000,000,000,000", "2 ZB"},
	} {
		if got := [2]string{thousands(value), sized(value)}; got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}
