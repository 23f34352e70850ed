package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// files makes one file durable for each push: written, fsynced, renamed, and its
// directory fsynced.
type files struct{ dir string }

func newFiles(_ context.Context, dir string) (bare, error) {
	return files{dir}, os.MkdirAll(dir, 0o700)
}

func (f files) put(_ context.Context, identity string, share []byte, _ uint64) error {
	file, err := os.CreateTemp(f.dir, "")
	if err != nil {
		return err
	}
	_, errWrite := file.Write(share)
	if err := errors.Join(errWrite, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(f.dir, identity)); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (f files) get(_ context.Context, identity string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.dir, identity))
}

// nothing keeps shares in memory, and an HMAC of each that it checks.
type nothing struct {
	key []byte
	mu  sync.RWMutex
	all map[string]sealed
}

type sealed struct{ share, tag []byte }

func newNothing(context.Context, string) (bare, error) {
	n := &nothing{key: make([]byte, sha256.Size), all: map[string]sealed{}}
	rand.Read(n.key)
	return n, nil
}

func (n *nothing) tag(share []byte) []byte {
	mac := hmac.New(sha256.New, n.key)
	mac.Write(share)
	return mac.Sum(nil)
}

func (n *nothing) put(_ context.Context, identity string, share []byte, _ uint64) error {
	kept := sealed{share, n.tag(share)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[identity] = kept
	return nil
}

func (n *nothing) get(_ context.Context, identity string) ([]byte, error) {
	n.mu.RLock()
	kept := n.all[identity]
	n.mu.RUnlock()
	if !hmac.Equal(kept.tag, n.tag(kept.share)) {
		return nil, errors.New("wrong HMAC")
	}
	return kept.share, nil
}

// objects sends an S3 server the requests that a guardian sends: for a push a
// GetObject beside two PutObject, then another PutObject, and behind it a list and
// two deletes; for a pull three GetObject side by side.
type objects struct {
	client *s3.Client
	bucket string
	// behind are the lists and deletes under way.
	behind chan struct{}
}

func newObjects(ctx context.Context, bucket string) (bare, error) {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	// A connection for each request under way, as a guardian keeps them.
	settings.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 1024, 1024
	})
	client := s3.NewFromConfig(settings, func(o *s3.Options) { o.UsePathStyle = true })
	return &objects{client, bucket, make(chan struct{}, connections)}, nil
}

func (o *objects) object(ctx context.Context, key string, data []byte) error {
	_, err := o.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &o.bucket, Key: &key, Body: bytes.NewReader(data)})
	return err
}

func (o *objects) content(ctx context.Context, key string) ([]byte, error) {
	object, err := o.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer object.Body.Close()
	return io.ReadAll(object.Body)
}

// Sizes of a guardian's checksum and version objects.
const checksumSize, versionSize = 480, 130

func shareKey(identity string, version uint64) string {
	return fmt.Sprintf("bare/%s/%d/share.bin", identity, version%2)
}

func (o *objects) put(ctx context.Context, identity string, share []byte, version uint64) error {
	head := fmt.Sprintf("bare/%s/version", identity)
	group, putting := errgroup.WithContext(ctx)
	group.Go(func() error { return o.object(putting, shareKey(identity, version), share) })
	group.Go(func() error {
		return o.object(putting, fmt.Sprintf("bare/%s/%d/checksum.bin", identity, version%2), make([]byte, checksumSize))
	})
	if version > 1 {
		group.Go(func() error { _, err := o.content(putting, head); return err })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := o.object(ctx, head, bytes.Repeat([]byte{byte(version % 2)}, versionSize)); err != nil {
		return err
	}
	o.behind <- struct{}{}
	go func() {
		defer func() { <-o.behind }()
		o.clean(context.WithoutCancel(ctx), identity)
	}()
	return nil
}

// clean deletes what is not there: that takes as many requests.
func (o *objects) clean(ctx context.Context, identity string) {
	prefix := "bare/" + identity + "/"
	_, _ = o.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &o.bucket, Prefix: &prefix})
	for _, old := range []string{"old/share.bin", "old/checksum.bin"} {
		_, _ = o.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &o.bucket, Key: aws.String(prefix + old)})
	}
}

func (o *objects) get(ctx context.Context, identity string) ([]byte, error) {
	var share []byte
	group, getting := errgroup.WithContext(ctx)
	group.Go(func() (err error) { share, err = o.content(getting, shareKey(identity, 1)); return err })
	for _, key := range []string{"1/checksum.bin", "version"} {
		group.Go(func() error { _, err := o.content(getting, "bare/"+identity+"/"+key); return err })
	}
	return share, group.Wait()
}
