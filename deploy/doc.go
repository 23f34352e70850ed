// Package deploy has no code: beside it lie recipes to run guardians by, and its tests
// read them as strictly as those do who take them.
package deploy
