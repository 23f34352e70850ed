package integrity

import (
	"encoding/base64"
	"encoding/json"
	"math"
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
	r := plainReader{rest: text}
	r.expect(`{"kind":`)
	st.Kind = r.text()
	r.expect(`,"key_id":`)
	st.KeyID = r.text()
	r.expect(`,"node_id":`)
	st.NodeID = r.text()
	if r.skip(`,"identity":`) {
		st.Identity = r.text()
	}
	r.expect(`,"name":`)
	st.Name = r.text()
	r.expect(`,"version":`)
	st.Version = r.number(math.MaxUint64)
	r.expect(`,"epoch":`)
	st.Epoch = r.number(math.MaxUint64)
	if r.skip(`,"attempt":`) {
		st.Attempt = r.text()
	}
	r.expect(`,"threshold":`)
	st.Threshold = int(r.number(math.MaxInt32))
	r.expect(`,"split":`)
	st.Split = r.text()
	r.expect(`,"size":`)
	st.Size = int(r.number(math.MaxInt32))
	r.expect(`,"sha256":`)
	st.SHA256 = r.text()
	r.expect(`,"owned":`)
	if st.Owned = r.skip(`true`); !st.Owned {
		r.expect(`false`)
	}
	r.expect(`,"proof":`)
	st.Proof = int(r.number(math.MaxInt32))
	if r.skip(`,"manifest":`) {
		st.Manifest = r.bytes()
	}
	if r.skip(`,"certificate":`) {
		st.Certificate = r.bytes()
	}
	r.expect(`,"created_ns":`)
	st.CreatedNS = int64(r.number(math.MaxInt64))
	r.expect(`,"updated_ns":`)
	st.UpdatedNS = int64(r.number(math.MaxInt64))
	r.expect(`}`)
	return st, !r.failed && len(r.rest) == 0
}

// plainReader reads text from its beginning on. Once something else is there than was
// asked for, it has failed, and what it gives means nothing.
type plainReader struct {
	rest   []byte
	failed bool
}

// skip passes what is next if it is that.
func (r *plainReader) skip(that string) bool {
	if len(r.rest) < len(that) || string(r.rest[:len(that)]) != that {
		return false
	}
	r.rest = r.rest[len(that):]
	return true
}

func (r *plainReader) expect(that string) { r.failed = !r.skip(that) || r.failed }

// quoted reads a string that stands for itself.
func (r *plainReader) quoted() []byte {
	r.expect(`"`)
	for i, c := range r.rest {
		switch {
		case c == '"':
			quoted := r.rest[:i]
			r.rest = r.rest[i+1:]
			return quoted
		case c < ' ', c == '\\', c > '~':
			r.failed = true
			return nil
		}
	}
	r.failed = true
	return nil
}

func (r *plainReader) text() string { return string(r.quoted()) }

func (r *plainReader) bytes() []byte {
	decoded, err := base64.StdEncoding.AppendDecode([]byte{}, r.quoted())
	r.failed = r.failed || err != nil
	return decoded
}

// number reads a decimal number of at most limit, without leading zeros.
func (r *plainReader) number(limit uint64) (n uint64) {
	digits := 0
	for digits < len(r.rest) && '0' <= r.rest[digits] && r.rest[digits] <= '9' {
		digit := uint64(r.rest[digits] - '0')
		if n > (limit-digit)/10 {
			r.failed = true
			return 0
		}
		n, digits = 10*n+digit, digits+1
	}
	if digits == 0 || digits > 1 && r.rest[0] == '0' {
		r.failed = true
	}
	r.rest = r.rest[digits:]
	return n
}
