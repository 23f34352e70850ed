package deploy_test

import (
	"testing"

	"github.com/vault-guardian/guardian/api"
)

// TestRailway: numbers are numbers, health is asked where the guardian tells whether it
// takes requests, and requests end before the kill.
func TestRailway(t *testing.T) {
	var config struct {
		Schema string `json:"$schema"`
		Build  struct{ Builder, DockerfilePath string }
		Deploy struct {
			NumReplicas, HealthcheckTimeout, RestartPolicyMaxRetries, OverlapSeconds, DrainingSeconds int
			HealthcheckPath, RestartPolicyType                                                        string
		}
	}
	readStrictly(t, "railway/railway.json", &config)
	d := config.Deploy
	if config.Build.Builder != "DOCKERFILE" || d.HealthcheckPath != api.RouteReadyz || d.DrainingSeconds < 31 || d.RestartPolicyType != "ON_FAILURE" {
		t.Errorf("got %+v", config)
	}
}
