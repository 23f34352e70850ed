package backup

import (
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestStageIsABackend(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		s := newStage()
		return func(*testing.T) backend.Backend { return s }
	})
}
