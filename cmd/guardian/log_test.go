package main

import (
	"bytes"
	"errors"
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

func TestLastLineShortensIdentities(t *testing.T) {
	identity := strings.Repeat("AB", 32)
	if got := withoutIdentities("getting shares/" + identity + "/version: not a file"); got != "getting shares/ABABABAB/version: not a file" {
		t.Error(got)
	}
}
