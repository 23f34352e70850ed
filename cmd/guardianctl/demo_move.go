package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/integrity"
	"github.com/vault-guardian/guardian/shamir"
)

// moveGuardians are started one after the other; at most six hold a share.
const (
	moveGuardians = 7
	moveHolders   = 6
)

// movePatience is what one order has.
const movePatience = time.Minute

// moveDemo shows a secret that outlives those who keep it.
type moveDemo struct {
	healDemo  // of which the keys outside the data are used
	admission ed25519.PrivateKey
	entries   []cluster.Entry
	holders   []int
	epoch     uint64
	threshold int
	old       [][]byte // shares of the epoch before
}

func newMoveDemo(s stage) *moveDemo {
	s.guardians = make([]*process, moveGuardians)
	heal := newHealDemo(s)
	heal.patience = movePatience
	return &moveDemo{healDemo: *heal}
}

func (m *moveDemo) run(ctx context.Context, keep bool) error { return m.perform(ctx, keep, m) }

func (m *moveDemo) next() string {
	return `  guardianctl store FILE --max-holders 7 --admission-key KEY
                               let guardians that the key admits take shares over
  guardianctl refresh          replace all shares by new ones
  guardianctl redistribute --members g1,g2,g4,g6
                               move shares to others
  guardianctl rounds show      what is going on, and what is still open
`
}

func (m *moveDemo) again(i int) string {
	return m.healDemo.again(i) + "GUARDIAN_ADMISSION_KEY=" + m.publicKey() + " "
}

func (m *moveDemo) publicKey() string {
	return hex.EncodeToString(m.admission.Public().(ed25519.PublicKey))
}

func (m *moveDemo) steps() []demoStep {
	return []demoStep{
		{"start", "Start five guardians under a roster that is signed", m.startFive},
		{"store", "Store a file, and permit six holders", m.storeFile},
		{"refresh", "Refresh: all five deal each other new shares, and erase the old ones", m.refresh},
		{"join", "Admit a sixth guardian, and give it a share", m.join},
		{"replace", "Kill two for good: another takes the place of one, the other is dropped", m.replaceTwo},
		{"raise", "Raise the threshold from 3 to 4", m.raise},
		{"update", "Store the file once more: what the owner does goes on as ever", m.update},
	}
}

func (m *moveDemo) startFive(ctx context.Context) error {
	if err := m.prepare(demoGuardians); err != nil {
		return err
	}
	if err := m.publish(ctx); err != nil {
		return err
	}
	return m.startUpTo(ctx, demoGuardians)
}

// prepare makes the admission key, and admits so many.
func (m *moveDemo) prepare(n int) (err error) {
	if err := m.keepToken(); err != nil {
		return err
	}
	if err := os.Mkdir(m.keys(), 0o700); err != nil {
		return fmt.Errorf("making a directory for keys: %w", err)
	}
	if _, m.admission, err = ed25519.GenerateKey(nil); err != nil {
		return fmt.Errorf("making the admission key: %w", err)
	}
	m.settings = []string{
		"GUARDIAN_REGISTRY=" + m.registry(), "GUARDIAN_PEER_BIND=127.0.0.1:0",
		"GUARDIAN_HEARTBEAT_INTERVAL=" + demoHeartbeat.String(),
		"GUARDIAN_HEARTBEAT_SUSPECT_AFTER=" + healSuspectAfter.String(),
		"GUARDIAN_HEARTBEAT_DEAD_AFTER=" + healDeadAfter.String(),
		"GUARDIAN_ADMISSION_KEY=" + m.publicKey(),
	}
	m.own = func(name string) []string {
		for i := range m.guardians {
			if nodeID(i) == name {
				return m.keySettings(i)
			}
		}
		return nil
	}
	for i := range n {
		if err := m.admit(i); err != nil {
			return err
		}
	}
	return nil
}

// admit makes the keys of a guardian, and an entry of the roster for it.
func (m *moveDemo) admit(i int) error {
	text, err := m.makeKeys(nodeID(i))
	if err != nil {
		return err
	}
	key, err := integrity.ParseNodeKey([]byte(text))
	if err != nil {
		return err
	}
	m.entries = append(m.entries, cluster.Entry{NodeID: nodeID(i), Index: i + 1, Key: key.PublicKey()})
	return nil
}

// publish signs a roster of all who are admitted.
func (m *moveDemo) publish(ctx context.Context) error {
	roster := cluster.Roster{Serial: uint64(len(m.entries)), Entries: m.entries}
	signed, err := roster.Sign(m.admission)
	if err != nil {
		return err
	}
	registry, err := m.openRegistry(ctx)
	if err != nil {
		return err
	}
	_, err = publish(ctx, registry, signed, m.admission.Public().(ed25519.PublicKey), false)
	return errors.Join(err, registry.Close())
}

func (m *moveDemo) openRegistry(ctx context.Context) (*cluster.Bucket, error) {
	at, err := location.Parse(m.registry())
	if err != nil {
		return nil, err
	}
	store, err := at.OpenShared(ctx, location.Options{})
	if err != nil {
		return nil, err
	}
	return cluster.NewBucket(store, nil), nil
}

func (m *moveDemo) storeFile(ctx context.Context) error {
	m.holders, m.threshold = []int{0, 1, 2, 3, 4}, 3
	if err := m.connectHolders(); err != nil {
		return err
	}
	report, err := m.storeEverywhere(ctx)
	if err != nil {
		return err
	}
	m.version = report.Version
	m.say("%s: %d bytes, version %d, stored by %d guardians; any %d rebuild it", shown(m.name), len(m.secret), report.Version, report.Got, m.threshold)
	m.say("its manifest, signed by the owner: at most %d holders, admitted by %s", moveHolders, short(m.publicKey()))
	return m.keepOld()
}

// connectHolders makes the vault of those who hold a share.
func (m *moveDemo) connectHolders() error {
	var urls []string
	var indices []int
	for _, i := range m.holders {
		urls, indices = append(urls, m.url(i)), append(indices, i+1)
	}
	return m.connect(urls, m.token, client.WithIndices(indices), client.WithPolicy(client.Policy{
		MaxHolders: moveHolders, Admission: m.admission.Public().(ed25519.PublicKey),
	}))
}

// keepOld keeps a copy of every share, as a thief would.
func (m *moveDemo) keepOld() error {
	m.old = nil
	for _, i := range m.holders {
		share, err := m.shareOf(i)
		if err != nil {
			return err
		}
		m.old = append(m.old, share)
	}
	return nil
}

// shareOf reads the only share that a guardian has.
func (m *moveDemo) shareOf(i int) ([]byte, error) {
	path, err := m.shareFile(i)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (m *moveDemo) refresh(ctx context.Context) error {
	if err := m.order(ctx, roundsOrder{}); err != nil {
		return err
	}
	return m.wantMoved(ctx, m.holders, m.threshold)
}

func (m *moveDemo) join(ctx context.Context) error {
	if err := m.startNext(ctx); err != nil {
		return err
	}
	holders := []int{0, 1, 2, 3, 4, 5}
	if err := m.order(ctx, roundsOrder{Members: idsOf(holders)}); err != nil {
		return err
	}
	return m.wantMoved(ctx, holders, m.threshold)
}

// startNext admits and starts one more guardian.
func (m *moveDemo) startNext(ctx context.Context) error {
	next := len(m.entries)
	if err := m.admit(next); err != nil {
		return err
	}
	if err := m.publish(ctx); err != nil {
		return err
	}
	if err := m.startOne(ctx, next); err != nil {
		return err
	}
	m.say("%s: pid %d, in the roster with serial %d", nodeID(next), m.guardians[next].pid(), len(m.entries))
	return m.eventually(ctx, func() error {
		for i, p := range m.guardians[:next+1] {
			if p == nil {
				continue
			}
			list, err := p.list(ctx)
			if err != nil {
				return err
			}
			if memberIn(list, nodeID(next)).State != demoAlive || i == next && aliveIn(list) < m.running() {
				return fmt.Errorf("%s does not list %s as alive", nodeID(i), nodeID(next))
			}
		}
		return nil
	})
}

func (m *moveDemo) running() (n int) {
	for _, p := range m.guardians {
		if p != nil {
			n++
		}
	}
	return n
}

func (m *moveDemo) replaceTwo(ctx context.Context) error {
	for _, i := range []int{1, 2} {
		m.guardians[i].kill()
		m.guardians[i] = nil
		if err := os.RemoveAll(m.storage(i)); err != nil {
			return err
		}
		m.say("%s: killed, and its storage is gone", nodeID(i))
	}
	if err := m.startNext(ctx); err != nil {
		return err
	}
	holders := []int{0, 3, 4, 5, 6}
	if err := m.order(ctx, roundsOrder{Members: idsOf(holders)}); err != nil {
		return err
	}
	return m.wantMoved(ctx, holders, m.threshold)
}

func (m *moveDemo) raise(ctx context.Context) error {
	if err := m.order(ctx, roundsOrder{Threshold: 4}); err != nil {
		return err
	}
	return m.wantMoved(ctx, m.holders, 4)
}

func (m *moveDemo) update(ctx context.Context) error {
	report, err := m.storeEverywhere(ctx)
	if err != nil {
		return err
	}
	if report.Version <= m.version {
		return fmt.Errorf("it was stored at version %d, after %d", report.Version, m.version)
	}
	secret, _, err := m.pull(ctx)
	if err != nil {
		return err
	}
	m.say("version %d, of epoch 0 again: %d bytes, identical to the original", report.Version, len(secret))
	return nil
}

func idsOf(guardians []int) (nodes []string) {
	for _, i := range guardians {
		nodes = append(nodes, nodeID(i))
	}
	return nodes
}

// order has the first guardian lead rounds, and waits for their end.
func (m *moveDemo) order(ctx context.Context, order roundsOrder) error {
	admin := adminFlags{url: "http://" + m.guardians[watcher].adminAddress}
	began := time.Now()
	order.Slots = nil
	var status roundsStatus
	if err := admin.post(ctx, roundsPath, order, &status); err != nil {
		return err
	}
	err := m.eventually(ctx, func() error {
		if err := admin.get(ctx, roundsPath, &status); err != nil {
			return err
		}
		if status.Progress.Running {
			return errors.New("the rounds go on")
		}
		return nil
	})
	if err != nil {
		return err
	}
	p := status.Progress
	if p.Moved != 1 || p.Failed+p.Refused != 0 || p.Error != "" {
		return fmt.Errorf("%d shares moved, %d refused, %d failed: %s %+v", p.Moved, p.Refused, p.Failed, p.Error, p.Problems)
	}
	m.epoch++
	m.say("%4.1fs  the round is committed: epoch %d", time.Since(began).Seconds(), m.epoch)
	return nil
}

// wantMoved wants new shares at the holders and at nobody else, which rebuild
// the file at its version and do not fit together with those of before.
func (m *moveDemo) wantMoved(ctx context.Context, holders []int, threshold int) error {
	err := m.eventually(ctx, func() error { return m.areErased(holders) })
	if err != nil {
		return err
	}
	if err := m.doNotMix(holders, threshold); err != nil {
		return err
	}
	m.holders, m.threshold = holders, threshold
	if err := m.connectHolders(); err != nil {
		return err
	}
	secret, report, err := m.pull(ctx)
	if err != nil {
		return err
	}
	if report.Version != m.version || report.Threshold != threshold {
		return fmt.Errorf("version %d with K = %d was recovered, want version %d with K = %d", report.Version, report.Threshold, m.version, threshold)
	}
	m.say("%s hold new shares of version %d, of which any %d rebuild it: %d bytes,", strings.Join(idsOf(holders), ", "), report.Version, report.Threshold, len(secret))
	m.say("identical to the original; shares stolen before do not fit to new ones, and are erased")
	return m.keepOld()
}

// areErased wants no share of before at anybody.
func (m *moveDemo) areErased(holders []int) error {
	for i, p := range m.guardians {
		if p == nil {
			continue
		}
		share, err := m.shareOf(i)
		if holds := slices.Contains(holders, i); holds == (err != nil) {
			return fmt.Errorf("%s: holder %v, %w", nodeID(i), holds, err)
		}
		if err == nil && slices.ContainsFunc(m.old, func(old []byte) bool { return bytes.Equal(old, share) }) {
			return fmt.Errorf("%s has still its old share", nodeID(i))
		}
	}
	return nil
}

// doNotMix tries the shares that a thief has of before with one less than K new
// ones.
func (m *moveDemo) doNotMix(holders []int, threshold int) error {
	var now [][]byte
	for _, i := range holders {
		share, err := m.shareOf(i)
		if err != nil {
			return err
		}
		now = append(now, share)
	}
	whole, err := shamir.Combine(now[:threshold])
	if err != nil {
		return fmt.Errorf("the new shares do not combine: %w", err)
	}
	for _, old := range m.old {
		mixed := slices.DeleteFunc(slices.Clone(now), func(share []byte) bool { return share[0] == old[0] })[:threshold-1]
		if got, err := shamir.Combine(append([][]byte{old}, mixed...)); err == nil && bytes.Equal(got, whole) {
			return fmt.Errorf("an old share and %d new ones rebuild the file", threshold-1)
		}
	}
	return nil
}

func short(text string) string { return text[:min(8, len(text))] + "..." }
