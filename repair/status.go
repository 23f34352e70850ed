package repair

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// statusItems bounds the items that a Status lists.
const statusItems = 1000

// Status is the state of a node's repair queue. It names whole identities, and
// is for operators only.
type Status struct {
	// Queued is the number of items: those due, waiting for their next attempt or
	// with another replica, and worked on here.
	Queued  int            `json:"queued"`
	Due     int            `json:"due"`
	Waiting int            `json:"waiting"`
	Working int            `json:"working"`
	Reasons map[Reason]int `json:"reasons"`
	// Approximate: the queue is longer than what is kept in mind, or was not read
	// yet; the numbers above are of the last pass over it.
	Approximate bool `json:"approximate"`

	// Inbox has the files in order of their names, at most 1000.
	Inbox  []InboxStatus `json:"inbox"`
	Totals Totals        `json:"totals"`
	// Items are the first 1000 that come up, in that order.
	Items []ItemStatus `json:"items"`
	// Finished are the last 100 that left the queue, latest first.
	Finished []Finished `json:"finished"`
}

// InboxStatus is the progress of one file of the inbox. An entry is a line that
// names an identity, and it is done when all that it stands for has left the
// queue.
type InboxStatus struct {
	File    string `json:"file"`
	Entries int    `json:"entries"`
	Taken   int    `json:"taken"`
	Done    int    `json:"done"`
	Bad     int    `json:"bad"`
	// BadLines are the numbers of the first 10 bad lines.
	BadLines []int `json:"bad_lines,omitempty"`
	// Problem says why the file as a whole is not taken in.
	Problem string `json:"problem,omitempty"`
}

// ItemStatus is one item of the queue. Times are nanoseconds since 1970.
type ItemStatus struct {
	SlotName
	Reason Reason `json:"reason"`
	// Good is how many good shares there are at most, -1 when nobody counted.
	Good int `json:"good"`
	// File is the first file of the inbox that asked for it.
	File     string `json:"file,omitempty"`
	Attempts int    `json:"attempts"`
	AddedNS  int64  `json:"added_ns"`
	NextNS   int64  `json:"next_ns"`
	// Working: a replica has a lease on it.
	Working   bool   `json:"working"`
	LastError string `json:"last_error,omitempty"`
	// Report is that of the last attempt.
	Report *Report `json:"report,omitempty"`
}

// status returns the state of the queue. Counts and files are as this process
// saw them when it last looked, which is every poll; the items are read now.
// Errors are the storage's.
func (q *queue) status(ctx context.Context) (Status, error) {
	if err := q.firstPass(ctx); err != nil {
		return Status{}, err
	}
	items, err := q.items(ctx)
	if err != nil {
		return Status{}, err
	}
	totals, finished, err := q.summary.read(ctx)
	if err != nil {
		return Status{}, err
	}
	sum, exact := q.index.counts(q.now())
	s := Status{
		Queued: sum.queued, Due: sum.due, Waiting: sum.waiting, Working: sum.working,
		Reasons: sum.reasons, Approximate: !exact,
		Inbox: q.inbox.shown(), Totals: totals, Items: items, Finished: finished,
	}
	if s.Reasons == nil {
		s.Reasons = map[Reason]int{}
	}
	return s, nil
}

// firstPass makes a pass if none was made, unless one is being made.
func (q *queue) firstPass(ctx context.Context) error {
	if q.index.hasPassed() || !q.passing.TryLock() {
		return nil
	}
	defer q.passing.Unlock()
	return q.passLocked(ctx)
}

// items reads the items that come up first.
func (q *queue) items(ctx context.Context) ([]ItemStatus, error) {
	slots := q.index.first(statusItems, q.now())
	read := make([]*ItemStatus, len(slots))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(queueReaders)
	for i, slot := range slots {
		group.Go(func() error {
			item, _, err := q.read(ctx, slot)
			if err == nil {
				read[i] = q.itemStatus(item)
			}
			if absent(err) {
				return nil
			}
			return err
		})
	}
	err := group.Wait()
	items := make([]ItemStatus, 0, len(slots))
	for _, item := range read {
		if item != nil {
			items = append(items, *item)
		}
	}
	return items, err
}

func (q *queue) itemStatus(i queued) *ItemStatus {
	now := q.now()
	return &ItemStatus{
		SlotName: i.SlotName, Reason: i.Reason, Good: i.Good, File: i.File, Attempts: i.Attempts,
		AddedNS: i.AddedNS, NextNS: i.NextNS, LastError: i.LastError, Report: i.Report,
		Working: i.Holder != "" && believed(i.LeaseNS, now, latestLease) > now.UnixNano(),
	}
}
