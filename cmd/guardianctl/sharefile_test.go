package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// slowMul is multiplication in GF(2^8) as it is taught, one bit at a time.
func slowMul(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		if a&0x80 == 0 {
			a <<= 1
		} else {
			a = a<<1 ^ 0x1b
		}
	}
	return product
}

// published is the test vector of docs/FORMATS.md: the payload is the secret
// and the bytes 20 to 3f, and every polynomial is s + 5x + 7x^2.
func published(t *testing.T) (secret []byte, texts [][]byte, shares []shareFile) {
	t.Helper()
	secret, err := os.ReadFile("testdata/shares/answer")
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Clone(secret)
	for b := byte(0x20); b < 0x40; b++ {
		payload = append(payload, b)
	}
	facts := splitFacts{threshold: 3, shares: 5, size: len(secret), hash: sha256.Sum256(payload)}
	for i := range facts.id {
		facts.id[i] = byte(i)
	}
	for x := byte(1); x <= 5; x++ {
		text, err := os.ReadFile(fmt.Sprintf("testdata/shares/answer.share-%d", x))
		if err != nil {
			t.Fatal(err)
		}
		share := shareFile{facts, []byte{x}}
		for _, s := range payload {
			share.data = append(share.data, s^slowMul(5, x)^slowMul(7, slowMul(x, x)))
		}
		texts, shares = append(texts, text), append(shares, share)
	}
	return secret, texts, shares
}

func TestPublishedShareFiles(t *testing.T) {
	secret, texts, shares := published(t)
	for i, text := range texts {
		parsed, err := parseShareFile(text)
		if err != nil || len(parsed) != 1 || !sameShare(parsed[0], shares[i]) {
			t.Errorf("share %d: parsed as %v, %v", i+1, parsed, err)
		}
		if written := mustText(t, shares[i]); !bytes.Equal(written, text) {
			t.Errorf("share %d: written as\n%s\nnot\n%s", i+1, written, text)
		}
	}
	result, err := rebuild(t.Context(), held(shares[4], shares[0], shares[2]))
	if err != nil || !bytes.Equal(result.payload[:result.size], secret) {
		t.Errorf("rebuilt %q, %v", result.payload, err)
	}
}

func sameShare(a, b shareFile) bool {
	return a.splitFacts == b.splitFacts && bytes.Equal(a.data, b.data)
}

func mustText(t testing.TB, share shareFile) []byte {
	t.Helper()
	text, err := share.text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustSplit(t testing.TB, secret []byte, n, k int) []shareFile {
	t.Helper()
	shares, err := splitSecret(secret, n, k)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

// held are shares, each in a file that is named after its place.
func held(shares ...shareFile) []heldShare {
	list := make([]heldShare, len(shares))
	for i, share := range shares {
		list[i] = heldShare{string(rune('a' + i)), share}
	}
	return list
}

func TestShareFilesSurviveMail(t *testing.T) {
	for _, size := range []int{1, 15, 16, 17, 1000, 1 << 20} {
		share := mustSplit(t, bytes.Repeat([]byte{7}, size), 3, 2)[2]
		text := string(mustText(t, share))
		for line := range strings.Lines(text) {
			if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") || len(line) > 72 || line[0] > '~' {
				t.Fatalf("size %d: a mail may change the line %q", size, line)
			}
		}
		for name, changed := range map[string]string{
			"as it is":          text,
			"CRLF":              strings.ReplaceAll(text, "\n", "\r\n"),
			"no last newline":   strings.TrimSuffix(text, "\n"),
			"byte order mark":   byteOrderMark + text,
			"blanks at the end": strings.ReplaceAll(text, "\n", " \t\n"),
			"within a mail":     "Subject: hello\n\nHere: it is.\n\n" + text + "\n-- \nsomebody: me\n",
			"behind END":        strings.TrimSuffix(text, "\n") + " is the end",
		} {
			if parsed, err := parseShareFile([]byte(changed)); err != nil || len(parsed) != 1 || !sameShare(parsed[0], share) {
				t.Errorf("size %d, %s: %d shares, %v", size, name, len(parsed), err)
			}
		}
	}
}

func TestParseShareFileRefuses(t *testing.T) {
	_, texts, _ := published(t)
	whole, other := string(texts[0]), string(texts[1])
	header := func(name, value string) string {
		lines := strings.Split(whole, "\n")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+":") })
		lines[i] = name + ": " + value
		return strings.Join(lines, "\n")
	}
	without := func(part string) string { return strings.Replace(whole, part, "", 1) }
	type refusal struct {
		text  string
		whole int
		want  string
	}
	tests := map[string]refusal{
		"empty":              {"", 0, "holds no share"},
		"something else":     {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0, "holds no share"},
		"cut in half":        {whole[:len(whole)/2], 0, "cut off"},
		"first line only":    {shareBegin, 0, "cut off"},
		"first line gone":    {without(shareBegin), 0, "no line " + shareBegin},
		"last line gone":     {without(shareEnd), 0, "cut off"},
		"nothing between":    {shareBegin + "\n" + shareEnd + "\n", 0, "8 headers"},
		"other format":       {header("Format", "2"), 0, "newer guardianctl: its format is not 1"},
		"no format":          {strings.Replace(whole, "Format", "Firmat", 1), 0, "format"},
		"header twice":       {strings.Replace(whole, "Point: 1", "Point: 1\nPoint: 1", 1), 0, "8 headers"},
		"header gone":        {without("Point: 1\n"), 0, "8 headers"},
		"hex in upper case":  {header("Split", "000102030405060708090A0B0C0D0E0F"), 0, "Split"},
		"short id":           {header("Split", "0001"), 0, "Split"},
		"no hash":            {header("Hash", ""), 0, "Hash"},
		"other hash":         {header("Hash", strings.Repeat("0", 64)), 0, "Check"},
		"point 0":            {header("Point", "0"), 0, "Point"},
		"point above N":      {header("Point", "6"), 0, "Point is not a number from 1 to 5"},
		"another point":      {header("Point", "2"), 0, "Check"},
		"not one spelling":   {header("Point", "+1"), 0, "Point"},
		"leading zero":       {header("Point", "01"), 0, "Point"},
		"threshold 1":        {header("Threshold", "1"), 0, "Threshold"},
		"threshold above N":  {header("Threshold", "6"), 0, "Threshold"},
		"N of 256":           {header("Shares", "256"), 0, "Shares"},
		"N below K":          {header("Shares", "2"), 0, "Threshold"},
		"size 0":             {header("Size", "0"), 0, "Size"},
		"negative size":      {header("Size", "-1"), 0, "Size"},
		"huge size":          {header("Size", "99999999999999999999"), 0, "Size"},
		"size too large":     {header("Size", "134217729"), 0, "Size"},
		"size one off":       {header("Size", "14"), 0, "45 bytes in place of 46"},
		"not base64":         {strings.Replace(whole, "\n\n", "\n\n!", 1), 0, "garbled"},
		"base64 gone":        {whole[:strings.Index(whole, "\n\n")+2] + shareEnd, 0, "0 bytes in place of 45"},
		"one of two is cut":  {strings.TrimSuffix(whole, shareEnd+"\n") + other, 1, "cut off"},
		"one of two garbled": {other + header("Point", "x"), 1, "Point"},
		"the second's first line gone": {
			whole + strings.Replace(other, shareBegin, "", 1), 1, "no line " + shareBegin,
		},
		"256 shares": {strings.Repeat(whole, 256), 0, "more than 255 shares"},
		"two whole":  {whole + other, 2, ""},
	}
	for name, c := range tests {
		shares, err := parseShareFile([]byte(c.text))
		if len(shares) != c.whole || (err == nil) != (c.want == "") {
			t.Errorf("%s: %d shares and %v, want %d and %q", name, len(shares), err, c.whole, c.want)
			continue
		}
		if err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: refused with %v, want %q", name, err, c.want)
		}
	}
}

// TestMutatedShareFiles changes, drops and doubles every byte of a share file:
// it is refused, or nothing that counts was changed.
func TestMutatedShareFiles(t *testing.T) {
	_, texts, shares := published(t)
	text, refused := texts[1], 0
	check := func(what string, at int, changed []byte) {
		t.Helper()
		parsed, err := parseShareFile(changed)
		switch {
		case err != nil && len(parsed) > 0:
			t.Fatalf("byte %d %s: %d shares beside %v", at, what, len(parsed), err)
		case err != nil:
			refused++
		case len(parsed) != 1 || !sameShare(parsed[0], shares[1]):
			t.Fatalf("byte %d %s is not noticed:\n%s", at, what, changed)
		}
	}
	for at := range text {
		for value := range 256 {
			changed := bytes.Clone(text)
			changed[at] = byte(value)
			check(fmt.Sprintf("set to %#x", value), at, changed)
		}
		check("gone", at, slices.Delete(bytes.Clone(text), at, at+1))
		check("doubled", at, slices.Insert(bytes.Clone(text), at, text[at]))
		check("the last", at, text[:at+1])
		check("the first", at, text[at:])
	}
	if all := len(text) * (256 + 4); refused < all*9/10 {
		t.Errorf("%d of %d changes are refused", refused, all)
	}
}

// TestChangedBytesOfAShare goes through what a text means: every byte that is
// checked is checked.
func TestChangedBytesOfAShare(t *testing.T) {
	_, texts, shares := published(t)
	header := string(texts[0][:bytes.Index(texts[0], []byte("\n\n"))])
	for i := range shares[0].data[1:] {
		share := shareFile{shares[0].splitFacts, bytes.Clone(shares[0].data)}
		share.data[1+i] ^= 1
		changed := mustText(t, share)
		changed = append([]byte(header), changed[bytes.Index(changed, []byte("\n\n")):]...)
		if parsed, err := parseShareFile(changed); err == nil || len(parsed) != 0 {
			t.Errorf("a change of byte %d is not noticed", i)
		}
	}
	fields := map[string]func(*splitFacts){
		"split":     func(f *splitFacts) { f.id[15] ^= 1 },
		"threshold": func(f *splitFacts) { f.threshold = 2 },
		"shares":    func(f *splitFacts) { f.shares = 6 },
		"size":      func(f *splitFacts) { f.size++ },
		"hash":      func(f *splitFacts) { f.hash[31] ^= 1 },
	}
	sums := map[string]string{shares[0].check(): "none"}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		share := shares[0]
		fields[name](&share.splitFacts)
		sums[share.check()] = name
	}
	if len(sums) != 1+len(fields) {
		t.Errorf("not every field is checked: %v", sums)
	}
}

func TestShareFilesTellNothingOfTheSecret(t *testing.T) {
	secret := []byte("a secret with a hash that can be guessed")
	first, second := mustSplit(t, secret, 3, 2)[0], mustSplit(t, secret, 3, 2)[0]
	if first.hash == second.hash || first.id == second.id || first.hash == sha256.Sum256(secret) {
		t.Error("two splits of a secret can be told to be of one")
	}
	plain := hex.EncodeToString(secret[:8])
	if text := mustText(t, first); bytes.Contains(text, secret[:8]) || bytes.Contains(text, []byte(plain)) {
		t.Error("a share file shows the secret")
	}
}

// FuzzParseShareFile: what is taken for a share is within bounds, and written
// and read again the same.
func FuzzParseShareFile(f *testing.F) {
	var all []byte
	for i := range 5 {
		text, err := os.ReadFile(fmt.Sprintf("testdata/shares/answer.share-%d", i+1))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		all = append(all, text...)
	}
	f.Add(all)
	f.Add([]byte(shareBegin + "\n" + shareEnd))
	f.Fuzz(func(t *testing.T, text []byte) {
		shares, err := parseShareFile(text)
		if len(shares) == 0 && err == nil {
			t.Fatal("neither a share nor an error")
		}
		for _, s := range shares {
			if s.threshold < 2 || s.threshold > s.shares || s.shares > 255 || s.point() == 0 || int(s.point()) > s.shares {
				t.Fatalf("share %d, %d of %d", s.point(), s.threshold, s.shares)
			}
			if s.size < 1 || len(s.data) != 1+s.size+padSize {
				t.Fatalf("size %d, %d bytes", s.size, len(s.data))
			}
			again, err := parseShareFile(mustText(t, s))
			if err != nil || len(again) != 1 || !sameShare(again[0], s) {
				t.Fatalf("written and read again: %v, %v", again, err)
			}
		}
	})
}
