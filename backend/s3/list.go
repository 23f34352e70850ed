package s3

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/vault-guardian/guardian/backend"
)

// List implements [backend.Backend]. One request yields up to 1,000 entries.
func (s *S3) List(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.list(ctx, prefix, after, nil)
}

// ListSegments implements [backend.Backend].
func (s *S3) ListSegments(ctx context.Context, prefix, after string) iter.Seq2[backend.Entry, error] {
	return s.list(ctx, prefix, after, aws.String("/"))
}

func (s *S3) list(ctx context.Context, prefix, after string, delimiter *string) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		if !beginsKeys(prefix) && ctx.Err() == nil { // a server may refuse it
			return
		}
		for entry, err := range s.pages(ctx, prefix, after, delimiter) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(backend.Entry{}, fmt.Errorf("listing %q: %w", prefix, s.explain("list", err)))
				return
			}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func beginsKeys(prefix string) bool {
	return backend.ValidKey(prefix) || backend.ValidKey(prefix+"x")
}

// pages yields what the listing is made of, without markers and without what
// is no object of ours.
func (s *S3) pages(ctx context.Context, prefix, after string, delimiter *string) iter.Seq2[backend.Entry, error] {
	input := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.root + prefix), Delimiter: delimiter}
	if after != "" {
		input.StartAfter = s.key(after)
	}
	return func(yield func(backend.Entry, error) bool) {
		paginator := s3.NewListObjectsV2Paginator(s.client, input, func(o *s3.ListObjectsV2PaginatorOptions) {
			o.StopOnDuplicateToken = true
		})
		last := after
		for paginator.HasMorePages() {
			page, err := paginator.NextPage(ctx)
			if err != nil {
				yield(backend.Entry{}, err)
				return
			}
			for _, entry := range s.entries(page) {
				// Behind a group, servers may list the group again; what goes
				// back further would have the caller go round for ever.
				if entry.Key <= after || entry.Key == last {
					continue
				}
				if entry.Key < last {
					yield(backend.Entry{}, fmt.Errorf("%w: it lists %q behind %q", ErrUnsafe, entry.Key, last))
					return
				}
				last = entry.Key
				if !backend.ValidKey(strings.TrimSuffix(entry.Key, "/")) {
					continue
				}
				hidden, err := s.hidden(ctx, entry)
				if !hidden && !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}

// entries merges the objects and groups of a page in the order of their keys.
func (s *S3) entries(page *s3.ListObjectsV2Output) []backend.Entry {
	all := make([]backend.Entry, 0, len(page.Contents)+len(page.CommonPrefixes))
	for _, object := range page.Contents {
		all = append(all, backend.Entry{
			Key:  strings.TrimPrefix(aws.ToString(object.Key), s.root),
			Size: aws.ToInt64(object.Size), ModTime: aws.ToTime(object.LastModified),
		})
	}
	for _, group := range page.CommonPrefixes {
		all = append(all, backend.Entry{Key: strings.TrimPrefix(aws.ToString(group.Prefix), s.root)})
	}
	slices.SortFunc(all, func(a, b backend.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// hidden reports a marker. Only the size gives a hint in a listing.
func (s *S3) hidden(ctx context.Context, entry backend.Entry) (bool, error) {
	if entry.Size != markerSize || strings.HasSuffix(entry.Key, "/") {
		return false, nil
	}
	there, err := s.head(ctx, entry.Key)
	return err == nil && there.absent(), err
}
