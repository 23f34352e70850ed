package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/integrity"
)

// writeChain makes a chain of 5 segments of 5 lines each, from Start to End.
func writeChain(t testing.TB, sealer Sealer) []Segment {
	t.Helper()
	c, start := newChain(sealer, nodeID, program)
	bodies := [][]byte{encode(start)}
	for i := range 23 {
		entry, err := newEntry(sealer, pushOf(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, encode(entry))
	}
	bodies = append(bodies, encode(Entry{Time: start.Time, Kind: End}))
	var segments []Segment
	for part := range slices.Chunk(bodies, 5) {
		segments = append(segments, mustSeal(t, &c, part...))
	}
	return segments
}

func mustSeal(t testing.TB, c *chain, bodies ...[]byte) Segment {
	t.Helper()
	s, err := c.seal(bodies)
	if err != nil {
		t.Fatal(err)
	}
	return Segment{s.name, s.data}
}

// findings are the problems of a report in short: kind, number of the segment
// and lines, if it has some.
func findings(report Report) []string {
	var all []string
	for _, c := range report.Chains {
		for _, p := range c.Problems {
			_, number, _ := parseName(p.Segment)
			text := fmt.Sprintf("%s %d", p.Kind, number)
			if p.First > 0 {
				text += fmt.Sprintf(":%d", p.First)
			}
			if p.Last > p.First {
				text += fmt.Sprintf("-%d", p.Last)
			}
			all = append(all, text)
		}
	}
	for _, p := range report.Problems {
		all = append(all, string(p.Kind)+" "+p.Segment)
	}
	return all
}

// book is a log that somebody without keys tampers with. Segments and lines
// count from 1.
type book struct {
	chain    string
	segments map[int][]string // lines with their newlines
	others   []Segment
}

func newBook(segments []Segment) *book {
	b := &book{segments: map[int][]string{}}
	for _, s := range segments {
		chain, number, _ := parseName(s.Name)
		b.chain = chain
		b.segments[int(number)] = slices.Collect(strings.Lines(string(s.Data)))
	}
	return b
}

func (b *book) list() []Segment {
	all := slices.Clone(b.others)
	for number, lines := range b.segments {
		all = append(all, Segment{segmentName(b.chain, uint64(number)), []byte(strings.Join(lines, ""))})
	}
	slices.SortFunc(all, func(a, b Segment) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (b *book) edit(segment, line int, from, to string) {
	lines := b.segments[segment]
	if !strings.Contains(lines[line-1], from) {
		panic("nothing to edit")
	}
	lines[line-1] = strings.Replace(lines[line-1], from, to, 1)
}

func (b *book) remove(segment, from, to int) {
	b.segments[segment] = slices.Delete(b.segments[segment], from-1, to)
}

func (b *book) insert(segment, before int, lines ...string) {
	b.segments[segment] = slices.Insert(b.segments[segment], before-1, lines...)
}

// cut leaves so many bytes of a segment.
func (b *book) cut(segment, size int) {
	text := strings.Join(b.segments[segment], "")
	b.segments[segment] = slices.Collect(strings.Lines(text[:size]))
}

func (b *book) rename(from, to int) {
	b.segments[to] = b.segments[from]
	delete(b.segments, from)
}

func (b *book) size(segment int) int { return len(strings.Join(b.segments[segment], "")) }

// tagOf is a line's tag in hex.
func tagOf(line string) string {
	at := strings.Index(line, tagField) + len(tagField)
	return line[at : at+tagDigits]
}

func TestTampering(t *testing.T) {
	sealer := newSealer(t, nodeID, "k1", "k2")
	segments, second := writeChain(t, sealer), newBook(writeChain(t, sealer))
	elsewhere := newBook(writeChain(t, newSealer(t, "g2", "k1", "k2")))
	for name, tc := range map[string]struct {
		tamper  func(b *book)
		want    []string
		notEnds bool // there is no closing line
	}{
		"untouched": {tamper: func(*book) {}},

		"line edited":              {func(b *book) { b.edit(2, 3, `"status":200`, `"status":401`) }, []string{"damaged 2:3"}, false},
		"first line edited":        {func(b *book) { b.edit(1, 1, nodeID, "g9") }, []string{"damaged 1:1"}, false},
		"closing line edited":      {func(b *book) { b.edit(5, 5, `"end"`, `"END"`) }, []string{"damaged 5:5"}, true},
		"space added":              {func(b *book) { b.edit(2, 3, `,`, `, `) }, []string{"damaged 2:3"}, false},
		"sequence number edited":   {func(b *book) { b.edit(2, 3, `"seq":8`, `"seq":9`) }, []string{"damaged 2:3"}, false},
		"link edited":              {func(b *book) { b.edit(2, 3, `"prev":"`, `"prev":"0`) }, []string{"damaged 2:3"}, false},
		"tag edited":               {func(b *book) { b.edit(2, 3, tagOf(b.segments[2][2]), strings.Repeat("0", tagDigits)) }, []string{"damaged 2:3"}, false},
		"tag of the line before":   {func(b *book) { b.edit(2, 3, tagOf(b.segments[2][2]), tagOf(b.segments[2][1])) }, []string{"damaged 2:3"}, false},
		"tag shortened":            {func(b *book) { b.edit(2, 3, tagField, tagField+"00") }, []string{"malformed 2:3"}, false},
		"tag in upper case":        {func(b *book) { b.edit(2, 3, tagOf(b.segments[2][2]), strings.ToUpper(tagOf(b.segments[2][2]))) }, []string{"malformed 2:3"}, false},
		"key id spelled otherwise": {func(b *book) { b.edit(2, 3, `"key":"k1"`, `"key":"k\u0031"`) }, []string{"malformed 2:3"}, false},
		"field of upper case":      {func(b *book) { b.edit(2, 3, `,"tag"`, `,"TAG"`) }, []string{"malformed 2:3"}, false},
		"another known key":        {func(b *book) { b.edit(2, 3, `"key":"k1"`, `"key":"k2"`) }, []string{"damaged 2:3"}, false},
		"key id damaged":           {func(b *book) { b.edit(2, 3, `"key":"k1"`, `"key":"k3"`) }, []string{"damaged 2:3"}, false},
		"key id and line edited":   {func(b *book) { b.edit(2, 3, `"key":"k1"`, `"key":"k3"`); b.edit(2, 3, "200", "401") }, []string{"key_unknown 2:3"}, false},
		"line in place of another": {func(b *book) { b.segments[2][2] = "nothing happened\n" }, []string{"malformed 2:3"}, false},
		"line emptied":             {func(b *book) { b.segments[2][2] = "\n" }, []string{"malformed 2:3"}, false},
		"newline removed":          {func(b *book) { b.edit(2, 3, "\n", "") }, []string{"malformed 2:3", "missing 2:4"}, false},
		"segment overwritten":      {func(b *book) { b.segments[2] = []string{"\x00\x00"} }, []string{"cut_off 2:1", "missing 3:1"}, false},
		"all lines edited": {func(b *book) {
			for line := range 5 {
				b.edit(2, line+1, `"actor":"default"`, `"actor":"nobody"`)
			}
		}, []string{"damaged 2:1-5"}, false},
		"two lines edited": {func(b *book) { b.edit(2, 2, "200", "401"); b.edit(2, 4, "200", "401") }, []string{"damaged 2:2", "damaged 2:4"}, false},

		"line deleted":                  {func(b *book) { b.remove(2, 3, 3) }, []string{"missing 2:3"}, false},
		"first line deleted":            {func(b *book) { b.remove(1, 1, 1) }, []string{"missing 1:1"}, false},
		"first of a segment deleted":    {func(b *book) { b.remove(3, 1, 1) }, []string{"missing 3:1"}, false},
		"last of a segment deleted":     {func(b *book) { b.remove(2, 5, 5) }, []string{"missing 3:1"}, false},
		"around a border deleted":       {func(b *book) { b.remove(2, 4, 5); b.remove(3, 1, 2) }, []string{"missing 3:1"}, false},
		"in two places deleted":         {func(b *book) { b.remove(2, 3, 3); b.remove(4, 2, 4) }, []string{"missing 2:3", "missing 4:2"}, false},
		"the last but one deleted":      {func(b *book) { b.remove(5, 4, 4) }, []string{"missing 5:4"}, false},
		"closing line deleted":          {func(b *book) { b.remove(5, 5, 5) }, nil, true},
		"deleted, the next one edited":  {func(b *book) { b.remove(2, 3, 3); b.edit(2, 3, "200", "401") }, []string{"damaged 2:3", "missing 2:4"}, false},
		"deleted, something in between": {func(b *book) { b.remove(2, 2, 4); b.insert(2, 2, "x\n", "y\n") }, []string{"malformed 2:2-3", "missing 2:4"}, false},

		"deleted, one found later": {func(b *book) {
			b.insert(4, 1, b.segments[2][2])
			b.remove(2, 1, 4)
			b.insert(2, 1, "x\n")
		}, []string{"malformed 2:1", "missing 2:2", "missing 2:2", "reordered 4:1"}, false},

		"lines swapped":                          {func(b *book) { s := b.segments[2]; s[1], s[2] = s[2], s[1] }, []string{"reordered 2:3"}, false},
		"segment turned around":                  {func(b *book) { slices.Reverse(b.segments[2]) }, []string{"reordered 2:2-5"}, false},
		"line moved back":                        {func(b *book) { b.insert(4, 1, b.segments[2][2]); b.remove(2, 3, 3) }, []string{"reordered 4:1"}, false},
		"line moved ahead":                       {func(b *book) { b.insert(2, 1, b.segments[4][2]); b.remove(4, 3, 3) }, []string{"reordered 2:2-6", "reordered 3:1-5", "reordered 4:1-2"}, false},
		"closing line moved ahead":               {func(b *book) { slices.Reverse(b.segments[5]) }, []string{"reordered 5:2-5"}, false},
		"closing line moved ahead, the rest cut": {func(b *book) { slices.Reverse(b.segments[5]); b.remove(5, 3, 5) }, []string{"missing 5:1", "reordered 5:2"}, false},

		"line inserted":           {func(b *book) { b.insert(2, 3, strings.Replace(b.segments[2][2], "200", "401", 1)) }, []string{"damaged 2:3"}, false},
		"line repeated":           {func(b *book) { b.insert(2, 3, b.segments[2][1]) }, []string{"reordered 2:3"}, false},
		"line repeated later":     {func(b *book) { b.insert(4, 3, b.segments[2][1]) }, []string{"reordered 4:3"}, false},
		"line before the first":   {func(b *book) { b.insert(1, 1, "{}\n") }, []string{"malformed 1:1"}, false},
		"line behind the closing": {func(b *book) { b.insert(5, 6, b.segments[5][0]) }, []string{"reordered 5:6"}, false},
		"garbage behind it":       {func(b *book) { b.insert(5, 6, "{}\n") }, []string{"malformed 5:6"}, false},

		"segment cut in a line":       {func(b *book) { b.cut(3, b.size(3)-len(b.segments[3][4])-9) }, []string{"cut_off 3:4", "missing 4:1"}, false},
		"segment cut by one byte":     {func(b *book) { b.cut(3, b.size(3)-1) }, []string{"cut_off 3:5"}, false},
		"segment cut between lines":   {func(b *book) { b.remove(3, 4, 5) }, []string{"missing 4:1"}, false},
		"segment emptied":             {func(b *book) { b.segments[3] = nil }, []string{"cut_off 3", "missing 4:1"}, false},
		"last segment cut":            {func(b *book) { b.remove(5, 2, 5) }, nil, true},
		"last segment cut in a line":  {func(b *book) { b.cut(5, b.size(5)-1) }, []string{"cut_off 5:5"}, true},
		"last segment emptied":        {func(b *book) { b.segments[5] = nil }, []string{"cut_off 5"}, true},
		"segment removed":             {func(b *book) { delete(b.segments, 3) }, []string{"missing_segment 4", "missing 4:1"}, false},
		"two segments removed":        {func(b *book) { delete(b.segments, 2); delete(b.segments, 3) }, []string{"missing_segment 4", "missing 4:1"}, false},
		"first segment removed":       {func(b *book) { delete(b.segments, 1) }, []string{"missing_segment 2", "missing 2:1"}, false},
		"last segment removed":        {func(b *book) { delete(b.segments, 5) }, nil, true},
		"removed, others moved up":    {func(b *book) { b.rename(4, 3); b.rename(5, 4) }, []string{"missing 3:1"}, false},
		"segments swapped":            {func(b *book) { b.segments[2], b.segments[3] = b.segments[3], b.segments[2] }, []string{"reordered 3:1-5"}, false},
		"segments swapped, one cut":   {func(b *book) { b.segments[2], b.segments[3] = b.segments[3], b.segments[2]; b.remove(3, 2, 3) }, []string{"missing 2:1", "reordered 3:1-3"}, false},
		"segment moved to the end":    {func(b *book) { b.rename(3, 30) }, []string{"missing_segment 4", "missing_segment 30", "reordered 30:1-5"}, false},
		"segment replayed":            {func(b *book) { b.segments[6] = b.segments[2] }, []string{"reordered 6:1-5"}, false},
		"segment replayed for next":   {func(b *book) { b.segments[3] = b.segments[2] }, []string{"reordered 3:1-5", "missing 4:1"}, false},
		"segment replayed in a chain": {func(b *book) { b.others = []Segment{{segmentName(second.chain, 1), []byte(b.segments[1][0])}} }, []string{"damaged 1:1"}, true},

		"another chain's line":         {func(b *book) { b.segments[2][2] = second.segments[2][2] }, []string{"damaged 2:3"}, false},
		"another chain's segment":      {func(b *book) { b.segments[3] = second.segments[3] }, []string{"damaged 3:1-5"}, false},
		"another chain's second half":  {func(b *book) { b.segments[4], b.segments[5] = second.segments[4], second.segments[5] }, []string{"damaged 4:1-5", "damaged 5:1-5"}, true},
		"another node's line":          {func(b *book) { b.segments[2][2] = elsewhere.segments[2][2] }, []string{"damaged 2:3"}, false},
		"another node's chain":         {func(b *book) { *b = *newBook(elsewhere.list()) }, []string{"damaged 1:1-5", "damaged 2:1-5", "damaged 3:1-5", "damaged 4:1-5", "damaged 5:1-5"}, true},
		"chain under another time":     {func(b *book) { b.chain = "19" + b.chain[2:] }, []string{"damaged 1:1-5", "damaged 2:1-5", "damaged 3:1-5", "damaged 4:1-5", "damaged 5:1-5"}, true},
		"object that is no segment":    {func(b *book) { b.others = []Segment{{b.chain + "/000000000002.bak", []byte("x")}} }, []string{"foreign " + "CHAIN/000000000002.bak"}, false},
		"segment of a number too long": {func(b *book) { b.others = []Segment{{b.chain + "/0000000000002", []byte("x")}} }, []string{"foreign " + "CHAIN/0000000000002"}, false},
		"segment of number 0":          {func(b *book) { b.others = []Segment{{b.chain + "/000000000000", []byte("x")}} }, []string{"foreign " + "CHAIN/000000000000"}, false},
	} {
		b := newBook(segments)
		tc.tamper(b)
		report := verify(t, sealer, b.list())
		got := findings(report)
		for i := range tc.want {
			tc.want[i] = strings.Replace(tc.want[i], "CHAIN", b.chain, 1)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: found %q, want %q", name, got, tc.want)
		}
		if report.Sound() != (len(tc.want) == 0) {
			t.Errorf("%s: sound %v", name, report.Sound())
		}
		closed := !slices.ContainsFunc(report.Chains, func(c Chain) bool { return !c.Closed })
		if closed == tc.notEnds {
			t.Errorf("%s: closed %v", name, closed)
		}
	}
}

// TestChainsApart: what is wrong with one chain says nothing about the others.
func TestChainsApart(t *testing.T) {
	sealer := newSealer(t, nodeID, "k1")
	good, bad := newBook(writeChain(t, sealer)), newBook(writeChain(t, sealer))
	bad.remove(2, 3, 3)
	good.others = bad.list()
	report := verify(t, sealer, good.list())
	if len(report.Chains) != 2 || report.Sound() {
		t.Fatalf("%+v", report)
	}
	for _, c := range report.Chains {
		if damaged := c.Name == bad.chain; damaged != (len(c.Problems) == 1) || damaged != (c.Lines == 24) {
			t.Errorf("%+v", c)
		}
	}
	if verify(t, sealer, nil).Sound() != true {
		t.Error("an empty log is not sound")
	}
}

// TestForked: a chain that two processes go on with, as after a snapshot of a
// machine was started twice.
func TestForked(t *testing.T) {
	sealer := newSealer(t, nodeID, "k1")
	one, start := newChain(sealer, nodeID, program)
	segments := []Segment{mustSeal(t, &one, encode(start))}
	other := one
	body := encode(Entry{Time: start.Time, Kind: Decision})
	segments = append(segments, mustSeal(t, &one, body))
	mustSeal(t, &other, encode(Entry{Time: start.Time, Kind: Decision, Actor: "somebody"}))
	segments = append(segments, mustSeal(t, &other, body))
	if got := findings(verify(t, sealer, segments)); !slices.Equal(got, []string{"forked 3:1"}) {
		t.Errorf("found %q", got)
	}
}

func TestProblemText(t *testing.T) {
	sealer := newSealer(t, nodeID, "k1")
	b := newBook(writeChain(t, sealer))
	b.edit(1, 2, "200", "401")
	b.edit(1, 3, "200", "401")
	b.remove(2, 2, 4)
	b.insert(2, 2, "x\n")
	delete(b.segments, 4)
	var got []string
	for _, p := range verify(t, sealer, b.list()).Chains[0].Problems {
		got = append(got, p.String())
	}
	segment := func(number uint64) string { return "segment " + segmentName(b.chain, number) }
	want := []string{
		segment(1) + ", lines 2 to 3: does not verify: changed, inserted, or moved here from another chain",
		segment(2) + ", line 2: not a line of an audit log",
		segment(2) + ", line 3: 2 of lines 7 to 9 of the chain missing before it",
		segment(5) + ": segment 4 missing before it",
		segment(5) + ", line 1: lines 16 to 20 of the chain missing before it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestVerifyFails(t *testing.T) {
	sealer := newSealer(t, nodeID, "k1")
	segments := writeChain(t, sealer)
	ended, end := context.WithCancel(t.Context())
	end()
	failing := func(yield func(Segment, error) bool) { _ = yield(segments[0], nil) && yield(Segment{}, errInjected) }
	for name, tc := range map[string]struct {
		ctx      context.Context
		segments iter.Seq2[Segment, error]
		want     error
	}{
		"reading fails": {t.Context(), failing, errInjected},
		"ctx ended":     {ended, sequence(segments), context.Canceled},
		"out of order":  {t.Context(), sequence([]Segment{segments[1], segments[0]}), nil},
		"twice":         {t.Context(), sequence([]Segment{segments[0], segments[0]}), nil},
	} {
		report, err := Verify(tc.ctx, sealer, integrity.ErrKeyUnknown, tc.segments)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || len(report.Chains) != 0 {
			t.Errorf("%s: %v, %+v", name, err, report)
		}
	}
}

// FuzzParseLine: a line has one reading, and it is made of all its bytes.
func FuzzParseLine(f *testing.F) {
	for _, segment := range writeChain(f, newSealer(f, nodeID, "k1"))[:1] {
		for raw := range bytes.Lines(segment.Data) {
			f.Add(bytes.TrimSuffix(raw, []byte("\n")))
		}
	}
	f.Add([]byte(`{"key":"k1","tag":"` + strings.Repeat("0", tagDigits) + lineEnd))
	f.Add([]byte(`{,"key":"k1","tag":"` + strings.Repeat("A", tagDigits) + lineEnd))
	f.Fuzz(func(t *testing.T, raw []byte) {
		line, covered, tag, err := parseLine(raw)
		if err != nil {
			if !errors.Is(err, errSyntax) {
				t.Error(err)
			}
			return
		}
		again := appendTag(bytes.Clone(covered), line.Key, [tagSize]byte(tag))
		if string(again) != string(raw)+"\n" {
			t.Errorf("%q was read as %q", raw, again)
		}
	})
}

// FuzzVerify: whatever a segment is replaced with is found.
func FuzzVerify(f *testing.F) {
	sealer := newSealer(f, nodeID, "k1", "k2")
	c, start := newChain(sealer, nodeID, program)
	var segments []Segment
	for _, entry := range []Entry{start, {Kind: Decision}, {Kind: End}} {
		segments = append(segments, mustSeal(f, &c, encode(entry)))
		f.Add(segments[len(segments)-1].Data)
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		replaced := slices.Clone(segments)
		replaced[1].Data = data
		report := verify(t, sealer, replaced)
		if same := bytes.Equal(data, segments[1].Data); report.Sound() != same {
			t.Errorf("%q: sound %v, found %q", data, report.Sound(), findings(report))
		}
	})
}
