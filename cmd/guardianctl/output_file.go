package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// outputFlags say where a command writes the file that it rebuilds.
type outputFlags struct {
	output string
	force  bool
}

func (f *outputFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.output, "output", "o", "-", "file to write, - for standard output")
	cmd.Flags().BoolVar(&f.force, "force", false, "overwrite the output file")
}

// checkOutput refuses before anything is read or asked what would be refused
// after. json says that the result goes to standard output.
func (f *outputFlags) checkOutput(json bool) error {
	switch {
	case f.output == "-" && json:
		return usageError("add -o FILE", "--json and the file cannot both go to standard output")
	case f.output == "-":
		return nil
	}
	if dir := filepath.Dir(f.output); !isDir(dir) {
		return failure(fmt.Errorf("%s: there is no directory %s", f.output, dir), "make that directory, or choose another file with -o")
	}
	switch info, err := os.Stat(f.output); {
	case err == nil && info.IsDir():
		return failure(fmt.Errorf("%s is a directory", f.output), "name a file in it: -o "+shellWord(filepath.Join(f.output, "FILE")))
	case err == nil && !info.Mode().IsRegular():
		return failure(fmt.Errorf("%s is not a regular file", f.output), "choose another file with -o, or leave -o out and redirect the output")
	case !f.force && exists(f.output):
		return f.refuseOverwrite()
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (f *outputFlags) refuseOverwrite() error {
	return failure(fmt.Errorf("%s exists", f.output), "choose another file with -o, or add --force to overwrite it")
}

// writeOutput writes a new file, 0600, or to standard output, where a terminal
// is shown text only.
func (f *outputFlags) writeOutput(cmd *cobra.Command, secret []byte) error {
	if f.output != "-" {
		err := writeFile(f.output, secret, f.force)
		if errors.Is(err, fs.ErrExist) {
			return f.refuseOverwrite()
		}
		if err != nil {
			return failure(err, "choose another file with -o")
		}
		return nil
	}
	out := cmd.OutOrStdout()
	if isTerminal(out) && !printableText(secret) {
		return usageError("add -o FILE, or redirect the output", "the file is binary and standard output is a terminal")
	}
	_, err := out.Write(secret)
	return err
}
