package main

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vault-guardian/guardian/awssecrets"
	"github.com/vault-guardian/guardian/awssecrets/secretstest"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

func testKey(fill byte) string {
	return base64.StdEncoding.EncodeToString(slices.Repeat([]byte{fill}, integrity.KeySize))
}

func keyringOf(primary string, ids ...string) string {
	var keys []string
	for _, id := range ids {
		keys = append(keys, fmt.Sprintf("%q:%q", id, testKey(id[1])))
	}
	return fmt.Sprintf(`{"primary":%q,"keys":{%s}}`, primary, strings.Join(keys, ","))
}

func thisProgram(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("guardian")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// refused runs a guardian that must not start, and returns what it says.
func refused(t *testing.T, code int, environ []string) string {
	t.Helper()
	cmd := exec.Command(thisProgram(t))
	cmd.Dir, cmd.Env = t.TempDir(), environ
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	said, _ := cmd.CombinedOutput() // the exit code is in ProcessState
	if cmd.ProcessState.ExitCode() != code {
		t.Errorf("exit code %d, want %d:\n%s", cmd.ProcessState.ExitCode(), code, said)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return lines[len(lines)-1]
}

func TestKeyringFromSecretsManager(t *testing.T) {
	secrets := secretstest.New(t)
	storage := filepath.Join(t.TempDir(), "x")
	environ := func(secret string) []string {
		return bareEnvironment(append(secrets.Environ(), "GUARDIAN_STORAGE="+storage, "GUARDIAN_UNAUTHENTICATED=1",
			"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_INTEGRITY_KEY_AWS_SECRET="+secret)...)
	}
	secrets.Put("guardian/g1", keyringOf("k1", "k1"))
	secrets.Put("other", keyringOf("k9", "k9"))
	secrets.Put("text", "no keyring at all")
	secrets.PutBinary("binary", slices.Repeat([]byte{7}, integrity.KeySize))

	p, err := launch(thisProgram(t), t.TempDir(), environ("guardian/g1"))
	if err != nil {
		t.Fatal(err)
	}
	client := newCrashClient(p)
	if status, body, err := client.send(strings.Repeat("a", 64), state{version: 1, live: true, share: []byte("one")}); status != http.StatusOK {
		t.Errorf("push answered %d %s, %v", status, body, err)
	}
	client.close()
	p.kill()
	if _, err := os.Stat(filepath.Join(storage, "integrity.key")); err == nil {
		t.Error("the key is in a file as well")
	}

	for _, test := range []struct {
		name, secret string
		prepare      func()
		code         int
		says         []string
	}{
		{"missing", "guardian/g2", func() {}, exitUnavailable, []string{`"guardian/g2" is not in AWS Secrets Manager`, "create it"}},
		{"wrong secret", "other", func() {}, exitKey, []string{"canary does not open", "start with the key"}},
		{"no keyring", "text", func() {}, exitKey, []string{"integrity key refused"}},
		{"binary", "binary", func() {}, exitKey, []string{"binary"}},
		{"denied", "guardian/g1", func() { secrets.Fail("AccessDeniedException", http.StatusBadRequest) }, exitUnavailable, []string{"secretsmanager:GetSecretValue"}},
		{"unwell", "guardian/g1", func() { secrets.Fail("InternalServiceError", http.StatusInternalServerError) }, exitUnavailable, []string{"guardian/g1"}},
		{"silent", "guardian/g1", func() { secrets.Fail("", 0); secrets.Hang(true) }, exitUnavailable, []string{"network"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.prepare()
			said := refused(t, test.code, environ(test.secret))
			for _, part := range test.says {
				if !strings.Contains(said, part) {
					t.Errorf("%q is missing in: %s", part, said)
				}
			}
			if strings.Contains(said, testKey('9')) || strings.Contains(said, "no keyring at all") {
				t.Errorf("the secret is quoted: %s", said)
			}
		})
	}
}

// A key is rotated under load, with two replicas that learn of it at different
// times: no request is lost, nothing is taken for damaged, what is stored moves
// to the new key while the load goes on, and then the old key can go.
func TestRotationUnderLoad(t *testing.T) {
	server, secrets := s3test.Versity(t), secretstest.New(t)
	secrets.Trust(server.AccessKey, server.SecretKey)
	secrets.Put("ring", keyringOf("k1", "k1"))
	awsEnviron := append(secrets.Environ(), server.Environ()...)
	storage := "s3://" + server.NewBucket(t) + "/root"
	environ := bareEnvironment(append(awsEnviron, "GUARDIAN_STORAGE="+storage, "GUARDIAN_NODE_ID=g1", "GUARDIAN_UNAUTHENTICATED=1",
		"GUARDIAN_BIND=127.0.0.1:0", "GUARDIAN_INTEGRITY_KEY_AWS_SECRET="+secrets.ARN("ring"))...)
	var replicas []*process
	for range 2 {
		p, err := launch(thisProgram(t), t.TempDir(), environ)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		replicas = append(replicas, p)
	}

	load := newRotationLoad(t, replicas)
	load.pushResting(replicas[1])
	load.start()
	load.goOn(100)
	secrets.Put("ring", keyringOf("k2", "k1", "k2"))
	if err := replicas[0].signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one replica has the new key", func() bool { return strings.Contains(replicas[0].stderr.String(), "keyring reloaded primary=k2") })
	load.goOn(100) // the other meets the new key id in what its fellow stored

	for _, variable := range awsEnviron {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	node := openNode(t, storage, secrets.ARN("ring"))
	stopped := rekeyAll(t, node, len(load.owners)*identitiesEach+5) // the resting ones come last
	load.goOn(50)
	resumed := rekeyAll(t, node, -1)
	load.stop()
	late := rekeyAll(t, node, -1) // what a replica sealed under k1 after its turn
	if _, err := node.RekeyCanary(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stopped == 0 || resumed == 0 || rekeyAll(t, node, -1) != 0 {
		t.Errorf("re-sealed %d objects, then %d, then %d: that was no test", stopped, resumed, late)
	}
	for i, p := range replicas {
		if said := p.stderr.String(); strings.Contains(said, "integrity check failed") {
			t.Errorf("replica %d took sound shares for damaged:\n%s", i, said)
		}
	}

	secrets.Put("ring", keyringOf("k2", "k2"))
	p, err := launch(thisProgram(t), t.TempDir(), append(environ, "GUARDIAN_REQUIRE_ALL_SHARES=1"))
	if err != nil {
		t.Fatalf("with the old key gone: %v", err)
	}
	load.check(p)
	p.kill()
}

func openNode(t *testing.T, storage, secretID string) *guardian.Node {
	t.Helper()
	at, err := location.Parse(storage)
	if err != nil {
		t.Fatal(err)
	}
	store, err := at.Open(t.Context(), location.Options{NodeID: "g1", SkipProbe: true})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := awssecrets.New(t.Context(), secretID)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	sealer, err := integrity.NewSealer(t.Context(), "g1", awssecrets.Keyring{Secret: secret}, log)
	if err != nil {
		t.Fatal(err)
	}
	node, err := guardian.Open(t.Context(), store, sealer, guardian.Config{Retain: 1, RequestTimeout: patience, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// rekeyAll re-seals until so many slots are done, all when most is -1, and
// returns how many objects that were.
func rekeyAll(t *testing.T, node *guardian.Node, most int) (resealed int) {
	t.Helper()
	done := 0
	for slot, err := range node.Slots(t.Context()) {
		if done == most {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n, _, err := node.Rekey(t.Context(), slot)
		if err != nil {
			t.Fatal(err)
		}
		resealed += n
		done++
	}
	return resealed
}

// rotationLoad pushes and pulls through all replicas in turn. Each worker owns
// its identities, so it knows what it must be answered. Those of resting are
// pushed once and left alone, so that only a rekey moves them.
type rotationLoad struct {
	t        *testing.T
	replicas []*process
	owners   []*owner
	resting  []*owner
	done     atomic.Int64
	stopping atomic.Bool
	workers  sync.WaitGroup
}

func newRotationLoad(t *testing.T, replicas []*process) *rotationLoad {
	l := &rotationLoad{t: t, replicas: replicas}
	for i := range 4 {
		l.owners = append(l.owners, newOwner(i))
		l.resting = append(l.resting, newOwner(100+i))
	}
	return l
}

func (l *rotationLoad) pushResting(through *process) {
	l.t.Helper()
	client := newCrashClient(through)
	defer client.close()
	for _, o := range l.resting {
		for _, r := range o.records {
			r.acked = state{version: 1, live: true, share: []byte(r.identity)}
			if status, body, err := client.send(r.identity, r.acked); status != http.StatusOK {
				l.t.Fatalf("push answered %d %s, %v", status, body, err)
			}
		}
	}
}

func (l *rotationLoad) start() {
	for _, o := range l.owners {
		l.workers.Go(func() { l.work(o) })
	}
	l.t.Cleanup(l.stop)
}

func (l *rotationLoad) work(o *owner) {
	var clients []*crashClient
	for _, p := range l.replicas {
		client := newCrashClient(p)
		client.patient = true
		defer client.close()
		clients = append(clients, client)
	}
	for i := 0; !l.stopping.Load() && !l.t.Failed(); i++ {
		if o.work(l.t, clients[i%len(clients)]) != acknowledged {
			l.t.Error("an operation was lost")
		}
		for _, r := range o.records {
			r.check(l.t, clients[(i+1)%len(clients)])
		}
		l.done.Add(1)
	}
}

// goOn waits until so many more rounds were done.
func (l *rotationLoad) goOn(rounds int64) {
	l.t.Helper()
	until := l.done.Load() + rounds
	eventually(l.t, "the load goes on", func() bool { return l.done.Load() >= until || l.t.Failed() })
}

func (l *rotationLoad) stop() {
	l.stopping.Store(true)
	l.workers.Wait()
}

func (l *rotationLoad) check(p *process) {
	client := newCrashClient(p)
	defer client.close()
	for _, o := range slices.Concat(l.owners, l.resting) {
		for _, r := range o.records {
			r.check(l.t, client)
		}
	}
}
