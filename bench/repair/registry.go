package main

import (
	"context"

	"github.com/vault-guardian/guardian/backend/backendtest" //nolint:depguard // the bench module is no part of the product
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/repair/round"
)

// registry is the one of guardians with a bucket, whose bucket is in memory. It
// counts the loads and swaps, the bytes of their records, and the requests that a
// bucket gets for them.
type registry struct {
	round.Registry
	calls, bytes, requests tally
}

func newRegistry() *registry {
	r := &registry{}
	r.Registry = cluster.NewBucket(&counted{Backend: backendtest.NewMemory(), calls: &r.requests}, quiet)
	return r
}

func (r *registry) Load(ctx context.Context, key string) ([]byte, cluster.Revision, error) {
	data, rev, err := r.Registry.Load(ctx, key)
	r.calls.one("load")
	r.bytes.add("load", int64(len(data)))
	return data, rev, err
}

func (r *registry) Swap(ctx context.Context, key string, data []byte, rev cluster.Revision) (cluster.Revision, error) {
	r.calls.one("swap")
	r.bytes.add("swap", int64(len(data)))
	return r.Registry.Swap(ctx, key, data, rev)
}
