package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

// maxCombineText bounds the files of one command together, in bytes: those of
// the largest split take 174 MiB.
const maxCombineText = 2 * maxSplitSize

type combineCommand struct {
	outputFlags
	json bool
}

func newCombineCommand() *cobra.Command {
	var c combineCommand
	cmd := &cobra.Command{
		Use:   "combine FILE...",
		Short: "Rebuild a file from share files",
		Long: `Rebuild the file that guardianctl split made share files of, from K of them or
more, and write it to a new file (0600) or to standard output. FILE may hold
several shares, and text around them; - is standard input.

Damaged and wrong shares are named and left out as long as enough others are
there. What is rebuilt must have the hash that the shares state; otherwise
nothing is written. The share files are not signed: whoever gives you K of them
decides what they make.`,
		Example: `  guardianctl combine notes.key.share-1 notes.key.share-4 notes.key.share-5 -o notes.key
  guardianctl combine /media/*/notes.key.share-* -o notes.key
  cat mails | guardianctl combine - -o notes.key`,
		Args: shareFiles,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}
	c.register(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print the result as JSON")
	return cmd
}

func shareFiles(cmd *cobra.Command, files []string) error {
	if len(files) == 0 {
		return usageError("name them: "+cmd.CommandPath()+" notes.key.share-1 notes.key.share-2 -o notes.key", "no share files given")
	}
	if first := slices.Index(files, "-"); first >= 0 && slices.Contains(files[first+1:], "-") {
		return usageError("name - once: what comes there may hold several shares", "standard input is named twice")
	}
	return nil
}

func (c *combineCommand) run(cmd *cobra.Command, files []string) error {
	if err := c.checkOutput(c.json); err != nil {
		return err
	}
	held, damaged, err := readShares(cmd, files)
	defer func() {
		for _, h := range held {
			clear(h.data)
		}
	}()
	if err != nil {
		return err
	}
	stop := showProgress(cmd.ErrOrStderr(), "combining")
	result, err := combine(cmd.Context(), held, damaged)
	stop()
	defer clear(result.payload)
	if err != nil {
		return err
	}
	if err := c.writeOutput(cmd, result.payload[:result.size]); err != nil {
		return err
	}
	return c.print(cmd, result)
}

// readShares reads all files, and lists what in them is damaged. With an error
// come the shares read before.
func readShares(cmd *cobra.Command, files []string) (held []heldShare, damaged []unused, err error) {
	left := maxCombineText
	for _, file := range files {
		text, err := readBounded(cmd, file, left)
		if errors.Is(err, errTooLong) {
			return held, nil, failure(
				fmt.Errorf("reading %s: the files together are larger than %d MiB, which no split is", file, maxCombineText>>20),
				"name the share files of one split",
			)
		}
		if err != nil {
			return held, nil, err
		}
		left -= len(text)
		shares, problem := parseShareFile(text)
		clear(text)
		for _, share := range shares {
			held = append(held, heldShare{file, share})
		}
		if problem != nil {
			damaged = append(damaged, unused{file, problem.Error()})
		}
	}
	return held, damaged, nil
}

// combine rebuilds the payload. Both its result and its error say what was not
// used.
func combine(ctx context.Context, held []heldShare, damaged []unused) (rebuilt, error) {
	if len(held) == 0 {
		return rebuilt{}, withUnused(&advisedError{
			exitVerification, errors.New("there is no whole share"), "name share files as guardianctl split wrote them",
		}, damaged)
	}
	result, err := rebuild(ctx, held)
	result.unused = append(damaged, result.unused...)
	if err == nil && ctx.Err() != nil {
		err = interrupted(ctx)
	}
	return result, withUnused(err, result.unused)
}

// withUnused adds to an error what could have helped.
func withUnused(err error, list []unused) error {
	if err == nil || len(list) == 0 {
		return err
	}
	texts := make([]string, len(list))
	for i, u := range list {
		texts[i] = u.String()
	}
	problem := advised(err)
	problem.err = fmt.Errorf("%w; not used: %s", problem.err, listSome(texts, "; "))
	return problem
}

type combineResult struct {
	Output    string   `json:"output"`
	Bytes     int      `json:"bytes"`
	Split     string   `json:"split"`
	Threshold int      `json:"threshold"`
	Shares    int      `json:"shares"`
	Unused    []unused `json:"unused"`
}

// print reports to people on standard error: standard output may be the file.
func (c *combineCommand) print(cmd *cobra.Command, r rebuilt) error {
	if c.json {
		return printJSON(cmd.OutOrStdout(), combineResult{c.output, r.size, r.name(), r.threshold, r.used, append([]unused{}, r.unused...)})
	}
	w := cmd.ErrOrStderr()
	for _, u := range r.unused {
		fmt.Fprintf(w, "warning: not used: %v\n", u)
	}
	_, err := fmt.Fprintf(w, "rebuilt %d bytes from %d shares; %d were needed\n", r.size, r.used, r.threshold)
	return err
}
