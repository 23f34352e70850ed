package repair

// States of a holder's share, as a survey finds it.
const (
	// StateGood: read just now, and what HMAC and record say.
	StateGood = "good"
	// StateCorrupt: it is there, and is not what was sealed.
	StateCorrupt = "corrupt"
	// StateMissing: the holder has nothing of this version or of a later one.
	StateMissing = "missing"
	// StateStale: the holder has an earlier version only.
	StateStale = "stale"
	// StateUnreachable: the holder did not answer, or is not known.
	StateUnreachable = "unreachable"
)

// Outcomes of a repair.
const (
	// OutcomeRepaired: the share of this node was recovered and verified.
	OutcomeRepaired = "repaired"
	// OutcomeVerified: it was found sound.
	OutcomeVerified = "verified"
	// OutcomeUnknown: neither this node nor any peer knows the slot.
	OutcomeUnknown = "unknown"
	// OutcomeFailed: tried, and to be tried again.
	OutcomeFailed = "failed"
)

// Report says what one repair found and left behind.
type Report struct {
	SlotName
	Outcome string `json:"outcome"`
	Before  Health `json:"before"`
	After   Health `json:"after"`
	// Bytes are those of shares and contributions that were sent and received.
	Bytes int64 `json:"bytes"`
}

// Health is what is known of one generation of a slot over all its holders.
type Health struct {
	// Healthy: every holder has its share. Recoverable: at least K have.
	Healthy     bool `json:"healthy"`
	Recoverable bool `json:"recoverable"`

	Good        int `json:"good"`
	Corrupt     int `json:"corrupt"`
	Missing     int `json:"missing"`
	Stale       int `json:"stale"`
	Unreachable int `json:"unreachable"`

	// K and N are the record's, 0 where there is no record.
	K int `json:"k"`
	N int `json:"n"`

	Version uint64 `json:"version"`
	Epoch   uint64 `json:"epoch"`

	Holders []HolderHealth `json:"holders,omitempty"`
	// FailureDomains is how many different ones the good holders are in.
	FailureDomains int `json:"failure_domains"`
}

// HolderHealth is one holder's share.
type HolderHealth struct {
	X             int    `json:"x"`
	Node          string `json:"node"`
	FailureDomain string `json:"failure_domain,omitempty"`
	State         string `json:"state"`
}
