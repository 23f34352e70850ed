package repair

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// labelScrub seals what a scrub keeps. Without a seal, whoever can write to the
// storage could have a scrub pass by what it has spoilt there.
const labelScrub = "scrub"

// errScrubSeal reports an object that this node has not written there.
var errScrubSeal = errors.New("it is not sealed by this node")

// sealScrub makes an object of a value: a line with the seal of it and of the key
// it is kept under, then JSON.
func (s *scrubber) sealScrub(key string, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", key, err)
	}
	keyID, tag, err := s.cfg.Node.Sealer().Seal(labelScrub, []byte(key), data)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", key, err)
	}
	return append(fmt.Appendf(nil, "hmac %s %x\n", keyID, tag), data...), nil
}

// openScrub reads one into value, which is to be thrown away on an error. An
// unknown key id is one too: what is kept here is worth another scrub, no more.
func (s *scrubber) openScrub(ctx context.Context, key string, object []byte, value any) error {
	seal, data, found := bytes.Cut(object, []byte("\n"))
	fields := strings.Split(string(seal), " ")
	if !found || len(fields) != 3 || fields[0] != "hmac" {
		return errScrubSeal
	}
	tag, err := hex.DecodeString(fields[2])
	if err != nil {
		return errScrubSeal
	}
	if err := s.cfg.Node.Sealer().Open(ctx, labelScrub, fields[1], tag, []byte(key), data); err != nil {
		return fmt.Errorf("%w: %w", errScrubSeal, err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("decoding %s: %w", key, err)
	}
	return nil
}
