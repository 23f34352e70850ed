package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLogShortensIdentities(t *testing.T) {
	identity := strings.Repeat("ab", 32)
	for level, whole := range map[string]bool{"info": false, "debug": true} {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			log := newLogger(&out, &Config{LogLevel: level, LogFormat: format})
			log.Info("failed to write "+identity, "error", errors.New("open /x/shares/"+identity+"/version: denied"), "n", 7)
			if strings.Contains(out.String(), identity) != whole {
				t.Errorf("%s, %s: %s", level, format, &out)
			}
			if !strings.Contains(out.String(), "abababab") || !strings.Contains(out.String(), "7") {
				t.Errorf("%s, %s: %s", level, format, &out)
			}
		}
	}
}

// A record is gone through only as far as needed to know that it quotes nobody, so
// an identity is looked for in each place alone.
func TestLogShortensIdentitiesEverywhere(t *testing.T) {
	identity := strings.Repeat("ab", 32)
	quoting, secret := "shares/"+identity+"/version", "vaults/abababab/wallet/version"
	for where, write := range map[string]func(*slog.Logger, string){
		"message":          func(l *slog.Logger, text string) { l.Info(text, "n", 1) },
		"attribute":        func(l *slog.Logger, text string) { l.Info("m", "n", 1, "text", text) },
		"error":            func(l *slog.Logger, text string) { l.Info("m", "n", 1, "error", errors.New(text)) },
		"group":            func(l *slog.Logger, text string) { l.Info("m", slog.Group("g", "n", 1, "text", text)) },
		"error in a group": func(l *slog.Logger, text string) { l.Info("m", slog.Group("g", "error", errors.New(text))) },
		"valuer":           func(l *slog.Logger, text string) { l.Info("m", "text", valuer(text)) },
		"logger":           func(l *slog.Logger, text string) { l.With("text", text).Info("m") },
		"group of logger":  func(l *slog.Logger, text string) { l.WithGroup("g").With("text", text).Info("m", "n", 1) },
		"below a group":    func(l *slog.Logger, text string) { l.WithGroup("g").Info("m", "text", text) },
	} {
		for _, format := range []string{"text", "json"} {
			for text, want := range map[string]string{quoting: "shares/abababab/version", secret: "vaults/abababab/.../version"} {
				var out bytes.Buffer
				write(newLogger(&out, &Config{LogLevel: "info", LogFormat: format}), text)
				if line := out.String(); !strings.Contains(line, want) || strings.Contains(line, text) {
					t.Errorf("%s, %s: want %s in %s", where, format, want, line)
				}
			}
		}
	}
}

type valuer string

func (v valuer) LogValue() slog.Value { return slog.StringValue(string(v)) }

func TestLastLineShortensIdentities(t *testing.T) {
	identity := strings.Repeat("AB", 32)
	if got := withoutIdentities("getting shares/" + identity + "/version: not a file"); got != "getting shares/ABABABAB/version: not a file" {
		t.Error(got)
	}
}
