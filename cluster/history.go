package cluster

import (
	"crypto/rand"
	"encoding/hex"
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
