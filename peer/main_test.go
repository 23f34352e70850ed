package peer_test

import (
	"testing"

	"go.uber.org/goleak"
)

// net/http lingers for 500 ms, in a goroutine of its own, on a connection
// whose request it did not read to the end.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
