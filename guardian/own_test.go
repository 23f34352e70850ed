package guardian

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestAdmit(t *testing.T) {
	none, v1, v2 := standing{}, standing{owned: true, proof: 1}, standing{owned: true, proof: 2}
	for _, c := range []struct {
		name  string
		mode  Ownership
		known standing
		proof int
		want  error
	}{
		{"sticky, new, bare", OwnershipSticky, none, 0, nil},
		{"sticky, new, proved", OwnershipSticky, none, 2, nil},
		{"sticky, owned, bare", OwnershipSticky, v1, 0, api.ErrOwnershipRequired},
		{"sticky, owned, same", OwnershipSticky, v1, 1, nil},
		{"sticky, owned, better", OwnershipSticky, v1, 2, nil},
		{"sticky, owned by 2, worse", OwnershipSticky, v2, 1, api.ErrOwnershipInvalid},
		{"sticky, owned by 2, bare", OwnershipSticky, v2, 0, api.ErrOwnershipRequired},
		{"required, new, bare", OwnershipRequired, none, 0, api.ErrOwnershipRequired},
		{"required, new, proved", OwnershipRequired, none, 1, nil},
		{"required, owned by 2, worse", OwnershipRequired, v2, 1, api.ErrOwnershipInvalid},
		{"off, owned by 2, bare", OwnershipOff, v2, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := admit(c.mode, c.known, Caller{Proof: c.proof}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err := admit(c.mode, c.known, operator); err != nil {
				t.Errorf("an operator is refused: %v", err)
			}
		})
	}
}

// What a slot has seen it never forgets.
func TestStandingOnlyGrows(t *testing.T) {
	var s standing
	for i, step := range []struct {
		proof    int
		manifest string
		want     standing
	}{
		{0, "", standing{}},
		{1, "", standing{owned: true, proof: 1}},
		{0, "m", standing{owned: true, proof: 1, manifest: true}},
		{2, "", standing{owned: true, proof: 2, manifest: true}},
		{1, "", standing{owned: true, proof: 2, manifest: true}},
	} {
		s = s.after(Caller{Proof: step.proof}, Share{Manifest: []byte(step.manifest)})
		if s != step.want {
			t.Errorf("step %d: %+v, want %+v", i, s, step.want)
		}
	}
}

// A caller who may not write learns nothing of what is stored.
func TestRefusedBeforeTheVersion(t *testing.T) {
	n := openNode(t, backendtest.NewMemory())
	slot := slotOf("ab")
	push := func(version uint64, proof int) error {
		return n.Push(t.Context(), slot, Share{Data: []byte("share"), Version: version}, Caller{Proof: proof})
	}
	if err := push(5, 2); err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint64{4, 5, 6} {
		if err := push(version, 0); !errors.Is(err, api.ErrOwnershipRequired) {
			t.Errorf("bare push of version %d: %v", version, err)
		}
		if err := push(version, 1); !errors.Is(err, api.ErrOwnershipInvalid) {
			t.Errorf("push of version %d with a worse proof: %v", version, err)
		}
	}
	for proof, want := range map[int]error{0: api.ErrOwnershipRequired, 1: api.ErrOwnershipInvalid, 2: nil} {
		_, errPull := n.Pull(t.Context(), slot, nil, nil, Caller{Proof: proof})
		_, errHistory := n.History(t.Context(), slot, Caller{Proof: proof})
		if !errors.Is(errPull, want) || !errors.Is(errHistory, want) {
			t.Errorf("with proof %d: pull %v, history %v", proof, errPull, errHistory)
		}
		if want == nil {
			continue
		}
		if err := n.Delete(t.Context(), slot, 5, Caller{Proof: proof}); !errors.Is(err, want) {
			t.Errorf("delete with proof %d: %v", proof, err)
		}
	}
}

// FuzzStanding: what is known of an owner is read back as it was written, or not
// at all.
func FuzzStanding(f *testing.F) {
	for _, line := range []string{
		"owned=1 proof=2 manifest=1", "owned=0 proof=0 manifest=0", "owned=1 proof=1 manifest=0 more=1",
		"owned=2 proof=1 manifest=0", "owned=1 proof=-1 manifest=0", "owned=1 proof=+1 manifest=0",
		"owned=01 proof=1 manifest=0", " owned=1 proof=1 manifest=0", "owned=1\nproof=1 manifest=0", "owned=1 proof=99999999999999999999 manifest=0",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, form := range []string{"7\n7-9f3c0d2ab1e4 %s\n6-02ab77c1d3ee\n", "7\ndeleted %s\n"} {
			text := fmt.Sprintf(form, line)
			c, err := parseCommit(text)
			if err == nil && (c.lines() != text || c.standing.String() != line || c.standing.proof < 0) {
				t.Errorf("%q was taken for %+v", text, c.standing)
			}
		}
	})
}
