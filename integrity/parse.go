package integrity

import (
	"encoding/json"
	"math"

	"github.com/vault-guardian/guardian/internal/plainjson"
)

// parseStatement reads the JSON of a statement.
//
// One is read with every share, from the bytes that [json.Marshal] made: the fields
// in their order, once each, and nothing between them. Those are read as they stand,
// for json takes several times as long (BenchmarkParseStatement); what is written in any
// other way is left to [json.Unmarshal].
func parseStatement(text []byte) (Statement, error) {
	if st, ok := readPlain(text); ok {
		return st, nil
	}
	var st Statement
	err := json.Unmarshal(text, &st)
	return st, err
}

// readPlain reads what json.Marshal makes of a statement without characters that JSON
// escapes. Whatever it takes, json.Unmarshal takes for the same.
func readPlain(text []byte) (st Statement, ok bool) {
	r := plainjson.NewReader(text)
	r.Expect(`{"kind":`)
	st.Kind = r.Text()
	r.Expect(`,"key_id":`)
	st.KeyID = r.Text()
	r.Expect(`,"node_id":`)
	st.NodeID = r.Text()
	if r.Skip(`,"identity":`) {
		st.Identity = r.Text()
	}
	r.Expect(`,"name":`)
	st.Name = r.Text()
	r.Expect(`,"version":`)
	st.Version = r.Number(math.MaxUint64)
	r.Expect(`,"epoch":`)
	st.Epoch = r.Number(math.MaxUint64)
	if r.Skip(`,"attempt":`) {
		st.Attempt = r.Text()
	}
	r.Expect(`,"threshold":`)
	st.Threshold = int(r.Number(math.MaxInt32))
	r.Expect(`,"split":`)
	st.Split = r.Text()
	r.Expect(`,"size":`)
	st.Size = int(r.Number(math.MaxInt32))
	r.Expect(`,"sha256":`)
	st.SHA256 = r.Text()
	r.Expect(`,"owned":`)
	if st.Owned = r.Skip(`true`); !st.Owned {
		r.Expect(`false`)
	}
	r.Expect(`,"proof":`)
	st.Proof = int(r.Number(math.MaxInt32))
	if r.Skip(`,"manifest":`) {
		st.Manifest = r.Bytes()
	}
	if r.Skip(`,"certificate":`) {
		st.Certificate = r.Bytes()
	}
	r.Expect(`,"created_ns":`)
	st.CreatedNS = int64(r.Number(math.MaxInt64))
	r.Expect(`,"updated_ns":`)
	st.UpdatedNS = int64(r.Number(math.MaxInt64))
	r.Expect(`}`)
	return st, r.Done()
}
