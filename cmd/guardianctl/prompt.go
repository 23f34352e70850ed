package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// prompter asks people for secrets on their terminal. What they type is not
// shown, and while it is open no signal comes from the keyboard.
type prompter struct {
	in    *os.File
	tty   *os.File // in, where that is to be closed
	out   io.Writer
	state *term.State
	lines *term.Terminal
}

// openPrompter takes the controlling terminal, which is there whatever was
// redirected, else standard input, which must then be a terminal. The caller
// closes it.
func openPrompter(cmd *cobra.Command) (*prompter, error) {
	p := &prompter{}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		p.in, p.tty, p.out = tty, tty, tty
	} else {
		p.in, _ = cmd.InOrStdin().(*os.File)
		p.out = cmd.ErrOrStderr()
	}
	state, err := term.MakeRaw(int(p.in.Fd()))
	if err != nil {
		p.tty.Close()
		return nil, failure(fmt.Errorf("turning the echo of the terminal off: %w", err), "put the secret in a file that is yours alone (chmod 600), and name that")
	}
	p.state = state
	p.lines = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{keyboard{p.in}, p.out}, "")
	return p, nil
}

// close makes the terminal what it was.
func (p *prompter) close() {
	term.Restore(int(p.in.Fd()), p.state) //nolint:errcheck // it may be gone
	p.tty.Close()
}

// ask returns a line, of 4096 characters at most.
func (p *prompter) ask(ctx context.Context, question string) (string, error) {
	type result struct {
		line string
		err  error
	}
	answered := make(chan result, 1)
	go func() {
		line, err := p.lines.ReadPassword(question)
		answered <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprint(p.out, "\r\n")
		return "", interrupted(ctx)
	case got := <-answered:
		return got.line, p.explain(got.err)
	}
}

func (p *prompter) explain(err error) error {
	switch {
	case err == nil, errors.Is(err, term.ErrPasteIndicator):
		return nil
	case errors.Is(err, errInterruptKey):
		fmt.Fprint(p.out, "\r\n")
		return failure(errInterruptKey, adviceInterrupted)
	}
	fmt.Fprint(p.out, "\r\n")
	return failure(fmt.Errorf("reading from the terminal: %w", err), "run the command again and type what it asks for")
}

var errInterruptKey = errors.New("ending: interrupted at the keyboard")

// interruptKey is what Ctrl-C sends.
const interruptKey = 3

// keyboard reads key by key, so that what was typed ahead stays for whoever
// reads next, and tells Ctrl-C.
type keyboard struct{ from io.Reader }

func (k keyboard) Read(data []byte) (int, error) {
	n, err := k.from.Read(data[:min(1, len(data))])
	if n == 1 && data[0] == interruptKey {
		return 0, errInterruptKey
	}
	return n, err
}

// promptWords asks for 24 words, on as many lines as they are typed.
func promptWords(cmd *cobra.Command) (string, error) {
	p, err := openPrompter(cmd)
	if err != nil {
		return "", err
	}
	defer p.close()
	var words []string
	question := "The 24 words (not shown): "
	for len(words) < mnemonicWords {
		line, err := p.ask(cmd.Context(), question)
		if err != nil {
			return "", err
		}
		typed := strings.Fields(line)
		if len(typed) == 0 {
			break
		}
		words = append(words, typed...)
		question = fmt.Sprintf("From word %d on: ", len(words)+1)
	}
	return strings.Join(words, " "), nil
}

// promptPassphrase asks for the passphrase of a user, twice for a new one.
func promptPassphrase(cmd *cobra.Command, user string, fresh bool) (string, error) {
	p, err := openPrompter(cmd)
	if err != nil {
		return "", err
	}
	defer p.close()
	passphrase, err := p.ask(cmd.Context(), "Passphrase of "+shown(user)+" (not shown): ")
	if err != nil || !fresh {
		return passphrase, err
	}
	again, err := p.ask(cmd.Context(), "Once more: ")
	if err == nil && again != passphrase {
		err = failure(errors.New("the passphrases differ, nothing was done"), "run the command again and type it twice alike")
	}
	return passphrase, err
}
