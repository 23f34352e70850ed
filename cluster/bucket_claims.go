package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/manifest"
)

const (
	indicesPrefix   = "indices/"
	guardiansPrefix = "guardians/"
	recordsPrefix   = "records/"
)

// maxReads bounds the objects that one call reads side by side.
const maxReads = 16

// maxListed bounds the names that one listing looks at: all that can be of
// guardians, and a thousand that are strange. So a prefix with something else in
// it costs one page of a listing or two, and no more.
const maxListed = MaxIndex + 1000

var (
	errNoName  = errors.New("neither an index nor a guardian has such a name")
	errNoOwner = errors.New("it names no node, so the index is nobody's")
	errTooMany = fmt.Errorf("there are more than %d objects; those behind them were not looked at", maxListed)
	errNotRead = errors.New("it cannot be read")
)

func indexKey(index int) string { return fmt.Sprintf("%s%03d", indicesPrefix, index) }

// names are the objects of a registry: the nodes with a record, the indices with
// a claim, and what is neither.
type names struct {
	guardians []backend.Entry
	indices   []int
	strange   []candidate
}

// survey lists records and claims. The claims come second, so that they cover
// all records.
func (b *Bucket) survey(ctx context.Context) (names, error) {
	var n names
	for _, prefix := range []string{guardiansPrefix, indicesPrefix} {
		if err := n.list(ctx, b.store, prefix); err != nil {
			return names{}, err
		}
	}
	return n, nil
}

func (n *names) list(ctx context.Context, store backend.Backend, prefix string) error {
	listed := 0
	for entry, err := range store.ListSegments(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if listed++; listed > maxListed {
			n.strange = append(n.strange, candidate{node: prefix, err: errTooMany})
			break
		}
		n.add(entry)
	}
	return nil
}

func (n *names) add(entry backend.Entry) {
	if node, ok := strings.CutPrefix(entry.Key, guardiansPrefix); ok && manifest.ValidNode(node) {
		n.guardians = append(n.guardians, entry)
		return
	}
	digits, ok := strings.CutPrefix(entry.Key, indicesPrefix)
	index, err := strconv.Atoi(digits)
	if ok && err == nil && index >= 1 && index <= MaxIndex && indexKey(index) == entry.Key {
		n.indices = append(n.indices, index)
		return
	}
	n.strange = append(n.strange, candidate{node: entry.Key, err: errNoName})
}

// owners remembers whose an index is. Claims never change, so each is read once;
// and a storage that changes one later is not followed.
type owners struct {
	mu    sync.Mutex
	known [MaxIndex + 1]string
}

func (o *owners) of(index int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[index]
}

func (o *owners) set(index int, node string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[index] = node
}

// claims implements ledger.
func (b *Bucket) claims(ctx context.Context) (map[int]string, error) {
	var n names
	if err := n.list(ctx, b.store, indicesPrefix); err != nil {
		return nil, err
	}
	owners, _, err := b.readOwners(ctx, n.indices)
	return owners, err
}

// readOwners returns whose the indices are, "" for those of which that cannot be
// told, and why not.
func (b *Bucket) readOwners(ctx context.Context, indices []int) (map[int]string, []candidate, error) {
	found := make([]string, len(indices))
	errs, err := sideBySide(ctx, len(indices), func(i int) (err error) {
		found[i], err = b.owner(ctx, indices[i])
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	owners := make(map[int]string, len(indices))
	var nobodys []candidate
	for i, index := range indices {
		owners[index] = found[i]
		if errs[i] != nil {
			nobodys = append(nobodys, unread(indexKey(index), errs[i]))
		} else if found[i] == "" {
			nobodys = append(nobodys, candidate{node: indexKey(index), err: errNoOwner})
		}
	}
	return owners, nobodys, nil
}

// owner returns the node that the index was given to, "" if what is stored names
// none.
func (b *Bucket) owner(ctx context.Context, index int) (string, error) {
	if node := b.owners.of(index); node != "" {
		return node, nil
	}
	data, _, err := b.store.Get(ctx, indexKey(index))
	if errors.Is(err, backend.ErrNotFound) || errors.Is(err, backend.ErrTooLarge) {
		return "", nil
	}
	if err != nil || !manifest.ValidNode(string(data)) {
		return "", err
	}
	b.owners.set(index, string(data))
	return string(data), nil
}

// unread is an object that the storage lists and does not give.
func unread(node string, cause error) candidate {
	return candidate{node: node, err: errNotRead, cause: cause}
}

// claim implements ledger.
func (b *Bucket) claim(ctx context.Context, index int, node string) error {
	_, err := b.put(ctx, indexKey(index), []byte(node), backend.Revision{})
	return err
}

// sideBySide calls do for 0 to n-1, several at a time, and returns what became
// of each. It fails when ctx ends, or when all of several calls do: one object
// that cannot be read is that object's, and not the storage's, trouble.
func sideBySide(ctx context.Context, n int, do func(i int) error) ([]error, error) {
	var group errgroup.Group
	group.SetLimit(maxReads)
	errs := make([]error, n)
	for i := range n {
		group.Go(func() error {
			errs[i] = do(i)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if n > 1 && !slices.Contains(errs, nil) {
		return nil, errs[0]
	}
	return errs, nil
}
