package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/shamir"
)

type splitCommand struct {
	shares, threshold int
	output            string
	json              bool
}

func newSplitCommand() *cobra.Command {
	var s splitCommand
	cmd := &cobra.Command{
		Use:   "split [FILE|-] --shares N --threshold K",
		Short: "Split a file into share files, without any guardian",
		Long: `Split a file (or standard input) into N share files, any K of which rebuild it
with guardianctl combine; fewer than K tell nothing but its size. No guardian is
asked.

The share files are text that can be mailed and printed, FILE.share-1 to
FILE.share-N (secret.share-1 for standard input), 0600. None is ever overwritten,
and when one cannot be written none is kept.

They are not encrypted: whoever has any K of them has the file. Take each to
another place, and leave no K in one. The file itself is left where it is.`,
		Example: `  guardianctl split notes.key --shares 5 --threshold 3
  guardianctl split notes.key --shares 5 --threshold 3 -o /media/usb
  tar c notes | guardianctl split - --shares 3 --threshold 2 -o notes.tar
  guardianctl combine notes.key.share-1 notes.key.share-4 notes.key.share-5 -o notes.key`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, append(args, "-")[0]) },
	}
	cmd.Flags().IntVar(&s.shares, "shares", 0, "share files to make, N: 2 to 255")
	cmd.Flags().IntVar(&s.threshold, "threshold", 0, "share files that rebuild the file, K: 2 to N")
	cmd.Flags().StringVarP(&s.output, "output", "o", "", "directory for the share files, or what their names begin with (default FILE)")
	cmd.Flags().BoolVar(&s.json, "json", false, "print the result as JSON")
	return cmd
}

func (s *splitCommand) run(cmd *cobra.Command, input string) error {
	if err := s.check(); err != nil {
		return err
	}
	files, err := s.files(input)
	if err != nil {
		return err
	}
	secret, err := s.read(cmd, input)
	if err != nil {
		return err
	}
	defer clear(secret)
	stop := showProgress(cmd.ErrOrStderr(), "splitting")
	facts, err := splitInto(cmd.Context(), files, secret, s.threshold)
	stop()
	if err != nil {
		return err
	}
	s.warn(cmd)
	return s.print(cmd, splitResult{facts.name(), facts.size, facts.shares, facts.threshold, files})
}

func (s *splitCommand) check() error {
	const example = "pass for example --shares 5 --threshold 3: any 3 of 5 share files then rebuild the file"
	switch {
	case s.shares == 0 || s.threshold == 0:
		return usageError(example, "--shares and --threshold are both needed, and not 0")
	case s.shares < leastThreshold || s.shares > maxShares:
		return usageError(example, "--shares must be %d to %d, not %d", leastThreshold, maxShares, s.shares)
	case s.threshold < leastThreshold:
		return usageError(example, "--threshold must be at least %d, not %d", leastThreshold, s.threshold)
	case s.threshold > s.shares:
		return usageError(example, "--threshold %d is more than --shares %d: nothing could rebuild the file", s.threshold, s.shares)
	case s.output == "-":
		return usageError("pass a directory, or what the names begin with: -o secret", "share files cannot go to standard output")
	}
	return nil
}

// files names the share files, and refuses before anything is read what would
// be refused after.
func (s *splitCommand) files(input string) ([]string, error) {
	prefix := s.prefix(input)
	if dir := filepath.Dir(prefix); !isDir(dir) {
		return nil, failure(fmt.Errorf("%s: there is no directory %s", prefix, dir), "make that directory, or choose another one with -o")
	}
	files := make([]string, s.shares)
	for i := range files {
		files[i] = fmt.Sprintf("%s.share-%d", prefix, i+1)
		if exists(files[i]) {
			return nil, refuseShareFile(files[i])
		}
	}
	return files, nil
}

func (s *splitCommand) prefix(input string) string {
	if input == "-" {
		input = "secret"
	}
	switch {
	case s.output == "":
		return input
	case isDir(s.output), strings.HasSuffix(s.output, string(filepath.Separator)):
		return filepath.Join(s.output, filepath.Base(input))
	}
	return s.output
}

func refuseShareFile(file string) error {
	return failure(fmt.Errorf("%s exists", file), "move it away, or choose another place with -o: share files are never overwritten")
}

// read refuses an empty file: it is more likely a mistake than a secret.
func (s *splitCommand) read(cmd *cobra.Command, input string) ([]byte, error) {
	limit := maxSplitSize/s.shares - padSize
	secret, err := readBounded(cmd, input, limit)
	switch {
	case errors.Is(err, errTooLong):
		return nil, failure(
			fmt.Errorf("reading %s: it is larger than %d bytes, the limit for %d shares", input, limit, s.shares),
			"encrypt the file, keep it anywhere, and split the key: "+cmd.CommandPath()+" KEY",
		)
	case err == nil && len(secret) == 0:
		return nil, failure(fmt.Errorf("reading %s: it is empty", input), "name a file that holds something")
	}
	return secret, err
}

// splitInto splits a secret into one new file per share.
func splitInto(ctx context.Context, files []string, secret []byte, threshold int) (splitFacts, error) {
	shares, err := splitSecret(secret, len(files), threshold)
	if err != nil {
		return splitFacts{}, err
	}
	defer wipeShares(shares)
	return shares[0].splitFacts, writeShares(ctx, files, shares)
}

// splitSecret makes shares at the points 1 to n. The caller wipes them.
func splitSecret(secret []byte, n, threshold int) ([]shareFile, error) {
	payload := make([]byte, len(secret)+padSize)
	defer clear(payload)
	rand.Read(payload[copy(payload, secret):])
	facts := splitFacts{threshold: threshold, shares: n, size: len(secret), hash: sha256.Sum256(payload)}
	rand.Read(facts.id[:])
	points := make([]byte, n)
	for i := range points {
		points[i] = byte(i + 1)
	}
	parts, err := shamir.Split(payload, threshold, points)
	if err != nil {
		return nil, fmt.Errorf("splitting: %w", err)
	}
	shares := make([]shareFile, n)
	for i := range shares {
		shares[i] = shareFile{facts, parts[i]}
	}
	return shares, nil
}

func wipeShares(shares []shareFile) {
	for _, s := range shares {
		clear(s.data)
	}
}

// writeShares writes all of them or none.
func writeShares(ctx context.Context, files []string, shares []shareFile) error {
	for i, file := range files {
		if err := writeShare(ctx, file, shares[i]); err != nil {
			return removeAll(files[:i], err)
		}
	}
	return nil
}

// writeShare heeds an interrupt before, so that the last share ends a split.
func writeShare(ctx context.Context, file string, share shareFile) error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	text, err := share.text()
	defer clear(text)
	if err == nil {
		err = writeFile(file, text, false)
	}
	if errors.Is(err, fs.ErrExist) {
		return refuseShareFile(file)
	}
	if err != nil {
		return failure(err, "make room there, or choose another place with -o")
	}
	return nil
}

// removeAll removes what was written before err.
func removeAll(files []string, err error) error {
	for _, file := range files {
		if removing := os.Remove(file); removing != nil {
			err = fmt.Errorf("%w; this share file is left: %w", err, removing)
		}
	}
	return err
}

func (s *splitCommand) warn(cmd *cobra.Command) {
	w := cmd.ErrOrStderr()
	fmt.Fprintf(w, "warning: the share files are not encrypted: whoever has any %d of them has the file; take each to another place\n", s.threshold)
	if s.threshold == s.shares {
		fmt.Fprintf(w, "warning: all %d share files are needed: when one is lost, so is the file\n", s.shares)
	}
}

type splitResult struct {
	Split     string   `json:"split"`
	Bytes     int      `json:"bytes"`
	Shares    int      `json:"shares"`
	Threshold int      `json:"threshold"`
	Files     []string `json:"files"`
}

func (s *splitCommand) print(cmd *cobra.Command, r splitResult) error {
	out := cmd.OutOrStdout()
	if s.json {
		return printJSON(out, r)
	}
	fmt.Fprintf(out, "split %d bytes into %d share files; any %d of them rebuild the file\n", r.Bytes, r.Shares, r.Threshold)
	for _, file := range r.Files {
		fmt.Fprintln(out, shown(file))
	}
	_, err := fmt.Fprintf(out, "to bring it back, with any %d of them: guardianctl combine %s* -o FILE\n",
		r.Threshold, shellWord(strings.TrimSuffix(r.Files[0], "1")))
	return err
}
