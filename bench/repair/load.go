package main

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/manifest"
)

const (
	// loadOwners are pushed to and pulled from in turns, so that two pushes of
	// one are far apart.
	loadOwners    = 256
	loadShareSize = 1 << 10
	// firstLoadOwner is beyond those whose shares are scrubbed only.
	firstLoadOwner = 1 << 24
)

// load is clients of one guardian that send their requests when it is time,
// whether or not those before were answered.
type load struct {
	url     string
	client  *http.Client
	holders []manifest.Holder
	owners  []owner
	// pushed counts all pushes, the first versions included.
	pushed int
}

func newLoad(url string) (*load, error) {
	holders, err := holdersOf(5)
	if err != nil {
		return nil, err
	}
	l := &load{url: url, holders: holders, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	for i := range loadOwners {
		l.owners = append(l.owners, newOwner(firstLoadOwner+i))
	}
	return l, nil
}

// next is the push that comes next: each owner's next version in turn.
func (l *load) next() (api.PushRequest, error) {
	o, version := l.owners[l.pushed%loadOwners], uint64(l.pushed/loadOwners)+1
	l.pushed++
	shares, signed, err := o.deal(version, 3, l.holders, loadShareSize)
	if err != nil {
		return api.PushRequest{}, err
	}
	return api.PushRequest{
		Identity: o.slot.Identity, Version: &version,
		Share: base64.StdEncoding.EncodeToString(shares[0]), Manifest: base64.StdEncoding.EncodeToString(signed),
	}, nil
}

// prepare stores a first version of all, and has each request made once.
func (l *load) prepare(ctx context.Context, node *guardian.Node) error {
	for range l.owners {
		push, err := l.next()
		if err == nil {
			err = post(ctx, l.client, l.url+api.RoutePush, push, new(api.PushResponse))
		}
		if err != nil {
			return err
		}
	}
	_, err := node.Pull(ctx, l.owners[0].slot, nil, nil, guardian.Caller{})
	return err
}

// run sends so many requests a second, pushes and pulls in turns, and returns in
// seconds how long after its time each was answered. So a guardian that stalls
// is charged for the requests that would have been sent meanwhile. Those that it
// refuses because it is too slow are counted, and timed like the others; any
// other answer but a success is an error.
func (l *load) run(ctx context.Context, rate int, d time.Duration) (pushes, pulls []float64, refused int, err error) {
	count := int(d.Seconds() * float64(rate))
	pushes, pulls = make([]float64, count/2), make([]float64, count/2)
	failed := make([]error, count/2*2)
	began := time.Now()
	var running sync.WaitGroup
	for i := range failed {
		request, into := l.pull(i), &pulls[i/2]
		if i%2 == 0 {
			push, err := l.next()
			if err != nil {
				return nil, nil, 0, err
			}
			request, into = l.push(push), &pushes[i/2]
		}
		at := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(at))
		running.Go(func() {
			failed[i] = request(ctx)
			*into = time.Since(at).Seconds()
		})
	}
	running.Wait()
	refused = len(failed)
	failed = slices.DeleteFunc(failed, func(err error) bool { return errors.Is(err, errRefused) })
	return pushes, pulls, refused - len(failed), errors.Join(failed...)
}

func (l *load) push(request api.PushRequest) func(context.Context) error {
	return func(ctx context.Context) error {
		return post(ctx, l.client, l.url+api.RoutePush, request, new(api.PushResponse))
	}
}

var errShare = errors.New("that is not the share")

// pull asks for an owner that was not pushed to lately.
func (l *load) pull(i int) func(context.Context) error {
	request := api.PullRequest{Identity: l.owners[(l.pushed+loadOwners/2+i%7)%loadOwners].slot.Identity}
	return func(ctx context.Context) error {
		var answer api.PullResponse
		if err := post(ctx, l.client, l.url+api.RoutePull, request, &answer); err != nil {
			return err
		}
		if share, err := base64.StdEncoding.DecodeString(answer.Share); err != nil || len(share) != loadShareSize {
			return errShare
		}
		return nil
	}
}
