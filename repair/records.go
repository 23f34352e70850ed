package repair

import (
	"fmt"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair/record"
)

// readRecord is [record.OfManifest] with the memory of the node: the same
// records are met again and again.
func readRecord(node *guardian.Node, data []byte) (*record.Record, error) {
	m, err := node.ParseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	return record.OfParsed(m, data), nil
}
