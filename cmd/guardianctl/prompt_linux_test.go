package main

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/guardiantest"
)

const typedPassphrase = "abacus-abdomen-abdominal-abide-abiding-ability-ablaze"

// storedByWords keeps storedSecret for new words.
func storedByWords(t *testing.T, cluster *guardiantest.Cluster) (words string) {
	t.Helper()
	words, err := envelope.NewMnemonic()
	if err != nil {
		t.Fatal(err)
	}
	root, err := envelope.FromMnemonic(words)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := client.NewVault(cluster.URLs(), nil, 0, client.WithRoot(root))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Store(t.Context(), root.Identity(), []byte(storedSecret)); err != nil {
		t.Fatal(err)
	}
	return words
}

// hold keeps all requests of a route waiting until release is called, which may
// be never; held is closed at the first.
func hold(t *testing.T, cluster *guardiantest.Cluster, route string) (held <-chan struct{}, release func()) {
	t.Helper()
	first, released := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(first) })
	for i := range cluster.URLs() {
		cluster.Front(i, func(own http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == route {
					once()
					select {
					case <-released:
					case <-r.Context().Done():
					}
				}
				own.ServeHTTP(w, r)
			})
		})
	}
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return first, release
}

// pairs are what gives words away: one alone may be a word of the program's.
func pairs(words string) (all []string) {
	list := strings.Fields(words)
	for i := range list[1:] {
		all = append(all, list[i]+" "+list[i+1])
	}
	return all
}

func wantWithout(t *testing.T, where, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s gives %q away: %q", where, secret, text)
		}
	}
}

// Of what is typed nothing is seen, while it is used and after.
func TestTypedSecretsStayInMemory(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	words := storedByWords(t, cluster)
	held, release := hold(t, cluster, api.RoutePull)
	c := startConsole(t, false, cluster.URLs(), "recover", "--mnemonic", "-o", "out.txt", "--timeout", "5m")
	c.await("The 24 words (not shown): ")
	if c.mode().Lflag&unix.ECHO != 0 {
		t.Error("the terminal echoes")
	}
	c.typed(words + "\r")
	<-held
	secrets := append(pairs(words), storedSecret)
	wantWithout(t, "the process list", strings.ReplaceAll(c.proc("cmdline"), "\x00", " "), secrets...)
	wantWithout(t, "the environment", c.proc("environ"), secrets...)
	for path, text := range c.files() {
		wantWithout(t, path, text, secrets...)
	}
	if limits := c.proc("limits"); !regexp.MustCompile(`Max core file size +0 +0 `).MatchString(limits) {
		t.Errorf("it may dump core:\n%s", limits)
	}
	release()
	if code := c.ends(); code != exitOK {
		t.Fatalf("exit code %d: %s", code, c.shown())
	}
	wantWithout(t, "the terminal", c.shown(), secrets...)
	for path, text := range c.files() {
		if text != storedSecret || !strings.HasSuffix(path, "/out.txt") {
			t.Errorf("%s holds %q", path, text)
		}
	}
}

// Whatever ends a prompt, the terminal is what it was and nothing is left.
func TestPromptsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(c *console)
		want string
	}{
		"Ctrl-C":             {func(c *console) { c.typed("\x03") }, "next: interrupted"},
		"Ctrl-C after words": {func(c *console) { c.typed("zoo zoo\rzoo \x03") }, "next: interrupted"},
		"Ctrl-D":             {func(c *console) { c.typed("\x04") }, "next: run the command again"},
		"SIGTERM":            {func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGTERM) }, "next: interrupted"},
		"SIGINT":             {func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGINT) }, "next: interrupted"},
		"SIGHUP":             {func(c *console) { _ = c.cmd.Process.Signal(syscall.SIGHUP) }, "next: interrupted"},
		"an empty line":      {func(c *console) { c.typed("\r") }, "0 words were given"},
		"too long":           {func(c *console) { c.typed(strings.Repeat("zoo ", 2000) + "\r") }, "not a recovery phrase"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startConsole(t, false, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, "recover", "--mnemonic", "-o", "out.txt")
			c.await("(not shown): ")
			test.end(c)
			if code := c.ends(); code == exitOK || !strings.Contains(c.shown(), test.want) {
				t.Errorf("exit code %d: %q", code, c.shown())
			}
			wantWithout(t, "the terminal", c.shown(), "zoo")
			c.wantNoFiles()
		})
	}
}

// resident is the memory in use, in KiB.
func (c *console) resident() int {
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(c.proc("status"))
	if found == nil {
		return 0 // it has ended
	}
	size, err := strconv.Atoi(found[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return size
}

func TestInterruptedWhileDeriving(t *testing.T) {
	t.Parallel()
	c := startConsole(t, false, []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, "recover", "--user", "joe", "-o", "out.txt")
	c.await("Passphrase of joe (not shown): ")
	c.typed(typedPassphrase + "\r")
	eventually(t, "deriving", func() bool { return c.resident() > 100<<10 }) // it takes 512 MiB by and by
	c.typed("\x03")
	if code := c.ends(); code != exitFailure || !strings.Contains(c.shown(), "next: interrupted") {
		t.Errorf("exit code %d: %q", code, c.shown())
	}
	wantWithout(t, "the terminal", c.shown(), typedPassphrase)
	c.wantNoFiles()
}

func TestInterruptedWhilePulling(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	words := storedByWords(t, cluster)
	held, _ := hold(t, cluster, api.RoutePull)
	c := startConsole(t, false, cluster.URLs(), "recover", "--mnemonic", "-o", "out.txt", "--timeout", "5m")
	c.await("(not shown): ")
	c.typed(words + "\r")
	<-held
	c.typed("\x03")
	if code := c.ends(); code != exitFailure || !strings.Contains(c.shown(), "next: interrupted") {
		t.Errorf("exit code %d: %q", code, c.shown())
	}
	c.wantNoFiles()
}

// A terminal that is not the controlling one does as well.
func TestPromptWithoutControllingTerminal(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 3)
	words := storedByWords(t, cluster)
	c := startConsole(t, true, cluster.URLs(), "recover", "--mnemonic", "-o", "out.txt")
	c.await("(not shown): ")
	if c.mode().Lflag&unix.ECHO != 0 {
		t.Error("the terminal echoes")
	}
	c.typed(words + "\r")
	if code := c.ends(); code != exitOK {
		t.Errorf("exit code %d: %q", code, c.shown())
	}
	wantWithout(t, "the terminal", c.shown(), pairs(words)...)
}

func TestWordsAreShownOnATerminal(t *testing.T) {
	t.Parallel()
	c := startConsole(t, false, nil, "keygen", "mnemonic")
	if code := c.ends(); code != exitOK {
		t.Fatalf("exit code %d: %q", code, c.shown())
	}
	c.await("to use them: guardianctl store FILE --mnemonic")
	words := make([]string, mnemonicWords)
	for _, found := range regexp.MustCompile(`\b(\d\d?) ([a-z]{3,8})\b`).FindAllStringSubmatch(c.shown(), -1) {
		if n, err := strconv.Atoi(found[1]); err == nil && n >= 1 && n <= len(words) {
			words[n-1] = found[2]
		}
	}
	root, err := envelope.FromMnemonic(strings.Join(words, " "))
	if err != nil || !strings.Contains(c.shown(), "identity: "+root.Identity()) {
		t.Errorf("the words are not what the table numbers: %v\n%s", err, c.shown())
	}
	c.wantNoFiles()
}

// A passphrase is shown when it opens something, and not before.
func TestPassphraseIsShownOnceStored(t *testing.T) {
	t.Parallel()
	passphrases := regexp.MustCompile(`[a-z]+(-[a-z]+){6}`)
	cluster := guardiantest.New(t, 3)
	held, release := hold(t, cluster, api.RoutePush)
	c := startConsole(t, false, cluster.URLs(), "keygen", "passphrase", "--user", "joe", "--timeout", "5m")
	<-held
	if found := passphrases.FindString(c.shown()); found != "" {
		t.Errorf("%q is shown before it is stored", found)
	}
	release()
	if code := c.ends(); code != exitOK {
		t.Fatalf("exit code %d: %q", code, c.shown())
	}
	c.await("to use it: guardianctl store FILE --user joe")
	if !strings.Contains(c.shown(), "are kept with the guardians alone: lose the passphrase, and what is stored with it is lost") {
		t.Errorf("it does not say where the words are: %q", c.shown())
	}
	own, err := envelope.FromPassphrase("", "JOE", passphrases.FindString(c.shown()))
	if err != nil {
		t.Fatal(err)
	}
	vault, err := client.NewVault(cluster.URLs(), nil, 0, client.WithRoot(own))
	if err != nil {
		t.Fatal(err)
	}
	entropy, _, err := vault.Pull(t.Context(), own.Identity())
	if err != nil || len(entropy) != 32 {
		t.Errorf("it opens %d bytes, %v", len(entropy), err)
	}
	c.wantNoFiles()
}
