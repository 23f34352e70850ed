package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/peer"
	"github.com/vault-guardian/guardian/repair"
)

const (
	// demoScrub is how often the guardians of the demonstration scrub.
	demoScrub = 2 * time.Second
	// Nobody falls silent here, and a busy machine is to have nobody suspected.
	healSuspectAfter = 10 * time.Second
	healDeadAfter    = 30 * time.Second
	// healPatience is what both repairs have.
	healPatience = time.Minute
)

// Guardians, counted from 0, whose shares something happens to.
const (
	emptied   = 1
	corrupted = 3
)

// healDemo shows that lost and damaged shares come back by themselves.
type healDemo struct {
	clusterDemo
	relays  []*relay // one before the peer plane of each guardian
	shares  [demoGuardians][]byte
	version uint64
	needed  int // shares that rebuild the file
}

func newHealDemo(s stage) *healDemo {
	return &healDemo{clusterDemo: clusterDemo{stage: s, patience: healPatience, seen: noneSeen()}}
}

func (h *healDemo) run(ctx context.Context, keep bool) error {
	defer h.close()
	return h.perform(ctx, keep, h)
}

func (h *healDemo) close() {
	for _, r := range h.relays {
		r.close()
	}
}

func (h *healDemo) next() string {
	return fmt.Sprintf(`  GUARDIAN_STORAGE=./x GUARDIAN_NODE_ID=x GUARDIAN_REGISTRY=./registry %s --unauthenticated
                             a member of a cluster of your own
  guardianctl scrub          look through all that it stores, now
  guardianctl repair status  what it is repairing
  guardianctl verify --cluster
                             audit it and the others, without anybody's key
`, shellWord(h.binary))
}

func (h *healDemo) steps() []demoStep {
	return []demoStep{
		{"start", "Start five guardians that know each other, with keys kept outside their data", h.startAll},
		{"store", "Store a file", h.storeFile},
		{"damage", "Delete all shares of one guardian, and flip a bit of another's", h.damage},
		{"heal", "Wait: nobody does anything", h.heal},
		{"compare", "Compare the new shares with the old ones", h.compare},
		{"audit", "Audit all five, without rebuilding anything", h.audit},
		{"overhear", "Search all that the guardians said to each other for shares", h.overhear},
		{"recover", "Recover the file with the two that were healed and one more", h.recoverHealed},
	}
}

func (h *healDemo) startAll(ctx context.Context) error {
	if err := h.keepToken(); err != nil {
		return err
	}
	if err := os.Mkdir(h.keys(), 0o700); err != nil {
		return fmt.Errorf("making a directory for keys: %w", err)
	}
	h.settings = []string{
		"GUARDIAN_REGISTRY=" + h.registry(), "GUARDIAN_PEER_BIND=127.0.0.1:0",
		"GUARDIAN_HEARTBEAT_INTERVAL=" + demoHeartbeat.String(),
		"GUARDIAN_HEARTBEAT_SUSPECT_AFTER=" + healSuspectAfter.String(),
		"GUARDIAN_HEARTBEAT_DEAD_AFTER=" + healDeadAfter.String(),
		"GUARDIAN_SCRUB_INTERVAL=" + demoScrub.String(),
	}
	if err := h.placeRelays(); err != nil {
		return err
	}
	h.say("each scrubs its storage every %v, by default every 24h", demoScrub)
	h.say("before the peer port of each stands a relay that has its key, and writes down what goes through")
	return h.startUpTo(ctx, demoGuardians)
}

func (h *healDemo) keys() string { return filepath.Join(h.dir, "keys") }

// placeRelays makes the keys of all guardians and a relay for each, and tells
// each guardian of both.
func (h *healDemo) placeRelays() error {
	var known []relayed
	for i := range demoGuardians {
		key, err := h.makeKeys(nodeID(i))
		if err != nil {
			return err
		}
		known = append(known, relayed{nodeID(i), key})
	}
	h.own = func(name string) []string {
		for i, r := range h.relays {
			if nodeID(i) == name {
				return append(h.keySettings(i), "GUARDIAN_PEER_ADVERTISE_URL="+r.url())
			}
		}
		return nil
	}
	h.launched = func(name string, p *process) {
		for i, r := range h.relays {
			if nodeID(i) == name {
				r.to(p.peerAddress)
			}
		}
	}
	for i := range known {
		r, err := newRelay(i, known)
		if err != nil {
			return err
		}
		h.relays = append(h.relays, r)
	}
	return nil
}

// keySettings tell a guardian of its keys.
func (h *healDemo) keySettings(i int) []string {
	return []string{
		"GUARDIAN_INTEGRITY_KEY_FILE=" + h.keyFile(nodeID(i), "integrity"),
		"GUARDIAN_NODE_KEY_FILE=" + h.keyFile(nodeID(i), "node"),
	}
}

func (h *healDemo) again(i int) string {
	again := h.clusterDemo.again(i)
	for _, setting := range h.keySettings(i) {
		name, path, _ := strings.Cut(setting, "=")
		again += name + "=" + shellWord(path) + " "
	}
	return again
}

func (h *healDemo) keyFile(node, kind string) string {
	return filepath.Join(h.keys(), node+"-"+kind+".key")
}

func (h *healDemo) storeFile(ctx context.Context) error {
	if err := h.store(ctx); err != nil {
		return err
	}
	report, err := h.vault.Verify(ctx, h.root.Identity())
	if err != nil {
		return err
	}
	h.version, h.needed = report.Version, report.Threshold
	for i := range demoGuardians {
		path, err := h.shareFile(i)
		if err == nil {
			h.shares[i], err = os.ReadFile(path)
		}
		if err != nil {
			return fmt.Errorf("reading the share of %s: %w", nodeID(i), err)
		}
	}
	return nil
}

// shareFile is where a guardian keeps its share of the file. There is one
// generation, but for a moment when another takes its place.
func (h *healDemo) shareFile(i int) (string, error) {
	found, err := filepath.Glob(filepath.Join(h.storage(i), "shares", h.root.Identity(), "*", "share.bin"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s has %d shares of the file", nodeID(i), len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

func (h *healDemo) damage(context.Context) error {
	if err := removeTree(filepath.Join(h.storage(emptied), "shares")); err != nil {
		return err
	}
	h.say("%s: rm -r %s", nodeID(emptied), filepath.Join(nodeID(emptied), "shares"))
	path, err := h.shareFile(corrupted)
	if err != nil {
		return err
	}
	if err := flipLastByte(path); err != nil {
		return err
	}
	h.say("%s: one bit of %s is flipped", nodeID(corrupted), filepath.Base(path))
	return nil
}

func (h *healDemo) heal(ctx context.Context) error {
	began := time.Now()
	whole := map[int]bool{}
	err := h.eventually(ctx, func() error {
		for _, i := range []int{emptied, corrupted} {
			if whole[i] {
				continue
			}
			if err := h.isWhole(i); err != nil {
				return err
			}
			whole[i] = true
			h.say("%4.1fs  %s has its share again", time.Since(began).Seconds(), nodeID(i))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.showReports(ctx)
}

func (h *healDemo) isWhole(i int) error {
	path, err := h.shareFile(i)
	if err != nil {
		return err
	}
	share, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(share, h.shares[i]) {
		return fmt.Errorf("%s has not its share yet", nodeID(i))
	}
	return nil
}

// showReports shows what the two write of their repairs.
func (h *healDemo) showReports(ctx context.Context) error {
	for _, i := range []int{emptied, corrupted} {
		var finished *repair.Report
		err := h.eventually(ctx, func() (err error) {
			finished, err = h.reportOf(ctx, i)
			return err
		})
		if err != nil {
			return err
		}
		before, after := finished.Before, finished.After
		h.say("%s reports: %s; before: %d good, %d corrupt, %d missing of %d, needed %d; after: %d good",
			nodeID(i), finished.Outcome, before.Good, before.Corrupt, before.Missing, before.N, before.K, after.Good)
	}
	return nil
}

func (h *healDemo) reportOf(ctx context.Context, i int) (*repair.Report, error) {
	admin := adminFlags{url: "http://" + h.guardians[i].adminAddress}
	var status repair.Status
	if err := admin.get(ctx, repairPath, &status); err != nil {
		return nil, err
	}
	for _, report := range status.Finished {
		if report.Identity == h.root.Identity() && report.Outcome == repair.OutcomeRepaired {
			return &report.Report, nil
		}
	}
	return nil, fmt.Errorf("%s has not finished the repair yet", nodeID(i))
}

func (h *healDemo) compare(ctx context.Context) error {
	report, err := h.vault.Verify(ctx, h.root.Identity())
	if err != nil {
		return err
	}
	switch {
	case report.Good != demoGuardians:
		return fmt.Errorf("%d of %d shares are those of the manifest", report.Good, demoGuardians)
	case report.Version != h.version:
		return fmt.Errorf("the version is %d, it was %d", report.Version, h.version)
	}
	for i := range demoGuardians {
		if err := h.isWhole(i); err != nil {
			return err
		}
	}
	h.say("all five are byte for byte what they were, and the version is still %d", report.Version)
	return nil
}

// overhear searches what was written down for 16 bytes in a row of any share,
// but for what went to whom the share belongs.
func (h *healDemo) overhear(context.Context) error {
	windows := windowsOf(h.shares[:])
	if !windows.foundAll() {
		return errors.New("the search does not find a share that is there")
	}
	messages, parts, beats := 0, 0, 0
	for _, r := range h.relays {
		for _, m := range r.overheard() {
			for owner := range windows.in(slices.Concat([]byte(m.head), m.body)) {
				if nodeID(owner) != m.to {
					return fmt.Errorf("%s said a part of the share of %s to %s (%s)", m.from, nodeID(owner), m.to, m.route)
				}
			}
			messages++
			switch {
			case m.route == peer.RouteHeartbeat:
				beats++
			case m.route == repair.RouteContribute && m.answer && len(m.body) > len(h.shares[0]):
				parts++
			}
		}
	}
	if beats == 0 || parts < 2*h.needed {
		return fmt.Errorf("of %d messages %d were heartbeats and %d parts of shares: not all was overheard", messages, beats, parts)
	}
	h.say("%d messages before encryption, %d of them heartbeats, %d what was computed of shares for those that lost theirs:", messages, beats, parts)
	h.say("none has 16 bytes in a row of any share but for its owner, be it as bytes, hex or base64; a share that is put")
	h.say("into a message is found")
	return nil
}

// recoverHealed stops two that were never damaged.
func (h *healDemo) recoverHealed(ctx context.Context) error {
	var urls []string
	var indices []int
	list, err := h.agree(ctx)
	if err != nil {
		return err
	}
	for _, i := range []int{emptied, corrupted, watcher} {
		g := memberIn(list, nodeID(i))
		urls, indices = append(urls, g.URL), append(indices, g.Index)
	}
	if err := h.connect(urls, h.token, client.WithIndices(indices)); err != nil {
		return err
	}
	secret, report, err := h.pull(ctx)
	if err != nil {
		return err
	}
	if err := h.keepRecovered(secret); err != nil {
		return err
	}
	h.say("%d shares, of %s, %s and %s, rebuilt version %d: %d bytes, identical to the original", report.Used,
		nodeID(emptied), nodeID(corrupted), nodeID(watcher), report.Version, len(secret))
	return nil
}

func (h *healDemo) audit(ctx context.Context) error {
	admin := adminFlags{url: "http://" + h.guardians[watcher].adminAddress}
	var report repair.AuditReport
	if err := admin.post(ctx, auditPath, nil, &report); err != nil {
		return err
	}
	err := h.eventually(ctx, func() error {
		if err := admin.get(ctx, auditPath, &report); err != nil {
			return err
		}
		if report.Running {
			return errors.New("the audit goes on")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if report.Error != "" || report.Sound != 1 || report.Generations != 1 || len(report.Groups) != 1 {
		return fmt.Errorf("the audit found %d sound generations of %d, in %d groups: %q", report.Sound, report.Generations, len(report.Groups), report.Error)
	}
	for _, holder := range report.Groups[0].Holders {
		if holder.Good != 1 {
			return fmt.Errorf("the audit has not found the share of %s good", holder.Node)
		}
	}
	group := report.Groups[0]
	h.say("n = %d, K = %d: every share fits; up to %d that did not would have been named", group.N, group.K, group.Bound)
	return nil
}

// makeKeys writes an integrity key and a node key, where no data is.
func (h *healDemo) makeKeys(node string) (nodeKey string, err error) {
	for _, kind := range []string{"integrity", "node"} {
		nodeKey = randomHex()
		if err := writeFile(h.keyFile(node, kind), []byte(nodeKey+"\n"), false); err != nil {
			return "", fmt.Errorf("keeping a key: %w", err)
		}
	}
	return nodeKey, nil
}
