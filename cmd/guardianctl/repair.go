package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/repair"
)

const repairPath = "/admin/repair"

func newRepairCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Have a guardian repair its shares from those of others",
		Long: `Look at and add to the repair queue of a running guardian. What is lost or damaged
is queued by itself, and repaired by itself: the guardian asks as many others as
the threshold says for parts that add up to its share and to nothing else. An item
leaves the queue only when the share was read back and found right. ` + adminNote + `

A file of identities, one a line, may also be put into queue/inbox/ of the
guardian's storage: it is removed when all of them are done.`,
		Example: `  guardianctl repair status
  guardianctl repair add 3f9c...e1
  guardianctl repair run`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRepairAddCommand(), newRepairStatusCommand(), newRepairRunCommand())
	return cmd
}

func newRepairStatusCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is queued, and how the last repairs went",
		Long: `Show what is queued for repair and when it is tried next, the files in the inbox,
and how the last repairs went. With --json each has a report of all holders' shares
before and after. ` + adminNote,
		Example: `  guardianctl repair status
  guardianctl repair status --json | jq '.items[] | select(.report.after.recoverable | not)'`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			var status repair.Status
			if err := f.get(cmd.Context(), repairPath, &status); err != nil {
				return err
			}
			return f.printStatus(cmd, status)
		},
	}
	f.register(cmd)
	return cmd
}

func newRepairAddCommand() *cobra.Command {
	var f addFlags
	cmd := &cobra.Command{
		Use:   "add [IDENTITY[/NAME]...]",
		Short: "Queue identities for repair",
		Long: `Queue identities, with all named secrets that the guardian knows of them, or single
ones of those, for repair. A sound share is found sound and leaves the queue, so
adding what is not damaged does no harm. Nothing is queued unless all that is named
is an identity. ` + adminNote,
		Example: `  guardianctl repair add 3f9c...e1
  guardianctl repair add 3f9c...e1/monday
  guardianctl repair add --file identities.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.file, "file", "", "file with one identity, or identity and name, a line; - for standard input; # begins a comment")
	return cmd
}

type addFlags struct {
	adminFlags
	file string
}

const (
	// addedAtOnce is how many one request adds: few enough for slow storage to
	// take them in time.
	addedAtOnce = 100
	// maxAddFile bounds the file, in bytes: a quarter of a million identities.
	maxAddFile = 16 << 20
)

type addResult struct {
	Queued int `json:"queued"`
}

func (f *addFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	slots, err := f.slots(cmd, args)
	if err != nil {
		return err
	}
	queued, err := f.add(cmd, slots)
	if err != nil {
		return fmt.Errorf("%w; %d of %d are queued", err, queued, len(slots))
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), addResult{queued})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "queued %d\n", queued)
	return err
}

// add returns how many are queued for certain, also with an error.
func (f *addFlags) add(cmd *cobra.Command, slots []repair.SlotName) (queued int, err error) {
	var done atomic.Int64
	stop := showLine(cmd.ErrOrStderr(), func(int) string { return fmt.Sprintf("queued %d of %d", done.Load(), len(slots)) })
	defer stop()
	for page := range slices.Chunk(slots, addedAtOnce) {
		var added addResult
		if err := f.post(cmd.Context(), repairPath, map[string]any{"slots": page}, &added); err != nil {
			return int(done.Load()), err
		}
		done.Add(int64(added.Queued))
	}
	return int(done.Load()), nil
}

// slots are all checked before any is queued. What is named twice is queued
// once.
func (f *addFlags) slots(cmd *cobra.Command, args []string) ([]repair.SlotName, error) {
	named := map[repair.SlotName]bool{}
	var slots []repair.SlotName
	take := func(where string, n int, line string) error {
		slot, err := parseSlotName(line)
		switch {
		case err != nil:
			return fmt.Errorf("%s %d: %w", where, n, err)
		case !named[slot]:
			named[slot] = true
			slots = append(slots, slot)
		}
		return nil
	}
	for i, arg := range args {
		if err := take("argument", i+1, arg); err != nil {
			return nil, err
		}
	}
	if err := f.eachLine(cmd, take); err != nil {
		return nil, err
	}
	if len(slots) == 0 {
		return nil, usageError("pass identities, or a file of them with --file", "no identity is named")
	}
	return slots, nil
}

// eachLine passes over empty lines and comments, as the inbox does.
func (f *addFlags) eachLine(cmd *cobra.Command, take func(where string, n int, line string) error) error {
	if err := notEmpty(cmd, "file"); err != nil || f.file == "" {
		return err
	}
	data, err := readBounded(cmd, f.file, maxAddFile)
	if errors.Is(err, errTooLong) {
		return failure(fmt.Errorf("%s is larger than %d MiB", shown(f.file), maxAddFile>>20), "split it, or put it into queue/inbox/ of the guardian's storage")
	}
	if err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), byteOrderMark)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := take("line", n, line); err != nil {
			return err
		}
	}
	return nil
}

// parseSlotName takes IDENTITY, IDENTITY/NAME and IDENTITY NAME.
func parseSlotName(text string) (repair.SlotName, error) {
	identity, name, named := strings.Cut(strings.Join(strings.Fields(text), "/"), "/")
	identity, err := parseIdentity(identity)
	if err != nil {
		return repair.SlotName{}, err
	}
	if slot := (guardian.Slot{Identity: identity, Name: name}); named && name == "" || !slot.Valid() {
		return repair.SlotName{}, usageError("write IDENTITY, or IDENTITY/NAME", "a name is 1 to 128 of A-Z a-z 0-9 _ -")
	}
	return repair.SlotName{Identity: identity, Name: name}, nil
}

func newRepairRunCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Try all that is queued now, and wait",
		Long: `Have all that is queued tried at once, also what was to wait after a failure, and
wait until the queue is empty or each item has been tried. Ctrl-C ends the waiting,
not the repairs. Exits 1 when some of it stays. ` + adminNote,
		Example: `  guardianctl repair run
  guardianctl repair run --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.runQueue(cmd)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *adminFlags) runQueue(cmd *cobra.Command) error {
	var before, status repair.Status
	if err := f.get(cmd.Context(), repairPath, &before); err != nil {
		return err
	}
	if err := f.post(cmd.Context(), repairPath+"/run", nil, &status); err != nil {
		return err
	}
	asked := newTries(before)
	total, began := status.Queued, time.Now()
	err := f.until(cmd, func(ctx context.Context) (look, error) {
		status = repair.Status{}
		err := f.get(ctx, repairPath, &status)
		total = max(total, status.Queued)
		return look{
			line:   fmt.Sprintf("repaired %d of %d, %d at work", total-status.Queued, total, status.Working),
			moving: status.Working > 0,
			// A file that was just put there is not seen at once.
			done: time.Since(began) > 2*adminLook && asked.made(status) && taken(status.Inbox),
		}, err
	})
	if err != nil {
		return err
	}
	if err := f.printStatus(cmd, status); err != nil {
		return err
	}
	if status.Queued > 0 {
		return failure(fmt.Errorf("%d shares could not be repaired yet", status.Queued), "see why above: they are tried again by themselves")
	}
	return nil
}

// tries are how often the items of a queue had been tried at some time.
type tries map[repair.SlotName]tried

type tried struct {
	added    int64 // one that has left and was queued anew begins anew
	attempts int
}

func newTries(s repair.Status) tries {
	all := tries{}
	for _, item := range s.Items {
		all[item.SlotName] = tried{item.AddedNS, item.Attempts}
	}
	return all
}

// made reports whether all that is queued now was tried since. What failed is
// due again and again, so that nothing being due is not waited for. Of a queue
// too long to be listed, what is listed first is what is due.
func (t tries) made(now repair.Status) bool {
	for _, item := range now.Items {
		if was := t[item.SlotName]; item.Attempts == 0 || was == (tried{item.AddedNS, item.Attempts}) {
			return false
		}
	}
	return now.Due+now.Working <= len(now.Items)
}

// taken reports whether all that can be taken in from the inbox was.
func taken(inbox []repair.InboxStatus) bool {
	return !slices.ContainsFunc(inbox, func(f repair.InboxStatus) bool { return f.Problem == "" && f.Taken < f.Entries })
}

func (f *adminFlags) printStatus(cmd *cobra.Command, status repair.Status) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), status)
	}
	return printRepairs(cmd.OutOrStdout(), status)
}

func printRepairs(out io.Writer, s repair.Status) error {
	fmt.Fprintf(out, "%d queued: %d due, %d waiting, %d at work\n", s.Queued, s.Due, s.Waiting, s.Working)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Items) > 0 {
		fmt.Fprintln(table, "IDENTITY\tREASON\tGOOD\tTRIES\tNEXT TRY\tLAST ERROR")
	}
	for _, item := range s.Items {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", slotText(item.SlotName), item.Reason, goodText(item.Good), item.Attempts,
			whenText(item), orDash(shown(item.LastError)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := s.Queued - len(s.Items); more > 0 {
		fmt.Fprintf(out, "and %d more\n", more)
	}
	for _, file := range s.Inbox {
		fmt.Fprintf(out, "inbox %s: %s\n", shown(file.File), inboxText(file))
	}
	_, err := fmt.Fprintf(out, "so far: %d repaired, %d found sound, %d unknown, %d tries failed, %d bytes\n",
		s.Totals.Repaired, s.Totals.Verified, s.Totals.Unknown, s.Totals.Failed, s.Totals.Bytes)
	return err
}

func slotText(s repair.SlotName) string {
	if s.Name == "" {
		return s.Identity
	}
	return s.Identity + "/" + s.Name
}

func goodText(good int) string {
	if good < 0 {
		return "-"
	}
	return fmt.Sprint(good)
}

func whenText(item repair.ItemStatus) string {
	at := time.Unix(0, item.NextNS)
	switch {
	case item.Working:
		return "at work"
	case !at.After(time.Now()):
		return "now"
	default:
		return "in " + time.Until(at).Round(time.Second).String()
	}
}

func inboxText(file repair.InboxStatus) string {
	if file.Problem != "" {
		return file.Problem
	}
	text := fmt.Sprintf("%d of %d done", file.Done, file.Entries)
	if file.Bad > 0 {
		text += fmt.Sprintf(", %d lines name no identity: %v", file.Bad, file.BadLines)
	}
	return text
}
