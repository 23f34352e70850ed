package backendtest_test

import (
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/backendtest"
)

func TestMemory(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		memory := backendtest.NewMemory()
		return func(*testing.T) backend.Backend { return memory }
	})
}

func TestStepwise(t *testing.T) {
	backendtest.Run(t, func(*testing.T) backendtest.Opener {
		memory := backendtest.NewMemory()
		return func(*testing.T) backend.Backend { return backendtest.Stepwise{Backend: memory} }
	})
}
