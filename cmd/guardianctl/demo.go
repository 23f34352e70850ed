package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
)

//go:embed opticks.txt
var opticks []byte

// demo shows what guardians do with a file, whether they know each other or not.
type demo struct {
	stage
	captured []api.PushRequest // the last shares shown, as if pushed
	flip     func(path string) error
}

func newDemoCommand() *cobra.Command {
	var keep, cluster, heal, move bool
	cmd := &cobra.Command{
		Use:   "demo [FILE]",
		Short: "Show on this machine what guardians do",
		Long: `Start five guardians on this machine, keep a file with them (Newton's Opticks
unless another is named), lose two, recover the file, and try to cheat. Every
step is checked; the exit code is 0 only when all of it held. Nothing is left
behind: with --keep the directory is, but no process.

With --cluster the five share a registry, and it shows that they know each
other: members join, one falls silent and is suspect and then dead, comes back,
is killed and started anew elsewhere; an impostor is refused. It takes about 10
seconds, with heartbeats that are quicker than usual.

With --heal the shares of one are deleted and one of another is damaged, and both
come back by themselves, while all that the guardians say to each other is
searched for shares.

With --move secrets outlive those who keep them: shares are refreshed, guardians
join and are gone for good, and the threshold is raised, while the file stays what
it is and its version, too.`,
		Example: `  guardianctl demo
  guardianctl demo notes.txt --keep
  guardianctl demo --cluster
  guardianctl demo --heal
  guardianctl demo --move
  guardianctl demo --cluster notes.txt --keep`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if several := given(cmd, "cluster", "heal", "move"); len(several) > 1 {
				return usageError("keep one of them: each shows something else", "%s are given together", strings.Join(several, " and "))
			}
			s, err := newStage(cmd, args)
			switch {
			case err != nil:
				return err
			case cluster:
				return newClusterDemo(s).run(cmd.Context(), keep)
			case heal:
				return newHealDemo(s).run(cmd.Context(), keep)
			case move:
				return newMoveDemo(s).run(cmd.Context(), keep)
			}
			return newDemo(s).run(cmd.Context(), keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the directory with all files")
	cmd.Flags().BoolVar(&cluster, "cluster", false, "show guardians that know each other")
	cmd.Flags().BoolVar(&heal, "heal", false, "show shares that heal")
	cmd.Flags().BoolVar(&move, "move", false, "show shares that move")
	return cmd
}

func newDemo(s stage) *demo { return &demo{stage: s, flip: flipLastByte} }

func (d *demo) run(ctx context.Context, keep bool) error { return d.perform(ctx, keep, d) }

func (d *demo) again(int) string { return "" }

func (d *demo) next() string {
	return fmt.Sprintf(`  GUARDIAN_STORAGE=./x %s --unauthenticated     one guardian of your own
  guardianctl keygen -o my.key                  a key to keep files with
  guardianctl store FILE --key-file my.key --guardians http://127.0.0.1:7501,...
`, shellWord(d.binary))
}
