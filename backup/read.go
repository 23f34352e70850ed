package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/guardian"
)

// readIndex reads where everything is that a backup restores.
func (p *Place) readIndex(ctx context.Context, m Manifest) (map[string]entry, error) {
	parts, err := p.newPartReader(ctx, m.ID, streamIndex, m.Index)
	if err != nil {
		return nil, err
	}
	from, index := bufio.NewReader(parts), map[string]entry{}
	for {
		id, e, err := readEntry(from)
		if errors.Is(err, io.EOF) {
			return index, nil
		}
		if err != nil {
			return nil, fmt.Errorf("index of %s: %w", m.ID, err)
		}
		if _, twice := index[id]; twice || e.depth > m.Depth {
			return nil, damaged(m.ID, "its index contradicts itself")
		}
		index[id] = e
	}
}

// hashed is a group with its hash.
type hashed struct {
	Group
	hash [sha256.Size]byte
}

// groups reads those in the parts of one backup, in the order of writing: what
// belongs to no slot comes first.
func (p *Place) groups(ctx context.Context, m Manifest) iter.Seq2[hashed, error] {
	return func(yield func(hashed, error) bool) {
		parts, err := p.newPartReader(ctx, m.ID, streamData, m.Data)
		if err != nil {
			yield(hashed{}, err)
			return
		}
		for from := bufio.NewReader(parts); ; {
			g, err := readGroup(from)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(hashed{}, fmt.Errorf("data of %s: %w", m.ID, err))
				return
			}
			if !yield(hashed{g, sha256.Sum256(g.encode())}, nil) {
				return
			}
		}
	}
}

// eachSlot lays every slot that is wanted of one backup onto a desk, several side
// by side, and calls do. It ends with the first error.
func (p *Place) eachSlot(ctx context.Context, free desks, m Manifest, want func(hashed) (bool, error),
	do func(context.Context, *guardian.Node, guardian.Slot) error,
) error {
	running, ctx := errgroup.WithContext(ctx)
	running.SetLimit(slotsAtOnce)
	reading := func() error {
		for g, err := range p.groups(ctx, m) {
			wanted := false
			if err == nil {
				wanted, err = want(g)
			}
			if err != nil {
				return err
			}
			if !wanted || g.kind != kindSlot {
				continue
			}
			running.Go(func() error {
				return free.use(func(d desk) error {
					slot, err := d.hold(ctx, g.Group)
					if err != nil {
						return err
					}
					return do(ctx, d.node, slot)
				})
			})
		}
		return nil
	}()
	// What a group has failed of has ended the reading too, and comes first.
	return firstOf(running.Wait(), reading)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
