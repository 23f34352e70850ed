package s3

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/vault-guardian/guardian/backend"
)

const (
	probePrefix = ".probe-" // no valid key begins with a dot
	probeRacers = 16
	// probeAge is when the objects of a probe have no owner any more.
	probeAge    = time.Hour
	cleanUpTime = 5 * time.Second
)

// property is one promise that the store must keep, and how to see it kept.
type property struct {
	promise string
	kept    func(p *prober, ctx context.Context) (bool, error)
}

var properties = []property{
	{"the metadata of an object is kept", (*prober).keepsMetadata},
	{"a create (If-None-Match: *) of what exists is refused", (*prober).refusesSecondCreate},
	{"an update (If-Match) at the current ETag is carried out", (*prober).updates},
	{"an update (If-Match) at an old ETag is refused", (*prober).refusesStaleUpdate},
	{"an update (If-Match) of what does not exist is refused", (*prober).refusesUpdateOfAbsent},
	{"of racing creates exactly one succeeds", (*prober).letsOneCreateWin},
}

// probe proves that the store keeps every property, on objects of its own,
// which it removes.
func (s *S3) probe(ctx context.Context) (err error) {
	p := &prober{S3: s, name: probePrefix + newWriteID()}
	err = p.proveAll(ctx)
	if p.first.IsZero() { // nothing was put
		return err
	}
	// A boot that is told to stop cleans up all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	if errCleanUp := p.cleanUp(ctx); err == nil {
		err = errCleanUp
	}
	return err
}

func (p *prober) proveAll(ctx context.Context) error {
	for _, property := range properties {
		kept, err := property.kept(p, ctx)
		if err != nil {
			return fmt.Errorf("probing the store: %w", p.explain("putting", err))
		}
		if !kept {
			return fmt.Errorf("%w: it does not keep this promise: %s", ErrUnsafe, property.promise)
		}
	}
	return nil
}

type prober struct {
	*S3
	name       string
	first, now backend.Revision
}

func (p *prober) key(name string) string { return p.name + "/" + name }

func (p *prober) put(ctx context.Context, key, data string, rev backend.Revision) (backend.Revision, error) {
	return p.write(ctx, p.key(key), object{data: []byte(data)}, rev)
}

// refused reports whether a put at rev is refused as a lost race. One whose
// answer was lost is judged by what is there: nobody else writes here.
func (p *prober) refused(ctx context.Context, key, data string, rev backend.Revision) (bool, error) {
	_, err := p.put(ctx, key, data, rev)
	if isLoss(err) {
		return true, nil
	}
	return false, err
}

func isLoss(err error) bool {
	return errors.Is(err, backend.ErrConflict) || errors.Is(err, errUnknownOutcome)
}

func (p *prober) keepsMetadata(ctx context.Context) (kept bool, err error) {
	if p.first, err = p.put(ctx, "one", "first", backend.Revision{}); err != nil {
		return false, err
	}
	there, err := p.head(ctx, p.key("one"))
	return there.writeID != "" && there.rev == p.first, err
}

func (p *prober) refusesSecondCreate(ctx context.Context) (bool, error) {
	return p.refused(ctx, "one", "second create", backend.Revision{})
}

func (p *prober) updates(ctx context.Context) (kept bool, err error) {
	p.now, err = p.put(ctx, "one", "second", p.first)
	if errors.Is(err, backend.ErrConflict) {
		return false, nil
	}
	return p.now != p.first, err
}

func (p *prober) refusesStaleUpdate(ctx context.Context) (bool, error) {
	return p.refused(ctx, "one", "third", p.first)
}

func (p *prober) refusesUpdateOfAbsent(ctx context.Context) (bool, error) {
	return p.refused(ctx, "absent", "first", p.now)
}

func (p *prober) letsOneCreateWin(ctx context.Context) (bool, error) {
	var errs [probeRacers]error
	var racers sync.WaitGroup
	for i := range errs {
		racers.Go(func() { _, errs[i] = p.put(ctx, "race", strconv.Itoa(i), backend.Revision{}) })
	}
	racers.Wait()
	winners := 0
	for _, err := range errs {
		switch {
		case err == nil:
			winners++
		case !isLoss(err): // in doubt: on a safe store another is there and ours never was
			return false, err
		}
	}
	return winners == 1, nil
}

// cleanUp removes the objects of this probe, and those of probes that were
// killed long ago.
func (p *prober) cleanUp(ctx context.Context) error {
	prefix := p.root + probePrefix
	page, err := p.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &p.bucket, Prefix: &prefix})
	if err != nil {
		return fmt.Errorf("cleaning up after the probe: %w", p.explain("list", err))
	}
	for _, object := range page.Contents {
		key := aws.ToString(object.Key)
		ours := strings.HasPrefix(key, p.root+p.name)
		if !ours && time.Since(aws.ToTime(object.LastModified)) < probeAge {
			continue
		}
		if _, err := p.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &p.bucket, Key: &key}); err != nil {
			return fmt.Errorf("cleaning up after the probe: %w", p.explain("deleting", err))
		}
	}
	return nil
}
