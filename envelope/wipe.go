package envelope

import "runtime"

// wipe overwrites what was secret. KeepAlive keeps the compiler from dropping
// a store that nothing reads.
func wipe(secret []byte) {
	clear(secret)
	runtime.KeepAlive(secret)
}
