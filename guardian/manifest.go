package guardian

import (
	"fmt"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// admitManifest refuses a manifest that is not about this very push: signed by
// the owner of the identity, for this name and version, and giving the share to
// this node. Repair will believe what it says of the share, so nobody is let
// off, whatever has to be proved for the push itself. It needs nothing that is
// stored, so a push is refused before anything is written.
//
// The share comes back with the threshold and split of its manifest: they are
// signed, those of a request are not.
func (n *Node) admitManifest(slot Slot, share Share) (Share, error) {
	if len(share.Manifest) == 0 {
		return share, nil
	}
	m, err := n.manifests.Parse(share.Manifest)
	if err != nil {
		return Share{}, misfit(err.Error())
	}
	if err := n.fits(m, slot, share); err != nil {
		return Share{}, err
	}
	share.Threshold, share.Split = m.Threshold, m.Split
	return share, nil
}

func (n *Node) fits(m *manifest.Manifest, slot Slot, share Share) error {
	switch {
	case m.Identity != slot.Identity:
		return misfit("manifest is for another identity")
	case m.Name != slot.Name:
		return misfit(fmt.Sprintf("manifest is for the name %q, the push for %q", m.Name, slot.Name))
	case m.Version != share.Version:
		return misfit(fmt.Sprintf("manifest is for version %d, the push for %d", m.Version, share.Version))
	case share.Threshold != 0 && share.Threshold != m.Threshold:
		return misfit(fmt.Sprintf("manifest has threshold %d, the push %d", m.Threshold, share.Threshold))
	case share.Split != "" && share.Split != m.Split:
		return misfit("manifest is for another split")
	}
	holder, err := m.CheckShare(share.Data)
	if err != nil {
		return misfit(err.Error())
	}
	// A holder that is not named is nobody, also to a node without a name.
	if holder.Node == "" || holder.Node != n.NodeID() {
		return misfit(fmt.Sprintf("manifest gives the share at point %d to node %q, this is %q", holder.X, holder.Node, n.NodeID()))
	}
	return nil
}

func misfit(text string) error {
	return &api.FieldError{Sentinel: api.ErrInvalidManifest, Text: text}
}
