package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vault-guardian/guardian/guardiantest"
)

type clusterKey struct{}

// Each script has five guardians of its own; `down I`, `up I` and `corrupt
// I IDENTITY` do to guardian I (from 1) what they say. `status CODE COMMAND...`
// runs a command that must exit with just that code; `identify KEY FILE`
// writes the identity that a key owns.
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

func exitsWith(script *testscript.TestScript, _ bool, args []string) {
	err := script.Exec(args[1], args[2:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		script.Fatalf("%v ended with %v, want exit code %s", args[1:], err, args[0])
	}
}

func identify(script *testscript.TestScript, _ bool, args []string) {
	key, err := readKey(script.MkAbs(args[0]))
	script.Check(err)
	script.Check(os.WriteFile(script.MkAbs(args[1]), []byte(ownedBy(key)), 0o600))
}
