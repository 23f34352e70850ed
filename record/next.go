package record

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/vault-guardian/guardian/manifest"
)

// Next returns the record that a round with the given seed makes of base, and
// its body: the same for everybody who computes it. Of no share the hash is
// known yet. Error: ErrProposal.
func Next(base *Record, p Proposal, seed [sha256.Size]byte) (*Record, []byte, error) {
	return pageRules.next(base, p, seed)
}

func (rules *rules) next(base *Record, p Proposal, seed [sha256.Size]byte) (*Record, []byte, error) {
	if err := rules.check(p, base); err != nil {
		return nil, nil, err
	}
	r := &Record{
		Identity: base.Identity, Name: base.Name, Version: base.Version, Epoch: base.Epoch + 1,
		Threshold: p.Threshold, Split: splitAfter(base.Split, seed), ShareSize: base.ShareSize,
		Base: base.Hash, Lineage: extended(base.Lineage, base.Hash), Seed: seed,
		Manifest:  base.Manifest,
		ancestors: append(slices.Clip(base.ancestors), base.Hash), line: base.shown(),
	}
	for _, h := range p.Holders {
		r.Holders = append(r.Holders, manifest.Holder{X: h.X, Node: h.Node, Key: slices.Clone(h.Key)})
	}
	body := r.encode()
	r.Hash = sha256.Sum256(body)
	return r, body, nil
}

// splitAfter names the dealing of a round: no two rounds have one seed, so their
// shares are never taken for those of one dealing.
func splitAfter(before string, seed [sha256.Size]byte) string {
	text, _ := hex.DecodeString(before)
	sum := sha256.Sum256(append(text, seed[:]...))
	return hex.EncodeToString(sum[:splitSize])
}
