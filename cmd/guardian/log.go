package main

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// newLogger makes the process's logger. Above debug level it shortens every
// identity, wherever a message or an error of the storage quotes one: whoever
// reads a whole identity that was made from a passphrase could test
// passphrases against it.
func newLogger(w io.Writer, cfg *Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.logLevel()}
	if cfg.logLevel() > slog.LevelDebug {
		options.ReplaceAttr = func(_ []string, attr slog.Attr) slog.Attr { return shortened(attr) }
	}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

var wholeIdentity = regexp.MustCompile(`(?i)\b([0-9a-f]{8})[0-9a-f]{56}\b`)

// secretName is how storage errors name a named secret.
var secretName = regexp.MustCompile(`(vaults/[0-9a-f]+/)[A-Za-z0-9_-]+`)

func withoutIdentities(text string) string {
	if hasIdentity(text) {
		text = wholeIdentity.ReplaceAllString(text, "$1")
	}
	if strings.Contains(text, "vaults/") {
		text = secretName.ReplaceAllString(text, "$1...")
	}
	return text
}

// hasIdentity tells whether wholeIdentity may match, at a fraction of its cost:
// it is asked about every attribute of every line.
func hasIdentity(text string) bool {
	run := 0
	for i := range len(text) {
		c := text[i] | 0x20 // lower case of a letter; digits have that bit
		if run++; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			run = 0
		}
		if run == 64 {
			return true
		}
	}
	return false
}

func shortened(attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString, slog.KindAny:
		return slog.String(attr.Key, withoutIdentities(attr.Value.String()))
	default:
		return attr
	}
}
