package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/auth"
)

func newTokens(t *testing.T, tokenOf map[string]string) *auth.Tokens {
	t.Helper()
	tokens, err := auth.NewTokens(tokenOf)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestMerge(t *testing.T) {
	file := newTokens(t, map[string]string{"a": "1", "b": "2"})
	fallback := newTokens(t, map[string]string{"default": "3"})
	merged, err := file.Merge(fallback)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{"1": "a", "2": "b", "3": "default"} {
		if actor, ok := merged.Actor(token); !ok || actor != want {
			t.Errorf("token %s belongs to %q, %v; want %q", token, actor, ok, want)
		}
	}
	if _, ok := file.Actor("3"); ok {
		t.Error("merging has changed the set that was merged")
	}
	var none *auth.Tokens
	for name, pair := range map[string][2]*auth.Tokens{
		"nil first": {none, fallback}, "nil last": {fallback, none}, "empty last": {fallback, &auth.Tokens{}},
	} {
		merged, err := pair[0].Merge(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if actor, ok := merged.Actor("3"); !ok || actor != "default" {
			t.Errorf("%s: the token belongs to %q, %v", name, actor, ok)
		}
	}
	if merged, err := none.Merge(none); err != nil || !merged.Empty() {
		t.Errorf("nobody and nobody make %v, %v", merged, err)
	}
}

func TestMergeRefuses(t *testing.T) {
	const secret = "the-token-itself"
	file := newTokens(t, map[string]string{"default": "1", "b": secret})
	for name, tokenOf := range map[string]map[string]string{
		"same actor": {"default": "2"},
		"same token": {"c": secret},
		"both":       {"b": secret},
	} {
		merged, err := file.Merge(newTokens(t, tokenOf))
		if !errors.Is(err, auth.ErrDuplicate) || merged != nil {
			t.Errorf("%s: %v, %v", name, merged, err)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error quotes a token: %v", name, err)
		}
	}
}

func TestReplace(t *testing.T) {
	set := auth.NewTokenSet(newTokens(t, map[string]string{"a": "old"}))
	if err := set.Replace(newTokens(t, map[string]string{"b": "new"})); err != nil {
		t.Fatal(err)
	}
	if actor, ok := set.Actor("new"); !ok || actor != "b" {
		t.Errorf("the new token belongs to %q, %v", actor, ok)
	}
	if actor, ok := set.Actor("old"); ok {
		t.Errorf("the old token still belongs to %q", actor)
	}
}

// A set that is emptied by mistake must not open a guardian.
func TestReplaceNeverEmpties(t *testing.T) {
	set := auth.NewTokenSet(newTokens(t, map[string]string{"a": "1"}))
	for _, nobody := range []*auth.Tokens{nil, {}} {
		if err := set.Replace(nobody); !errors.Is(err, auth.ErrNobody) {
			t.Errorf("got %v", err)
		}
		if actor, ok := set.Actor("1"); !ok || actor != "a" || set.Empty() {
			t.Errorf("the last good set is gone: %q, %v", actor, ok)
		}
	}
}

func TestTokenSetOfNobody(t *testing.T) {
	for name, set := range map[string]*auth.TokenSet{"nil": nil, "zero": {}, "of nil": auth.NewTokenSet(nil)} {
		if actor, ok := set.Actor(""); ok || actor != "" || !set.Empty() {
			t.Errorf("%s: an empty set knows %q", name, actor)
		}
	}
}

// Readers see the one set or the other: a token that both have is never unknown.
func TestReplaceUnderReaders(t *testing.T) {
	sets := make([]*auth.Tokens, 2)
	for i := range sets {
		sets[i] = newTokens(t, map[string]string{fmt.Sprintf("kept-%d", i): "kept", "other": fmt.Sprintf("other-%d", i)})
	}
	set := auth.NewTokenSet(sets[0])
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 2000 {
				if actor, ok := set.Actor("kept"); !ok || !strings.HasPrefix(actor, "kept-") {
					t.Errorf("a kept token belongs to %q, %v", actor, ok)
					return
				}
			}
		})
	}
	for i := range 2000 {
		if err := set.Replace(sets[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}
