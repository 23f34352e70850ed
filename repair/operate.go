package repair

import (
	"context"

	"github.com/vault-guardian/guardian/guardian"
)

// What an operator asks of a Repairer.

// StartScrub has a scrub begin, or go on where it is.
func (r *Repairer) StartScrub() { r.scrubber.start() }

// ScrubProgress tells how far the scrub is, and what the last one found. It
// asks the storage nothing.
func (r *Repairer) ScrubProgress() ScrubProgress { return r.scrubber.progress() }

// Add queues slots for repair; one without a name stands for all named secrets
// that this node knows of the identity, too. A nil error: all of them are durably
// queued. After an error some may be, and adding them again does no harm.
func (r *Repairer) Add(ctx context.Context, slots []guardian.Slot) error {
	for _, slot := range slots {
		if err := r.queue.inbox.queueLine(ctx, "", slot); err != nil {
			return err
		}
	}
	return nil
}

// RunNow has all that is queued tried at once, whatever it was to wait for.
func (r *Repairer) RunNow() { r.queue.wake() }

// Status tells what is queued and how the last repairs went. Errors are the
// storage's.
func (r *Repairer) Status(ctx context.Context) (Status, error) { return r.queue.status(ctx) }
