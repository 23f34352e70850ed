package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vault-guardian/guardian/guardiantest"
)

const storedSecret = "under the third stone"

// trace is what guardians see of requests and give as answers, by form alone:
// one line each, by guardian.
type trace struct {
	mu    sync.Mutex
	lines map[int][]string
}

// record puts the trace before every guardian of a cluster.
func (tr *trace) record(cluster *guardiantest.Cluster) {
	for i := range cluster.URLs() {
		cluster.Front(i, func(own http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				answer := httptest.NewRecorder()
				own.ServeHTTP(answer, r)
				tr.add(i, fmt.Sprint(r.Method, r.URL.Path, sizes(r.Header), len(body), answer.Code, sizes(answer.Header()), answer.Body.Len()))
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				_, _ = w.Write(answer.Body.Bytes())
			})
		})
	}
}

func (tr *trace) add(i int, line string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines[i] = append(tr.lines[i], line)
}

// sizes are the names of header fields and the lengths of their values.
func sizes(header http.Header) (list []string) {
	for name, values := range header {
		list = append(list, fmt.Sprint(name, len(strings.Join(values, ""))))
	}
	slices.Sort(list)
	return list
}

// taken is what there is, and begins anew.
func (tr *trace) taken() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	text := fmt.Sprint(tr.lines)
	tr.lines = map[int][]string{}
	return text
}

// TestGuardiansCannotTellAWrongKey: with a wrong passphrase, user name or words
// they are asked and answer just as for a key with which nothing was ever
// stored.
func TestGuardiansCannotTellAWrongKey(t *testing.T) {
	t.Parallel()
	cluster := guardiantest.New(t, 5)
	dir := t.TempDir()
	key, passphrase, wrong := filepath.Join(dir, "key"), filepath.Join(dir, "passphrase"), filepath.Join(dir, "wrong")
	if _, err := createKey(key); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{passphrase: "one of my own", wrong: "one of my owm"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const storedWords = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote"
	const otherWords = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon " +
		"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"
	urls := strings.Join(cluster.URLs(), ",")
	play := func(wantCode int, input string, args ...string) {
		t.Helper()
		var errOut bytes.Buffer
		args = append(args, "--guardians", urls)
		if code := run(t.Context(), args, streams{strings.NewReader(input), io.Discard, &errOut}); code != wantCode {
			t.Fatalf("%v: exit code %d, want %d: %s", args, code, wantCode, &errOut)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(storedSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	play(exitOK, storedWords, "keygen", "passphrase", "--user", "joe", "--own-passphrase", "--passphrase-file", passphrase, "--mnemonic")
	play(exitOK, storedWords, "store", file, "--mnemonic")

	seen := &trace{lines: map[int][]string{}}
	seen.record(cluster)
	play(exitNotFound, "", "recover", "--key-file", key)
	never := seen.taken()
	if strings.Count(never, "POST/v1/vault/pull") != 5 {
		t.Fatalf("a key that never stored is seen as %s", never)
	}
	for name, args := range map[string][]string{
		"a wrong passphrase": {"recover", "--user", "joe", "--passphrase-file", wrong},
		"a wrong user name":  {"recover", "--user", "jo", "--passphrase-file", passphrase},
		"a wrong realm":      {"recover", "--user", "joe", "--realm", "r", "--passphrase-file", passphrase},
		"wrong words":        {"recover", "--mnemonic"},
	} {
		play(exitNotFound, otherWords, args...)
		if got := seen.taken(); got != never {
			t.Errorf("%s is seen as\n%s\nnot as\n%s", name, got, never)
		}
	}
	play(exitOK, storedWords, "recover", "--mnemonic")
	if got := seen.taken(); got == never {
		t.Error("the trace does not tell what is there from what is not")
	}
}
