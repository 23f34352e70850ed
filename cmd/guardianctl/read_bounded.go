package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// errTooLong reports more than readBounded may read.
var errTooLong = errors.New("too long")

// readBounded reads a file, or standard input for "-", and leaves no copy of
// what was read but the result. Error: errTooLong for more than limit bytes.
func readBounded(cmd *cobra.Command, input string, limit int) ([]byte, error) {
	source := cmd.InOrStdin()
	if input == "-" && isTerminal(source) {
		return nil, usageError("name a file: "+cmd.CommandPath()+" FILE", "standard input is a terminal")
	}
	if input != "-" {
		file, err := os.Open(input)
		if err != nil {
			return nil, failure(err, adviceReadable)
		}
		defer file.Close()
		source = file
	}
	data, err := readWiping(interruptible{cmd.Context(), source}, limit)
	if err != nil && !errors.Is(err, errTooLong) {
		return nil, failure(fmt.Errorf("reading %s: %w", input, err), adviceReadable)
	}
	return data, err
}

const adviceReadable = "name a file that can be read"

// readWiping is io.ReadAll with a limit. It wipes what it grows out of.
func readWiping(from io.Reader, limit int) ([]byte, error) {
	const atOnce = 64 << 10
	data := make([]byte, 0, atOnce)
	for {
		if len(data) == cap(data) {
			grown := append(make([]byte, 0, min(2*cap(data), limit+1)), data...)
			clear(data)
			data = grown
		}
		n, err := from.Read(data[len(data):min(cap(data), len(data)+atOnce)])
		data = data[:len(data)+n]
		if len(data) > limit {
			err = errTooLong
		}
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			clear(data)
			return nil, err
		}
	}
}
