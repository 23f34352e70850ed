package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/cluster"
)

type rosterShow struct {
	registryFlags
	admissionFlags
	timeout time.Duration
	json    bool
}

func newRosterShowCommand() *cobra.Command {
	var s rosterShow
	cmd := &cobra.Command{
		Use:   "show [FILE|-]",
		Short: "Show who is in a roster or a draft, and whether its signature is right",
		Long: `Show who is in a roster or a draft: a file, or what is published where a registry
is named (--registry, --registry-file or GUARDIAN_REGISTRY); else ` + defaultDraft + `. The
signature is verified with --admission-key, --admission-key-file or
GUARDIAN_ADMISSION_KEY; exits 5 if it is not that key's.`,
		Example: `  guardianctl roster show
  guardianctl roster show roster.signed --admission-key-file admission.key
  guardianctl roster show --registry s3://bucket/registry --admission-key d75a98...f70751 --json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	s.registryFlags.register(cmd)
	s.admissionFlags.register(cmd)
	s.registerFile(cmd)
	registerTimeout(cmd, &s.timeout)
	cmd.Flags().BoolVar(&s.json, "json", false, "print the result as JSON")
	return cmd
}

// What is known of a signature.
const (
	signatureNone       = "none"         // of a draft
	signatureUnverified = "not verified" // no key was given
	signatureGood       = "verified"
	signatureWrong      = "wrong"
)

// shownRoster is a roster, or a draft.
type shownRoster struct {
	Source    string `json:"source"`
	Draft     bool   `json:"draft"`
	Serial    uint64 `json:"serial"`
	Signature string `json:"signature"`
	// AdmissionKey is that of a draft, or the one that was verified with.
	AdmissionKey string       `json:"admission_key,omitempty"`
	Guardians    []draftEntry `json:"guardians"`
	Retired      []draftSeat  `json:"retired,omitempty"`
}

func (s *rosterShow) run(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && s.registry+s.file != "" {
		return usageError("keep one of them", "a file and a registry are both given")
	}
	if s.timeout <= 0 {
		return usageError("pass for example --timeout 20s", "--timeout must be positive")
	}
	admission, err := s.public(cmd)
	if err != nil {
		return err
	}
	source, data, err := s.read(cmd, args)
	if err != nil {
		return err
	}
	view, problem := shownRosterOf(source, data, admission)
	if view == nil {
		return problem
	}
	if err := s.print(cmd, view); err != nil {
		return err
	}
	return problem
}

// read returns what is to be shown, and where it is from.
func (s *rosterShow) read(cmd *cobra.Command, args []string) (source string, data []byte, err error) {
	if len(args) == 0 && s.given() {
		return s.readPublished(cmd)
	}
	source = append(args, defaultDraft)[0]
	data, err = readBounded(cmd, source, maxDraft)
	if errors.Is(err, errTooLong) {
		err = failure(fmt.Errorf("%s is too long to be a roster", source), "name a draft, or a file that guardianctl roster sign has written")
	}
	return source, data, err
}

func (s *rosterShow) readPublished(cmd *cobra.Command) (source string, data []byte, err error) {
	at, err := s.location()
	if err != nil {
		return "", nil, err
	}
	err = useRegistry(cmd, at, s.timeout, func(ctx context.Context, registry cluster.Registry) error {
		data, _, err = registry.Load(ctx, cluster.RosterKey)
		if errors.Is(err, cluster.ErrNoRecord) {
			return &advisedError{exitNotFound, fmt.Errorf("the registry %s has no roster", at), "put one there: guardianctl roster publish"}
		}
		return err
	})
	return "registry " + at.String(), data, err
}

// shownRosterOf returns nil with an error where there is nothing to show, and both
// where the signature is not the key's.
func shownRosterOf(source string, data []byte, admission ed25519.PublicKey) (*shownRoster, error) {
	if bytes.HasPrefix(bytes.TrimPrefix(bytes.TrimSpace(data), []byte(byteOrderMark)), []byte("{")) {
		return shownDraftOf(source, data, admission)
	}
	r, err := cluster.UnverifiedRoster(data)
	if err != nil {
		return nil, rosterError(source, err)
	}
	view := &shownRoster{Source: source, Serial: r.Serial, Signature: signatureUnverified, Guardians: []draftEntry{}}
	for _, e := range r.Entries {
		view.Guardians = append(view.Guardians, entryOf(e))
	}
	if admission == nil {
		return view, nil
	}
	view.AdmissionKey, view.Signature = hex.EncodeToString(admission), signatureGood
	if _, err := cluster.ParseRoster(data, admission); err != nil {
		view.Signature = signatureWrong
		return view, rosterError(source, err)
	}
	return view, nil
}

func shownDraftOf(source string, data []byte, admission ed25519.PublicKey) (*shownRoster, error) {
	d, err := parseDraft(source, bytes.TrimPrefix(data, []byte(byteOrderMark)))
	if err != nil {
		return nil, err
	}
	view := &shownRoster{
		Source: source, Draft: true, Serial: d.Serial, Signature: signatureNone,
		AdmissionKey: d.AdmissionKey, Guardians: append([]draftEntry{}, d.Guardians...), Retired: d.Retired,
	}
	if admission != nil && hex.EncodeToString(admission) != d.AdmissionKey {
		err = &advisedError{exitVerification, fmt.Errorf("%s is for another admission key, %s", source, d.AdmissionKey), "pass that one, or name another draft"}
	}
	return view, err
}

func (s *rosterShow) print(cmd *cobra.Command, view *shownRoster) error {
	out := cmd.OutOrStdout()
	if s.json {
		return printJSON(out, view)
	}
	if view.Draft {
		fmt.Fprintf(out, "%s: a draft; serial of the last roster: %s\n", shown(view.Source), serialText(view.Serial))
	} else {
		fmt.Fprintf(out, "%s: serial %d, signature %s\n", shown(view.Source), view.Serial, view.signature())
	}
	if err := printEntries(out, view.Guardians); err != nil {
		return err
	}
	for _, r := range view.Retired {
		fmt.Fprintf(out, "index %d was that of %s\n", r.Index, r.NodeID)
	}
	return nil
}

func serialText(serial uint64) string {
	if serial == 0 {
		return "none, nothing was signed yet"
	}
	return fmt.Sprint(serial)
}

func (v *shownRoster) signature() string {
	switch v.Signature {
	case signatureGood:
		return "verified, of " + v.AdmissionKey
	case signatureWrong:
		return "WRONG, not of " + v.AdmissionKey
	}
	return v.Signature + " (pass --admission-key)"
}

func printEntries(out io.Writer, all []draftEntry) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INDEX\tNODE\tKEY\tFAILURE DOMAIN")
	for _, e := range all {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", e.Index, e.NodeID, e.Key, orDash(e.FailureDomain))
	}
	return table.Flush()
}
