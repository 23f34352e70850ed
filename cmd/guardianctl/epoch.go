package main

import "fmt"

// versionText is a version, with its epoch where its shares were redistributed.
func versionText(version, epoch uint64) string {
	if epoch == 0 {
		return fmt.Sprintf("version %d", version)
	}
	return fmt.Sprintf("version %d at epoch %d", version, epoch)
}

// columns are the cells of a line of a table; the epoch's are there only where
// some share was redistributed.
func columns(withEpoch bool, before []string, epoch string, after ...string) []string {
	if withEpoch {
		before = append(before, epoch)
	}
	return append(before, after...)
}
