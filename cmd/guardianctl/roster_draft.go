package main

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/vault-guardian/guardian/cluster"
)

// draftFormat names what a draft is.
const draftFormat = "guardian-roster-draft-v1"

// draft is what the next roster is made from, and what must be remembered of
// those before. It is kept as JSON for people to read and change.
type draft struct {
	Format string `json:"format"`
	// AdmissionKey is the public key, so that no other signs it by mistake.
	AdmissionKey string `json:"admission_key"`
	// Serial is that of the last roster, 0 before the first.
	Serial    uint64       `json:"serial"`
	Guardians []draftEntry `json:"guardians"`
	// Retired are the indices of guardians that are in the roster no more.
	Retired []draftSeat `json:"retired"`
}

// draftEntry is one guardian.
type draftEntry struct {
	NodeID        string `json:"node_id"`
	Index         int    `json:"index"`
	Key           string `json:"node_key"`
	FailureDomain string `json:"failure_domain"`
}

// draftSeat is whose a share index is, for life.
type draftSeat struct {
	NodeID string `json:"node_id"`
	Index  int    `json:"index"`
}

func newDraft(admission ed25519.PublicKey) *draft {
	return &draft{Format: draftFormat, AdmissionKey: hex.EncodeToString(admission), Guardians: []draftEntry{}, Retired: []draftSeat{}}
}

// entryOf shows a guardian as a draft does.
func entryOf(e cluster.Entry) draftEntry {
	return draftEntry{NodeID: e.NodeID, Index: e.Index, Key: hex.EncodeToString(e.Key), FailureDomain: e.FailureDomain}
}

// roster is what is to be signed.
func (d *draft) roster() *cluster.Roster {
	r := &cluster.Roster{Serial: d.Serial}
	for _, g := range d.Guardians {
		key, _ := parsePublicKey(g.Key) // checked
		r.Entries = append(r.Entries, cluster.Entry{NodeID: g.NodeID, Index: g.Index, Key: key, FailureDomain: g.FailureDomain})
	}
	return r
}

// seats are those of all guardians that there ever were.
func (d *draft) seats() []draftSeat {
	all := slices.Clone(d.Retired)
	for _, g := range d.Guardians {
		all = append(all, draftSeat{g.NodeID, g.Index})
	}
	return all
}

func seatsOf(r *cluster.Roster) []draftSeat {
	var all []draftSeat
	for _, e := range r.Entries {
		all = append(all, draftSeat{e.NodeID, e.Index})
	}
	return all
}

// clash returns an error where, of two lists, one has another guardian at an
// index, or a guardian at another index.
func clash(before, after []draftSeat) error {
	for _, b := range before {
		for _, a := range after {
			switch {
			case a.Index == b.Index && a.NodeID != b.NodeID:
				return fmt.Errorf("index %d was given to %s, and is never given to another: not to %s", b.Index, b.NodeID, a.NodeID)
			case a.NodeID == b.NodeID && a.Index != b.Index:
				return fmt.Errorf("%s was given index %d, for life: it gets no other, such as %d", b.NodeID, b.Index, a.Index)
			}
		}
	}
	return nil
}

// add puts a guardian in its place. One that was removed comes back to its own.
func (d *draft) add(e draftEntry) error {
	if slices.ContainsFunc(d.Guardians, func(g draftEntry) bool { return g.NodeID == e.NodeID }) {
		return failure(fmt.Errorf("%s is in the roster already", e.NodeID), "to change it, guardianctl roster remove "+e.NodeID+" first")
	}
	if err := clash(d.seats(), []draftSeat{{e.NodeID, e.Index}}); err != nil {
		return failure(err, d.otherIndex(e.NodeID))
	}
	if i := slices.IndexFunc(d.Guardians, func(g draftEntry) bool { return g.Key == e.Key }); i >= 0 {
		return failure(fmt.Errorf("%s has that key: no two guardians share one", d.Guardians[i].NodeID),
			"pass the key that "+e.NodeID+" itself shows as node_key; if it shows this one, its node key is a copy: give it one of its own")
	}
	d.Retired = slices.DeleteFunc(d.Retired, func(s draftSeat) bool { return s.NodeID == e.NodeID })
	d.Guardians = append(d.Guardians, e)
	d.sort()
	return nil
}

// otherIndex is advice for who was refused an index.
func (d *draft) otherIndex(node string) string {
	seats := d.seats()
	for _, s := range seats {
		if s.NodeID == node {
			return fmt.Sprintf("pass --index %d", s.Index)
		}
	}
	for index := 1; index <= cluster.MaxIndex; index++ {
		if !slices.ContainsFunc(seats, func(s draftSeat) bool { return s.Index == index }) {
			return fmt.Sprintf("pass an index that nobody had, for example --index %d", index)
		}
	}
	return "every index was given: no other guardian can join"
}

// remove retires a guardian and reports whether it was there.
func (d *draft) remove(node string) (gone draftEntry, found bool) {
	i := slices.IndexFunc(d.Guardians, func(g draftEntry) bool { return g.NodeID == node })
	if i < 0 {
		return draftEntry{}, false
	}
	gone = d.Guardians[i]
	d.Guardians = slices.Delete(d.Guardians, i, i+1)
	d.Retired = append(d.Retired, draftSeat{gone.NodeID, gone.Index})
	d.sort()
	return gone, true
}

// remember retires guardians of a roster that was signed before, which somebody
// has deleted from the draft by hand.
func (d *draft) remember(r *cluster.Roster) error {
	for _, seat := range seatsOf(r) {
		if err := clash([]draftSeat{seat}, d.seats()); err != nil {
			return err
		}
		if !slices.Contains(d.seats(), seat) {
			d.Retired = append(d.Retired, seat)
		}
	}
	d.sort()
	return nil
}

func (d *draft) sort() {
	slices.SortFunc(d.Guardians, func(a, b draftEntry) int { return cmp.Compare(a.Index, b.Index) })
	slices.SortFunc(d.Retired, func(a, b draftSeat) int { return cmp.Compare(a.Index, b.Index) })
}

func (d *draft) write(path string, replace bool) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // failure domains are read by people
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return err
	}
	if replace {
		return replaceFile(path, text.Bytes())
	}
	return writeFile(path, text.Bytes(), false)
}

// replaceFile replaces what the links at path lead to. Were a link replaced, what
// it leads to would stay as it was, and there would be two.
func replaceFile(path string, data []byte) error {
	target, err := behindLinks(path)
	if err != nil {
		return writing(path, err)
	}
	return writeFile(target, data, true)
}

// behindLinks is path where there is nothing yet. Error: fs.ErrNotExist when a
// link leads nowhere.
func behindLinks(path string) (string, error) {
	if !exists(path) {
		return path, nil
	}
	return filepath.EvalSymlinks(path)
}

// withDraft has do work on a draft while no other command does.
func withDraft(path string, do func(d *draft) error) error {
	target, err := behindLinks(path)
	if err != nil {
		return noDraft(err)
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return noDraft(err)
	}
	defer dir.Close() // and with it the lock
	// The directory and not the file, which is replaced.
	err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return failure(fmt.Errorf("another command works on %s", path), "wait until it has ended, and run this again")
	}
	if err != nil {
		return failure(fmt.Errorf("locking %s: %w", dir.Name(), err), "keep the draft on a local file system")
	}
	d, err := readDraft(path)
	if err != nil {
		return err
	}
	return do(d)
}

func noDraft(err error) error {
	return failure(err, "name the draft with --roster; for a new cluster, guardianctl roster init makes one")
}
