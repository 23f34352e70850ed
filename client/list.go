package client

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/auth"
)

// List returns the named secrets of the key's identity, those that are not
// deleted, in order of name. It takes a key. Errors are [*Error].
func (g *Guardian) List(ctx context.Context) ([]api.SecretInfo, error) {
	if g.owner == nil {
		return nil, fmt.Errorf("listing secrets: %w", errNoKey)
	}
	proof, err := g.owner.prove(claimNow(auth.List, g.owner.identity()), api.Proof{})
	if err != nil {
		return nil, err
	}
	list := call{method: http.MethodGet, route: api.RouteSecrets}
	response, err := inSession[api.SecretsResponse](ctx, g, list, proof)
	if err != nil {
		return nil, err
	}
	if !inOrder(response.Secrets) {
		return nil, &Error{Guardian: g.URL(), Status: http.StatusOK, Err: errNotList}
	}
	return response.Secrets, nil
}

// inOrder reports names that are names, none of them twice.
func inOrder(secrets []api.SecretInfo) bool {
	last := ""
	for _, s := range secrets {
		if !validName(s.Name) || s.Name <= last {
			return false
		}
		last = s.Name
	}
	return true
}

// ListedSecret is one named secret as guardians list it.
type ListedSecret struct {
	Name string
	// Version is the highest that a guardian lists, Size the length of a share
	// of it.
	Version uint64
	Size    int
	// Guardians counts those that list this very version.
	Guardians int
}

// ListReport is what the guardians list.
type ListReport struct {
	// Secrets is in order of name.
	Secrets []ListedSecret
	// Need and Got count guardians that answered.
	Need, Got int
	// Lacking says of each other guardian why it did not, one [*Error] each.
	Lacking []error
}

// List asks every guardian which named secrets of the key's identity it holds,
// and merges what they say, unchecked, by name. It takes a key. It returns soon
// after so many have answered that every acknowledged secret must be among
// them. Error: *QuorumError when fewer answered, and the report has what they
// said.
func (v *Vault) List(ctx context.Context) (ListReport, error) {
	if v.owner == nil {
		return ListReport{}, fmt.Errorf("listing secrets: %w", errNoKey)
	}
	report := ListReport{Need: v.WriteQuorum()}
	merged, errs := map[string]ListedSecret{}, map[int]error{}
	fanOut(ctx, v.positions(), v.listOf, func(a answer[[]api.SecretInfo]) time.Duration {
		if a.err != nil {
			errs[a.position] = a.err
		} else {
			report.Got++
			merge(merged, a.value)
		}
		return graceOnce(report.Got >= report.Need)
	})
	report.Lacking = v.sortErrors(errs)
	report.Secrets = slices.SortedFunc(maps.Values(merged), func(a, b ListedSecret) int { return cmp.Compare(a.Name, b.Name) })
	if report.Got < report.Need {
		return report, &QuorumError{Action: "list", Need: report.Need, Got: report.Got, Errs: report.Lacking}
	}
	return report, nil
}

func (v *Vault) listOf(ctx context.Context, position int) (secrets []api.SecretInfo, err error) {
	err = persist(ctx, surveyAttempts, func() error {
		secrets, err = v.guardians[position].List(ctx)
		return err
	})
	return secrets, err
}

// merge adds what one guardian lists.
func merge(merged map[string]ListedSecret, listed []api.SecretInfo) {
	for _, s := range listed {
		known, ok := merged[s.Name]
		switch {
		case !ok || s.Version > known.Version:
			merged[s.Name] = ListedSecret{s.Name, s.Version, s.Size, 1}
		case s.Version == known.Version:
			known.Guardians++
			merged[s.Name] = known
		}
	}
}
