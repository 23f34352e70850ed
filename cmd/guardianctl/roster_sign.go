package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/cluster"
)

type rosterSign struct {
	draftFlags
	keyFile string
	output  string
}

func newRosterSignCommand() *cobra.Command {
	var s rosterSign
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Make a roster from the draft and sign it with the admission key",
		Long: `Make a roster from the draft and sign it with the admission key. It gets a serial
one above that of the last one: of the draft, or of the file that is written if
that is higher. No two rosters ever get the same: the draft is written first, so
after a crash a serial may be left out, which does no harm.

The signed roster holds no secret.`,
		Example: `  guardianctl roster sign --admission-key-file admission.key
  guardianctl roster sign --admission-key-file /media/usb/admission.key --roster /media/usb/roster.json -o /media/usb/roster.signed`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd) },
	}
	cmd.Flags().StringVar(&s.keyFile, "admission-key-file", "", "file of the admission key")
	cmd.Flags().StringVarP(&s.output, "output", "o", defaultSigned, "file to write the signed roster to; an older roster in it is replaced")
	s.register(cmd)
	return cmd
}

func (s *rosterSign) run(cmd *cobra.Command) error {
	switch {
	case s.keyFile == "":
		return usageError("pass for example --admission-key-file admission.key", "no admission key given")
	case s.output == "" || s.output == "-":
		return usageError("pass for example -o "+defaultSigned, "no file for the signed roster given")
	}
	private, err := readAdmissionKey(s.keyFile)
	if err != nil {
		return err
	}
	defer clear(private)
	var signed *cluster.Roster
	err = withDraft(s.draft, func(d *draft) error {
		signed, err = s.sign(d, private)
		return err
	})
	if err != nil {
		return err
	}
	return s.print(cmd, signed)
}

func (s *rosterSign) sign(d *draft, private ed25519.PrivateKey) (*cluster.Roster, error) {
	if public := hex.EncodeToString(publicOf(private)); public != d.AdmissionKey {
		return nil, &advisedError{
			exitVerification, fmt.Errorf("%s is not the admission key of %s: its public key is %s, and not %s", s.keyFile, s.draft, public, d.AdmissionKey),
			"pass the admission key that was made with the draft",
		}
	}
	if err := s.follow(d, publicOf(private)); err != nil {
		return nil, err
	}
	roster := d.roster()
	signed, err := roster.Sign(private)
	if err != nil {
		return nil, err
	}
	// In this order: what a crash leaves out is a serial, and it is never one
	// that another roster has.
	if err := writingDraft(d.write(s.draft, true)); err != nil {
		return nil, err
	}
	if err := replaceFile(s.output, signed); err != nil {
		return nil, failure(err, "choose another file with -o, and run it again")
	}
	return roster, nil
}

// follow raises the serial above all that are known, and takes over whose the
// indices were in the roster that is to be replaced.
func (s *rosterSign) follow(d *draft, public ed25519.PublicKey) error {
	before, err := s.before(public)
	if err != nil {
		return err
	}
	if err := d.remember(before); err != nil {
		return failure(fmt.Errorf("%s has been changed against %s: %w", s.draft, s.output, err), "put the index back in the draft, and give the guardian one that nobody had")
	}
	d.Serial = max(d.Serial, before.Serial)
	if d.Serial >= math.MaxUint64-1 {
		return failure(fmt.Errorf("the last serial is %d: a roster above it would have the highest that there is, and none could ever follow it", d.Serial),
			"correct \"serial\" in the draft if it is wrong; else make a new admission key for all guardians")
	}
	d.Serial++
	return nil
}

// before is the roster in the file that is to be written, an empty one where
// there is none.
func (s *rosterSign) before(public ed25519.PublicKey) (*cluster.Roster, error) {
	info, err := os.Stat(s.output)
	if errors.Is(err, fs.ErrNotExist) {
		return &cluster.Roster{}, nil
	}
	const advice = "choose another file with -o"
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", s.output)
	}
	if err != nil {
		return nil, failure(err, advice)
	}
	text, err := readSigned(s.output)
	if err != nil {
		return nil, err
	}
	before, err := cluster.ParseRoster(text, public)
	if err != nil {
		return nil, failure(fmt.Errorf("%s is there, and is no roster of this admission key: %w", s.output, err), advice+", or move that one away")
	}
	return before, nil
}

// readSigned reads at most one byte more than a roster has.
func readSigned(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, failure(err, adviceReadable)
	}
	defer file.Close()
	data, err := readWiping(file, cluster.MaxRosterSize)
	if errors.Is(err, errTooLong) {
		return nil, failure(fmt.Errorf("%s is too long to be a roster", path), "name a file that guardianctl roster sign has written")
	}
	if err != nil {
		return nil, failure(fmt.Errorf("reading %s: %w", path, err), adviceReadable)
	}
	return data, nil
}

type rosterSignResult struct {
	Serial    uint64 `json:"serial"`
	Guardians int    `json:"guardians"`
	File      string `json:"file"`
}

func (s *rosterSign) print(cmd *cobra.Command, r *cluster.Roster) error {
	if len(r.Entries) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: nobody is in it: once published, every guardian is alone")
	}
	if s.json {
		return printJSON(cmd.OutOrStdout(), rosterSignResult{r.Serial, len(r.Entries), s.output})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "signed %s: serial %d, %d guardians\nnext: guardianctl roster publish %s --registry LOCATION\n",
		shown(s.output), r.Serial, len(r.Entries), shellWord(s.output))
	return err
}
