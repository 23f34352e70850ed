package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// surveyAttempts bounds how often a read is tried with one guardian.
const surveyAttempts = 5

var errMalformedShare = errors.New("the answer holds no valid share")

// holding is one share that a guardian showed.
type holding struct {
	group    group
	share    []byte
	manifest *manifest.Manifest // the owner's, about this version; nil when none was shown
	// fault is why the share cannot be used, whatever the others show.
	fault error
	// shown is the hash of the manifest as it was shown. judgedBy is that of the
	// one which the share was compared with last, matches what came of it.
	shown, judgedBy [sha256.Size]byte
	matches         bool
}

// group names what may be combined: shares that agree in all of it. Threshold
// and length are part of it so that one guardian that lies about them stands
// alone instead of spoiling the others.
type group struct {
	version   uint64
	split     string
	epoch     uint64
	threshold int
	size      int
}

// found is what one guardian answered to the question for its current share.
type found struct {
	current *holding
	older   []*holding // retained ones, asked for by version
	err     error
	latency time.Duration
}

// absent reports a guardian that says it holds nothing.
func (f found) absent() bool { return errors.Is(f.err, api.ErrNotFound) }

// definite reports a guardian that is there and has said what it holds.
func (f found) definite() bool {
	return f.current != nil || f.absent() || errors.Is(f.err, api.ErrIntegrityFailed)
}

// survey is what all guardians answered, by position.
type survey []found

// take asks every guardian for its current share; patience says of the
// answers so far how much longer to wait for the rest.
func (v *Vault) take(ctx context.Context, identity string, patience func(survey) time.Duration) survey {
	all := make(survey, len(v.guardians))
	fanOut(ctx, v.positions(), func(ctx context.Context, i int) (found, error) {
		start := time.Now()
		current, err := v.fetch(ctx, i, api.PullRequest{Identity: identity})
		return found{current: current, err: err, latency: time.Since(start)}, nil
	}, func(a answer[found]) time.Duration {
		all[a.position] = a.value
		return patience(all)
	})
	return all
}

// takeBeforeWriting asks until so many have answered that a write can be
// acknowledged: one guardian that hangs must not hold up the others, nor use
// up the time of the write.
func (v *Vault) takeBeforeWriting(ctx context.Context, identity string) survey {
	ctx, cancel := firstHalf(ctx)
	defer cancel()
	return v.take(ctx, identity, func(s survey) time.Duration {
		return graceOnce(s.answers() >= v.WriteQuorum())
	})
}

// takeOlder asks those that have moved past a version whether they retain it.
// Where the others can rebuild it already they get little time.
func (v *Vault) takeOlder(ctx context.Context, identity string, version uint64, all survey) {
	patience := func() time.Duration {
		if best, ok := all.choose(v.Threshold()); ok && best.group.version == version {
			return best.patience(v.Threshold())
		}
		return waitForAll
	}
	if limit := patience(); limit != waitForAll {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	fanOut(ctx, all.beyond(version), func(ctx context.Context, i int) (*holding, error) {
		return v.fetch(ctx, i, api.PullRequest{Identity: identity, Version: &version})
	}, func(a answer[*holding]) time.Duration {
		if a.value != nil {
			all[a.position].older = append(all[a.position].older, a.value)
		}
		return patience()
	})
}

// beyond returns the positions of those that show a higher version.
func (s survey) beyond(version uint64) []int {
	var positions []int
	for i, f := range s {
		if f.current != nil && f.current.group.version > version {
			positions = append(positions, i)
		}
	}
	return positions
}

func (v *Vault) fetch(ctx context.Context, position int, request api.PullRequest) (*holding, error) {
	var result *holding
	err := persist(ctx, surveyAttempts, func() error {
		response, err := v.guardians[position].Pull(ctx, request)
		if err == nil {
			result, err = v.readHolding(request, response)
		}
		return err
	})
	return result, err
}

// readHolding checks the form of an answer. A threshold below the least that
// keeps a secret is a lie: believed, one guardian alone could make up a
// secret.
func (v *Vault) readHolding(request api.PullRequest, response api.PullResponse) (*holding, error) {
	share, err := base64.StdEncoding.DecodeString(response.Share)
	if err != nil || len(share) < 2 || len(share) > api.MaxShareSize || share[0] == 0 {
		return nil, errMalformedShare
	}
	if request.Version != nil && *request.Version != response.Version {
		return nil, errMalformedShare
	}
	if response.Threshold != 0 && (response.Threshold < api.MinThreshold || response.Threshold > api.MaxThreshold) {
		return nil, errMalformedShare
	}
	if _, err := hex.DecodeString(response.Split); err != nil || len(response.Split) > 2*api.SplitSize {
		return nil, errMalformedShare
	}
	m, hash, fault := v.readManifest(request.Identity, response)
	return &holding{share: share, manifest: m, shown: hash, fault: fault, group: group{
		version: response.Version, split: strings.ToLower(response.Split), epoch: response.Epoch,
		threshold: response.Threshold, size: len(share),
	}}, nil
}

// answers counts the guardians that said what they hold.
func (s survey) answers() int {
	count := 0
	for _, f := range s {
		if f.definite() {
			count++
		}
	}
	return count
}

// versions returns the current version of each guardian that showed a share.
func (s survey) versions() map[int]uint64 {
	versions := map[int]uint64{}
	for i, f := range s {
		if f.current != nil {
			versions[i] = f.current.group.version
		}
	}
	return versions
}

// newest returns the highest version that any guardian showed.
func (s survey) newest() uint64 {
	var highest uint64
	for _, version := range s.versions() {
		highest = max(highest, version)
	}
	return highest
}
