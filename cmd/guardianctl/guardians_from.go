package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

const (
	guardiansFromVariable = "GUARDIANCTL_GUARDIANS_FROM"
	rosterKeyVariable     = "GUARDIANCTL_ROSTER_KEY"

	// informantPatience is how long a guardian is waited for whose list would
	// only be compared with what is pinned.
	informantPatience = 5 * time.Second
)

// fromFlags name a guardian that is asked for the list of them all, and what
// makes that list one to be used.
type fromFlags struct {
	from      string
	rosterKey string
	trust     bool
}

func (f *fromFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "guardians-from", "", "in place of --guardians: one guardian, which is asked for the list (or "+guardiansFromVariable+"); it is to be confirmed once")
	flags.StringVar(&f.rosterKey, "roster-key", "", "public admission key, 64 hex digits: the guardians are those of the roster that it signed, and only their URLs are to be confirmed once (or "+rosterKeyVariable+")")
	flags.BoolVar(&f.trust, "trust-on-first-use", false, "confirm what --guardians-from names unasked, where nothing is confirmed yet: the list, or URLs of a roster")
}

// admissionOf returns the key that signs rosters, nil for none.
func admissionOf(digits string) (ed25519.PublicKey, error) {
	if digits == "" {
		digits = os.Getenv(rosterKeyVariable)
	}
	if digits == "" {
		return nil, nil
	}
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, usageError("pass all 64 hex digits of the public admission key with --roster-key (or "+rosterKeyVariable+")", "the roster key is not an Ed25519 public key")
	}
	return key, nil
}

// membersFrom are the guardians of a cluster, in order of index. Each has a URL.
// Who they are admission has signed, unless it is nil.
func (f *vaultFlags) membersFrom(cmd *cobra.Command, from string, admission ed25519.PublicKey, roots *x509.CertPool) ([]client.Member, error) {
	asked, err := newInformant(cmd, &f.callFlags, from, roots)
	if err != nil {
		return nil, err
	}
	if admission != nil {
		return asked.byRoster(admission, f.trust, f.writes)
	}
	return asked.byConfirmation(f.trust)
}

// informant is the guardian that is asked. What was pinned before is used
// whatever it says: it can neither change a list unseen, nor hold anybody up.
type informant struct {
	cmd      *cobra.Command
	calls    *callFlags
	guardian *client.Guardian
	store    pinStore
	pins     *pins
}

// newInformant takes no token: the list is for everybody, and nothing is known
// yet of who gives it.
func newInformant(cmd *cobra.Command, calls *callFlags, from string, roots *x509.CertPool) (*informant, error) {
	guardian, err := client.New(from, "", client.WithRootCAs(roots))
	if err != nil {
		return nil, usageError("correct --guardians-from (or "+guardiansFromVariable+")", "%w", err)
	}
	store := findPins()
	kept, err := store.read()
	return &informant{cmd, calls, guardian, store, kept}, err
}

func (i *informant) warn(format string, args ...any) {
	fmt.Fprintf(i.cmd.ErrOrStderr(), "warning: "+format+"\n", args...)
}

// ask bounds how long is waited where the answer is not needed.
func (i *informant) ask(needed bool, do func(context.Context) error) error {
	err := i.calls.ask(i.cmd, "asking for the list of guardians", func(ctx context.Context) error {
		if !needed {
			limited, cancel := context.WithTimeoutCause(ctx, informantPatience, errPatience)
			defer cancel()
			ctx = limited
		}
		return do(ctx)
	})
	if i.cmd.Context().Err() != nil {
		return interrupted(i.cmd.Context())
	}
	return err
}

var errPatience = fmt.Errorf("no answer within %s", informantPatience)

// without is why there is no list to go by.
func (i *informant) without(err error) error {
	if _, ok := errors.AsType[*advisedError](err); ok {
		return err
	}
	said, ok := errors.AsType[*client.Error](err)
	if ok && said.Status == 0 {
		return failure(fmt.Errorf("asking for the list of guardians: %w", err),
			"bring that guardian up, name another with --guardians-from, or all of them with --guardians")
	}
	if ok {
		err = said.Err
	}
	return &advisedError{
		exitVerification, fmt.Errorf("%s gives no list of guardians that can be used: %w", i.guardian.URL(), err),
		"nothing was sent elsewhere; name another guardian with --guardians-from, or all of them with --guardians",
	}
}

// byConfirmation returns the list that was confirmed for this guardian, or has
// the one that it gives confirmed.
func (i *informant) byConfirmation(trust bool) ([]client.Member, error) {
	pinned, err := i.pins.list(i.guardian.URL())
	if err != nil {
		return nil, i.store.damaged(err)
	}
	said, err := i.list(pinned == nil)
	switch {
	case i.cmd.Context().Err() != nil:
		return nil, err
	case pinned == nil && err != nil:
		return nil, i.without(err)
	case pinned == nil:
		return said, i.confirmFirst(said, trust)
	case err != nil:
		i.warn("%v; the list that was confirmed before is used", err)
	default:
		i.warnOf(differences(pinned, said))
	}
	return pinned, nil
}

func (i *informant) warnOf(differences []string) {
	if len(differences) == 0 {
		return
	}
	i.warn("%s now gives another list than the one confirmed before, and is not believed:", i.guardian.URL())
	for _, line := range differences {
		fmt.Fprintln(i.cmd.ErrOrStderr(), "  "+line)
	}
	fmt.Fprintf(i.cmd.ErrOrStderr(), "if its operator says that this is right: guardianctl guardians --from %s --accept\n", quoted(i.guardian.URL()))
}

// list returns the members that the guardian lists, but for those without a URL,
// which are told.
func (i *informant) list(needed bool) (members []client.Member, err error) {
	err = i.ask(needed, func(ctx context.Context) error {
		said, err := i.guardian.Guardians(ctx)
		if err != nil {
			return err
		}
		if members, err = client.MembersOf(said.Guardians); err != nil {
			return err
		}
		return i.asSafe(members)
	})
	if err != nil {
		return nil, err
	}
	return i.located(members)
}

// asSafe refuses URLs over which everybody on the way reads and changes what goes
// there, from a guardian that was asked over https.
func (i *informant) asSafe(members []client.Member) error {
	for _, m := range members {
		if strings.HasPrefix(i.guardian.URL(), "https://") && strings.HasPrefix(m.URL, "http://") {
			return fmt.Errorf("%w: %s has an http URL in it, and it was asked for over https", client.ErrInvalidList, m.NodeID)
		}
	}
	return nil
}

// located leaves out the members whose URL nobody knows.
func (i *informant) located(members []client.Member) (with []client.Member, err error) {
	for _, m := range members {
		if m.URL == "" {
			i.warn("%s (index %d) has no URL yet: it is left out, and gets no share", m.NodeID, m.Index)
			continue
		}
		with = append(with, m)
	}
	if with == nil {
		err = fmt.Errorf("%w: none of them has a URL", client.ErrInvalidList)
	}
	return with, err
}

func urlsOf(members []client.Member) []string {
	var urls []string
	for _, m := range members {
		urls = append(urls, m.URL)
	}
	return urls
}
