package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/auth"
)

func TestActorOfEachToken(t *testing.T) {
	tokenOf := map[string]string{}
	for i := range 20 {
		tokenOf[fmt.Sprintf("actor-%d", i)] = fmt.Sprintf(" token-%d\n", i)
	}
	tokens, err := auth.NewTokens(tokenOf)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		actor, ok := tokens.Actor(fmt.Sprintf("token-%d", i))
		if want := fmt.Sprintf("actor-%d", i); !ok || actor != want {
			t.Errorf("token %d belongs to %q, %v; want %q", i, actor, ok, want)
		}
	}
	for _, wrong := range []string{"", "token", "token-20", "token-1 ", "TOKEN-1", "actor-1"} {
		if actor, ok := tokens.Actor(wrong); ok {
			t.Errorf("%q was taken for the token of %q", wrong, actor)
		}
	}
}

func TestNobodyKnowsNobody(t *testing.T) {
	none, err := auth.NewTokens(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tokens := range []*auth.Tokens{nil, none} {
		if actor, ok := tokens.Actor(""); ok || actor != "" || !tokens.Empty() {
			t.Errorf("an empty set knows %q", actor)
		}
	}
}

func TestRefusedSets(t *testing.T) {
	const secret = "the-token-itself"
	for name, c := range map[string]struct {
		tokenOf map[string]string
		want    error
	}{
		"blank actor":     {map[string]string{" ": secret}, auth.ErrBlank},
		"blank token":     {map[string]string{"a": "\t\n"}, auth.ErrBlank},
		"duplicate actor": {map[string]string{"a": secret, " a": "other"}, auth.ErrDuplicate},
		"duplicate token": {map[string]string{"a": secret, "b": secret + " "}, auth.ErrDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.NewTokens(c.tokenOf)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes a token: %v", err)
			}
		})
	}
}

func TestPlaintextIsNotKept(t *testing.T) {
	tokens, err := auth.NewTokens(map[string]string{"a": "the-token-itself"})
	if err != nil {
		t.Fatal(err)
	}
	if dump := fmt.Sprintf("%#v %s", tokens, tokens); strings.Contains(dump, "the-token-itself") {
		t.Errorf("the token is in memory: %s", dump)
	}
}
