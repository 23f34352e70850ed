package main

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// newLogger makes the process's logger. Above debug level it shortens every
// identity, wherever a message or an error of the storage quotes one: whoever
// reads a whole identity that was made from a passphrase could test
// passphrases against it.
func newLogger(w io.Writer, cfg *Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.logLevel()}
	var handler slog.Handler = slog.NewTextHandler(w, options)
	if cfg.LogFormat == "json" {
		handler = slog.NewJSONHandler(w, options)
	}
	if cfg.logLevel() > slog.LevelDebug {
		handler = shortening{handler}
	}
	return slog.New(handler)
}

// shortening is a handler that quotes no identity and no secret's name whole. Most
// records have none, and go by as they are: [slog.HandlerOptions.ReplaceAttr] would be
// asked about every attribute of each, the time and the level too.
type shortening struct{ slog.Handler }

// Handle implements [slog.Handler].
func (s shortening) Handle(ctx context.Context, record slog.Record) error {
	quotes := record.Message != withoutIdentities(record.Message)
	record.Attrs(func(attr slog.Attr) bool {
		quotes = quotes || mayQuote(attr.Value)
		return !quotes
	})
	if !quotes {
		return s.Handler.Handle(ctx, record)
	}
	short := slog.NewRecord(record.Time, record.Level, withoutIdentities(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		short.AddAttrs(shortened(attr))
		return true
	})
	return s.Handler.Handle(ctx, short)
}

// WithAttrs implements [slog.Handler].
func (s shortening) WithAttrs(attrs []slog.Attr) slog.Handler {
	short := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		short[i] = shortened(attr)
	}
	return shortening{s.Handler.WithAttrs(short)}
}

// WithGroup implements [slog.Handler].
func (s shortening) WithGroup(name string) slog.Handler {
	return shortening{s.Handler.WithGroup(name)}
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
	if len(text) < 64 {
		return false
	}
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

// mayQuote tells whether shortened may change a value.
func mayQuote(value slog.Value) bool {
	switch value.Kind() {
	case slog.KindString:
		return value.String() != withoutIdentities(value.String())
	case slog.KindAny, slog.KindGroup, slog.KindLogValuer:
		return true
	default:
		return false
	}
}

func shortened(attr slog.Attr) slog.Attr {
	value := attr.Value.Resolve()
	switch value.Kind() {
	case slog.KindString, slog.KindAny:
		return slog.String(attr.Key, withoutIdentities(value.String()))
	case slog.KindGroup:
		members := slices.Clone(value.Group())
		for i, member := range members {
			members[i] = shortened(member)
		}
		return slog.Attr{Key: attr.Key, Value: slog.GroupValue(members...)}
	default:
		return slog.Attr{Key: attr.Key, Value: value}
	}
}
