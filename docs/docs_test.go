// Package docs_test holds the documents to what is there and to what happens:
// links lead somewhere, commands that are shown run and print what is shown.
package docs_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	root = ".."
	// patience bounds one run of a document's commands.
	patience = 5 * time.Minute
	// attempts bounds how often a document is played again because the machine
	// was so slow that a guardian missed a push the others had acknowledged.
	attempts = 3
	missed   = "without a share:"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		if err := curl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestCommands pastes the ```bash blocks of a document into one shell, one
// after the other. A ```text block right behind one is what it must print.
// Other fences (```sh, ```mermaid) are not run.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	build(t, filepath.Join(dir, "bin"))
	for _, document := range []string{"README.md", "docs/QUICKSTART.md"} {
		t.Run(document, func(t *testing.T) {
			steps := stepsOf(read(t, document))
			if len(steps) < 2 {
				t.Fatalf("found %d blocks to run", len(steps))
			}
			for range attempts {
				ports := freePorts(t)
				outputs, whole := play(t, dir, steps, ports)
				if strings.Contains(whole, missed) {
					continue
				}
				for i, step := range steps {
					if want := ports.in(step.output); !matches(outputs[i], want) {
						t.Errorf("the block\n%s\nprints\n%s\nnot\n%s", step.commands, outputs[i], want)
					}
				}
				return
			}
			t.Fatalf("a guardian missed a push %d times", attempts)
		})
	}
}

// build puts both programs, and a curl where there is none, into dir.
func build(t *testing.T, dir string) {
	t.Helper()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/guardian", "./cmd/guardianctl")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	if _, err := exec.LookPath("curl"); err == nil {
		return
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(dir, "curl"))
	}
	if err != nil {
		t.Fatalf("standing in for curl: %v", err)
	}
}

// step is a block of commands and the output shown behind it.
type step struct{ commands, output string }

var blocks = regexp.MustCompile("(?m)^```bash\n((?s:.*?))^```\n(?:\n```text\n((?s:.*?))^```\n)?")

func stepsOf(document string) (steps []step) {
	for _, found := range blocks.FindAllStringSubmatch(document, -1) {
		steps = append(steps, step{found[1], found[2]})
	}
	return steps
}

const endOfStep = "=== end of step"

// play runs the steps in a shell in dir and returns what each printed. All
// processes that it started are gone when it returns.
func play(t *testing.T, dir string, steps []step, ports ports) (outputs []string, whole string) {
	t.Helper()
	script := "set -euo pipefail\n"
	for _, step := range steps {
		script += ports.in(step.commands) + "echo '" + endOfStep + "'\n"
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir, shell.Env = dir, environment(t)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it starts is in its group
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = time.Second
	out, err := combined(shell)
	if err != nil {
		t.Fatalf("running the commands: %v\n%s", err, out)
	}
	outputs = strings.Split(out, endOfStep+"\n")
	if len(outputs) != len(steps)+1 {
		t.Fatalf("%d steps printed %d times:\n%s", len(steps), len(outputs)-1, out)
	}
	return outputs, out
}

// combined is CombinedOutput that leaves no member of the group behind.
func combined(shell *exec.Cmd) (string, error) {
	var out bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &out
	if err := shell.Start(); err != nil {
		return "", err
	}
	err := shell.Wait()
	_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // fails when nobody is left
	return out.String(), err
}

// environment is ours without what would configure guardians.
func environment(t *testing.T) []string {
	t.Helper()
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GUARDIAN") || strings.HasPrefix(v, "TMPDIR=")
	})
	return append(environ, "TMPDIR="+t.TempDir())
}

var durations = regexp.MustCompile(`\b[0-9.]+(µs|ms|s)(\s|$)`)

// matches compares what is printed with what is shown, up to white space and
// durations.
func matches(got, want string) bool {
	if want == "" {
		return true
	}
	normal := func(s string) string {
		return strings.Join(strings.Fields(durations.ReplaceAllString(s, "T ")), " ")
	}
	return normal(got) == normal(want)
}

// ports stand in for 7500 to 7505: they are ten times this, and the five above.
type ports int

var shownPorts = regexp.MustCompile(`\b750([0-5]|\$i)`)

func (p ports) in(text string) string {
	return shownPorts.ReplaceAllString(text, fmt.Sprintf("%d$1", p))
}

// freePorts looks below what systems give to connections and to port 0, so
// that no other test is given them meanwhile.
func freePorts(t *testing.T) ports {
	t.Helper()
	for range 100 {
		if p := ports(1500 + rand.N(1500)); p.free() {
			return p
		}
	}
	t.Fatal("found no six free ports")
	return 0
}

func (p ports) free() bool {
	for i := range 6 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", int(p)*10+i))
		if err != nil {
			return false
		}
		listener.Close()
	}
	return true
}

// TestLinks follows every relative link of every document.
func TestLinks(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for _, document := range documents(t) {
		for _, link := range links.FindAllStringSubmatch(prose(read(t, document)), -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(link[1], "#")
			target := document
			if file != "" {
				target = filepath.Join(filepath.Dir(document), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", document, link[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s links to %s: %s has no such heading", document, link[1], target)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d links found", checked)
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*.md")
	if err != nil || len(found) == 0 {
		t.Fatalf("found no documents: %v", err)
	}
	all := []string{"README.md"}
	for _, name := range found {
		all = append(all, filepath.Join("docs", name))
	}
	return all
}

var fences = regexp.MustCompile("(?ms)^```.*?^```$")

// prose is a document without its blocks of code.
func prose(document string) string { return fences.ReplaceAllString(document, "") }

// anchors are the names that a document's headings have in links.
func anchors(document string) (all []string) {
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(prose(document), -1) {
		name := dropped.ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

// TestSetUp: what a newcomer runs first comes first.
func TestSetUp(t *testing.T) {
	_, setUp, found := strings.Cut(read(t, "README.md"), "\n## Set-up\n")
	if !found || !strings.HasPrefix(setUp, "\n```sh\nmake demo\nmake test\n```\n") {
		t.Errorf("the set-up does not begin with make demo and make test: %.80q", setUp)
	}
}

// TestDiagram: the arrows of the architecture are the imports of the code.
func TestDiagram(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{$from := .ImportPath}}{{range .Imports}}{{$from}} {{.}}{{"\n"}}{{end}}`, "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing imports: %v", err)
	}
	imports := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		const module = "github.com/vault-guardian/guardian/"
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		if to, ours := strings.CutPrefix(to, module); ours {
			imports[strings.TrimPrefix(from, module)+" --> "+to] = true
		}
	}
	drawn := map[string]bool{}
	for _, arrow := range regexp.MustCompile(`(?m)^ +(\S+) --> (.+)$`).FindAllStringSubmatch(read(t, "docs/ARCHITECTURE.md"), -1) {
		for to := range strings.SplitSeq(arrow[2], " & ") {
			drawn[arrow[1]+" --> "+to] = true
		}
	}
	for arrow := range maps.Keys(imports) {
		if !drawn[arrow] {
			t.Errorf("not drawn: %s", arrow)
		}
	}
	for arrow := range maps.Keys(drawn) {
		if !imports[arrow] {
			t.Errorf("drawn but not there: %s", arrow)
		}
	}
}

func read(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// curl stands in where there is none, for the options that the documents use.
func curl(args []string) error {
	request, err := http.NewRequest(http.MethodGet, "", http.NoBody)
	if err != nil {
		return err
	}
	body, out := "", "/dev/stdout"
	for len(args) > 0 {
		option, value := args[0], ""
		args = args[1:]
		if slices.Contains([]string{"-X", "-H", "-d", "-o", "--retry"}, option) {
			value, args = args[0], args[1:]
		}
		switch option {
		case "-X":
			request.Method = value
		case "-H":
			name, content, _ := strings.Cut(value, ": ")
			request.Header.Set(name, content)
		case "-d":
			body = value
		case "-o":
			out = value
		case "-s", "--retry", "--retry-connrefused":
		default:
			if request.URL, err = request.URL.Parse(option); err != nil {
				return err
			}
		}
	}
	return exchange(request, body, out)
}

// exchange tries until somebody answers.
func exchange(request *http.Request, body, out string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		request.Body = io.NopCloser(strings.NewReader(body))
		response, err := http.DefaultClient.Do(request)
		if err != nil && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return err
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		file, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		_, err = file.Write(answer)
		return err
	}
}
