package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/cluster"
)

// seenRoster is a roster that was verified. Its members have the URLs that are
// known.
type seenRoster struct {
	serial  uint64
	sha256  string
	members []client.Member
}

// urlOf is the URL of a member of another roster, "" where it is not known, and
// in no roster at all.
func (r *seenRoster) urlOf(m client.Member) string {
	if r == nil {
		return ""
	}
	for _, known := range r.members {
		if known.NodeID == m.NodeID && known.Key.Equal(m.Key) {
			return known.URL
		}
	}
	return ""
}

// byRoster returns the members of the newest roster that was seen. Who they are
// the admission key has signed; where they are was confirmed once. Those of
// whom that is not known are left out, but not where writes would then count
// fewer guardians than there are.
func (i *informant) byRoster(admission ed25519.PublicKey, trust, writes bool) ([]client.Member, error) {
	before, err := i.pins.roster(admission)
	if err != nil {
		return nil, i.store.damaged(err)
	}
	now, err := i.roster(admission, before)
	switch {
	case i.cmd.Context().Err() != nil:
		return nil, err
	case err != nil && before == nil:
		return nil, i.without(err)
	case err != nil:
		i.warn("%v; the roster with serial %d, seen before, is used", err, before.serial)
		now = before
	default:
		if err := i.settle(admission, before, now, trust); err != nil {
			return nil, err
		}
	}
	with, err := i.located(now.members)
	if err != nil {
		return nil, i.without(err)
	}
	if writes && len(with) < len(now.members) {
		return nil, i.incomplete(now.members)
	}
	return with, nil
}

// incomplete names the members without which too few guardians would do.
func (i *informant) incomplete(members []client.Member) error {
	var without []string
	for _, m := range members {
		if m.URL == "" {
			without = append(without, m.NodeID)
		}
	}
	return failure(fmt.Errorf("nothing was changed: in the roster, and without a URL that you have confirmed: %s", strings.Join(without, ", ")),
		fmt.Sprintf("bring it up, and then: guardianctl guardians --from %s --roster-key KEY --accept; or have the operators take it out of the roster", quoted(i.guardian.URL())))
}

// settle takes the URLs that were confirmed before, has the others confirmed, and
// remembers the roster. Where nobody is there to confirm, the others are none.
func (i *informant) settle(admission ed25519.PublicKey, before, now *seenRoster, trust bool) error {
	said := now.members
	now.members = i.recall(said, before)
	whole, more := i.withFirst(now.members, said)
	switch {
	case !more:
		return i.remember(admission, before, now)
	case trust || isTerminal(i.cmd.InOrStdin()):
		now.members = whole
		return i.confirm(whole, trust, trust, func(p *pins) error { return p.addRoster(admission, now) })
	case !slices.ContainsFunc(now.members, func(m client.Member) bool { return m.URL != "" }):
		return i.nobodyThere()
	}
	i.warn("%s gives URLs that nobody has confirmed, and they are not used: guardianctl guardians --from %[2]s --roster-key KEY --accept", i.guardian.URL(), quoted(i.guardian.URL()))
	return i.remember(admission, before, now)
}

func (i *informant) remember(admission ed25519.PublicKey, before, now *seenRoster) error {
	if before != nil && before.serial == now.serial && slices.EqualFunc(before.members, now.members, sameMember) {
		return nil
	}
	err := i.pin(func(p *pins) error { return p.addRoster(admission, now) })
	switch {
	case i.cmd.Context().Err() != nil:
		return interrupted(i.cmd.Context())
	case err != nil:
		i.warn("the roster with serial %d is used, but not remembered, so an older one would not be noticed: %v", now.serial, err)
	}
	return nil
}

func sameMember(a, b client.Member) bool {
	return a.NodeID == b.NodeID && a.Index == b.Index && a.URL == b.URL && a.Key.Equal(b.Key)
}

// roster asks for the roster and for where its members are, which is as the
// guardian says.
func (i *informant) roster(admission ed25519.PublicKey, before *seenRoster) (*seenRoster, error) {
	var shown api.RosterResponse
	var list api.GuardiansResponse
	err := i.ask(before == nil, func(ctx context.Context) (err error) {
		if shown, err = i.guardian.Roster(ctx); err != nil {
			return err
		}
		list, err = i.guardian.Guardians(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	now, err := verifyRoster(shown.Roster, admission, before)
	if err != nil {
		return nil, err
	}
	members, told, err := client.Locate(now.members, list.Guardians)
	if err == nil {
		err = i.asSafe(members)
	}
	if err != nil {
		i.warn("no URL is taken from %s: %v", i.guardian.URL(), err)
		members = now.members
	}
	for _, line := range told {
		i.warn("%s: %s", i.guardian.URL(), line)
	}
	now.members = members
	return now, nil
}

// verifyRoster wants the signature of the admission key, and nothing older or
// other than what was seen before.
func verifyRoster(text string, admission ed25519.PublicKey, before *seenRoster) (*seenRoster, error) {
	signed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not base64", cluster.ErrInvalidRoster)
	}
	roster, err := cluster.ParseRoster(signed, admission)
	if err != nil {
		return nil, err
	}
	if len(roster.Entries) == 0 {
		return nil, fmt.Errorf("%w: it has no members", cluster.ErrInvalidRoster)
	}
	hash := sha256.Sum256(signed)
	now := &seenRoster{serial: roster.Serial, sha256: hex.EncodeToString(hash[:])}
	for _, e := range roster.Entries {
		now.members = append(now.members, client.Member{NodeID: e.NodeID, Index: e.Index, Key: bytes.Clone(e.Key)})
	}
	switch {
	case before == nil || now.serial > before.serial:
		return now, nil
	case now.serial < before.serial:
		return nil, fmt.Errorf("its roster has serial %d, and one with %d was seen before", now.serial, before.serial)
	case now.sha256 != before.sha256:
		return nil, fmt.Errorf("its roster is not the one with the same serial, %d, that was seen before: %w", now.serial, errTwoRosters)
	}
	return now, nil
}

var errTwoRosters = errors.New("the admission key has signed two")

// recall gives members the URLs that were confirmed, in place of what the guardian
// says, and tells whose is another there.
func (i *informant) recall(said []client.Member, before *seenRoster) (known []client.Member) {
	for _, m := range said {
		there := m.URL
		m.URL = before.urlOf(m)
		if m.URL != "" && there != "" && there != m.URL {
			i.warn("%s is at %s now, says %s, and is not believed: %s is used; if its operator says that this is right: guardianctl guardians --from %[3]s --roster-key KEY --accept",
				m.NodeID, there, i.guardian.URL(), m.URL)
		}
		known = append(known, m)
	}
	return known
}

// withFirst adds the URLs of those that had none, and reports whether there are
// any. One that is another's already is told.
func (i *informant) withFirst(known, said []client.Member) (whole []client.Member, more bool) {
	whole = slices.Clone(known)
	for j, m := range said {
		switch {
		case whole[j].URL != "" || m.URL == "":
		case slices.Contains(urlsOf(known), m.URL):
			i.warn("%s: %s has the URL of another", i.guardian.URL(), m.NodeID)
		default:
			whole[j].URL, more = m.URL, true
		}
	}
	return whole, more
}

// acceptRoster has the URLs confirmed that the guardian gives for the members of
// a roster. Those it does not give stay as they were.
func (i *informant) acceptRoster(admission ed25519.PublicKey, yes bool) (members []client.Member, err error) {
	before, err := i.pins.roster(admission)
	if err != nil {
		return nil, i.store.damaged(err)
	}
	now, err := i.roster(admission, before)
	if err != nil {
		return nil, i.without(err)
	}
	for j, m := range now.members {
		if was := before.urlOf(m); m.URL == "" && !slices.Contains(urlsOf(now.members), was) {
			now.members[j].URL = was
		}
	}
	if members, err = i.located(now.members); err != nil {
		return nil, i.without(err)
	}
	if before != nil {
		changed := differences(before.members, now.members)
		if changed == nil {
			return nil, i.remember(admission, before, now)
		}
		i.warnOf(changed)
	}
	return members, i.confirm(now.members, yes, true, func(p *pins) error { return p.setRoster(admission, now) })
}
