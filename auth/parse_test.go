package auth_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/auth"
)

func TestParseTokens(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string // token to actor
	}{
		"one":               {`{"default":"s3cret"}`, map[string]string{"s3cret": "default"}},
		"two":               {"{\"a\":\"1\",\n\t\"b\":\"2\"}\r\n", map[string]string{"1": "a", "2": "b"}},
		"space dropped":     {` { " a " : "\t1\n" } `, map[string]string{"1": "a"}},
		"space within":      {`{"the gateway":"two words"}`, map[string]string{"two words": "the gateway"}},
		"escapes":           {`{"\u0061":"\"\\\u00e9"}`, map[string]string{`"\é`: "a"}},
		"case tells":        {`{"a":"t","A":"T"}`, map[string]string{"t": "a", "T": "A"}},
		"actor as token":    {`{"a":"b","b":"a"}`, map[string]string{"a": "b", "b": "a"}},
		"as long as may be": {padded(auth.MaxTokensSize), map[string]string{"1": "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := auth.ParseTokens([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			for token, want := range c.want {
				if actor, ok := tokens.Actor(token); !ok || actor != want {
					t.Errorf("%q belongs to %q, %v; want %q", token, actor, ok, want)
				}
			}
		})
	}
}

func padded(size int) string {
	const text = `{"a":"1"}`
	return text + strings.Repeat(" ", size-len(text))
}

func TestParseTokensRefuses(t *testing.T) {
	const secret = "5ec2e7-5ec2e7-5ec2e7-5ec2e7"
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":               {``, auth.ErrMalformed},
		"space":                 {" \n", auth.ErrMalformed},
		"bare token":            {secret, auth.ErrMalformed},
		"string":                {`"` + secret + `"`, auth.ErrMalformed},
		"array":                 {`["a","` + secret + `"]`, auth.ErrMalformed},
		"null":                  {`null`, auth.ErrMalformed},
		"no actor":              {`{}`, auth.ErrMalformed},
		"nested":                {`{"a":{"b":"` + secret + `"}}`, auth.ErrMalformed},
		"list of tokens":        {`{"a":["` + secret + `"]}`, auth.ErrMalformed},
		"number":                {`{"a":"` + secret + `","b":1}`, auth.ErrMalformed},
		"boolean":               {`{"a":true}`, auth.ErrMalformed},
		"null for a token":      {`{"` + secret + `":null}`, auth.ErrMalformed},
		"cut off":               {`{"a":"` + secret, auth.ErrMalformed},
		"not closed":            {`{"a":"` + secret + `"`, auth.ErrMalformed},
		"no colon":              {`{"a" "` + secret + `"}`, auth.ErrMalformed},
		"no quotes":             {`{a:"` + secret + `"}`, auth.ErrMalformed},
		"comma at the end":      {`{"a":"` + secret + `",}`, auth.ErrMalformed},
		"bad escape":            {`{"a":"` + secret + `\x"}`, auth.ErrMalformed},
		"text after":            {`{"a":"` + secret + `"} ` + secret, auth.ErrMalformed},
		"second object":         {`{"a":"` + secret + `"}{"b":"2"}`, auth.ErrMalformed},
		"brace after":           {`{"a":"` + secret + `"}}`, auth.ErrMalformed},
		"byte order mark":       {"\ufeff" + `{"a":"` + secret + `"}`, auth.ErrMalformed},
		"UTF-16":                {"\xff\xfe{\x00\"\x00a\x00", auth.ErrMalformed},
		"not UTF-8":             {"{\"a\":\"" + secret + "\xff\"}", auth.ErrMalformed},
		"too long":              {padded(auth.MaxTokensSize + 1), auth.ErrMalformed},
		"half a surrogate pair": {`{"a":"` + secret + `\ud800"}`, auth.ErrInvisible},
		"control character":     {`{"a":"` + secret + `\u0000x"}`, auth.ErrInvisible},
		"line break within":     {`{"a":"` + secret + `\n` + secret + `"}`, auth.ErrInvisible},
		"zero-width space":      {`{"a":"\u200b"}`, auth.ErrInvisible},
		"invisible actor":       {`{"a\u200b":"` + secret + `"}`, auth.ErrInvisible},
		"blank actor":           {`{" ":"` + secret + `"}`, auth.ErrBlank},
		"blank token":           {`{"` + secret + `":"\t"}`, auth.ErrBlank},
		"same key":              {`{"a":"` + secret + `","a":"2"}`, auth.ErrDuplicate},
		"same key and token":    {`{"a":"` + secret + `","a":"` + secret + `"}`, auth.ErrDuplicate},
		"same key, escaped":     {`{"a":"` + secret + `","\u0061":"2"}`, auth.ErrDuplicate},
		"same key, trimmed":     {`{"a":"` + secret + `","a ":"2"}`, auth.ErrDuplicate},
		"same token":            {`{"a":"` + secret + `","b":" ` + secret + `"}`, auth.ErrDuplicate},
		"same actor, swapped":   {`{"` + secret + `":"a","b":"a"}`, auth.ErrDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := auth.ParseTokens([]byte(c.text))
			if !errors.Is(err, c.want) || tokens != nil {
				t.Fatalf("got %v and %v, want %v", tokens, err, c.want)
			}
			if strings.Contains(err.Error(), secret[:6]) {
				t.Errorf("the error quotes a token: %v", err)
			}
		})
	}
}

func TestErrorsNameTheActor(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"short":              {`{"a":"1","gate-way_2.eu":""}`, `actor "gate-way_2.eu"`},
		"15 characters":      {`{"a":"1","123456789012345":""}`, `actor "123456789012345"`},
		"long, so a token?":  {`{"a":"1","1234567890123456":""}`, `actor 2`},
		"odd, so a token?":   {`{"a":"1","s3cr3t/+=":""}`, `actor 2`},
		"number of no token": {`{"a":"1","b":2}`, `actor "b"`},
		"both of two":        {`{"a":"1","12345678901234567890":"1"}`, `actor "a" and actor 2`},
		"both swapped":       {`{"a":"1","1234567890123456":"x","1234567890123457":"x"}`, `actor 2 and actor 3`},
	} {
		_, err := auth.ParseTokens([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not name %s", name, err, c.want)
		}
	}
}

// What is taken must be what any other reader of JSON sees, and what is refused
// must not come back in the error.
func FuzzParseTokens(f *testing.F) {
	for _, text := range []string{
		`{"a":"1","b":"2"}`, `{"a":"1","\u0061":"2"}`, `{" a ":"\t1\n"}`, `{"a":"\ud800"}`, `{"a":1}`, `{"a":{"b":"c"}}`,
		`{}`, `{"a":""}`, `[]`, `{"a":"1"}{}`, `{"a":"1",}`, `{"1234567890123456":"1","1234567890123457":"1"}`, "{\"\xff\":\"1\"}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tokens, err := auth.ParseTokens(text)
		var tokenOf map[string]string
		jsonErr := json.Unmarshal(text, &tokenOf)
		if err != nil {
			for actor, token := range tokenOf {
				if len(token) > 15 && strings.Contains(err.Error(), token) || len(actor) > 15 && strings.Contains(err.Error(), actor) {
					t.Fatalf("%v quotes what it was given", err)
				}
			}
			return
		}
		if jsonErr != nil || len(tokenOf) == 0 || tokens.Empty() {
			t.Fatalf("taken, but to others it is %v, %v", tokenOf, jsonErr)
		}
		for actor, token := range tokenOf {
			if got, ok := tokens.Actor(strings.TrimSpace(token)); !ok || got != strings.TrimSpace(actor) {
				t.Fatalf("a token of %q is said to belong to %q, %v", actor, got, ok)
			}
		}
		if _, err := auth.NewTokens(tokenOf); err != nil {
			t.Fatalf("NewTokens does not take the same: %v", err)
		}
	})
}
