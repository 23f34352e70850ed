package manifest

import (
	"crypto/sha256"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Cache remembers manifests that were parsed lately, by the hash of all their
// bytes: one that is met again costs that hash in place of a signature. It is
// safe for concurrent use.
type Cache struct {
	known *lru.Cache[[sha256.Size]byte, *Manifest]
}

// NewCache returns a Cache of at most size manifests, 1 or more.
func NewCache(size int) (*Cache, error) {
	known, err := lru.New[[sha256.Size]byte, *Manifest](size)
	if err != nil {
		return nil, fmt.Errorf("making a cache of manifests: %w", err)
	}
	return &Cache{known}, nil
}

// Parse is [Parse]. What it returns is shared, and not to be changed.
func (c *Cache) Parse(data []byte) (*Manifest, error) {
	if len(data) > MaxSize {
		return Parse(data)
	}
	hash := sha256.Sum256(data)
	if m, ok := c.known.Get(hash); ok {
		return m, nil
	}
	m, err := Parse(data)
	if err == nil {
		c.known.Add(hash, m)
	}
	return m, err
}
