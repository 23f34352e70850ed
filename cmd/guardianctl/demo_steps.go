package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// Guardians, counted from 0, to which something happens.
const (
	firstStopped  = 1
	secondStopped = 3
	tampered      = 2
)

func (d *demo) steps() []demoStep {
	return []demoStep{
		{"start", "Start five guardians, each with a directory of its own", d.start},
		{"store", "Encrypt a file, and split it into five shares of which any three rebuild it", d.store},
		{"holdings", "Who holds what", d.showHoldings},
		{"stop", "Stop two of the five, without warning", d.stopTwo},
		{"recover", "Recover the file from the other three, with the 24 words alone", d.recoverFromThree},
		{"restart", "Start the two again", d.restart},
		{"tamper", "Change one bit of a share on a guardian's disk", d.tamper},
		{"rollback", "Store a new version, then push the old one again", d.rollback},
		{"delete", "Delete the file", d.delete},
		{"replay", "Push the deleted shares again", d.replayDeleted},
	}
}

func (d *demo) start(ctx context.Context) error {
	if err := d.keepToken(); err != nil {
		return err
	}
	for i := range d.guardians {
		if err := d.startOne(ctx, i); err != nil {
			return err
		}
	}
	if err := d.reconnect(); err != nil {
		return err
	}
	for i, status := range d.vault.Status(ctx) {
		if status.Err != nil {
			return status.Err
		}
		d.say("guardian %d: pid %d, %s", i+1, d.guardians[i].pid(), status.Guardian)
	}
	return nil
}

// reconnect finds the guardians at their present addresses.
func (d *demo) reconnect() error {
	var urls []string
	for _, p := range d.guardians {
		urls = append(urls, "http://"+p.address)
	}
	return d.connect(urls, d.token)
}

func (d *demo) store(ctx context.Context) error {
	report, err := d.storeEverywhere(ctx)
	if err != nil {
		return err
	}
	d.say("%s: %d bytes, version %d, stored by %d guardians (needed: %d)", shown(d.name), len(d.secret), report.Version, report.Got, report.Need)
	d.say("no guardian can read it, nor can all of them: the key follows from 24 words that stay here")
	return nil
}

// showHoldings asks each guardian on its own, and keeps what it shows for
// the replays to come.
func (d *demo) showHoldings(ctx context.Context) error {
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "   GUARDIAN\tSHARE\tBYTES\tVERSION")
	d.captured = nil
	for i, guardian := range d.vault.Guardians() {
		held, err := guardian.Pull(ctx, api.PullRequest{Identity: d.root.Identity()})
		if err != nil {
			return err
		}
		share, err := base64.StdEncoding.DecodeString(held.Share)
		if err != nil || len(share) != len(d.secret)+envelope.Overhead+1 || int(share[0]) != i+1 {
			return fmt.Errorf("%s does not hold share %d of the file", guardian.URL(), i+1)
		}
		fmt.Fprintf(table, "   %d\tx = %d\t%d\t%d\n", i+1, share[0], len(share), held.Version)
		d.captured = append(d.captured, api.PushRequest{
			Identity: d.root.Identity(), Share: held.Share, Version: &held.Version,
			Threshold: held.Threshold, Split: held.Split, Manifest: held.Manifest,
		})
	}
	return table.Flush()
}

func (d *demo) stopTwo(ctx context.Context) error {
	for _, i := range []int{firstStopped, secondStopped} {
		d.guardians[i].kill()
	}
	var silent []int
	for i, status := range d.vault.Status(ctx) {
		if status.Err != nil {
			silent = append(silent, i)
		}
	}
	if len(silent) != 2 || silent[0] != firstStopped || silent[1] != secondStopped {
		return fmt.Errorf("%d guardians do not answer, not just the two", len(silent))
	}
	d.say("guardians %d and %d do not answer any more", firstStopped+1, secondStopped+1)
	return nil
}

func (d *demo) recoverFromThree(ctx context.Context) error {
	if err := d.reconnect(); err != nil {
		return err
	}
	secret, report, err := d.pull(ctx)
	if err != nil {
		return err
	}
	if report.Used != report.Threshold {
		return fmt.Errorf("%d shares answered, not just %d", report.Used, report.Threshold)
	}
	if err := d.keepRecovered(secret); err != nil {
		return err
	}
	d.say("%d shares rebuilt version %d: %d bytes, identical to the original", report.Used, report.Version, len(d.secret))
	return nil
}

func (d *demo) restart(ctx context.Context) error {
	for _, i := range []int{firstStopped, secondStopped} {
		if err := d.startOne(ctx, i); err != nil {
			return err
		}
	}
	if err := d.reconnect(); err != nil {
		return err
	}
	for _, status := range d.vault.Status(ctx) {
		if status.Err != nil {
			return status.Err
		}
	}
	d.say("all five answer, with the shares they had")
	return d.showHoldings(ctx)
}

func (d *demo) tamper(ctx context.Context) error {
	found, err := filepath.Glob(filepath.Join(d.storage(tampered), "shares", d.root.Identity(), "*", "share.bin"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("found %d shares on the disk of guardian %d, not one", len(found), tampered+1)
	}
	if err := d.flip(found[0]); err != nil {
		return fmt.Errorf("changing the share: %w", err)
	}
	_, err = d.vault.Guardians()[tampered].Pull(ctx, api.PullRequest{Identity: d.root.Identity()})
	if !errors.Is(err, api.ErrIntegrityFailed) {
		return fmt.Errorf("guardian %d did not notice: it answered %w", tampered+1, orNothingWrong(err))
	}
	d.say("guardian %d refuses to serve it: %v", tampered+1, api.ErrIntegrityFailed)
	if err := d.verify(ctx); err != nil {
		return err
	}
	if _, _, err := d.pull(ctx); err != nil {
		return err
	}
	d.say("the others still bring the file back")
	return nil
}

// verify wants all shares but the damaged one to be those that were signed.
func (d *demo) verify(ctx context.Context) error {
	report, err := d.vault.Verify(ctx, d.root.Identity())
	if !errors.Is(err, client.ErrAuthentication) || report.Good != demoGuardians-1 || report.Guardians[tampered].State != client.StateWrong {
		return fmt.Errorf("verifying found %d good shares: %w", report.Good, orNothingWrong(err))
	}
	d.say("%d of %d shares are those that the manifest names, and guardian %d is named as wrong", report.Good, report.Holders, tampered+1)
	return nil
}

func flipLastByte(path string) error {
	share, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	share[len(share)-1] ^= 1
	return os.WriteFile(path, share, 0o600)
}

// removeTree removes a directory in which a guardian that is up may make files meanwhile.
func removeTree(path string) error {
	for range 100 {
		if err := os.RemoveAll(path); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return os.RemoveAll(path)
}

var errNothingWrong = errors.New("as if nothing was wrong")

func orNothingWrong(err error) error {
	if err == nil {
		return errNothingWrong
	}
	return err
}

func (d *demo) rollback(ctx context.Context) error {
	report, err := d.storeEverywhere(ctx)
	if err != nil {
		return err
	}
	d.say("version %d is stored, the damaged share replaced", report.Version)
	if err := d.replay(ctx, report.Version); err != nil {
		return err
	}
	_, after, err := d.pull(ctx)
	if err != nil {
		return err
	}
	if after.Version != report.Version {
		return fmt.Errorf("version %d was recovered, not %d", after.Version, report.Version)
	}
	return d.showHoldings(ctx)
}

// replay pushes the captured shares, byte for byte as they were accepted
// before. Every guardian must refuse because it is at the current version.
func (d *demo) replay(ctx context.Context, current uint64) error {
	for i, guardian := range d.vault.Guardians() {
		err := guardian.Push(ctx, d.captured[i])
		conflict, ok := errors.AsType[*api.VersionConflictError](err)
		if !ok || conflict.Current != current || conflict.Stored {
			return fmt.Errorf("guardian %d did not refuse the replay: it answered %w", i+1, orNothingWrong(err))
		}
	}
	d.say("all five refuse version %d: %v", *d.captured[0].Version, api.ErrVersionConflict)
	return nil
}

// delete asks again where a guardian missed what the others acknowledged.
func (d *demo) delete(ctx context.Context) error {
	report, err := d.vault.Delete(ctx, d.root.Identity())
	for attempt := 1; err == nil && len(report.Lacking) > 0 && attempt < demoAttempts; attempt++ {
		report, err = d.vault.Delete(ctx, d.root.Identity())
	}
	if err != nil {
		return err
	}
	for i, guardian := range d.vault.Guardians() {
		if _, err := guardian.Pull(ctx, api.PullRequest{Identity: d.root.Identity()}); !errors.Is(err, api.ErrNotFound) {
			return fmt.Errorf("guardian %d did not delete its share: it answered %w", i+1, orNothingWrong(err))
		}
	}
	d.say("%d guardians deleted their shares (needed: %d), and none holds one", report.Got, report.Need)
	return nil
}

func (d *demo) replayDeleted(ctx context.Context) error {
	if err := d.replay(ctx, *d.captured[0].Version); err != nil {
		return err
	}
	if _, _, err := d.vault.Pull(ctx, d.root.Identity()); !errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("recovering what was deleted: %w", orNothingWrong(err))
	}
	d.say("recovering it says: %v", api.ErrNotFound)
	return nil
}
