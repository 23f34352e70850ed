package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/envelope"
)

// A short campaign, with all that it is made of.
func TestChaos(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "chaos", "--duration", "15s", "--json")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	var r chaosReport
	if decoded := json.Unmarshal(stdout, &r); decoded != nil || err != nil || stderr.Len() != 0 {
		t.Fatalf("chaos: %v, %v, %s\n%s\n%s", err, decoded, &stderr, stdout, lastEvents(r.Directory))
	}
	if !r.Held || r.Seed == 0 || r.Recovered < 5 || r.Stored < chaosSecrets || r.Killed+r.Stopped+r.Damaged == 0 || r.Directory != "" {
		t.Errorf("it came to %s", stdout)
	}
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	if n := running(t, temp); n != 0 {
		t.Errorf("%d guardians are left", n)
	}
}

func lastEvents(dir string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "events.log"))
	return string(text[max(0, len(text)-4000):])
}

// More than the design bears must not be borne in silence.
func TestChaosNotices(t *testing.T) {
	t.Parallel()
	s, _ := testStage(t)
	c := newChaos(s, chaosOptions{duration: time.Minute, size: leastGuardians, seed: 1})
	c.bearing = 5 * time.Second
	disturbed := false
	c.disturb = func() {
		if disturbed {
			return
		}
		disturbed = true
		for _, secret := range c.secrets {
			if err := c.steal(secret, c.everybody()[:5]); err != nil {
				t.Error(err)
			}
		}
	}
	err := c.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "could not be recovered for 5s") || !strings.Contains(advised(err).advice, c.dir) {
		t.Fatalf("the campaign ended with %v", err)
	}
	if c.report.Held || c.report.Directory != c.dir || lastEvents(c.dir) == "" {
		t.Errorf("it reports %+v", c.report)
	}
	for _, p := range c.started {
		wantEnded(t, p)
	}
	var out bytes.Buffer
	if err := c.print(&out); err != nil || strings.Contains(out.String(), "All of it held") || !strings.Contains(out.String(), "kept: "+c.dir) {
		t.Errorf("it prints %s, %v", &out, err)
	}
}

// What a secret may be, and what it must not be any more.
func TestChaosCompares(t *testing.T) {
	t.Parallel()
	root, err := envelope.FromKeyFile(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &chaosSecret{number: 1, root: root, texts: map[string]int{"one": 1, "two": 2, "three": 3, "four": 4}, acked: 2, version: 7}
	for name, test := range map[string]struct {
		text    string
		version uint64
		right   bool
	}{
		"what was acknowledged":     {"two", 7, true},
		"what was stored since":     {"four", 9, true},
		"what was stored before":    {"one", 7, false},
		"a lower version":           {"two", 6, false},
		"an old one, at a new time": {"one", 9, false},
		"what was never stored":     {"five", 8, false},
		"nothing":                   {"", 7, false},
	} {
		number, least := s.settled()
		if err := s.check([]byte(test.text), test.version, number, least); (err == nil) != test.right || err != nil && !errors.Is(err, errLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Choices repeat with the seed.
func TestChaosSeed(t *testing.T) {
	t.Parallel()
	drawn := func(seed, actor uint64) (all []int) {
		c := &chaos{chaosOptions: chaosOptions{seed: seed}}
		choices := c.choices(actor)
		for range 20 {
			all = append(all, choices.IntN(1000))
		}
		return all
	}
	same := func(a, b []int) bool { return strings.EqualFold(jsonText(a), jsonText(b)) }
	if !same(drawn(1, 2), drawn(1, 2)) || same(drawn(1, 2), drawn(2, 2)) || same(drawn(1, 2), drawn(1, 3)) {
		t.Error("choices do not go by the seed and the actor")
	}
	c := newChaos(stage{out: io.Discard}, chaosOptions{size: 9, seed: 5})
	for range 100 {
		order := c.anotherOrder(c.choices(3))
		if n := len(order.Members); order.Threshold > n-3 || n < chaosHolders || n > chaosHolders+1 {
			t.Errorf("it orders %+v", order)
		}
	}
}

func jsonText(value any) string {
	text, _ := json.Marshal(value) // numbers can be encoded
	return string(text)
}

func TestChaosRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--duration", "4s"},
		{"--duration", "-1m"},
		{"--duration", "1000h"},
		{"--duration", "soon"},
		{"--guardians", "6"},
		{"--guardians", "21"},
		{"--seed", "-1"},
		{"--seed", "x"},
		{"now"},
	} {
		_, errs := guardianctl(t, exitUsage, append([]string{"chaos"}, args...)...)
		wantText(t, errs, "next: ")
	}
}

// steal removes all that guardians have of a secret.
func (c *chaos) steal(s *chaosSecret, guardians []int) error {
	for _, i := range guardians {
		if err := removeTree(filepath.Join(c.storage(i), "shares", s.root.Identity())); err != nil {
			return err
		}
	}
	return nil
}

// While all heal, the line of progress tells what is waited for, and is short.
func TestChaosLine(t *testing.T) {
	t.Parallel()
	s, _ := testStage(t)
	c := newChaos(s, chaosOptions{size: leastGuardians})
	c.report.Killed = 3
	wantText(t, c.line(7), "7 s: recovered 0 times", "killed 3")
	c.unhealed = "guardian-2: it has not scrubbed yet" + strings.Repeat(" and so on", 100)
	line := c.line(70)
	wantText(t, line, "70 s: ", "waiting until all have healed: guardian-2: it has not scrubbed yet")
	if len(line) > 160 {
		t.Errorf("it has %d bytes: %s", len(line), line)
	}
}
