package sim

import "testing"

// TestMoveSimulation is TestSimulation with shares that are moved.
func TestMoveSimulation(t *testing.T) { runAll(t, newMoveWorld) }
