package check

import "github.com/vault-guardian/guardian/record"

// Step is one of the steps of a check or a redistribution; each is a route.
type Step string

// The steps, in order, with what each takes and gives. A check has five; those of
// a redistribution alone are marked.
const (
	StepOpen    Step = "open"    // OpenRequest, OpenAnswer
	StepJoin    Step = "join"    // JoinRequest, OpenAnswer; redistribution
	StepDeal    Step = "deal"    // DealRequest, DealAnswer
	StepReceive Step = "receive" // ReceiveRequest, ReceiveAnswer
	StepShare   Step = "share"   // ShareRequest, ShareAnswer; redistribution
	StepTake    Step = "take"    // TakeRequest, ReceiveAnswer; redistribution
	StepSeal    Step = "seal"    // SealRequest, SealAnswer
	StepAnswer  Step = "answer"  // AnswerRequest, AnswerAnswer
	StepPrepare Step = "prepare" // VoteRequest, VoteAnswer; redistribution
	StepAgree   Step = "agree"   // VoteRequest, VoteAnswer; redistribution
)

// Steps are all of them, in order.
func Steps() []Step {
	return []Step{
		StepOpen, StepJoin, StepDeal, StepReceive, StepShare, StepTake, StepSeal, StepAnswer, StepPrepare, StepAgree,
	}
}

// MaxRequest bounds the JSON of a request where [Step.MaxRequest] says nothing
// else.
const MaxRequest = 256 << 10

// MaxRequest bounds the JSON of a request of the step. Answers are shorter, but
// that of the share step: it has what the next take step is asked with.
func (s Step) MaxRequest() int {
	switch s {
	case StepJoin: // base64 of MaxChains, and the rest
		return 11<<20 + MaxRequest
	case StepTake: // base64 of MaxMoved, and the rest
		return 3<<19 + MaxRequest
	case StepPrepare, StepAgree: // 2 times 255 answers of 255 columns
		return 4 << 20
	case StepOpen, StepDeal, StepReceive, StepShare, StepSeal, StepAnswer:
	}
	return MaxRequest
}

// OpenRequest proposes a check of a batch among participants, points in
// ascending order.
type OpenRequest struct {
	Batch        []record.Ref `json:"batch"`
	Participants []byte       `json:"participants"`
	// Replaces is the key of an earlier session of this caller here that it has
	// given up, if any.
	Replaces []byte `json:"replaces,omitempty"`
	// Proposal is where the batch is to move; nil in an audit.
	Proposal *ProposalMessage `json:"proposal,omitempty"`
}

// JoinRequest is an OpenRequest to a new holder, which need not have heard of the
// batch.
type JoinRequest struct {
	// Chains are those of the records of the batch.
	Chains   [][]byte        `json:"chains"`
	Proposal ProposalMessage `json:"proposal"`
	Replaces []byte          `json:"replaces,omitempty"`
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
	// New are new holders, in ascending order of X; none in an audit.
	New []Member `json:"new,omitempty"`
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

// ShareRequest asks a dealer, once it has received, for what it has for a new
// holder.
type ShareRequest struct {
	Key []byte `json:"key"`
	// To is the point of the new holder.
	To byte `json:"to"`
}

// ShareAnswer has it, sealed.
type ShareAnswer struct {
	Sealed []byte `json:"sealed"`
}

// TakeRequest brings a new holder what one dealer sealed to it. The answer to
// all but the last is empty.
type TakeRequest struct {
	Key []byte `json:"key"`
	// Roster is in the first of a session; nil after that.
	Roster *Roster `json:"roster,omitempty"`
	Dealer byte    `json:"dealer"`
	Sealed []byte  `json:"sealed"`
}

// SealRequest has the acknowledgements of all members, in their order.
type SealRequest struct {
	Key  []byte `json:"key"`
	Acks []Ack  `json:"acks"`
	New  []Ack  `json:"new,omitempty"`
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
	New        []Signature `json:"new,omitempty"`
}

// AnswerAnswer is what a holder publishes.
type AnswerAnswer struct {
	// Shares is a_j, 16 bytes; empty of a new holder.
	Shares []byte `json:"shares"`
	// Columns has 16 bytes for each dealer, in their order: of a new holder c_ij.
	Columns [][]byte `json:"columns"`
	// Signature is that of the node key over it, in a redistribution.
	Signature []byte `json:"signature,omitempty"`
}

// VoteRequest has the answers of all members, in their order.
type VoteRequest struct {
	Key     []byte         `json:"key"`
	Answers []AnswerAnswer `json:"answers"`
	New     []AnswerAnswer `json:"new"`
}

// VoteAnswer has a vote for each generation of the batch, in order.
type VoteAnswer struct {
	Votes []VoteMessage `json:"votes"`
}

// VoteMessage is a [record.Vote] without its point.
type VoteMessage struct {
	// Share is SHA-256 of the new share, of a new holder.
	Share     []byte `json:"share,omitempty"`
	Signature []byte `json:"signature"`
}
