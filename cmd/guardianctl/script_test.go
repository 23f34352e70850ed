package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/guardiantest"
)

type clusterKey struct{}

// Each script has five guardians of its own; `down I`, `up I` and `corrupt
// I IDENTITY` do to guardian I (from 1) what they say. `status CODE COMMAND...`
// runs a command that must exit with just that code; `identify KEYFILE VARIABLE`
// puts the identity of a key file into the environment; `bare FILE IDENTITY
// [URL,... K]` stores as clients do that have no key; `fill FILE SIZE` makes a
// file; `lie I...` makes guardians show a wrong share, `strip I...` none of
// their manifests, `lie-bare I...` both.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(env *testscript.Env) error {
			cluster := guardiantest.New(t, 5)
			env.Values[clusterKey{}] = cluster
			env.Setenv(guardiansVariable, strings.Join(cluster.URLs(), ","))
			for i, name := range []string{"FIRST", "SECOND", "THIRD"} {
				env.Setenv(name, cluster.URLs()[i])
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":   exitsWith,
			"identify": identify,
			"bare":     bare,
			"fill":     fillFile,
			"lie":      onMany(lying),
			"strip":    onMany(stripping),
			"lie-bare": onMany(lying, stripping),
			"down":     onCluster(func(c *guardiantest.Cluster, i int, _ []string) { c.Stop(i) }),
			"up":       onCluster(func(c *guardiantest.Cluster, i int, _ []string) { c.Start(i) }),
			"corrupt":  onCluster(func(c *guardiantest.Cluster, i int, rest []string) { c.Corrupt(i, rest[0]) }),
		},
	})
}

func onCluster(do func(c *guardiantest.Cluster, i int, rest []string)) func(*testscript.TestScript, bool, []string) {
	return func(script *testscript.TestScript, _ bool, args []string) {
		number, err := strconv.Atoi(args[0])
		script.Check(err)
		do(script.Value(clusterKey{}).(*guardiantest.Cluster), number-1, args[1:])
	}
}

// onMany puts something in front of guardians that changes what they show.
func onMany(changes ...func(*api.PullResponse)) func(*testscript.TestScript, bool, []string) {
	return func(script *testscript.TestScript, _ bool, args []string) {
		for _, arg := range args {
			number, err := strconv.Atoi(arg)
			script.Check(err)
			script.Value(clusterKey{}).(*guardiantest.Cluster).Front(number-1, func(own http.Handler) http.Handler {
				return changed(own, changes)
			})
		}
	}
}

func changed(own http.Handler, changes []func(*api.PullResponse)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var shown api.PullResponse
		recorded := httptest.NewRecorder()
		own.ServeHTTP(recorded, r)
		body := recorded.Body.Bytes()
		if r.URL.Path == api.RoutePull && json.Unmarshal(body, &shown) == nil && shown.Share != "" {
			for _, change := range changes {
				change(&shown)
			}
			body, _ = json.Marshal(shown)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body)
	})
}

func lying(shown *api.PullResponse) {
	share, _ := base64.StdEncoding.DecodeString(shown.Share)
	share[len(share)-1] ^= 1
	shown.Share = base64.StdEncoding.EncodeToString(share)
}

func stripping(shown *api.PullResponse) { shown.Manifest = "" }

func exitsWith(script *testscript.TestScript, _ bool, args []string) {
	err := script.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		script.Fatalf("%v ended with %v, want exit code %s", args[1:], err, args[0])
	}
}

func identify(script *testscript.TestScript, _ bool, args []string) {
	root, err := readKey(script.MkAbs(args[0]))
	script.Check(err)
	script.Setenv(args[1], root.Identity())
}

// bare must fail with "! bare".
func bare(script *testscript.TestScript, fails bool, args []string) {
	urls, threshold := script.Value(clusterKey{}).(*guardiantest.Cluster).URLs(), 0
	if len(args) > 2 {
		var err error
		urls = strings.Split(args[2], ",")
		threshold, err = strconv.Atoi(args[3])
		script.Check(err)
	}
	vault, err := client.NewVault(urls, nil, threshold)
	script.Check(err)
	_, err = vault.Store(context.Background(), args[1], []byte(script.ReadFile(args[0])))
	if (err != nil) != fails {
		script.Fatalf("storing without a key: %v", err)
	}
}

func fillFile(script *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.Atoi(args[1])
	script.Check(err)
	script.Check(os.WriteFile(script.MkAbs(args[0]), make([]byte, size), 0o600))
}
