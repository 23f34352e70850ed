package repair

import (
	"bytes"
	"encoding/json"

	"github.com/vault-guardian/guardian/record"
	"github.com/vault-guardian/guardian/repair/round"
)

// Routes of the peer plane that a Repairer answers. All take and give one JSON
// object; bytes are base64 in it, as encoding/json has them.
const (
	// RouteSurvey asks what a guardian holds of a slot: SurveyRequest, SurveyAnswer.
	RouteSurvey = "/peer/v1/repair/survey"
	// RouteOffer begins the recovery of a share: OfferRequest, OfferAnswer.
	RouteOffer = "/peer/v1/repair/offer"
	// RouteContribute ends it: ContributeRequest, ContributeAnswer.
	RouteContribute = "/peer/v1/repair/contribute"
	// RouteInventory asks for the digests of what the caller should hold too:
	// InventoryRequest, InventoryAnswer.
	RouteInventory = "/peer/v1/repair/inventory"
	// RouteBucket asks for what is behind one digest: BucketRequest, BucketAnswer.
	RouteBucket = "/peer/v1/repair/bucket"
	// RouteNotice hints that a share of the one called may be damaged:
	// NoticeRequest, NoticeAnswer.
	RouteNotice = "/peer/v1/repair/notice"
	// RouteStanding asks whether a holder that was left out of a round has a sound
	// share: StandingRequest, StandingAnswer.
	RouteStanding = "/peer/v1/round/standing"
	// RouteCertificates tells of committed rounds: CertificatesRequest,
	// CertificatesAnswer.
	RouteCertificates = "/peer/v1/round/certificates"
	// RouteCheck begins the routes of the steps of a check or a redistribution,
	// which package check names.
	RouteCheck = "/peer/v1/check/"
)

// Codes of a RefusedError.
const (
	// CodeMalformed: the request is not what the route takes.
	CodeMalformed = "malformed"
	// CodeNotHolder: the record does not give the caller what it asks for.
	CodeNotHolder = "not_holder"
	// CodeNoShare: the one asked has no sound share of that record, or none that
	// the caller is to know of.
	CodeNoShare = "no_share"
	// CodeOffers: the offers are not exactly K sound ones of the record with the
	// unspent one of who is asked among them.
	CodeOffers = "offers_refused"
	// CodeSession: the check's session is not known here, or this step of it was
	// done.
	CodeSession = "session_refused"
	// CodeBusy: too much is going on already; try again later.
	CodeBusy = "busy"
)

// SurveyRequest asks about one slot. Only generations are told of whose record,
// or one before it, names the caller.
type SurveyRequest struct {
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
	// Records asks for the records too.
	Records bool `json:"records,omitempty"`
	// Holding are the hashes of the records that the caller has shares of: who
	// was left out of later ones is told of them, too.
	Holding [][]byte `json:"holding,omitempty"`
}

// SurveyAnswer is what the one asked holds, newest first.
type SurveyAnswer struct {
	// Deleted tells of a tombstone, at Version.
	Deleted     bool        `json:"deleted,omitempty"`
	Version     uint64      `json:"version,omitempty"`
	Generations Generations `json:"generations"`
}

// Generations are read from JSON up to a bound, whatever follows: a guardian
// that lies is not to fill the memory of who asks it.
type Generations []Generation

// maxGenerations is more than anybody should retain.
const maxGenerations = 32

// UnmarshalJSON implements [json.Unmarshaler].
func (g *Generations) UnmarshalJSON(data []byte) error {
	*g = nil
	elements := json.NewDecoder(bytes.NewReader(data))
	if opening, err := elements.Token(); err != nil || opening != json.Delim('[') {
		return err
	}
	for len(*g) < maxGenerations && elements.More() {
		var one Generation
		if err := elements.Decode(&one); err != nil {
			return err
		}
		*g = append(*g, one)
	}
	return nil
}

// Generation is one share as its holder found it when asked.
type Generation struct {
	Version uint64 `json:"version"`
	Epoch   uint64 `json:"epoch"`
	Hash    []byte `json:"record"`
	// Sound: the share was read, and is what HMAC and record say.
	Sound bool `json:"sound"`
	// Record is the record itself, when asked for.
	Record []byte `json:"record_bytes,omitempty"`
}

// OfferRequest asks for an offer toward point X of the caller.
type OfferRequest struct {
	record.Ref
	X int `json:"x"`
}

// OfferAnswer is package recovery's Offer.
type OfferAnswer struct {
	X         int    `json:"x"`
	Key       []byte `json:"key"`
	Signature []byte `json:"signature"`
}

// ContributeRequest redeems an offer among exactly K.
type ContributeRequest struct {
	record.Ref
	X      int           `json:"x"`
	Offers []OfferAnswer `json:"offers"`
}

// ContributeAnswer holds one byte for each of the share but its point.
type ContributeAnswer struct {
	Masked []byte `json:"masked"`
}

// InventoryRequest asks for digests.
type InventoryRequest struct{}

// InventoryAnswer has one digest for each of the 256 buckets of identities by
// their first byte, over the slots whose record names the caller; none (empty)
// before a first scrub was finished.
type InventoryAnswer struct {
	TakenNS int64    `json:"taken_ns"`
	Digests [][]byte `json:"digests"`
}

// BucketRequest asks for the entries of a bucket behind After, in order.
type BucketRequest struct {
	// Bucket is 2 lower-case hex digits.
	Bucket string `json:"bucket"`
	After  Entry  `json:"after"`
}

// Entry is one slot that the one asked holds a sound share of, and the caller
// should too.
type Entry struct {
	Identity string `json:"identity,omitempty"`
	Name     string `json:"name,omitempty"`
	Version  uint64 `json:"version,omitempty"`
	Epoch    uint64 `json:"epoch,omitempty"`
	// Record is the record itself: who is told checks it before believing.
	Record []byte `json:"record,omitempty"`
}

// BucketAnswer is a page of entries.
type BucketAnswer struct {
	Entries []Entry `json:"entries"`
	// Last is as far as the one asked has got, with entries or without.
	Last SlotName `json:"last"`
	// More tells that there are more behind the last.
	More bool `json:"more,omitempty"`
}

// NoticeRequest hints at slots, at most 100.
type NoticeRequest struct {
	Slots []SlotName `json:"slots"`
}

// SlotName names a slot.
type SlotName struct {
	Identity string `json:"identity"`
	Name     string `json:"name,omitempty"`
}

// NoticeAnswer says how many were taken in.
type NoticeAnswer struct {
	Taken int `json:"taken"`
}

// StandingRequest asks what stands against moving some records, at most 256.
type StandingRequest struct {
	Records []record.Ref `json:"records"`
}

// StandingAnswer tells what does, of any of them: there is a sound share, the
// secret was deleted, or a later record is there that came of the one asked about.
type StandingAnswer struct {
	Sound   bool `json:"sound,omitempty"`
	Deleted bool `json:"deleted,omitempty"`
	Moved   bool `json:"moved,omitempty"`
}

// CertificatesRequest has the certified chains (package record) of a session, 1
// to 256.
type CertificatesRequest struct {
	Session round.Session `json:"session"`
	Group   round.Group   `json:"group"`
	// Keep: the registry is still to say that the session is committed. Who has
	// voted in it keeps them until then; nobody follows them.
	Keep   bool     `json:"keep,omitempty"`
	Chains [][]byte `json:"chains"`
	// Threshold is the K of the records before, and Followers are their holders
	// and those of the new ones: for who keeps them.
	Threshold int        `json:"threshold,omitempty"`
	Followers []Follower `json:"followers,omitempty"`
}

// Follower is an old or new holder of what was moved.
type Follower struct {
	Node string `json:"node"`
	Key  []byte `json:"key"`
	Old  bool   `json:"old,omitempty"`
	// Follows: it has its new share, or none any more, and nothing of before.
	Follows bool `json:"follows,omitempty"`
}

// CertificatesAnswer tells whether the one asked has kept them all, or follows
// them: it has the shares that they give it, and none from before.
type CertificatesAnswer struct {
	Done bool `json:"done"`
}
