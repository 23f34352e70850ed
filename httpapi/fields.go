package httpapi

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/vault-guardian/guardian/api"
)

var (
	errThreshold = &api.FieldError{
		Sentinel: api.ErrInvalidThreshold,
		Text:     fmt.Sprintf("threshold must be 0 (unknown) or from %d to %d", api.MinThreshold, api.MaxThreshold),
	}
	errSplit = &api.FieldError{
		Sentinel: api.ErrInvalidSplit,
		Text:     fmt.Sprintf("split must be %d hex digits", hex.EncodedLen(api.SplitSize)),
	}
	errVersionNumber = &api.FieldError{
		Sentinel: api.ErrInvalidVersion,
		Text:     "version must be a whole number from 0 to 18446744073709551615, without exponent",
	}
	errEpochNumber = &api.FieldError{
		Sentinel: api.ErrInvalidVersion,
		Text:     "epoch must be a whole number from 0 to 18446744073709551615, without exponent",
	}
	errVersionMissing = fmt.Errorf("%w: version is missing", api.ErrInvalidJSON)
)

func parseShare(encoded string) ([]byte, error) {
	share, err := decodeBase64(encoded)
	switch {
	case err != nil:
		return nil, &api.FieldError{Sentinel: api.ErrInvalidShare, Text: "invalid base64 in share"}
	case len(share) == 0:
		return nil, &api.FieldError{Sentinel: api.ErrInvalidShare, Text: "share data is empty"}
	case len(share) > api.MaxShareSize:
		return nil, &api.FieldError{Sentinel: api.ErrInvalidShare, Text: "share data too large"}
	}
	return share, nil
}

func parseManifest(encoded string) ([]byte, error) {
	manifest, err := decodeBase64(encoded)
	switch {
	case err != nil:
		return nil, &api.FieldError{Sentinel: api.ErrInvalidManifest, Text: "invalid base64 in manifest"}
	case len(manifest) > api.MaxManifestSize:
		return nil, &api.FieldError{Sentinel: api.ErrInvalidManifest, Text: "manifest too large"}
	}
	return manifest, nil
}

// decodeBase64 takes the one encoding that a byte string has in RFC 4648
// section 4. The decoder of the standard library skips line breaks (section
// 3.3 has them rejected), so that is checked before.
func decodeBase64(encoded string) ([]byte, error) {
	if strings.Contains(encoded, "\r") || strings.Contains(encoded, "\n") {
		return nil, errors.New("line break")
	}
	return base64.StdEncoding.Strict().DecodeString(encoded)
}

func checkThreshold(threshold int) error {
	if threshold != 0 && (threshold < api.MinThreshold || threshold > api.MaxThreshold) {
		return errThreshold
	}
	return nil
}

// parseSplit folds to lower case, as identities are.
func parseSplit(digits string) (string, error) {
	if digits == "" {
		return "", nil
	}
	split, err := hex.DecodeString(digits)
	if err != nil || len(split) != api.SplitSize {
		return "", errSplit
	}
	return strings.ToLower(digits), nil
}
