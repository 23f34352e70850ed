package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/guardian"
)

// What is configured decides who must prove what; a server that asks nobody for
// anything must be asked for.
func TestOwnershipModes(t *testing.T) {
	const token, open = "GUARDIAN_SERVER_BEARER_TOKEN=secret", "GUARDIAN_UNAUTHENTICATED=1"
	const required, sticky, off = "GUARDIAN_OWNERSHIP=required", "GUARDIAN_OWNERSHIP=sticky", "GUARDIAN_OWNERSHIP=off"
	for _, test := range []struct {
		environ []string
		want    guardian.Ownership
		err     error
	}{
		{nil, guardian.OwnershipRequired, nil},
		{[]string{open}, guardian.OwnershipSticky, nil},
		{[]string{token}, guardian.OwnershipSticky, nil},
		{[]string{token, open}, guardian.OwnershipSticky, nil},
		{[]string{"GUARDIAN_SERVER_BEARER_TOKENS_FILE=tokens.json"}, guardian.OwnershipSticky, nil},
		{[]string{"GUARDIAN_SERVER_BEARER_TOKENS_AWS_SECRET=tokens"}, guardian.OwnershipSticky, nil},
		{[]string{`GUARDIAN_SERVER_BEARER_TOKENS_JSON={"a":"x"}`}, guardian.OwnershipSticky, nil},
		{[]string{required}, guardian.OwnershipRequired, nil},
		{[]string{required, token}, guardian.OwnershipRequired, nil},
		{[]string{required, open}, guardian.OwnershipRequired, nil},
		{[]string{"GUARDIAN_OWNERSHIP=REQUIRED"}, guardian.OwnershipRequired, nil},
		{[]string{sticky}, guardian.OwnershipSticky, errFullyOpen},
		{[]string{sticky, open}, guardian.OwnershipSticky, nil},
		{[]string{sticky, token}, guardian.OwnershipSticky, nil},
		{[]string{off}, guardian.OwnershipOff, errFullyOpen},
		{[]string{off, open}, guardian.OwnershipOff, nil},
		{[]string{off, token}, guardian.OwnershipOff, nil},
	} {
		cfg, err := load(flags{}, noFlags, test.environ)
		if !errors.Is(err, test.err) || cfg.ownership() != test.want {
			t.Errorf("%q: ownership %d, %v", test.environ, cfg.ownership(), err)
		}
	}
}

func TestAudiences(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	loopback := []string{"127.0.0.1:7500", "[::1]:7500", "localhost:7500"}
	everywhere := slices.Concat(loopback, []string{strings.ToLower(name) + ":7500"})
	for _, test := range []struct {
		environ []string
		address string
		want    []string
	}{
		{nil, "0.0.0.0:7500", append([]string{"0.0.0.0:7500"}, everywhere...)},
		{nil, "[::]:7500", append([]string{"[::]:7500"}, everywhere...)},
		{nil, "127.0.0.1:7500", loopback},
		{nil, "localhost:7500", []string{"localhost:7500", "127.0.0.1:7500", "[::1]:7500"}},
		{nil, "10.0.0.7:7500", []string{"10.0.0.7:7500"}},
		{nil, "Guardian-1:7500", []string{"guardian-1:7500"}},
		{nil, "[fe80::1%eth0]:7500", nil},
		{[]string{"GUARDIAN_ADVERTISE_URL=https://G1.example"}, "0.0.0.0:7500", []string{"g1.example:443"}},
		{[]string{"GUARDIAN_ADVERTISE_URL=http://g1.example"}, "127.0.0.1:7500", []string{"g1.example:80"}},
		{
			[]string{"GUARDIAN_ADVERTISE_URL=https://g1.example:7500", "GUARDIAN_AUDIENCES= Balancer.example:443, 10.0.0.7:7500"},
			"0.0.0.0:7500",
			[]string{"g1.example:7500", "balancer.example:443", "10.0.0.7:7500"},
		},
		{[]string{"GUARDIAN_AUDIENCES=10.0.0.7:7500"}, "10.0.0.8:7500", []string{"10.0.0.8:7500", "10.0.0.7:7500"}},
	} {
		cfg, err := loadEnv(test.environ...)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.allAudiences(test.address); !slices.Equal(got, test.want) {
			t.Errorf("%q on %s: %q, want %q", test.environ, test.address, got, test.want)
		}
	}
}

func TestBadAudiencesAreNamed(t *testing.T) {
	for _, list := range []string{"guardian.example", "http://guardian.example:7500", "a:0", "a:1,,b:2", ","} {
		_, err := loadEnv("GUARDIAN_AUDIENCES=" + list)
		if err == nil || !strings.HasPrefix(err.Error(), "GUARDIAN_AUDIENCES: ") {
			t.Errorf("%q: %v", list, err)
		}
	}
}
