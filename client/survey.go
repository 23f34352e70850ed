package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	// proof is that of its group once it was redistributed, else nil.
	proof *proof
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
	// charter is the hash of the manifest that redistributed shares come with,
	// zero at epoch 0 and where none came.
	charter [sha256.Size]byte
}

// String is what people call it, its epoch only where it was redistributed.
func (g group) String() string {
	if g.epoch == 0 {
		return fmt.Sprintf("version %d", g.version)
	}
	return fmt.Sprintf("version %d at epoch %d", g.version, g.epoch)
}

// found is what one guardian answered to the question for its current share.
type found struct {
	current *holding
	older   []*holding // others, asked for by version or epoch
	denied  []uint64   // versions that it says it does not retain
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
		all.prove()
		return patience(all)
	})
	return all
}

// takeRest asks those again that did not say what they hold, for as long as it
// takes or until the version can be rebuilt: they were hurried for what others
// might hold of it, and that did not help.
func (v *Vault) takeRest(ctx context.Context, identity string, version uint64, all survey) {
	silent := slices.DeleteFunc(v.positions(), func(i int) bool { return all[i].definite() })
	fanOut(ctx, silent, func(ctx context.Context, i int) (*holding, error) {
		return v.fetch(ctx, i, api.PullRequest{Identity: identity})
	}, func(a answer[*holding]) time.Duration {
		all[a.position].current, all[a.position].err = a.value, a.err
		all.prove()
		best, ok := all.choose(v.Threshold())
		return graceOnce(ok && best.group.version >= version)
	})
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
		all.note(version, a)
		return patience()
	})
}

// note keeps what a guardian said of an older version. Who is silent, or refuses,
// says nothing of it.
func (s survey) note(version uint64, a answer[*holding]) {
	f := &s[a.position]
	switch {
	case a.value != nil:
		f.older = append(f.older, a.value)
		s.prove()
	case errors.Is(a.err, api.ErrNotFound), errors.Is(a.err, api.ErrIntegrityFailed), errors.Is(a.err, errMalformedShare):
		f.denied = append(f.denied, version)
	}
}

// takeEpochs asks for shares of epochs that a guardian does not show: it may have
// prepared one and not have heard yet that it counts. That need be nobody's
// current share, so those are asked too that show none. Nobody is waited for
// longer than for a share that would let others be checked.
func (v *Vault) takeEpochs(ctx context.Context, identity string, version uint64, epochs []uint64, all survey) {
	ctx, cancel := context.WithTimeout(ctx, longGrace)
	defer cancel()
	ask := map[int][]uint64{}
	for _, i := range all.answering() {
		ask[i] = slices.DeleteFunc(slices.Clone(epochs), func(epoch uint64) bool { return all[i].shows(version, epoch) })
	}
	fanOut(ctx, slices.Sorted(maps.Keys(ask)), func(ctx context.Context, i int) (shown []*holding, err error) {
		for _, epoch := range ask[i] {
			h, err := v.fetch(ctx, i, api.PullRequest{Identity: identity, Version: &version, Epoch: &epoch})
			if err == nil {
				shown = append(shown, h)
			}
		}
		return shown, nil
	}, func(a answer[[]*holding]) time.Duration {
		all[a.position].older = append(all[a.position].older, a.value...)
		all.prove()
		best, ok := all.choose(v.Threshold())
		return graceOnce(ok && best.group.version >= version)
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
	if request.Version != nil && *request.Version != response.Version || request.Epoch != nil && *request.Epoch != response.Epoch {
		return nil, errMalformedShare
	}
	if response.Threshold != 0 && (response.Threshold < api.MinThreshold || response.Threshold > api.MaxThreshold) {
		return nil, errMalformedShare
	}
	if _, err := hex.DecodeString(response.Split); err != nil || len(response.Split) > 2*api.SplitSize {
		return nil, errMalformedShare
	}
	m, hash, fault := v.readManifest(request.Identity, response)
	h := &holding{share: share, manifest: m, shown: hash, fault: fault, group: group{
		version: response.Version, split: strings.ToLower(response.Split), epoch: response.Epoch,
		threshold: response.Threshold, size: len(share),
	}}
	if response.Epoch > 0 && m != nil {
		h.group.charter = hash
		h.fault = h.checkEpoch()
	}
	return h, nil
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
