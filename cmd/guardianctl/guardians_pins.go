package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

const (
	pinsVersion = 1
	// maxPins bounds the file, in bytes. A list of five takes less than 1 KiB.
	maxPins = 1 << 20
)

// pins are what a user has confirmed, and the newest rosters seen. They hold no
// secret, but whoever can change them decides where shares go.
type pins struct {
	Version int            `json:"version"`
	Lists   []pinnedList   `json:"lists"`
	Rosters []pinnedRoster `json:"rosters"`
}

// pinnedList is the list that was confirmed for one guardian.
type pinnedList struct {
	From    string         `json:"from"`
	Members []pinnedMember `json:"members"`
}

// pinnedRoster is the roster with the highest serial that was seen of one key,
// with the URLs that its members had last, "" where that is not known. SHA256 is
// of the roster as it was signed.
type pinnedRoster struct {
	Key     string         `json:"key"`
	Serial  uint64         `json:"serial"`
	SHA256  string         `json:"sha256"`
	Members []pinnedMember `json:"members"`
}

// pinnedMember has the names of [api.GuardianInfo].
type pinnedMember struct {
	NodeID  string `json:"node_id"`
	Index   int    `json:"index"`
	URL     string `json:"url"`
	NodeKey string `json:"node_key"`
}

func pinnedMembers(members []client.Member) (pinned []pinnedMember) {
	for _, m := range members {
		pinned = append(pinned, pinnedMember{m.NodeID, m.Index, m.URL, hex.EncodeToString(m.Key)})
	}
	return pinned
}

// membersOf checks what is pinned as strictly as what a guardian says.
func membersOf(pinned []pinnedMember) ([]client.Member, error) {
	var list []api.GuardianInfo
	for _, m := range pinned {
		list = append(list, api.GuardianInfo{NodeID: m.NodeID, Index: m.Index, URL: m.URL, NodeKey: m.NodeKey})
	}
	return client.MembersOf(list)
}

// list returns the list that was confirmed for a guardian, nil for none.
func (p *pins) list(from string) ([]client.Member, error) {
	for _, l := range p.Lists {
		if l.From == from {
			return membersOf(l.Members)
		}
	}
	return nil, nil
}

// errMeanwhile keeps what another process has had confirmed since we looked.
var errMeanwhile = errors.New("another process has kept something else meanwhile: run the command again")

// addList pins the first list for a guardian, and leaves another one alone.
func (p *pins) addList(from string, members []client.Member) error {
	pinned, err := p.list(from)
	if err != nil {
		return err
	}
	if pinned != nil && differences(pinned, members) != nil {
		return errMeanwhile
	}
	p.setList(from, members)
	return nil
}

func (p *pins) setList(from string, members []client.Member) {
	p.Lists = slices.DeleteFunc(p.Lists, func(l pinnedList) bool { return l.From == from })
	p.Lists = append(p.Lists, pinnedList{from, pinnedMembers(members)})
}

// roster returns the newest one seen of a key, nil for none.
func (p *pins) roster(key ed25519.PublicKey) (*seenRoster, error) {
	for _, r := range p.Rosters {
		if r.Key != hex.EncodeToString(key) {
			continue
		}
		members, err := membersOf(r.Members)
		if err == nil && r.Serial == 0 {
			err = errors.New("a roster has the serial 0")
		}
		return &seenRoster{r.Serial, r.SHA256, members}, err
	}
	return nil, nil
}

// addRoster pins a roster whose URLs are those pinned before, or the first. What
// another process has kept meanwhile goes first: URLs, and a newer roster.
func (p *pins) addRoster(key ed25519.PublicKey, r *seenRoster) error {
	kept, err := p.roster(key)
	if err != nil {
		return err
	}
	for j, m := range r.members {
		was := kept.urlOf(m)
		if was == "" || was == m.URL {
			continue
		}
		if m.URL != "" || slices.Contains(urlsOf(r.members), was) {
			return errMeanwhile
		}
		r.members[j].URL = was
	}
	return p.setRoster(key, r)
}

// setRoster pins a roster and its URLs, unless there is a newer one, or another
// with its serial.
func (p *pins) setRoster(key ed25519.PublicKey, r *seenRoster) error {
	digits := hex.EncodeToString(key)
	if slices.ContainsFunc(p.Rosters, func(kept pinnedRoster) bool {
		return kept.Key == digits && (kept.Serial > r.serial || kept.Serial == r.serial && kept.SHA256 != r.sha256)
	}) {
		return errMeanwhile
	}
	p.Rosters = slices.DeleteFunc(p.Rosters, func(kept pinnedRoster) bool { return kept.Key == digits })
	p.Rosters = append(p.Rosters, pinnedRoster{digits, r.serial, r.sha256, pinnedMembers(r.members)})
	return nil
}

// pinStore is the file in the user's configuration directory, or why there is no
// such directory.
type pinStore struct {
	path string
	err  error
}

func findPins() pinStore {
	dir, err := os.UserConfigDir()
	if err != nil {
		return pinStore{err: err}
	}
	return pinStore{path: filepath.Join(dir, "guardian", "guardians.json")}
}

// read returns empty pins where there is no file. One that cannot be read, or
// that others may have changed, is an error: damage must not undo what was
// confirmed.
func (s pinStore) read() (*pins, error) {
	if s.err != nil {
		return &pins{Version: pinsVersion}, nil
	}
	path, err := s.place()
	if errors.Is(err, fs.ErrNotExist) {
		return &pins{Version: pinsVersion}, nil
	}
	if err != nil {
		return nil, s.damaged(err)
	}
	kept, err := readPins(path)
	if err != nil {
		return nil, s.damaged(err)
	}
	return kept, nil
}

// place is where the file is, through links, or fs.ErrNotExist. Nobody else may
// be able to put another in its stead.
func (s pinStore) place() (string, error) {
	if err := checkDirectory(filepath.Dir(s.path)); err != nil {
		return "", err
	}
	if _, err := os.Lstat(s.path); err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("it is a link to nothing")
	}
	if err != nil {
		return "", err
	}
	return path, checkDirectory(filepath.Dir(path))
}

func checkDirectory(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := oursAlone(info); err != nil {
		return fmt.Errorf("its directory %s: %w", path, err)
	}
	return nil
}

// oursAlone refuses what somebody other than us and root can change.
func oursAlone(info os.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return errors.New("it is another user's")
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("others can write to it")
	}
	return nil
}

func readPins(path string) (*pins, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold us up
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if err := oursAlone(info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxPins+1))
	if err != nil {
		return nil, err
	}
	return decodePins(data)
}

func decodePins(data []byte) (*pins, error) {
	if len(data) > maxPins {
		return nil, fmt.Errorf("it is longer than %d bytes", maxPins)
	}
	var p pins
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, errors.New("it is not JSON of ours")
	}
	if p.Version != pinsVersion {
		return nil, fmt.Errorf("its version is %d, not %d", p.Version, pinsVersion)
	}
	return &p, nil
}

func (s pinStore) damaged(err error) error {
	return failure(fmt.Errorf("the guardians that you confirmed are in %s, which cannot be used: %w", s.path, err),
		"if it is not as you left it, find out why; move it away to confirm a list anew, or name the guardians with --guardians")
}

// update changes the file, whole or not at all. A lock beside it, which is waited
// for until ctx ends, keeps other processes from undoing the change, or from
// being undone.
func (s pinStore) update(ctx context.Context, change func(*pins) error) error {
	if s.err != nil {
		return s.err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if err := checkDirectory(filepath.Dir(s.path)); err != nil {
		return s.damaged(err)
	}
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // releases it
	if err := lockFile(ctx, lock); err != nil {
		return fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	kept, err := s.read()
	if err != nil {
		return err
	}
	if err := change(kept); err != nil {
		return err
	}
	return s.write(kept)
}

// lockPause is between two tries to get the lock.
const lockPause = 20 * time.Millisecond

func lockFile(ctx context.Context, lock *os.File) error {
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process has it: %w", context.Cause(ctx))
		case <-time.After(lockPause):
		}
	}
}

func (s pinStore) write(kept *pins) error {
	path, err := s.place() // a link stays one
	if errors.Is(err, fs.ErrNotExist) {
		path = s.path
	} else if err != nil {
		return s.damaged(err)
	}
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	if len(data) > maxPins {
		return fmt.Errorf("%s would be longer than %d bytes: take out of it what is no longer needed", s.path, maxPins)
	}
	return writeFile(path, append(data, '\n'), true)
}
