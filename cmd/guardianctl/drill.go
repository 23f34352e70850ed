package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/backup"
)

func newDrillCommand() *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Try whether the latest backup can be restored, and how long that takes",
		Long: `Try whether the latest backup can be restored, and how long that takes: it is
verified, restored into a scratch prefix beside the backups, verified there as a
guardian verifies what it serves, and removed again. Printed are

  RTO   how long all of that took: the recovery time
  RPO   how old the backup is: what was stored later would be lost

Exits 5 if the backup is broken, 3 if there is none, and 1 if it is older than
--max-age.`,
		Example: `  guardianctl drill --from /mnt/backup --integrity-key-file ./data/integrity.key
  guardianctl drill --from s3://backups/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --max-age 26h --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.maxAge <= 0 {
				return usageError("pass for example --max-age 26h", "--max-age must be above 0")
			}
			return f.use(cmd, func(ctx context.Context, p openedPlace) error { return f.drill(ctx, cmd, p) })
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&f.maxAge, "max-age", 26*time.Hour, "how old the latest backup may be")
	return cmd
}

type drillFlags struct {
	placeFlags
	maxAge time.Duration
}

// drillResult is in seconds, as metrics are.
type drillResult struct {
	backup.Verified
	Started time.Time `json:"started"`
	RTO     float64   `json:"rto_seconds"`
	RPO     float64   `json:"rpo_seconds"`
	MaxAge  float64   `json:"max_age_seconds"`
	TooOld  bool      `json:"too_old"`
}

func (f *drillFlags) drill(ctx context.Context, cmd *cobra.Command, p openedPlace) error {
	m, err := f.find(ctx, p, backup.Latest)
	if err != nil {
		return err
	}
	progress := countProgress(cmd.ErrOrStderr(), "verified or restored")
	found, err := p.Drill(ctx, m, progress.add)
	progress.end()
	if err != nil {
		return backupError(err)
	}
	result := drillResult{found.Verified, found.Started, found.RTO.Seconds(), found.RPO.Seconds(), f.maxAge.Seconds(), found.RPO > f.maxAge}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), result)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s was restored and is sound: %d identities and %d other objects\nRTO %.1f s\nRPO %.1f s\n",
			m.ID, result.Identities, result.Others, result.RTO, result.RPO)
	}
	return cmp.Or(err, result.err())
}

func (r *drillResult) err() error {
	if !r.TooOld {
		return nil
	}
	age, most := time.Duration(r.RPO*float64(time.Second)), time.Duration(r.MaxAge*float64(time.Second))
	return failure(fmt.Errorf("the latest backup is %s old, which is more than %s", age.Round(time.Second), most),
		"see why none was made since, and make one with guardianctl backup incremental")
}
