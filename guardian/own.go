package guardian

import (
	"fmt"

	"github.com/vault-guardian/guardian/api"
)

// Ownership says who must prove to own what they ask for.
type Ownership int

const (
	// OwnershipSticky asks for a proof once a slot was written with one:
	// after restarts, on every replica, and of its tombstone too.
	OwnershipSticky Ownership = iota
	// OwnershipRequired asks for a proof always.
	OwnershipRequired
	// OwnershipOff never asks for one.
	OwnershipOff
)

// Caller is who asks, as far as it has been verified.
type Caller struct {
	// Proof is the version of the proof of ownership that was shown; 0 for none.
	Proof int
	// Create, when set, is asked before an identity is given its first share or
	// its first named secret, and may refuse it. Deleted ones count as given.
	Create func() error
}

// operator is somebody who works on the storage itself.
var operator = Caller{Proof: 1 << 30}

// admit refuses a caller who proves less than the slot has seen before.
func admit(mode Ownership, known standing, by Caller) error {
	switch {
	case mode == OwnershipOff:
		return nil
	case by.Proof == 0 && (mode == OwnershipRequired || known.owned):
		return api.ErrOwnershipRequired
	case by.Proof != 0 && by.Proof < known.proof:
		return fmt.Errorf("%w: this was proved by version %d before", api.ErrOwnershipInvalid, known.proof)
	}
	return nil
}

// admitShare refuses a share without manifest where there was one.
func admitShare(known standing, share Share) error {
	if known.manifest && len(share.Manifest) == 0 {
		return misfit("manifest required: this was written with one before")
	}
	return nil
}

// after is the standing once a caller has pushed a share.
func (s standing) after(by Caller, share Share) standing {
	s.keep(standing{owned: by.Proof > 0, proof: by.Proof, manifest: len(share.Manifest) > 0})
	return s
}

func (s *standing) keep(other standing) {
	s.owned = s.owned || other.owned
	s.proof = max(s.proof, other.proof)
	s.manifest = s.manifest || other.manifest
	s.from = max(s.from, other.from)
}
