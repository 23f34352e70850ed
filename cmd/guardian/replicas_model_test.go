package main

import (
	"fmt"
	"hash/fnv"
	"math"

	"github.com/anishathalye/porcupine"
)

// kind is what a call asks for.
type kind int

const (
	kindPush kind = iota
	kindPull
	kindDelete
	// kindEnd comes after the last answer. What was never answered and was not
	// carried out until then never was.
	kindEnd
)

// call is a request of one client.
type call struct {
	kind      kind
	identity  string
	version   uint64
	share     string
	threshold int
}

// verdict is the kind of an answer.
type verdict int

const (
	verdictOK verdict = iota
	verdictNotFound
	verdictConflict
	// verdictUnknown is no answer, or one that leaves the outcome open.
	verdictUnknown
)

// reply is what a call was answered.
type reply struct {
	verdict verdict
	// version, share and threshold are what a pull returned.
	version   uint64
	share     string
	threshold int
	// current and stored come with a conflict.
	current uint64
	stored  bool
}

// register is what a guardian promises to keep of one identity: a version that
// only grows, and the share at it unless it was deleted. The zero register is
// an identity that was never pushed.
type register struct {
	known     bool // a version was committed
	live      bool
	version   uint64
	share     string
	threshold int
	ended     bool
}

// step tells whether the call could have been answered so at this moment, and
// what it leaves behind.
func (s register) step(c call, r reply) (bool, register) {
	if r.verdict == verdictUnknown {
		return s.unanswered(c)
	}
	switch c.kind {
	case kindPush:
		return s.push(c, r)
	case kindPull:
		return s.pull(r), s
	case kindDelete:
		return s.delete(c, r)
	}
	s.ended = true
	return true, s
}

// unanswered has its effect at any moment after the call, or never, which is
// after the end. So a call without an effect is not tried at every moment.
func (s register) unanswered(c call) (bool, register) {
	if s.ended {
		return true, s
	}
	next := s.pushed(c)
	possible := s.takes(c)
	if c.kind == kindDelete {
		next, possible = s.deleted(), s.live && c.version == s.version
	}
	return possible, next
}

func (s register) push(c call, r reply) (bool, register) {
	switch r.verdict {
	case verdictOK:
		return s.takes(c), s.pushed(c)
	case verdictConflict:
		same := s.live && c.version == s.version && c.share == s.share && c.threshold == s.threshold
		return !s.takes(c) && r.current == s.version && r.stored == same, s
	}
	return false, s
}

func (s register) pull(r reply) bool {
	if r.verdict == verdictNotFound {
		return !s.live
	}
	return r.verdict == verdictOK && s.live && r.version == s.version && r.share == s.share && r.threshold == s.threshold
}

// delete may be acknowledged to two callers: the one whose answer from the
// store was lost finds the tombstone and cannot tell that it is another's.
func (s register) delete(c call, r reply) (bool, register) {
	switch r.verdict {
	case verdictOK:
		return s.known && c.version == s.version, s.deleted()
	case verdictNotFound:
		return !s.live, s
	}
	return s.live && c.version != s.version && r.current == s.version, s
}

func (s register) takes(c call) bool { return !s.known || c.version > s.version }

func (s register) pushed(c call) register {
	return register{known: true, live: true, version: c.version, share: c.share, threshold: c.threshold}
}

func (s register) deleted() register { return register{known: true, version: s.version} }

func (s register) hash() uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintln(h, s.known, s.live, s.version, s.share, s.threshold, s.ended) // never fails
	return h.Sum64()
}

// registers is the model of all identities, one register each.
var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		var order []string
		of := map[string][]porcupine.Operation{}
		for _, o := range history {
			identity := o.Input.(call).identity
			if of[identity] == nil {
				order = append(order, identity)
			}
			of[identity] = append(of[identity], o)
		}
		var all [][]porcupine.Operation
		for _, identity := range order {
			all = append(all, of[identity])
		}
		return all
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(register).step(input.(call), output.(reply))
	},
	Hash: func(state any) uint64 { return state.(register).hash() },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%s: %s", input.(call), output.(reply))
	},
	DescribeState: func(state any) string { return fmt.Sprintf("%+v", state) },
}

func (c call) String() string {
	switch c.kind {
	case kindPush:
		return fmt.Sprintf("push %d %.8s/%d", c.version, c.share, c.threshold)
	case kindPull:
		return "pull"
	case kindDelete:
		return fmt.Sprintf("delete %d", c.version)
	}
	return "end"
}

func (r reply) String() string {
	switch r.verdict {
	case verdictOK:
		return fmt.Sprintf("ok %d %.8s/%d", r.version, r.share, r.threshold)
	case verdictNotFound:
		return "not found"
	case verdictConflict:
		return fmt.Sprintf("conflict with %d, stored %v", r.current, r.stored)
	}
	return "unknown"
}

// closed is the history with an end for every identity, after which what was
// never answered may be put.
func closed(history []porcupine.Operation) []porcupine.Operation {
	const end = math.MaxInt64 - 1 // later than any clock
	identities := map[string]bool{}
	var all []porcupine.Operation
	for _, o := range history {
		identities[o.Input.(call).identity] = true
		if o.Output.(reply).verdict == verdictUnknown {
			o.Return = math.MaxInt64
		}
		all = append(all, o)
	}
	for identity := range identities {
		all = append(all, porcupine.Operation{Input: call{kind: kindEnd, identity: identity}, Output: reply{}, Call: end, Return: end})
	}
	return all
}
