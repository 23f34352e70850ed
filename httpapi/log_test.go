package httpapi_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/httpapi"
)

func TestLogLines(t *testing.T) {
	p := start(t, nil)
	p.post(t, pushRoute, goodPush)
	p.post(t, pushRoute, goodPush)
	p.post(t, pullRoute, pullBody(id))
	p.post(t, deleteCall, `{"identity":"`+id+`","version":1}`)
	log := p.log.String()
	for _, line := range []string{
		`msg="stored share for identity aaaaaaaa (15 bytes, version 1)" identity=aaaaaaaa bytes=15 version=1`,
		`msg="rejected rollback for aaaaaaaa: version 1 <= current 1" identity=aaaaaaaa version=1 current=1`,
		`msg="served share for identity aaaaaaaa (15 bytes)" identity=aaaaaaaa bytes=15 version=1`,
		`msg="deleted share for identity aaaaaaaa (version 1)" identity=aaaaaaaa version=1`,
	} {
		if !strings.Contains(log, line) {
			t.Errorf("not in the log: %s", line)
		}
	}
	if strings.Contains(log, "aaaaaaaaa") || strings.Contains(log, testShare) {
		t.Errorf("too much in the log:\n%s", log)
	}
}

func TestWholeIdentityAtDebugLevelOnly(t *testing.T) {
	p := start(t, nil, atDebug)
	p.post(t, pushRoute, goodPush)
	if line := "stored share for identity " + id + " (15 bytes, version 1)"; !strings.Contains(p.log.String(), line) {
		t.Errorf("not in the log at debug level: %s", line)
	}
}

func TestServerErrorsReachTheLog(t *testing.T) {
	log := &logBuffer{}
	server := httpapi.NewServer(nil, 30*time.Second, slog.New(slog.NewTextHandler(log, nil)))
	server.ErrorLog.Printf("http: Accept error: too many open files; retrying in 5ms")
	server.ErrorLog.Printf("http: superfluous thing from 1.2.3.4:5")
	for _, line := range []string{
		`level=ERROR msg="accept error: too many open files; retrying in 5ms"`,
		`level=WARN msg="connection error: superfluous thing from 1.2.3.4:5"`,
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("not in the log: %s\n%s", line, log)
		}
	}
}

func TestEveryPhaseHasATimeout(t *testing.T) {
	server := httpapi.NewServer(nil, 30*time.Second, slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout != 10*time.Second || server.ReadTimeout != 30*time.Second || server.IdleTimeout != 120*time.Second {
		t.Errorf("timeouts are %v, %v, %v", server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout)
	}
	if server.WriteTimeout <= server.ReadTimeout || server.MaxHeaderBytes == 0 {
		t.Errorf("write timeout %v, header limit %d", server.WriteTimeout, server.MaxHeaderBytes)
	}
}
