package cluster

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

var (
	errNotOwner = errors.New("its index was not given to it")
	errTwice    = errors.New("the node has another record")
)

// candidate is what a storage has under a node's name, before anything in it is
// believed.
type candidate struct {
	node   string // the name it is stored under; the storage's word, whatever that may be
	member Member
	err    error // why there is no member
	cause  error // what the storage says of it, or nil
}

func (c *candidate) problem(owners map[int]string, seen map[string]bool) error {
	switch {
	case c.err != nil:
		return c.err
	case seen[c.node]:
		return errTwice
	}
	if err := c.member.Check(); err != nil {
		return err
	}
	if c.member.NodeID != c.node || owners[c.member.Index] != c.node {
		return errNotOwner
	}
	return nil
}

// sieve parts the members of a registry from what else is in it. It is safe for
// concurrent use.
type sieve struct {
	log *slog.Logger

	mu         sync.Mutex
	complaints complaints
}

// newSieve returns one that reports to log, or to nobody if that is nil.
func newSieve(log *slog.Logger) *sieve {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &sieve{log: log}
}

// sift returns the members among the candidates in order of index, and reports
// the others. A member is one whose every field is within bounds and whose
// index was given to it.
func (s *sieve) sift(candidates []candidate, owners map[int]string) []Member {
	var members []Member
	var wrong []complaint
	seen := map[string]bool{}
	for _, one := range candidates {
		if err := one.problem(owners, seen); err != nil {
			wrong = append(wrong, complaint{clip(one.node), "ignored a record of the registry: " + err.Error(), one.cause})
			continue
		}
		seen[one.node] = true
		members = append(members, one.member)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints.report(s.log, wrong)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.Index, b.Index) })
	return members
}

// maxQuoted bounds what is quoted of somebody else's text, in bytes.
const maxQuoted = 100

func clip(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return text[:maxQuoted] + "..."
}
