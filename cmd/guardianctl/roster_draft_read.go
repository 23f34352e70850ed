package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vault-guardian/guardian/cluster"
)

// maxDraft bounds a draft, in bytes; one with all 255 guardians has a third.
const maxDraft = 256 << 10

func readDraft(path string) (*draft, error) {
	text, err := readSmallFile(path, maxDraft)
	if err != nil {
		return nil, noDraft(err)
	}
	return parseDraft(path, []byte(text))
}

// parseDraft takes nothing that it does not know, and nothing twice.
func parseDraft(path string, text []byte) (*draft, error) {
	if !isDraft(text) {
		return nil, failure(fmt.Errorf("%s: this is no draft of a roster: its format is not %s", path, draftFormat),
			"name a draft that guardianctl roster init has made; if a later guardianctl has, use that one")
	}
	d := &draft{}
	err := d.decode(text)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, failure(fmt.Errorf("%s: %w", path, err), "correct it in an editor, or go back to a copy of it; nothing was changed")
	}
	d.sort()
	return d, nil
}

// isDraft reports false for JSON of another format, of which nothing else is
// known. What is no JSON is for decode to describe.
func isDraft(text []byte) bool {
	var header struct {
		Format string `json:"format"`
	}
	err := json.NewDecoder(bytes.NewReader(text)).Decode(&header)
	return err != nil || header.Format == draftFormat
}

func (d *draft) decode(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return jsonProblem(text, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the last brace")
	}
	if err := checkNames(json.NewDecoder(bytes.NewReader(text))); err != nil {
		return err
	}
	return d.checkWhole(text)
}

// checkWhole refuses a draft without what must be remembered: package json takes
// what is missing for zero.
func (d *draft) checkWhole(text []byte) error {
	var given struct {
		Serial *uint64 `json:"serial"`
	}
	err := json.Unmarshal(text, &given)
	if err == nil && (given.Serial == nil || d.Guardians == nil || d.Retired == nil) {
		err = errors.New("serial, guardians or retired is missing")
	}
	return err
}

// jsonProblem is an error of package json in the terms of who wrote the text.
func jsonProblem(text []byte, err error) error {
	line := func(offset int64) int { return 1 + bytes.Count(text[:min(int(offset), len(text))], []byte("\n")) }
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("line %d: %s cannot be %.60s", line(wrong.Offset), cmp.Or(wrong.Field, "it"), wrong.Value)
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: this is no JSON: %w", line(wrong.Offset), err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("this is no JSON: it is empty or cut off")
	}
	return fmt.Errorf("%.100s", strings.TrimPrefix(err.Error(), "json: "))
}

// checkNames refuses an object in which a name comes twice: package json would
// take the last one, in whatever case, and leave out the others.
func checkNames(decoder *json.Decoder) error {
	token, err := decoder.Token()
	if err != nil || token != json.Delim('{') && token != json.Delim('[') {
		return err
	}
	seen := map[string]bool{}
	for decoder.More() {
		if token == json.Delim('{') {
			token, err := decoder.Token()
			name, _ := token.(string)
			name = strings.ToLower(strings.ToUpper(name)) // package json folds case
			if err == nil && seen[name] {
				err = fmt.Errorf("%.60q comes twice in one object", name)
			}
			if err != nil {
				return err
			}
			seen[name] = true
		}
		if err := checkNames(decoder); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

func (d *draft) check() error {
	if _, err := parsePublicKey(d.AdmissionKey); err != nil {
		return fmt.Errorf("admission_key is %w", err)
	}
	d.AdmissionKey = strings.ToLower(d.AdmissionKey)
	taken := claims{}
	for i := range d.Guardians {
		g := &d.Guardians[i]
		g.Key = strings.ToLower(g.Key)
		if err := cmp.Or(g.check(), taken.take(g.NodeID, g.Index, g.Key)); err != nil {
			return fmt.Errorf("guardians, number %d: %w", i+1, err)
		}
	}
	for i, r := range d.Retired {
		if err := cmp.Or(r.check(), taken.take(r.NodeID, r.Index, "")); err != nil {
			return fmt.Errorf("retired, number %d: %w", i+1, err)
		}
	}
	return nil
}

func (e *draftEntry) check() error {
	if err := (draftSeat{e.NodeID, e.Index}).check(); err != nil {
		return err
	}
	if _, err := parsePublicKey(e.Key); err != nil {
		return fmt.Errorf("the key of %s is %w", e.NodeID, err)
	}
	if !cluster.ValidFailureDomain(e.FailureDomain) {
		return fmt.Errorf("the failure domain of %s is not at most %d of printable ASCII", e.NodeID, cluster.MaxFailureDomain)
	}
	return nil
}

func (s draftSeat) check() error {
	if !nodeIDs.MatchString(s.NodeID) {
		return errors.New("its node id is not 1 to 63 of a-z, 0-9 and -")
	}
	if s.Index < 1 || s.Index > cluster.MaxIndex {
		return fmt.Errorf("the index of %s is %d, and not 1 to %d", s.NodeID, s.Index, cluster.MaxIndex)
	}
	return nil
}

// claims are what one guardian has and no other may have.
type claims map[string]string

func (c claims) take(node string, index int, key string) error {
	for _, claim := range []struct{ what, value string }{
		{"node id", node}, {"index", fmt.Sprint(index)}, {"key", key},
	} {
		holder, taken := c[claim.what+claim.value]
		switch {
		case claim.value == "":
		case taken && holder == node:
			return fmt.Errorf("%s is there twice", node)
		case taken:
			return fmt.Errorf("%s has the same %s as %s", node, claim.what, holder)
		default:
			c[claim.what+claim.value] = node
		}
	}
	return nil
}
