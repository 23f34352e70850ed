package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/limit"
)

func TestLimitsByDefault(t *testing.T) {
	for name, test := range map[string]struct {
		environ              []string
		perAddress, inFlight int
	}{
		"without tokens":     {nil, 120, 16},
		"with a token":       {[]string{"GUARDIAN_SERVER_BEARER_TOKEN=x"}, 120, 16},
		"open":               {[]string{"GUARDIAN_UNAUTHENTICATED=1"}, 0, 0},
		"open, set":          {[]string{"GUARDIAN_UNAUTHENTICATED=1", "GUARDIAN_RATE_LIMIT_PER_ADDRESS=120"}, 120, 0},
		"open, one set":      {[]string{"GUARDIAN_UNAUTHENTICATED=1", "GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR=2"}, 0, 2},
		"turned off":         {[]string{"GUARDIAN_RATE_LIMIT_PER_ADDRESS=0"}, 0, 16},
		"set to nothing":     {[]string{"GUARDIAN_RATE_LIMIT_PER_ADDRESS="}, 120, 16},
		"not open after all": {[]string{"GUARDIAN_UNAUTHENTICATED=no"}, 120, 16},
	} {
		cfg, err := load(flags{}, noFlags, test.environ)
		if err != nil || cfg.RateLimitPerAddress != test.perAddress || cfg.MaxInFlightPerActor != test.inFlight {
			t.Errorf("%s: %d per address, %d in flight, %v", name, cfg.RateLimitPerAddress, cfg.MaxInFlightPerActor, err)
		}
	}
}

func TestListsOfLimits(t *testing.T) {
	cfg, err := loadEnv("GUARDIAN_TRUSTED_PROXIES=10.0.0.0/8, ::1", "GUARDIAN_RATE_LIMIT_EXEMPT=192.0.2.7", "GUARDIAN_GATEWAY_ACTORS= gateway , other")
	if err != nil {
		t.Fatal(err)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}; !slices.Equal(cfg.trustedProxies, want) {
		t.Errorf("trusted proxies %v", cfg.trustedProxies)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}; !slices.Equal(cfg.exemptAddrs, want) {
		t.Errorf("exempt %v", cfg.exemptAddrs)
	}
	if want := []string{"gateway", "other"}; !slices.Equal(cfg.gatewayActors, want) {
		t.Errorf("gateway actors %q", cfg.gatewayActors)
	}
}

func TestBadLimitsAreNamed(t *testing.T) {
	for variable, value := range map[string]string{
		"GUARDIAN_RATE_LIMIT_PER_ADDRESS":    "-1",
		"GUARDIAN_RATE_LIMIT_WRITES":         "-1",
		"GUARDIAN_RATE_LIMIT_READS":          "-1",
		"GUARDIAN_RATE_LIMIT_NEW_IDENTITIES": "-1",
		"GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR":   "-1",
		"GUARDIAN_QUOTA_BYTES":               "-1",
		"GUARDIAN_TRUSTED_PROXIES":           "10.0.0.0/8,,::1",
		"GUARDIAN_RATE_LIMIT_EXEMPT":         "example.com",
		"GUARDIAN_GATEWAY_ACTORS":            "gateway,",
	} {
		_, err := loadEnv(variable + "=" + value)
		if err == nil || !strings.HasPrefix(err.Error(), variable+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s=%s: %v", variable, value, err)
		}
	}
}

// Each number binds what it is named for.
func TestLimitsAreHandedOn(t *testing.T) {
	someone := limit.Caller{Actor: "a", Address: netip.MustParseAddr("192.0.2.1")}
	for variable, use := range map[string]func(*limit.Limits) bool{
		"GUARDIAN_RATE_LIMIT_PER_ADDRESS":  func(l *limit.Limits) bool { _, ok := l.Address(someone); return ok },
		"GUARDIAN_RATE_LIMIT_WRITES":       func(l *limit.Limits) bool { _, ok := l.Write("i"); return ok },
		"GUARDIAN_RATE_LIMIT_READS":        func(l *limit.Limits) bool { _, ok := l.Read("i"); return ok },
		"GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR": func(l *limit.Limits) bool { _, ok := l.Acquire(someone); return ok },
		"GUARDIAN_RATE_LIMIT_NEW_IDENTITIES": func(l *limit.Limits) bool {
			_, ok := l.MayCreate(someone)
			l.Created(someone)
			return ok
		},
	} {
		cfg, err := loadEnv(variable + "=1")
		if err != nil {
			t.Fatal(err)
		}
		limits := cfg.limits(nil)
		if first, second := use(limits), use(limits); !first || second {
			t.Errorf("%s=1: the first may %v, the second may %v", variable, first, second)
		}
		cfg, err = loadEnv(variable+"=1", "GUARDIAN_RATE_LIMIT_EXEMPT=192.0.2.0/24")
		if err != nil {
			t.Fatal(err)
		}
		limits = cfg.limits(nil)
		ofIdentity := strings.HasSuffix(variable, "_READS") || strings.HasSuffix(variable, "_WRITES")
		if first, second := use(limits), use(limits); !first || second == ofIdentity {
			t.Errorf("%s=1, exempt: the first may %v, the second may %v", variable, first, second)
		}
	}
}
