package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	demoGuardians = 5
	demoTimeout   = 3 * time.Minute
	// keptPort is that of the first guardian when it is started again.
	keptPort = 7501
)

// stage is where a demonstration plays: guardians on this machine and a file to
// keep with them, in a directory that goes when they do.
type stage struct {
	demoFile
	out      io.Writer
	binary   string // of the guardian
	parent   string // of dir, "" for the system's place for such things
	dir      string
	token    string
	settings []string // of all guardians, beside those of each
	// own are further settings of one guardian, and launched is told where it
	// listens; both nil for most shows.
	own      func(name string) []string
	launched func(name string, p *process)

	launcher  *launcher
	started   []*process // all of them, those that have ended too
	guardians []*process
	// before is called before each step; tests break steps with it.
	before func(step string)
}

// show is what plays on a stage.
type show interface {
	steps() []demoStep
	// again is what starts a kept guardian again, beside what all shows need.
	again(i int) string
	// next suggests commands.
	next() string
}

// demoStep is one thing shown. It returns an error unless it saw it happen.
type demoStep struct {
	name, title string
	do          func(context.Context) error
}

func newStage(cmd *cobra.Command, args []string) (s stage, err error) {
	s = stage{
		demoFile: demoFile{name: "opticks.txt", secret: opticks},
		out:      cmd.OutOrStdout(), token: randomHex(), before: func(string) {},
		guardians: make([]*process, demoGuardians),
	}
	if len(args) > 0 {
		if s.secret, err = readInput(cmd, args[0]); err != nil {
			return stage{}, err
		}
		s.name = filepath.Base(args[0])
	}
	own, err := os.Executable()
	if err != nil {
		return stage{}, fmt.Errorf("finding this program: %w", err)
	}
	s.binary = filepath.Join(filepath.Dir(own), guardianBinary)
	if !exists(s.binary) {
		return stage{}, failure(fmt.Errorf("%s is missing", s.binary), "build both programs into one directory: make build")
	}
	return s, nil
}

// perform plays all steps in a directory of its own. However it ends, no
// process is left, and no directory unless it is to be kept.
func (s *stage) perform(ctx context.Context, keep bool, what show) (err error) {
	if s.dir, err = os.MkdirTemp(s.parent, "guardian-demo-"); err != nil { // 0700
		return fmt.Errorf("making a directory: %w", err)
	}
	s.launcher = newLauncher()
	defer func() {
		s.killAll()
		s.launcher.close()
		if !keep {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	if err = s.play(ctx, what.steps()); err != nil && ctx.Err() == nil {
		err = failure(err, logAdvice(keep))
	}
	if keep {
		s.printKept(what)
	}
	if err == nil {
		fmt.Fprintf(s.out, "Next:\n%s  guardianctl --help\n", what.next())
	}
	return err
}

// play stops at the first step that does not hold.
func (s *stage) play(ctx context.Context, steps []demoStep) error {
	for i, step := range steps {
		fmt.Fprintf(s.out, "\n%d. %s\n", i+1, step.title)
		s.before(step.name)
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("demo, step %d (%s): %w", i+1, step.name, ctx.Err())
			}
			return fmt.Errorf("demo, step %d (%s): %w", i+1, step.name, err)
		}
	}
	fmt.Fprint(s.out, "\nAll of it held.\n\n")
	return nil
}

func logAdvice(kept bool) string {
	if kept {
		return "look at the guardians' logs (*.log) in the directory named above"
	}
	return "run it again with --keep: the guardians' logs, now removed, then stay"
}

func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(s.out, "   "+format+"\n", args...)
}

func (s *stage) keepToken() error {
	if err := writeFile(s.tokenFile(), []byte(s.token+"\n"), false); err != nil {
		return fmt.Errorf("keeping the token: %w", err)
	}
	return nil
}

// keepRecovered writes what was recovered to the directory.
func (s *stage) keepRecovered(secret []byte) error {
	if err := writeFile(filepath.Join(s.dir, "recovered-"+s.name), secret, false); err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	return nil
}

// printKept says how to start the guardians again that still have a storage.
func (s *stage) printKept(what show) {
	fmt.Fprintf(s.out, "\nKept: %s\n", s.dir)
	var urls []string
	for i := range s.guardians {
		if !exists(s.storage(i)) {
			continue
		}
		if urls == nil {
			fmt.Fprintf(s.out, "To start the guardians again, on ports from %d on:\n", keptPort)
		}
		urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d", keptPort+i))
		fmt.Fprintf(s.out, "  GUARDIAN_STORAGE=%s GUARDIAN_NODE_ID=%s GUARDIAN_BIND=127.0.0.1:%d %sGUARDIAN_SERVER_BEARER_TOKEN=\"$(cat %s)\" %s &\n",
			shellWord(s.storage(i)), nodeID(i), keptPort+i, what.again(i), shellWord(s.tokenFile()), shellWord(s.binary))
	}
	if urls != nil {
		fmt.Fprintf(s.out, "and to ask them how they are:\n  guardianctl status --token-file %s --guardians %s\n", shellWord(s.tokenFile()), strings.Join(urls, ","))
	}
	fmt.Fprintln(s.out)
}
