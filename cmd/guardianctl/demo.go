package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

//go:embed opticks.txt
var opticks []byte

const (
	demoGuardians = 5
	demoTimeout   = 3 * time.Minute
)

// demo is one run of the demonstration: five guardians, one file.
type demo struct {
	out      io.Writer
	launcher *launcher
	binary   string // of the guardian
	parent   string // of dir, "" for the system's place for such things
	dir      string
	token    string
	name     string // of the file
	secret   []byte
	words    string // the 24 that lead to root
	root     *envelope.Root

	guardians [demoGuardians]*process
	vault     *client.Vault
	captured  []api.PushRequest // the last shares shown, as if pushed
	flip      func(path string) error
	// before is called before each step; tests break steps with it.
	before func(step string)
}

func newDemoCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Show on this machine what guardians do",
		Long: `Start five guardians on this machine, keep a file with them (Newton's Opticks
unless another is named), lose two, recover the file, and try to cheat. Every
step is checked; the exit code is 0 only when all of it held. Nothing is left
behind: with --keep the directory is, but no process.`,
		Example: `  guardianctl demo
  guardianctl demo notes.txt --keep`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := newDemo(cmd, args)
			if err != nil {
				return err
			}
			return d.run(cmd.Context(), keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the directory with all files")
	return cmd
}

func newDemo(cmd *cobra.Command, args []string) (*demo, error) {
	d := &demo{
		out: cmd.OutOrStdout(), name: "opticks.txt", secret: opticks,
		token: randomHex(), flip: flipLastByte, before: func(string) {},
	}
	if len(args) > 0 {
		secret, err := readInput(cmd, args[0])
		if err != nil {
			return nil, err
		}
		d.name, d.secret = filepath.Base(args[0]), secret
	}
	own, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	d.binary = filepath.Join(filepath.Dir(own), guardianBinary)
	if !exists(d.binary) {
		return nil, failure(fmt.Errorf("%s is missing", d.binary), "build both programs into one directory: make build")
	}
	return d, nil
}

// run plays all steps in a directory of its own. However it ends, no process
// is left, and no directory unless it is to be kept.
func (d *demo) run(ctx context.Context, keep bool) (err error) {
	if d.dir, err = os.MkdirTemp(d.parent, "guardian-demo-"); err != nil { // 0700
		return fmt.Errorf("making a directory: %w", err)
	}
	d.launcher = newLauncher()
	defer func() {
		d.killAll()
		d.launcher.close()
		if !keep {
			err = errors.Join(err, os.RemoveAll(d.dir))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	if err = d.play(ctx); err != nil && ctx.Err() == nil {
		err = failure(err, logAdvice(keep))
	}
	if keep {
		d.printKept()
	}
	if err == nil {
		d.printNext()
	}
	return err
}

// play stops at the first step that does not hold.
func (d *demo) play(ctx context.Context) error {
	for i, step := range d.steps() {
		fmt.Fprintf(d.out, "\n%d. %s\n", i+1, step.title)
		d.before(step.name)
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("demo, step %d (%s): %w", i+1, step.name, ctx.Err())
			}
			return fmt.Errorf("demo, step %d (%s): %w", i+1, step.name, err)
		}
	}
	fmt.Fprint(d.out, "\nAll of it held.\n\n")
	return nil
}

func logAdvice(kept bool) string {
	if kept {
		return "look at the guardians' logs (*.log) in the directory named above"
	}
	return "run it again with --keep: the guardians' logs, now removed, then stay"
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "   "+format+"\n", args...)
}

func (d *demo) printNext() {
	fmt.Fprintf(d.out, `Next:
  GUARDIAN_STORAGE=./x %s --unauthenticated     one guardian of your own
  guardianctl keygen -o my.key                  a key to keep files with
  guardianctl store FILE --key-file my.key --guardians http://127.0.0.1:7501,...
  guardianctl --help
`, shellWord(d.binary))
}

func (d *demo) printKept() {
	fmt.Fprintf(d.out, "\nKept: %s\nTo start the guardians again, on ports 7501 to 7505:\n", d.dir)
	for i := range d.guardians {
		fmt.Fprintf(d.out, "  GUARDIAN_STORAGE=%s GUARDIAN_NODE_ID=%s GUARDIAN_BIND=127.0.0.1:%d GUARDIAN_SERVER_BEARER_TOKEN=\"$(cat %s)\" %s &\n",
			shellWord(d.storage(i)), nodeID(i), 7501+i, shellWord(d.tokenFile()), shellWord(d.binary))
	}
	fmt.Fprintf(d.out, "and to ask them how they are:\n  guardianctl status --token-file %s --guardians %s\n\n", shellWord(d.tokenFile()), exampleGuardians)
}
