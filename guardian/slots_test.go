package guardian

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestPlaces(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for place, want := range map[string]Slot{
		"shares/" + id:           {Identity: id},
		"vaults/" + id + "/name": {Identity: id, Name: "name"},
		"vaults/" + id + "/" + strings.Repeat("a", 128):   {Identity: id, Name: strings.Repeat("a", 128)},
		"vaults/" + id + "/..":                            {},
		"vaults/" + id + "/a/b":                           {},
		"vaults/" + id + "/":                              {},
		"vaults/" + id:                                    {},
		"vaults/" + id + "/" + strings.Repeat("a", 129):   {},
		"vaults/" + strings.ToUpper(id) + "/name":         {},
		"shares/" + id[1:]:                                {},
		"shares/" + id + "/name":                          {},
		"quarantine/shares/" + id:                         {},
		"vaults/" + strings.Replace(id, "a", "\u0430", 1): {},
		"vaults/" + id + "/n\u0430me":                     {},
	} {
		slot, ok := parseSlot(place)
		if known := want != (Slot{}); ok != known || ok && (slot != want || slot.place() != place) {
			t.Errorf("%q is %+v, %v", place, slot, ok)
		}
	}
}

// The walk finds the slots of both kinds, in order, and nothing else.
func TestSlotsOf(t *testing.T) {
	store := backendtest.NewMemory()
	n := openNode(t, store)
	a, b := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	slots := []Slot{{Identity: a}, {Identity: b}, {a, "one"}, {a, "two"}, {b, "-"}}
	for _, slot := range slots {
		mustPush(t, n, slot, 1, "share")
	}
	put(t, store, "vaults/"+a+"/not.a.name/version", []byte("1"))
	put(t, store, "vaults/"+a+"/object", []byte("1"))
	put(t, store, "vaults/object", []byte("1"))
	put(t, store, "vaults/other/name/version", []byte("1"))
	settle(t, n)
	var found []Slot
	for slot, err := range slotsOf(t.Context(), store) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, slot)
	}
	if !slices.Equal(found, slots) {
		t.Errorf("found %+v, want %+v", found, slots)
	}
	for slot, err := range slotsOf(t.Context(), store) {
		if slot == slots[3] || err != nil {
			break // the walk ends where the loop does
		}
	}
}

func TestSlotsOfAFailingStorage(t *testing.T) {
	memory := backendtest.NewMemory()
	mustPush(t, openNode(t, memory), Slot{strings.Repeat("ab", 32), "name"}, 1, "share")
	for _, prefix := range []string{prefixShares, prefixVaults, prefixVaults + strings.Repeat("ab", 32) + "/"} {
		store := &backendtest.Faulty{Backend: memory, Inject: func(call backendtest.Call) backendtest.Fault {
			if call.Op == backendtest.OpListSegments && call.Key == prefix {
				return backendtest.NotApplied
			}
			return backendtest.None
		}}
		var failed error
		for _, err := range slotsOf(t.Context(), store) {
			failed = err
		}
		if !errors.Is(failed, api.ErrStorageUnavailable) {
			t.Errorf("with %s unreadable: %v", prefix, failed)
		}
	}
}
