package client

import (
	"context"
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
