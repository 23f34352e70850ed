package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/quorum"
)

type capacityCommand struct {
	load   load
	prices prices
	json   bool
}

func newCapacityCommand() *cobra.Command {
	var c capacityCommand
	cmd := &cobra.Command{
		Use:   "capacity",
		Short: "Reckon the storage, requests and cost of a number of users",
		Long: `Reckon what users of one kind need when each secret has all the versions that are
retained: objects or inodes, bytes, requests of a month, and what a bucket costs. It
asks nobody. The formulas are in docs/OPERATOR_GUIDE.md, "Capacity planning".

A share of a file that is stored with one key is 199 bytes longer than the file. The
prices are what one provider once asked in one region: look up your own. Machines,
taxes and traffic out of the provider's network are not in them.`,
		Example: `  guardianctl capacity --users 100000 --guardians 5 --share-size 2000
  guardianctl capacity --users 100000 --guardians 5 --share-size 2000 --pushes 4 --retain 3 --json
  guardianctl capacity --users 500 --guardians 7 --share-size 400000 --price-gb 0.015`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	flags.IntVar(&c.load.Users, "users", 0, "how many users there are")
	flags.IntVar(&c.load.Secrets, "secrets", 1, "secrets of each user")
	flags.IntVar(&c.load.Guardians, "guardians", 0, "how many guardians there are, N")
	flags.IntVar(&c.load.ShareSize, "share-size", 0, "bytes of one share")
	flags.IntVar(&c.load.Threshold, "threshold", 0, "shares that rebuild a secret, K (default a third of the guardians, at least 3)")
	flags.IntVar(&c.load.Retain, "retain", 2, "versions of a secret that are retained, GUARDIAN_RETAIN_VERSIONS")
	flags.Float64Var(&c.load.Pushes, "pushes", 1, "how often a secret is stored in a month")
	flags.Float64Var(&c.load.Pulls, "pulls", 1, "how often a secret is recovered in a month")
	flags.Float64Var(&c.prices.Gigabyte, "price-gb", 0.023, "price of 1,000,000,000 bytes for a month")
	flags.Float64Var(&c.prices.Writes, "price-writes", 0.005, "price of 1,000 requests that write or list")
	flags.Float64Var(&c.prices.Reads, "price-reads", 0.0004, "price of 1,000 requests that read")
	flags.BoolVar(&c.json, "json", false, "print the result as JSON")
	return cmd
}

// load is what guardians are to keep.
type load struct {
	Users     int     `json:"users"`
	Secrets   int     `json:"secrets"`
	Guardians int     `json:"guardians"`
	ShareSize int     `json:"share_size"`
	Threshold int     `json:"threshold"`
	Retain    int     `json:"retain"`
	Pushes    float64 `json:"pushes"`
	Pulls     float64 `json:"pulls"`
}

// prices of a gigabyte for a month, and of a thousand requests.
type prices struct {
	Gigabyte float64 `json:"gigabyte"`
	Writes   float64 `json:"writes"`
	Reads    float64 `json:"reads"`
}

const (
	// maxUsers bounds users and secrets, which keeps the numbers exact.
	maxUsers, maxSecrets, maxRetain = 1_000_000_000, 1000, 100

	// What is kept beside a share, in bytes: seal and statement, and in it, as
	// base64, the manifest, which has a part for each guardian.
	statementSize, manifestSize, holderSize = 480, 184, 79
	// commitSize is the version object's with one version, olderSize that of one more.
	commitSize, olderSize = 130, 16
	// block is what files and directories are rounded up to on most disks.
	block = 4096

	// A month has 30 days, a scrub each, and a health check every 5 seconds.
	scrubsAMonth = 30
	checksAMonth = 30 * 24 * 3600 / 5
)

func (l *load) check() error {
	for _, bound := range []struct {
		flag              string
		value, least, top int
	}{
		{"--users", l.Users, 1, maxUsers},
		{"--guardians", l.Guardians, 1, api.MaxThreshold},
		{"--share-size", l.ShareSize, 2, api.MaxShareSize},
		{"--secrets", l.Secrets, 1, maxSecrets},
		{"--retain", l.Retain, 1, maxRetain},
	} {
		if bound.value < bound.least || bound.value > bound.top {
			return usageError("pass for example --users 1000 --guardians 5 --share-size 2000", "%s must be %d to %d", bound.flag, bound.least, bound.top)
		}
	}
	if l.Threshold == 0 {
		l.Threshold = quorum.Threshold(l.Guardians)
	}
	if l.Threshold < 1 || l.Threshold > l.Guardians {
		return usageError("change --guardians or --threshold", "threshold %d of %d guardians is not possible", l.Threshold, l.Guardians)
	}
	return nil
}

// notNegative wants numbers that can be reckoned with.
func notNegative(values ...float64) error {
	for _, value := range values {
		if math.IsNaN(value) || value < 0 || value > math.MaxInt32 {
			return usageError("pass for example --pushes 4 or --price-gb 0.023", "--pushes, --pulls and prices must be numbers from 0")
		}
	}
	return nil
}

// capacity is what one guardian needs, or all of them. Inodes and DiskBytes are
// those of a directory, requests and cost those of a bucket.
type capacity struct {
	Objects   float64 `json:"objects"`
	Inodes    float64 `json:"inodes"`
	Bytes     float64 `json:"bytes"`
	DiskBytes float64 `json:"disk_bytes"`
	Writes    float64 `json:"write_requests"`
	Reads     float64 `json:"read_requests"`
	Cost      float64 `json:"cost"`
}

// objectSizes are the bytes of all objects of one secret.
func (l load) objectSizes() []float64 {
	manifest := float64(manifestSize+holderSize*l.Guardians) * 4 / 3
	sizes := []float64{float64(commitSize + olderSize*(l.Retain-1))}
	for range l.Retain {
		sizes = append(sizes, float64(l.ShareSize), math.Ceil(statementSize+manifest))
	}
	return sizes
}

// perGuardian is what one guardian needs.
func (l load) perGuardian(p prices) capacity {
	var c capacity
	secrets, sizes := float64(l.Users)*float64(l.Secrets), l.objectSizes()
	for _, size := range sizes {
		c.Bytes += secrets * size
		c.DiskBytes += secrets * math.Ceil(size/block) * block
	}
	directories := secrets * float64(1+l.Retain) // the secret's, and one for each version
	c.Objects = secrets * float64(len(sizes))
	c.Inodes = c.Objects + directories
	c.DiskBytes += directories * block
	const writesOfPush, readsOfPush, readsOfPull = 3 + 1, 1, 3 // the objects and a list; version; all three
	c.Writes = secrets*(l.Pushes*writesOfPush+scrubsAMonth) + checksAMonth
	c.Reads = secrets * (l.Pushes*readsOfPush + l.Pulls*readsOfPull + scrubsAMonth*float64(len(sizes)))
	c.Cost = c.Bytes/1e9*p.Gigabyte + c.Writes/1000*p.Writes + c.Reads/1000*p.Reads
	return c
}

// times is what that many guardians need.
func (c capacity) times(n int) capacity {
	f := float64(n)
	return capacity{c.Objects * f, c.Inodes * f, c.Bytes * f, c.DiskBytes * f, c.Writes * f, c.Reads * f, c.Cost * f}
}

type capacityResult struct {
	Load    load     `json:"load"`
	Prices  prices   `json:"prices"`
	Node    capacity `json:"guardian"`
	Cluster capacity `json:"cluster"`
	// RecoveryBytes come in when one guardian has lost all; RefreshBytes go from
	// guardian to guardian when all is refreshed.
	RecoveryBytes float64 `json:"recovery_bytes"`
	RefreshBytes  float64 `json:"refresh_bytes"`
}

func (c *capacityCommand) run(cmd *cobra.Command) error {
	if err := c.load.check(); err != nil {
		return err
	}
	if err := notNegative(c.load.Pushes, c.load.Pulls, c.prices.Gigabyte, c.prices.Writes, c.prices.Reads); err != nil {
		return err
	}
	r := capacityResult{Load: c.load, Prices: c.prices, Node: c.load.perGuardian(c.prices)}
	r.Cluster = r.Node.times(c.load.Guardians)
	shares := float64(c.load.Users) * float64(c.load.Secrets) * float64(c.load.Retain) * float64(c.load.ShareSize)
	r.RecoveryBytes = shares * float64(c.load.Threshold)
	r.RefreshBytes = r.RecoveryBytes * float64(c.load.Guardians)
	if c.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return printCapacity(cmd.OutOrStdout(), r)
}

func printCapacity(out io.Writer, r capacityResult) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name, one, all string) { fmt.Fprintf(table, "%s\t%s\t%s\t\n", name, one, all) }
	row("", "ONE GUARDIAN", fmt.Sprintf("ALL %d", r.Load.Guardians))
	row("objects", thousands(r.Node.Objects), thousands(r.Cluster.Objects))
	row("inodes of a directory", thousands(r.Node.Inodes), thousands(r.Cluster.Inodes))
	row("bytes", sized(r.Node.Bytes), sized(r.Cluster.Bytes))
	row("bytes on a disk", sized(r.Node.DiskBytes), sized(r.Cluster.DiskBytes))
	row("writes and lists a month", thousands(r.Node.Writes), thousands(r.Cluster.Writes))
	row("reads a month", thousands(r.Node.Reads), thousands(r.Cluster.Reads))
	row("cost of a bucket a month", money(r.Node.Cost), money(r.Cluster.Cost))
	row("to recover one that is lost", sized(r.RecoveryBytes), "")
	row("to refresh all", "", sized(r.RefreshBytes))
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "the prices are yours to check: %g for a GB and month, %g for 1,000 writes or lists, %g for 1,000 reads\n",
		r.Prices.Gigabyte, r.Prices.Writes, r.Prices.Reads)
	return err
}

// thousands has a comma before every three digits.
func thousands(value float64) string {
	digits := strconv.FormatFloat(math.Round(value), 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// sized is a number of bytes with three digits.
func sized(bytes float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"}
	unit := 0
	for bytes >= 999.5 && unit < len(units)-1 {
		bytes /= 1000
		unit++
	}
	return strconv.FormatFloat(bytes, 'g', 3, 64) + " " + units[unit]
}

func money(amount float64) string { return strconv.FormatFloat(amount, 'f', 2, 64) }
