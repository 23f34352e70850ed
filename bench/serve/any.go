package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/bench/internal/stats"
	"github.com/vault-guardian/guardian/client"
)

// pullers pull shares of fill's, each over a connection of its own. (guardianctl
// bench asks for those only that it has stored itself, which are few.)
type pullers struct {
	guardians []*client.Guardian
	shares    int // that are there
}

func (b *benchmark) newPullers(s *server, shares int) (*pullers, error) {
	p := &pullers{shares: shares}
	for range connections {
		guardian, err := client.New(s.url, b.token)
		if err != nil {
			return nil, err
		}
		p.guardians = append(p.guardians, guardian)
	}
	return p, nil
}

// push stores what fill would have.
func (p *pullers) push(ctx context.Context) error {
	version := uint64(1)
	for number := range p.shares {
		err := p.guardians[0].Push(ctx, api.PushRequest{
			Identity: filled(number), Share: base64.StdEncoding.EncodeToString(make([]byte, shareSize)), Version: &version,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// turn pulls for so long, and returns how many a second and how many milliseconds
// each of them took.
func (p *pullers) turn(ctx context.Context, length time.Duration) (perSecond float64, took []float64, err error) {
	each := make([][]float64, len(p.guardians))
	group, pulling := errgroup.WithContext(ctx)
	began := time.Now()
	for at, guardian := range p.guardians {
		group.Go(func() error {
			for now := time.Now(); now.Sub(began) < length; {
				any := rand.IntN(p.shares) //nolint:gosec // it draws no secrets
				if err := p.pull(pulling, guardian, any); err != nil {
					return err
				}
				before := now
				now = time.Now()
				each[at] = append(each[at], float64(now.Sub(before).Microseconds())/1000)
			}
			return nil
		})
	}
	err = group.Wait()
	for _, times := range each {
		took = append(took, times...)
	}
	return float64(len(took)) / time.Since(began).Seconds(), took, err
}

func (p *pullers) pull(ctx context.Context, guardian *client.Guardian, number int) error {
	got, err := guardian.Pull(ctx, api.PullRequest{Identity: filled(number)})
	if err != nil {
		return err
	}
	if len(got.Share) != base64.StdEncoding.EncodedLen(shareSize) || got.Version != 1 {
		return fmt.Errorf("of share %d there is version %d with %d digits", number, got.Version, len(got.Share))
	}
	return nil
}

// pulls is what both did in turns: the one that keeps few, and the one that keeps
// many.
type pulls struct {
	perSecond, p50 [2]float64
	ratio, slower  spread
}

func (b *benchmark) pullInTurns(ctx context.Context, few, many *pullers) (r pulls, err error) {
	var perSecond, p50 [2][]float64
	const warmUp = 2
	for turn := range warmUp + b.turns {
		for at := range perSecond {
			if turn%2 == 1 { // each comes first as often as the other
				at = len(perSecond) - 1 - at
			}
			rate, took, err := []*pullers{few, many}[at].turn(ctx, b.duration/time.Duration(b.turns))
			if err != nil {
				return r, err
			}
			if turn >= warmUp {
				perSecond[at], p50[at] = append(perSecond[at], rate), append(p50[at], stats.Median(took))
			}
		}
	}
	for at := range perSecond {
		r.perSecond[at], r.p50[at] = stats.Median(perSecond[at]), stats.Median(p50[at])
	}
	r.ratio, r.slower = ratioOf(perSecond[1], perSecond[0]), ratioOf(p50[1], p50[0])
	return r, nil
}

func ratioOf(of, to []float64) spread {
	var ratios []float64
	for i := range of {
		ratios = append(ratios, of[i]/to[i])
	}
	return spreadOf(ratios)
}
