package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
)

// history names the last writes of a record, newest first. It is kept with the
// record, and each write has an id of its own. So it tells whether a write took
// effect that nothing was heard of, even when others have followed it, and it
// is never the same twice, even when the data are.
type history string

const (
	writeIDSize  = 32 // hex digits: 128 bits, so no two are equal
	historyDepth = 16 // writes that may follow while one write is in doubt
	historySep   = ","
	maxHistory   = historyDepth*(writeIDSize+len(historySep)) - len(historySep)
)

// next returns the history after one more write.
func (h history) next() history {
	id := make([]byte, writeIDSize/2)
	rand.Read(id) // never fails
	now := hex.EncodeToString(id)
	if h != "" {
		now += historySep + string(h)
	}
	return history(now[:min(len(now), maxHistory)])
}

// judge tells of a write that was refused with the given errMoved, and would have
// made the history written, whether an earlier repetition of it took effect (nil)
// or none did (ErrLost). When more have followed a repeated one than h remembers,
// it cannot tell (errForgotten).
func (h history) judge(written history, refused error) error {
	_, base, _ := strings.Cut(string(written), historySep)
	switch {
	case h.has(written):
		return nil
	case !errors.Is(refused, errMovedRepeated), len(h) < maxHistory, h.has(history(base)):
		return ErrLost
	}
	return errForgotten
}

var errForgotten = errors.New("others have written too often since the answer was lost")

// has reports whether the newest write of other is in h.
func (h history) has(other history) bool {
	id, _, _ := strings.Cut(string(other), historySep)
	return id != "" && strings.Contains(historySep+string(h)+historySep, historySep+id+historySep)
}

// valid reports whether h is the history of something written.
func (h history) valid() bool {
	if h == "" || len(h) > maxHistory {
		return false
	}
	for id := range strings.SplitSeq(string(h), historySep) {
		if _, err := hex.DecodeString(id); err != nil || len(id) != writeIDSize {
			return false
		}
	}
	return true
}
