package record

import (
	"crypto/sha256"
	"fmt"

	"github.com/vault-guardian/guardian/manifest"
)

// MaxSize bounds a chain, in bytes. One that names 255 holders with the longest
// node ids, in a manifest and one link, takes less than an eighth of it.
const MaxSize = 1 << 20

// Parse returns the record that a chain ends in: a manifest alone at epoch 0,
// and after that a manifest and the records and votes that lead on from it, all
// of them verified. Whose it is, which name and which version is for the caller
// to compare. Errors: ErrInvalid, ErrProposal, ErrCertificate, and those of
// [manifest.Parse].
func Parse(chain []byte) (*Record, error) { return ParseWith(manifest.Parse, chain) }

// ParseWith is Parse with another way to parse a manifest, such as that of a
// [manifest.Cache].
func ParseWith(parse func([]byte) (*manifest.Manifest, error), chain []byte) (*Record, error) {
	r, _, err := pageRules.parse(parse, chain)
	return r, err
}

type parser = func([]byte) (*manifest.Manifest, error)

// parse returns the container as well, for a manifest alone one without links.
func (rules *rules) parse(parse parser, chain []byte) (*Record, *container, error) {
	c := &container{manifest: chain}
	if isContainer(chain) {
		var err error
		if c, err = decodeContainer(chain); err != nil {
			return nil, nil, err
		}
	}
	m, err := parse(c.manifest)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the record: %w", err)
	}
	r := OfParsed(m, c.manifest)
	if len(c.links) == 0 {
		return r, c, nil
	}
	r, err = rules.walk(r, c)
	return r, c, err
}

// walk verifies one link after the other, each by the holders of the one before.
func (rules *rules) walk(first *Record, c *container) (*Record, error) {
	voucher := first
	for _, l := range c.links {
		if voucher.Epoch >= uint64(len(c.ancestors)) || c.ancestors[voucher.Epoch] != voucher.Hash {
			return nil, invalid("its list of hashes has another record at epoch %d", voucher.Epoch)
		}
		r, err := rules.follow(voucher, c.ancestors, l)
		if err != nil {
			return nil, err
		}
		voucher = r
	}
	if voucher.Epoch != uint64(len(c.ancestors)) {
		return nil, invalid("it ends at epoch %d, after %d others", voucher.Epoch, len(c.ancestors))
	}
	return voucher, nil
}

// follow returns the record of a link if it follows the voucher, is as the owner
// lets it be, and is vouched for.
func (rules *rules) follow(voucher *Record, ancestors [][sha256.Size]byte, l link) (*Record, error) {
	r, err := decodeBody(l.body)
	if err != nil {
		return nil, err
	}
	if r.Epoch <= voucher.Epoch || r.Epoch > uint64(len(ancestors)) {
		return nil, invalid("epoch %d after %d, in a chain of %d", r.Epoch, voucher.Epoch, len(ancestors))
	}
	r.Manifest, r.ancestors, r.line = voucher.Manifest, ancestors[:r.Epoch:r.Epoch], voucher.shown()
	if err := rules.fits(r, voucher, l.Seed); err != nil {
		return nil, err
	}
	if err := rules.permits(r.proposal(), r.Manifest); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := rules.certify(r, voucher, l.certificate); err != nil {
		return nil, err
	}
	r.accept(l.certificate)
	return r, nil
}

// fits wants a record of the same secret and line.
func (rules *rules) fits(r, voucher *Record, seed [sha256.Size]byte) error {
	switch {
	case r.Identity != voucher.Identity || r.Name != voucher.Name || r.Version != voucher.Version:
		return invalid("epoch %d is of another secret or version", r.Epoch)
	case r.ShareSize != voucher.ShareSize:
		return invalid("epoch %d has shares of another size", r.Epoch)
	case !rules.descends(r):
		return invalid("epoch %d does not follow the records that its chain lists", r.Epoch)
	case isBase(voucher, r) && !rules.derived(r.Split, voucher.Split, seed):
		return invalid("epoch %d has a split that its seed does not give", r.Epoch)
	}
	return nil
}
