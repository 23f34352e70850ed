package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
)

// chaosSecret is one secret, and all texts that it ever may have had.
type chaosSecret struct {
	number  int
	root    *envelope.Root
	holders []int // that the owner stores with

	mu      sync.Mutex
	texts   map[string]int // when each was stored, from 1
	acked   int            // the text that was acknowledged last
	version uint64         // and its version
}

func (s *chaosSecret) String() string {
	return fmt.Sprintf("secret %d (%.8s)", s.number, s.root.Identity())
}

// next is another text.
func (s *chaosSecret) next(choices *rand.Rand) (text []byte, number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number = len(s.texts) + 1
	line := fmt.Sprintf("text %d of secret %d\n", number, s.number)
	text = []byte(strings.Repeat(line, 1+choices.IntN(1000)))
	s.texts[string(text)] = number
	return text, number
}

// settled is what was acknowledged last.
func (s *chaosSecret) settled() (number int, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked, s.version
}

var errLost = errors.New("an acknowledged text is gone")

// check wants no text older than the one given, and no lower version.
func (s *chaosSecret) check(text []byte, version uint64, number int, least uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch got := s.texts[string(text)]; {
	case got == 0:
		return fmt.Errorf("%w: %v has a text of %d bytes that was never stored, at version %d", errLost, s, len(text), version)
	case got < number || version < least:
		return fmt.Errorf("%w: %v has its text %d at version %d, after text %d was acknowledged at version %d", errLost, s, got, version, number, least)
	}
	return nil
}

// vault is what the owner of a secret sees of guardians, at the addresses of now.
func (c *chaos) vault(s *chaosSecret, which []int, with ...client.Option) (*client.Vault, error) {
	c.mu.Lock()
	var urls []string
	var indices []int
	for _, i := range which {
		urls, indices = append(urls, c.url(i)), append(indices, i+1)
	}
	c.mu.Unlock()
	return client.NewVault(urls, []string{c.token}, 0, append(with, client.WithIndices(indices), client.WithRoot(s.root))...)
}

func (c *chaos) everybody() (all []int) {
	for i := range c.guardians {
		all = append(all, i)
	}
	return all
}

func (c *chaos) storeFirst(ctx context.Context) error {
	choices := c.choices(0)
	for number := range chaosSecrets {
		words, err := envelope.NewMnemonic()
		if err != nil {
			return err
		}
		root, err := envelope.FromMnemonic(words)
		if err != nil {
			return err
		}
		s := &chaosSecret{number: number + 1, root: root, holders: choices.Perm(len(c.guardians))[:chaosHolders], texts: map[string]int{}}
		c.secrets = append(c.secrets, s)
		for s.acked == 0 {
			if err := c.store(ctx, s, choices); err != nil {
				return err
			}
		}
	}
	return nil
}

// chaosStore bounds one store, and chaosPull one pull.
const (
	chaosStore = 20 * time.Second
	chaosPull  = 15 * time.Second
)

// store stores another text. That it is not acknowledged is no error: any text
// from the last acknowledged one on may then be there.
func (c *chaos) store(ctx context.Context, s *chaosSecret, choices *rand.Rand) error {
	vault, err := c.vault(s, s.holders, client.WithPolicy(client.Policy{MaxHolders: 255, Admission: c.admission.Public().(ed25519.PublicKey)}))
	if err != nil {
		return err
	}
	text, number := s.next(choices)
	bounded, cancel := context.WithTimeout(ctx, chaosStore)
	defer cancel()
	report, err := vault.Store(bounded, s.root.Identity(), text)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.note("%v: text %d is not acknowledged: %v", s, number, err)
		c.count(func(r *chaosReport) { r.Unsure++ })
		return nil
	}
	c.note("%v: text %d is acknowledged at version %d", s, number, report.Version)
	c.count(func(r *chaosReport) { r.Stored++ })
	s.mu.Lock()
	defer s.mu.Unlock()
	if report.Version <= s.version {
		return fmt.Errorf("%v was stored at version %d, after version %d was acknowledged", s, report.Version, s.version)
	}
	s.acked, s.version = number, report.Version
	return nil
}

// recover brings a secret back and compares it, in as many tries as fit into the
// time that is borne.
func (c *chaos) recover(ctx context.Context, s *chaosSecret) error {
	for began := time.Now(); ; {
		err := c.recoverOnce(ctx, s)
		switch {
		case err == nil:
			c.count(func(r *chaosReport) { r.Recovered++ })
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errLost):
			return err
		case time.Since(began) > c.bearing:
			return fmt.Errorf("%v could not be recovered for %v: %w", s, c.bearing, err)
		}
		if err := wait(ctx, demoLook); err != nil {
			return err
		}
	}
}

func (c *chaos) recoverOnce(ctx context.Context, s *chaosSecret) error {
	vault, err := c.vault(s, c.everybody())
	if err != nil {
		return err
	}
	number, least := s.settled()
	ctx, cancel := context.WithTimeout(ctx, chaosPull)
	defer cancel()
	text, report, err := vault.Pull(ctx, s.root.Identity())
	if err != nil {
		return err
	}
	return s.check(text, report.Version, number, least)
}

// own is the owner: stores now and then, and recovers.
func (c *chaos) own(ctx context.Context, until time.Time) error {
	choices := c.choices(1)
	for time.Now().Before(until) {
		s, stores := c.secrets[choices.IntN(len(c.secrets))], choices.IntN(4) == 0
		var err error
		if stores {
			err = c.store(ctx, s, choices)
		} else {
			err = c.recover(ctx, s)
		}
		if err == nil {
			err = wait(ctx, time.Duration(20+choices.IntN(200))*time.Millisecond)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
