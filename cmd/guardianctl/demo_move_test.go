package main

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/shamir"
)

// moveShape is what the demo says, in this order; between the lines there may be
// others.
var moveShape = []string{
	`1\. Start five guardians under a roster that is signed`,
	`guardian-5: pid \d+, http://127\.0\.0\.1:\d+`,
	`each of the 5 lists all 5, with K = 3 and W = 4:`,
	`guardian-5 +5 +alive .*`,
	`2\. Store a file, and permit six holders`,
	`opticks\.txt: 431021 bytes, version \d, stored by 5 guardians; any 3 rebuild it`,
	`its manifest, signed by the owner: at most 6 holders, admitted by [0-9a-f]{8}\.\.\.`,
	`3\. Refresh: all five deal each other new shares, and erase the old ones`,
	` *\d+\.\ds  the round is committed: epoch 1`,
	`guardian-1, guardian-2, guardian-3, guardian-4, guardian-5 hold new shares of version \d, of which any 3 rebuild it: 431021 bytes,`,
	`identical to the original; shares stolen before do not fit to new ones, and are erased`,
	`4\. Admit a sixth guardian, and give it a share`,
	`guardian-6: pid \d+, in the roster with serial 6`,
	` *\d+\.\ds  the round is committed: epoch 2`,
	`guardian-1, .*, guardian-5, guardian-6 hold new shares of version \d, of which any 3 rebuild it: 431021 bytes,`,
	`5\. Kill two for good: another takes the place of one, the other is dropped`,
	`guardian-2: killed, and its storage is gone`,
	`guardian-3: killed, and its storage is gone`,
	`guardian-7: pid \d+, in the roster with serial 7`,
	` *\d+\.\ds  the round is committed: epoch 3`,
	`guardian-1, guardian-4, guardian-5, guardian-6, guardian-7 hold new shares of version \d, of which any 3 rebuild it: 431021 bytes,`,
	`6\. Raise the threshold from 3 to 4`,
	` *\d+\.\ds  the round is committed: epoch 4`,
	`guardian-1, guardian-4, guardian-5, guardian-6, guardian-7 hold new shares of version \d, of which any 4 rebuild it: 431021 bytes,`,
	`identical to the original; shares stolen before do not fit to new ones, and are erased`,
	`7\. Store the file once more: what the owner does goes on as ever`,
	`version \d, of epoch 0 again: 431021 bytes, identical to the original`,
	`All of it held\.`,
	`Next:`,
}

func TestDemoMove(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	cmd := exec.Command(filepath.Join(binaries, "guardianctl"), "demo", "--move")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil || stderr.Len() != 0 {
		t.Fatalf("demo: %v, %s\n%s", err, &stderr, stdout)
	}
	wantShape(t, string(stdout), moveShape)
	if left, _ := os.ReadDir(temp); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	versions := regexp.MustCompile(`new shares of version (\d+)`).FindAllStringSubmatch(string(stdout), -1)
	for _, version := range versions {
		if version[1] != versions[0][1] {
			t.Errorf("a move went to version %s, from %s", version[1], versions[0][1])
		}
	}
}

// Who was killed for good cannot be started again, nor who never was started.
func TestDemoMoveKeepsWhoIsLeft(t *testing.T) {
	t.Parallel()
	s, out := testStage(t)
	m := newMoveDemo(s)
	m.dir = t.TempDir()
	var err error
	if _, m.admission, err = ed25519.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	m.printKept(m)
	if said := out.String(); !strings.Contains(said, "Kept: "+m.dir) || strings.Contains(said, "start") {
		t.Errorf("of no guardian it says:\n%s", said)
	}
	for _, i := range []int{0, 3, 6} {
		if err := os.Mkdir(m.storage(i), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	m.printKept(m)
	said := out.String()
	nodes := regexp.MustCompile(`GUARDIAN_NODE_ID=guardian-(\d) GUARDIAN_BIND=127\.0\.0\.1:750(\d) .*GUARDIAN_ADMISSION_KEY=[0-9a-f]{64} `).FindAllStringSubmatch(said, -1)
	if len(nodes) != 3 || nodes[0][1] != "1" || nodes[1][1] != "4" || nodes[2][1] != "7" || nodes[2][2] != "7" {
		t.Errorf("it starts %q:\n%s", nodes, said)
	}
	wantText(t, said, " --guardians http://127.0.0.1:7501,http://127.0.0.1:7504,http://127.0.0.1:7507\n")
}

// movePart is some steps of the demonstration.
type movePart struct {
	*moveDemo
	names []string
}

func (p movePart) steps() []demoStep {
	return slices.DeleteFunc(p.moveDemo.steps(), func(step demoStep) bool { return !slices.Contains(p.names, step.name) })
}

const untilStored = "start store "

// brokenMoveSteps are ways to break a step; rare ones are tried by the full
// campaigns only.
var brokenMoveSteps = []struct {
	name, steps string // the last one is broken
	want        string // in the error
	rare        bool
	sabotage    func(t *testing.T, m *moveDemo, step string) // before each step
}{
	{"a guardian that ends at once", "start", "it ended or was not ready", false, func(t *testing.T, m *moveDemo, _ string) {
		m.binary = script(t, "exit 0")
	}},
	{"a roster of others", "start", "lists", true, before("start", func(t *testing.T, m *moveDemo) {
		m.wrap(t, "GUARDIAN_ADMISSION_KEY="+strings.Repeat("ab", 32))
	})},
	{"an old share that is left", untilStored + "refresh", "guardian-2 has 2 shares", false, before("refresh", func(t *testing.T, m *moveDemo) {
		m.leave(t, 1, m.old[1])
	})},
	{"one that keeps its old share", untilStored + "refresh", "guardian-5 has still its old share", false, before("refresh", func(_ *testing.T, m *moveDemo) {
		m.guardians[4].kill() // the others go on without it
	})},
	{"another version", untilStored + "refresh", "with K = 3 was recovered, want version", false, before("refresh", func(_ *testing.T, m *moveDemo) {
		m.version++
	})},
	{"another threshold", untilStored + "refresh", "with K = 3", true, before("refresh", func(_ *testing.T, m *moveDemo) { m.threshold = 2 })},
	{"another file", untilStored + "refresh", "not the file that was stored", true, before("refresh", func(_ *testing.T, m *moveDemo) {
		m.secret = []byte("another text")
	})},
	{"too few holders", untilStored + "refresh", "0 shares moved, 0 refused, 1 failed", false, before("refresh", func(_ *testing.T, m *moveDemo) {
		m.guardians[3].kill()
		m.guardians[4].kill()
	})},
	{"an owner who trusts another key", untilStored + "join", "0 shares moved, 1 refused, 0 failed", false, trustsAnother()},
	{"a sixth that does not start", untilStored + "join", "starting guardian-6", true, before("join", func(t *testing.T, m *moveDemo) {
		m.binary = script(t, "exit 0")
	})},
	{"a store that goes nowhere", untilStored + "update", "it was stored at version", true, before("update", func(_ *testing.T, m *moveDemo) {
		m.version = 99
	})},
}

func before(step string, do func(t *testing.T, m *moveDemo)) func(*testing.T, *moveDemo, string) {
	return func(t *testing.T, m *moveDemo, at string) {
		if at == step {
			do(t, m)
		}
	}
}

// trustsAnother has the owner name a key that has signed no roster.
func trustsAnother() func(*testing.T, *moveDemo, string) {
	var signs ed25519.PrivateKey
	return func(t *testing.T, m *moveDemo, step string) {
		switch step {
		case "store":
			_, another, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			signs, m.admission = m.admission, another
		case "join":
			m.admission = signs
		}
	}
}

// leave puts a second share into the place of the file's.
func (m *moveDemo) leave(t *testing.T, i int, share []byte) {
	t.Helper()
	dir := filepath.Join(m.storage(i), "shares", m.root.Identity(), "left")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "share.bin"), share, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each must end the demo at that very step.
func TestDemoMoveNoticesABrokenStep(t *testing.T) {
	for _, test := range brokenMoveSteps {
		if test.rare && os.Getenv("GUARDIAN_TEST_LONG") != "1" {
			continue
		}
		t.Run(test.name, func(t *testing.T) { wantMoveBroken(t, strings.Fields(test.steps), test.want, test.sabotage) })
	}
}

func wantMoveBroken(t *testing.T, steps []string, want string, sabotage func(*testing.T, *moveDemo, string)) {
	s, out := testStage(t)
	m, last := newMoveDemo(s), steps[len(steps)-1]
	m.before = func(step string) {
		if sabotage(t, m, step); step == last {
			m.patience = 10 * time.Second
		}
	}
	err := m.perform(t.Context(), false, movePart{m, steps})
	if err == nil || !strings.Contains(err.Error(), "("+last+")") || !strings.Contains(err.Error(), want) {
		t.Fatalf("the demo ended with %v, not in step %s with %q:\n%s", err, last, want, out)
	}
	if code := advised(err).code; code == exitOK {
		t.Errorf("exit code %d", code)
	}
	wantNothingLeft(t, &m.stage)
}

// An old share that fits to new ones is one of the same dealing.
func TestOldSharesThatFit(t *testing.T) {
	t.Parallel()
	root, err := envelope.FromKeyFile(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	dealing := func() [][]byte {
		shares, err := shamir.Split([]byte("a text that is long enough"), 3, []byte{1, 2, 3, 4, 5})
		if err != nil {
			t.Fatal(err)
		}
		return shares
	}
	now, before := dealing(), dealing()
	for name, test := range map[string]struct {
		old  [][]byte
		fits bool
	}{
		"none":                     {nil, false},
		"all of a dealing before":  {before, false},
		"one of the same":          {[][]byte{now[4]}, true},
		"one of the same, at last": {append(slices.Clone(before), now[0]), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := testStage(t)
			m := newMoveDemo(s)
			m.dir, m.root = t.TempDir(), root
			for i, share := range now {
				if err := os.MkdirAll(filepath.Join(m.storage(i), "shares", root.Identity()), 0o700); err != nil {
					t.Fatal(err)
				}
				m.leave(t, i, share)
			}
			m.old = test.old
			if err := m.doNotMix([]int{0, 1, 2, 3, 4}, 3); (err != nil) != test.fits {
				t.Errorf("mixing ended with %v", err)
			}
		})
	}
}
