package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

type rosterInit struct {
	draftFlags
	newFileFlags
	keyFile string
}

func newRosterInitCommand() *cobra.Command {
	var r rosterInit
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make an admission key and an empty draft of a roster",
		Long: `Make an admission key, in a new file (0600), and an empty draft of a roster. The
line that is printed goes into the configuration of every guardian, once there is
a roster in the registry.

Whoever has the key says who the guardians are. Keep it on a machine that is not
connected, and a copy elsewhere: without it no guardian joins or leaves any more
until all of them are given another GUARDIAN_ADMISSION_KEY.

If just the draft is lost, --admission-key-file makes an empty one for a key that
is there. Add the guardians to it with the indices that they had, as guardianctl
roster show says of the last roster, and set "serial" in it to that one's.`,
		Example: `  guardianctl roster init
  guardianctl roster init -o /media/usb/admission.key --roster /media/usb/roster.json --json
  guardianctl roster init --admission-key-file admission.key`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	cmd.Flags().StringVarP(&r.output, "output", "o", "admission.key", "file to write the admission key to")
	cmd.Flags().StringVar(&r.keyFile, "admission-key-file", "", "make no key, but a draft for the one in this file")
	r.draftFlags.register(cmd)
	return cmd
}

type rosterInitResult struct {
	AdmissionKey string `json:"admission_key"`
	KeyFile      string `json:"admission_key_file"`
	Draft        string `json:"roster"`
}

func (r *rosterInit) run(cmd *cobra.Command) error {
	if r.keyFile != "" {
		return r.draftAgain(cmd)
	}
	if r.output == "" {
		return usageError("pass for example -o admission.key", "no file for the admission key given")
	}
	if exists(r.output) {
		return r.keyExists()
	}
	if err := cmp.Or(r.checkNew(cmd, r.json), r.checkNoDraft()); err != nil {
		return err
	}
	public, err := createAdmissionKey(r.output)
	if err != nil {
		return r.refused(err)
	}
	if err := newDraft(public).write(r.draft, false); err != nil {
		return failure(errors.Join(err, os.Remove(r.output)), "choose another file with --roster; no key was made")
	}
	return r.print(cmd, rosterInitResult{hex.EncodeToString(public), r.output, r.draft})
}

// draftAgain makes a draft for a key that has lost its own.
func (r *rosterInit) draftAgain(cmd *cobra.Command) error {
	if cmd.Flags().Changed("output") {
		return usageError("keep one of them", "--output and --admission-key-file are both given")
	}
	if err := r.checkNoDraft(); err != nil {
		return err
	}
	private, err := readAdmissionKey(r.keyFile)
	if err != nil {
		return err
	}
	defer clear(private)
	public := publicOf(private)
	if err := newDraft(public).write(r.draft, false); err != nil {
		return failure(err, "choose another file with --roster")
	}
	return r.print(cmd, rosterInitResult{hex.EncodeToString(public), r.keyFile, r.draft})
}

func (r *rosterInit) checkNoDraft() error {
	if !exists(r.draft) {
		return nil
	}
	return failure(fmt.Errorf("%s exists", r.draft), "choose another file with --roster: with a draft goes whose the share indices were")
}

func (r *rosterInit) keyExists() error {
	advice := "choose another file with -o: without its key a roster is never changed"
	if !exists(r.draft) {
		advice = fmt.Sprintf("for another cluster, choose another file with -o; if just the draft is lost, go back to a copy of it, or make an empty one: guardianctl roster init --admission-key-file %s --roster %s",
			shellWord(r.output), shellWord(r.draft))
	}
	return failure(fmt.Errorf("%s exists", r.output), advice)
}

func (r *rosterInit) print(cmd *cobra.Command, result rosterInitResult) error {
	if r.json {
		return printJSON(cmd.OutOrStdout(), result)
	}
	// Just the line goes to standard output, which may be a file of variables.
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s=%s\n", admissionVariable, result.AdmissionKey); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), `admission key: in %s; keep it off the network, and a copy of it elsewhere
draft: in %s; keep it with the key
%s`, shown(result.KeyFile), shown(result.Draft), r.next())
	return err
}

func (r *rosterInit) next() string {
	if r.keyFile != "" {
		return "next: guardianctl roster add for each guardian, with the index that it had; then set \"serial\" in the draft to that of the last roster\n"
	}
	return "next: guardianctl roster add, sign and publish; then set that variable for every guardian\n"
}
