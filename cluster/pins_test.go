package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func memoryOf(members ...Member) *memory {
	k, _ := (&memory{}).learn(Member{}, members)
	return k
}

func (k *memory) text() []string {
	var all []string
	for _, p := range slices.SortedFunc(maps.Values(k.pins), byIndex) {
		all = append(all, fmt.Sprintf("%s:%d:%x", p.NodeID, p.Index, p.Key[:2]))
	}
	return all
}

func TestLearn(t *testing.T) {
	known := memoryOf(memberOf(1, "g1"), memberOf(2, "g2"))
	as := func(index int, node, key string) Member {
		m := memberOf(index, node)
		m.PublicKey = publicOf(key)
		return m
	}
	self := memberOf(9, "self")
	for name, test := range map[string]struct {
		records []Member
		want    []Member
		isNew   bool
	}{
		"nothing":              {nil, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"what is known":        {[]Member{memberOf(1, "g1")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"one more":             {[]Member{memberOf(3, "g3")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), memberOf(3, "g3"), self}, true},
		"another key":          {[]Member{as(1, "g1", "other")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"another index":        {[]Member{memberOf(3, "g1")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"a known one's index":  {[]Member{memberOf(2, "g3")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"a known one's key":    {[]Member{as(3, "g3", "g2")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"own index":            {[]Member{memberOf(9, "g3")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"own key":              {[]Member{as(3, "g3", "self")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"own id, another key":  {[]Member{as(3, "self", "other")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
		"two with one index":   {[]Member{memberOf(3, "g3"), memberOf(3, "g4")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), memberOf(3, "g3"), self}, true},
		"two with one key":     {[]Member{memberOf(3, "g3"), as(4, "g4", "g3")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), memberOf(3, "g3"), self}, true},
		"one twice":            {[]Member{memberOf(3, "g3"), memberOf(4, "g3")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), memberOf(3, "g3"), self}, true},
		"a change of the dead": {[]Member{as(2, "g2", "other"), as(3, "g3", "g2")}, []Member{memberOf(1, "g1"), memberOf(2, "g2"), self}, true},
	} {
		before := known.text()
		got, isNew := known.learn(self, test.records)
		if want := memoryOf(test.want...); !reflect.DeepEqual(got.pins, want.pins) || isNew != test.isNew {
			t.Errorf("%s: %v, %v; want %v", name, got.text(), isNew, want.text())
		}
		if !slices.Equal(known.text(), before) {
			t.Errorf("%s: what was known changed", name)
		}
		if again, isNew := got.learn(self, test.records); isNew || !reflect.DeepEqual(again.pins, got.pins) {
			t.Errorf("%s: learnt again, it is new", name)
		}
	}
	if got, _ := known.learn(memberOf(0, "self"), []Member{memberOf(9, "self")}); len(got.pins) != 2 {
		t.Errorf("without an index of its own: %v", got.text())
	}
}

func TestMemoryEncoding(t *testing.T) {
	roster := rosterOf(7, "g1", "g2")
	signed := signRoster(t, roster)
	for name, k := range map[string]*memory{
		"nothing":  memoryOf(),
		"pins":     memoryOf(memberOf(1, "g1"), memberOf(255, "g2")),
		"a roster": memoryOf(memberOf(1, "g1")).withRoster(roster, signed),
	} {
		got, err := decodeMemory(k.encode(), publicOf("admission"))
		if err != nil || !reflect.DeepEqual(got, k) {
			t.Errorf("%s: %+v became %+v, %v", name, k, got, err)
		}
		if again := got.encode(); string(again) != string(k.encode()) {
			t.Errorf("%s: encoded again it is %s", name, again)
		}
	}
	if k, err := decodeMemory(nil, nil); err != nil || len(k.pins) != 0 || k.roster != nil {
		t.Errorf("nothing is %+v, %v", k, err)
	}
}

// Without the admission key the roster is not in force, and stays kept.
func TestRosterOfAnotherKey(t *testing.T) {
	data := memoryOf(memberOf(1, "g1")).withRoster(rosterOf(7, "g1"), signRoster(t, rosterOf(7, "g1"))).encode()
	k, err := decodeMemory(data, nil)
	if err != nil || k.roster != nil || k.foreign || k.serial() != 0 || len(k.pins) != 1 {
		t.Errorf("without a key it is %+v, %v", k, err)
	}
	if again, err := decodeMemory(k.encode(), publicOf("admission")); err != nil || again.serial() != 7 {
		t.Errorf("and with it again, %+v, %v", again, err)
	}
	if k, err := decodeMemory(data, publicOf("other")); err != nil || k.roster != nil || !k.foreign || len(k.pins) != 1 {
		t.Errorf("with another key it is %+v, %v", k, err)
	}
}

func TestDamagedMemory(t *testing.T) {
	good := string(memoryOf(memberOf(1, "g1"), memberOf(2, "g2")).encode())
	if _, err := decodeMemory([]byte(good), nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"no JSON":             "soon",
		"cut off":             good[:len(good)-1],
		"something behind":    good + "{}",
		"a list":              "[]",
		"null":                "null",
		"no format":           `{"pins":[]}`,
		"a later format":      strings.Replace(good, `"format":1`, `"format":2`, 1),
		"an unknown field":    strings.Replace(good, `"format"`, `"more":1,"format"`, 1),
		"index 0":             strings.Replace(good, `"index":1`, `"index":0`, 1),
		"index 256":           strings.Replace(good, `"index":1`, `"index":256`, 1),
		"an index twice":      strings.Replace(good, `"index":1`, `"index":2`, 1),
		"a node id twice":     strings.Replace(good, `"g1"`, `"g2"`, 1),
		"a node id of others": strings.Replace(good, `"g1"`, `"../g1"`, 1),
		"a short key":         strings.Replace(good, `"key":"`, `"key":"AAAA`, 1),
	} {
		if k, err := decodeMemory([]byte(data), publicOf("admission")); k != nil || !errors.Is(err, errMemory) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}

func FuzzDecodeMemory(f *testing.F) {
	f.Add(memoryOf(memberOf(1, "g1"), memberOf(2, "g2")).encode())
	f.Add(memoryOf(memberOf(1, "g1")).withRoster(rosterOf(7, "g1"), signRoster(f, rosterOf(7, "g1"))).encode())
	f.Add([]byte(`{"format":1,"pins":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := decodeMemory(data, publicOf("admission"))
		if err != nil {
			if k != nil || !errors.Is(err, errMemory) {
				t.Errorf("%+v, %v", k, err)
			}
			return
		}
		if len(k.pins) > MaxIndex {
			t.Errorf("%d pins", len(k.pins))
		}
		again, err := decodeMemory(k.encode(), publicOf("admission"))
		if err != nil || !maps.EqualFunc(again.pins, k.pins, samePin) || again.serial() != k.serial() {
			t.Errorf("%+v became %+v, %v", k, again, err)
		}
	})
}

func samePin(a, b Pin) bool {
	return a.NodeID == b.NodeID && a.Index == b.Index && a.Key.Equal(b.Key)
}

// Whatever a registry says, in whatever order: a pin never changes or goes, no
// two have anything in common, and what is kept in between makes no difference.
func TestPropertyPinsAreForLife(t *testing.T) {
	nodes := []string{"self", "a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		k := &memory{}
		self := memberOf(rapid.IntRange(0, 5).Draw(t, "own index"), "self")
		for range rapid.IntRange(1, 10).Draw(t, "lists") {
			var records []Member
			for range rapid.IntRange(0, 6).Draw(t, "records") {
				m := memberOf(rapid.IntRange(1, 5).Draw(t, "index"), rapid.SampledFrom(nodes).Draw(t, "node"))
				m.PublicKey = publicOf(rapid.SampledFrom(nodes).Draw(t, "key"))
				records = append(records, m)
			}
			before := maps.Clone(k.pins)
			k, _ = k.learn(self, records)
			for node, p := range before {
				if !samePin(k.pins[node], p) {
					t.Fatalf("the pin of %s became %+v", node, k.pins[node])
				}
			}
			data := k.encode()
			if !json.Valid(data) {
				t.Fatalf("%s is kept", data)
			}
			again, err := decodeMemory(data, nil)
			if err != nil || !maps.EqualFunc(again.pins, k.pins, samePin) {
				t.Fatalf("kept, it is %+v, %v", again, err)
			}
			if own, pinned := k.pins["self"]; pinned && !own.Key.Equal(self.PublicKey) {
				t.Fatalf("its own pin is %+v", own)
			}
			j := byPins(k, self, records, present{})
			for node, m := range j.others {
				if p := k.pins[node]; p.Index != m.Index || !p.Key.Equal(m.PublicKey) || node == "self" || m.PublicKey.Equal(self.PublicKey) {
					t.Fatalf("%+v is a member", m)
				}
			}
		}
	})
}
