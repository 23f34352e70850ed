package plainjson_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/internal/plainjson"
)

func TestReader(t *testing.T) {
	r := plainjson.NewReader([]byte(`{"a":"x y~","b":18446744073709551615,"c":"AAE=","d":0}`))
	r.Expect(`{"a":`)
	text := r.Text()
	if r.Skip(`,"absent":`) {
		t.Error("skipped what is not there")
	}
	r.Expect(`,"b":`)
	number := r.Number(math.MaxUint64)
	r.Expect(`,"c":`)
	data := r.Bytes()
	if r.Done() {
		t.Error("done before the end")
	}
	r.Expect(`,"d":`)
	zero := r.Number(0)
	r.Expect(`}`)
	if !r.Done() || text != "x y~" || number != math.MaxUint64 || !bytes.Equal(data, []byte{0, 1}) || zero != 0 {
		t.Errorf("%t: %q, %d, %x, %d", r.Done(), text, number, data, zero)
	}
}

// What json would read differently, or not at all, is not plain.
func TestReaderRefuses(t *testing.T) {
	text := func(r *plainjson.Reader) { r.Text() }
	below := func(limit uint64) func(*plainjson.Reader) { return func(r *plainjson.Reader) { r.Number(limit) } }
	for name, c := range map[string]struct {
		text string
		read func(*plainjson.Reader)
	}{
		"nothing":              {``, text},
		"no quote":             {`a"`, text},
		"no end":               {`"a`, text},
		"an escape":            {`"\u0061"`, text},
		"a control character":  {"\"\n\"", text},
		"delete":               {"\"\x7f\"", text},
		"more than ASCII":      {`"é"`, text},
		"more behind it":       {`"a" `, text},
		"base64 without end":   {`"AAE"`, func(r *plainjson.Reader) { r.Bytes() }},
		"other than asked for": {`{"b":`, func(r *plainjson.Reader) { r.Expect(`{"a":`) }},
		"no digits":            {``, below(9)},
		"a sign":               {`-1`, below(9)},
		"a leading zero":       {`01`, below(9)},
		"a fraction":           {`1.0`, below(9)},
		"an exponent":          {`1e0`, below(9)},
		"one above the limit":  {`256`, below(255)},
		"one digit more":       {`2550`, below(255)},
		"above 64 bits":        {`18446744073709551616`, below(math.MaxUint64)},
	} {
		r := plainjson.NewReader([]byte(c.text))
		if c.read(r); r.Done() {
			t.Errorf("%s: took %q", name, c.text)
		}
	}
}

// Whether a byte is plain does not depend on where it is, nor on those beside it.
func TestReaderLooksAtEachByte(t *testing.T) {
	for c := range 256 {
		plain := ' ' <= c && c <= '~' && c != '"' && c != '\\'
		for _, beside := range []string{" ", "~", "A"} {
			for at := range 17 {
				text := []byte(strings.Repeat(beside, 17))
				text[at] = byte(c)
				r := plainjson.NewReader(fmt.Appendf(nil, `"%s"`, text))
				if got := r.Text(); r.Done() != plain || plain && got != string(text) {
					t.Fatalf("%q, %t: %q", text, plain, got)
				}
			}
		}
	}
}

// Once it has failed, nothing that follows makes up for it.
func TestReaderStaysFailed(t *testing.T) {
	r := plainjson.NewReader([]byte(`"a"7`))
	r.Number(9)
	r.Text()
	r.Number(9)
	if r.Done() {
		t.Error("done")
	}
}
