package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/guardian"
)

func newRekeyCommand() *cobra.Command {
	var f rekeyFlags
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "Seal all that one guardian stores under its primary key",
		Long: `Seal all that one guardian stores under the primary key of its keyring, so that
an old key can be taken out. The shares themselves do not change. What is under
the primary key is left as it is, so it can be stopped and run again; what does
not verify is left too, named, and makes it exit 5. ` + storageNote + `

To change the key of a guardian, in this order:

  1. Add the new key to the keyring and make it primary. Keep the old one.
  2. Wait until every replica has loaded it: its log says
     keyring reloaded primary=k2 (or keyring rotated primary=k2). SIGHUP and
     POST /admin/reload make it load now.
  3. guardianctl rekey, with the new keyring.
  4. guardianctl rekey again: it must re-seal 0 objects.
  5. Only then take the old key out of the keyring.

The canary, which is checked at every start, comes last: while anything may be
left under the old key, a guardian does not start without that key.`,
		Example: `  guardianctl rekey --storage ./data
  guardianctl rekey --storage s3://bucket/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --rate 500`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.open(cmd, func(ctx context.Context, s openedStorage) error { return f.rekey(ctx, cmd, s) })
		},
	}
	f.storageFlags.register(cmd)
	f.walkFlags.register(cmd)
	return cmd
}

type rekeyFlags struct {
	storageFlags
	walkFlags
}

// What became of the canary.
const (
	canaryResealed = "re-sealed"
	canaryAlready  = "already"
	canaryLeft     = "left"
)

type rekeyResult struct {
	KeyID      string   `json:"key_id"`
	Resealed   int      `json:"resealed"`
	Identities int      `json:"identities"` // of which something was re-sealed
	Already    int      `json:"already"`
	Damaged    slotList `json:"damaged"`
	Failed     failures `json:"failed"`
	Canary     string   `json:"canary"`
}

func (f *rekeyFlags) rekey(ctx context.Context, cmd *cobra.Command, s openedStorage) error {
	n := s.node
	result := rekeyResult{KeyID: n.PrimaryKeyID(), Canary: canaryLeft}
	progress, err := walkProgress(ctx, cmd.ErrOrStderr(), n)
	if err != nil {
		return storageError(err)
	}
	err = walk(ctx, f.walkFlags, n, rekeySlot(n), func(slot guardian.Slot, sealed sealed, err error) error {
		progress.add()
		return result.add(slot, sealed, err)
	})
	progress.end()
	if err != nil {
		return stopped(ctx, err, progress.done.Load())
	}
	problem := result.finish(ctx, s)
	return cmp.Or(f.print(cmd, &result), problem)
}

// sealed counts objects of one slot.
type sealed struct{ anew, already int }

func rekeySlot(n *guardian.Node) func(context.Context, guardian.Slot) (sealed, error) {
	return func(ctx context.Context, slot guardian.Slot) (sealed, error) {
		anew, already, err := n.Rekey(ctx, slot)
		return sealed{anew, already}, err
	}
}

func (r *rekeyResult) add(slot guardian.Slot, s sealed, err error) error {
	r.Resealed += s.anew
	r.Already += s.already
	if s.anew > 0 {
		r.Identities++
	}
	if errors.Is(err, api.ErrIntegrityFailed) {
		r.Damaged.add(slot)
		err = nil
	}
	return r.Failed.add(err)
}

// finish re-seals the canary, unless something may be left under an old key,
// and says what is.
func (r *rekeyResult) finish(ctx context.Context, s openedStorage) error {
	n := s.node
	switch {
	case r.Damaged.Count > 0:
		return &advisedError{
			exitVerification, fmt.Errorf("%d identities are damaged and were left as they are: %s; so was the canary", r.Damaged.Count, &r.Damaged),
			"mend them, or give them up with guardianctl quarantine drop (quarantine list says what is wrong), and run it again before any key is taken out",
		}
	case r.Failed.Count > 0:
		return r.Failed.err()
	case n.PrimaryKeyID() != r.KeyID:
		return failure(fmt.Errorf("the primary key changed from %q to %q meanwhile", r.KeyID, n.PrimaryKeyID()), "run it again")
	}
	done, err := n.RekeyMembership(ctx)
	if err != nil {
		return failure(storageError(fmt.Errorf("re-sealing what it keeps of its cluster: %w", err)), "run it again")
	}
	if done {
		r.Resealed++
	}
	done, err = last.Rekey(ctx, s.store, n.Sealer())
	if err != nil {
		return failure(storageError(fmt.Errorf("re-sealing what it keeps of its last backup: %w", err)), "run it again")
	}
	if done {
		r.Resealed++
	}
	done, err = n.RekeyCanary(ctx)
	if err != nil {
		return failure(storageError(fmt.Errorf("re-sealing the canary: %w", err)), "run it again")
	}
	r.Canary = canaryAlready
	if done {
		r.Canary = canaryResealed
	}
	return nil
}

func (f *rekeyFlags) print(cmd *cobra.Command, r *rekeyResult) error {
	out := cmd.OutOrStdout()
	if f.json {
		return printJSON(out, r)
	}
	_, err := fmt.Fprintf(out, "re-sealed %d objects of %d identities under key %q; %d were already\n", r.Resealed, r.Identities, r.KeyID, r.Already)
	switch {
	case r.Canary == canaryLeft: // the error says why
	case r.Resealed == 0:
		fmt.Fprintf(out, "nothing is left under another key than %q: it alone is needed, if every replica seals under it\n", r.KeyID)
	default:
		fmt.Fprintln(out, "run it again: when it re-seals 0 objects, the old key can be taken out")
	}
	return err
}
