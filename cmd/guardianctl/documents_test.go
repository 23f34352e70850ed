package main

import (
	"testing"

	"github.com/vault-guardian/guardian/docs/docstest"
)

func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	docstest.Check(t, "guardianctl", 100, newRootCommand)
}
