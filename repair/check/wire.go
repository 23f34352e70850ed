package check

// Step is one of the five steps of a check; each is a route.
type Step string

// The steps, in order, with what each takes and gives.
const (
	StepOpen    Step = "open"    // OpenRequest, OpenAnswer
	StepDeal    Step = "deal"    // DealRequest, DealAnswer
	StepReceive Step = "receive" // ReceiveRequest, ReceiveAnswer
	StepSeal    Step = "seal"    // SealRequest, SealAnswer
	StepAnswer  Step = "answer"  // AnswerRequest, AnswerAnswer
)

// MaxRequest bounds the JSON of any request; answers are shorter.
const MaxRequest = 256 << 10

// Name names a generation by its record.
type Name struct {
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	Version  uint64 `json:"version"`
	Epoch    uint64 `json:"epoch"`
	// Hash is SHA-256 of the record, 32 bytes.
	Hash []byte `json:"record"`
}

// OpenRequest proposes a check of a batch among participants, points in
// ascending order.
type OpenRequest struct {
	Batch        []Name `json:"batch"`
	Participants []byte `json:"participants"`
	// Replaces is the key of an earlier session of this caller here that it has
	// given up, if any.
	Replaces []byte `json:"replaces,omitempty"`
}

// OpenAnswer has the key of a new session, or what stands against it.
type OpenAnswer struct {
	// Key is E, 32 bytes, and Signature that of the node key over it.
	Key       []byte `json:"key,omitempty"`
	Signature []byte `json:"signature,omitempty"`
	// Lacking are the places in the batch, ascending, of which there is no sound
	// share here that the caller is to know of. Then there is no session.
	Lacking []int `json:"lacking,omitempty"`
}

// Member is one participant of a session.
type Member struct {
	X         byte   `json:"x"`
	Key       []byte `json:"key"`
	Signature []byte `json:"signature"`
}

// Roster is who takes part in a session, in ascending order of X.
type Roster struct {
	Members []Member `json:"members"`
	// Dealers are the points, ascending, of K members.
	Dealers []byte `json:"dealers"`
}

// DealRequest asks a dealer to deal. Key, here and below, is the E of the one
// asked, and names the session.
type DealRequest struct {
	Key    []byte `json:"key"`
	Roster Roster `json:"roster"`
}

// DealAnswer has what is for each member, in their order, sealed.
type DealAnswer struct {
	Sealed [][]byte `json:"sealed"`
}

// ReceiveRequest brings what each dealer, in their order, sealed to the one
// asked.
type ReceiveRequest struct {
	Key    []byte   `json:"key"`
	Roster Roster   `json:"roster"`
	Sealed [][]byte `json:"sealed"`
}

// ReceiveAnswer is an acknowledgement, or says whose dealings cannot be opened.
type ReceiveAnswer struct {
	// Random and Received are 32 bytes each.
	Random   []byte `json:"random,omitempty"`
	Received []byte `json:"received,omitempty"`
	// Unopened are the points of dealers, ascending. Then the session is over.
	Unopened []byte `json:"unopened,omitempty"`
}

// Ack is one member's acknowledgement.
type Ack struct {
	X        byte   `json:"x"`
	Random   []byte `json:"random"`
	Received []byte `json:"received"`
}

// SealRequest has the acknowledgements of all members, in their order.
type SealRequest struct {
	Key  []byte `json:"key"`
	Acks []Ack  `json:"acks"`
}

// SealAnswer is a signature over the seed.
type SealAnswer struct {
	Signature []byte `json:"signature"`
}

// Signature is one member's signature over the seed.
type Signature struct {
	X         byte   `json:"x"`
	Signature []byte `json:"signature"`
}

// AnswerRequest has the signatures of all members, in their order.
type AnswerRequest struct {
	Key        []byte      `json:"key"`
	Signatures []Signature `json:"signatures"`
}

// AnswerAnswer is what a holder publishes.
type AnswerAnswer struct {
	// Shares is a_j, 16 bytes.
	Shares []byte `json:"shares"`
	// Columns has 16 bytes for each dealer, in their order.
	Columns [][]byte `json:"columns"`
}
