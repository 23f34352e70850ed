package client

import (
	"context"
	"net/http"
	"time"

	"github.com/vault-guardian/guardian/api"
)

// GuardianStatus is what one guardian says of itself, or why it said nothing.
type GuardianStatus struct {
	Guardian string
	Latency  time.Duration
	// Status is zero when Err is not nil.
	Status api.StatusResponse
	Err    error
}

// Status asks every guardian, once each, and returns their answers in order
// of position.
func (v *Vault) Status(ctx context.Context) []GuardianStatus {
	all := make([]GuardianStatus, len(v.guardians))
	fanOut(ctx, v.positions(), func(ctx context.Context, i int) (GuardianStatus, error) {
		start := time.Now()
		status, err := v.guardians[i].Status(ctx)
		return GuardianStatus{v.guardians[i].URL(), time.Since(start), status, err}, nil
	}, func(a answer[GuardianStatus]) time.Duration {
		all[a.position] = a.value
		return waitForAll
	})
	return all
}

// GuardianView is what one guardian says of its cluster, or why it said nothing.
type GuardianView struct {
	Guardian string
	// Status and List are zero when Err is not nil.
	Status api.StatusResponse
	List   api.GuardiansResponse
	Err    error
}

// Views asks every guardian, once each, how it sees the cluster, and returns
// their answers in order of position.
func (v *Vault) Views(ctx context.Context) []GuardianView {
	all := make([]GuardianView, len(v.guardians))
	fanOut(ctx, v.positions(), func(ctx context.Context, i int) (GuardianView, error) {
		return v.guardians[i].view(ctx), nil
	}, func(a answer[GuardianView]) time.Duration {
		all[a.position] = a.value
		return waitForAll
	})
	return all
}

func (g *Guardian) view(ctx context.Context) GuardianView {
	status, err := g.Status(ctx)
	if err != nil {
		return GuardianView{Guardian: g.URL(), Err: err}
	}
	list, err := g.Guardians(ctx)
	if err != nil {
		return GuardianView{Guardian: g.URL(), Err: err}
	}
	if len(list.Guardians) > api.MaxThreshold {
		err := invalidList("it has %d guardians, 1 to %d are possible", len(list.Guardians), api.MaxThreshold)
		return GuardianView{Guardian: g.URL(), Err: &Error{Guardian: g.URL(), Status: http.StatusOK, Err: err}}
	}
	return GuardianView{Guardian: g.URL(), Status: status, List: list}
}
