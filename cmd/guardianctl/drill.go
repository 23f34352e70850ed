package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
--max-age. --metrics-file writes the same for the textfile collector of Prometheus's
node_exporter, whatever came of it, for who would not see the exit code.`,
		Example: `  guardianctl drill --from /mnt/backup --integrity-key-file ./data/integrity.key
  guardianctl drill --from s3://backups/guardians --node-id g1 --integrity-key-aws-secret guardian/g1 --max-age 26h --json
  guardianctl drill --from /mnt/backup --integrity-key-file ./data/integrity.key --metrics-file /var/lib/prometheus/node-exporter/guardian_drill.prom`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.metricsFile != "" && !strings.HasSuffix(f.metricsFile, ".prom") {
				return usageError("pass for example --metrics-file guardian_drill.prom", "--metrics-file: the collector reads files that end with .prom only")
			}
			if f.maxAge <= 0 {
				return usageError("pass for example --max-age 26h", "--max-age must be above 0")
			}
			return f.use(cmd, func(ctx context.Context, p openedPlace) error {
				result, err := f.drill(ctx, cmd, p)
				return cmp.Or(err, f.writeMetrics(result, err))
			})
		},
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&f.maxAge, "max-age", 26*time.Hour, "how old the latest backup may be")
	cmd.Flags().StringVar(&f.metricsFile, "metrics-file", "", "write metrics to this file, whose name ends with .prom")
	return cmd
}

type drillFlags struct {
	placeFlags
	maxAge      time.Duration
	metricsFile string
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

// drill returns a result once the backup was restored, also with an error.
func (f *drillFlags) drill(ctx context.Context, cmd *cobra.Command, p openedPlace) (*drillResult, error) {
	m, err := f.find(ctx, p, backup.Latest)
	if err != nil {
		return nil, err
	}
	progress := countProgress(cmd.ErrOrStderr(), "verified or restored")
	found, err := p.Drill(ctx, m, progress.add)
	progress.end()
	if err != nil {
		return nil, backupError(err)
	}
	result := &drillResult{found.Verified, found.Started, found.RTO.Seconds(), found.RPO.Seconds(), f.maxAge.Seconds(), found.RPO > f.maxAge}
	if f.json {
		err = printJSON(cmd.OutOrStdout(), result)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s was restored and is sound: %d identities and %d other objects\nRTO %.1f s\nRPO %.1f s\n",
			m.ID, result.Identities, result.Others, result.RTO, result.RPO)
	}
	return result, cmp.Or(err, result.err())
}

// writeMetrics says what came of a drill; result is nil where nothing was restored.
func (f *drillFlags) writeMetrics(result *drillResult, problem error) error {
	if f.metricsFile == "" {
		return nil
	}
	registry := prometheus.NewRegistry()
	set := func(name, help string, value float64) {
		gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{"node": f.nodeID}})
		gauge.Set(value)
		registry.MustRegister(gauge)
	}
	succeeded := 0.0
	if problem == nil {
		succeeded = 1
	}
	set("guardian_drill_success", "1 if the latest backup was restored, is sound and not too old, else 0.", succeeded)
	set("guardian_drill_last_run_timestamp_seconds", "When the drill ended, well or not.", float64(time.Now().UnixMilli())/1000)
	if result != nil {
		set("guardian_drill_rto_seconds", "How long it took to verify the latest backup, restore it, and verify what was restored.", result.RTO)
		set("guardian_drill_rpo_seconds", "How old the latest backup was.", result.RPO)
	}
	if err := prometheus.WriteToTextfile(f.metricsFile, registry); err != nil {
		return failure(fmt.Errorf("writing the metrics: %w", err), "make --metrics-file a file in a directory that this user can write to")
	}
	return nil
}

func (r *drillResult) err() error {
	if !r.TooOld {
		return nil
	}
	age, most := time.Duration(r.RPO*float64(time.Second)), time.Duration(r.MaxAge*float64(time.Second))
	return failure(fmt.Errorf("the latest backup is %s old, which is more than %s", age.Round(time.Second), most),
		"see why none was made since, and make one with guardianctl backup incremental")
}
