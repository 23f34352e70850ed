package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/registry"
)

const (
	registryVariable = "GUARDIAN_REGISTRY"
	// maxRegistryFile bounds a file with the URL of a registry, in bytes.
	maxRegistryFile = 4 << 10

	adviceRegistry = "pass for example --registry s3://bucket/registry, as the guardians have it; or --registry-file FILE, or set " + registryVariable
	advicePassword = "put the URL into a file that is yours alone (chmod 600) and pass --registry-file FILE, or set " + registryVariable
)

// registryFlags say where the registry of a cluster is. Its URL may hold a
// password, so the environment is no default of a flag: --help would show it.
type registryFlags struct{ registry, file string }

func (f *registryFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.registry, "registry", "", "the registry of the guardians: s3://bucket/prefix, a directory, or rqlite+http(s)://host:port without a password (or "+registryVariable+")")
	flags.StringVar(&f.file, "registry-file", "", "file with the URL of the registry, which may then hold a password")
}

// given reports whether a flag or the environment names a registry.
func (f *registryFlags) given() bool { return f.registry+f.file+os.Getenv(registryVariable) != "" }

// location is where the registry is. A directory must be one.
func (f *registryFlags) location() (at registry.Location, err error) {
	switch {
	case f.registry != "" && f.file != "":
		err = usageError("keep one of them", "--registry and --registry-file are both given")
	case f.registry != "":
		at, err = locate("--registry", f.registry, adviceRegistry)
		if at.Confidential() {
			err = usageError(advicePassword+"; and choose a new password if others could see this one", "--registry holds a user or password, which others can see on a command line")
		}
	case f.file != "":
		at, err = f.inFile()
	case os.Getenv(registryVariable) != "":
		at, err = locate(registryVariable, os.Getenv(registryVariable), "set it to what the guardians have")
	default:
		err = usageError(adviceRegistry, "no registry given")
	}
	switch {
	case err != nil:
	case isStorage(at):
		err = failure(fmt.Errorf("%s is the storage of one guardian, and no registry", shown(at.String())), "pass what the guardians have as "+registryVariable)
	case !at.Exists():
		err = failure(fmt.Errorf("no guardian has used %s as its registry yet", shown(at.String())), "correct it, or start a guardian with "+registryVariable+" first")
	}
	return at, err
}

// isStorage reports a directory in which a guardian keeps its shares, or in which
// there are keys of its own. It is laid out as a registry is, so that a record
// would be written there and read by nobody.
func isStorage(at registry.Location) bool {
	if strings.Contains(at.String(), "://") {
		return false
	}
	return slices.ContainsFunc([]string{"integrity.key", "node.key", "integrity-canary", "shares", "vaults"}, func(name string) bool {
		return exists(filepath.Join(at.String(), name))
	})
}

func (f *registryFlags) inFile() (registry.Location, error) {
	const advice = "make --registry-file a file that holds just the URL and is yours alone (chmod 600)"
	text, err := readPrivate(f.file, maxRegistryFile)
	defer clear(text)
	if errors.Is(err, fs.ErrNotExist) {
		return registry.Location{}, failure(err, advice)
	}
	if err != nil {
		return registry.Location{}, failure(fmt.Errorf("reading %s: %w", f.file, err), advice)
	}
	return locate(f.file, strings.TrimSpace(strings.TrimPrefix(string(text), byteOrderMark)), advice)
}

// locate reads a registry's URL. Errors quote nothing of it.
func locate(source, text, advice string) (registry.Location, error) {
	at, err := registry.Parse(text)
	if err != nil {
		return at, usageError(advice, "%s: %w", source, err)
	}
	return at, nil
}

// use opens the registry at a location and has do work with it for as long as
// limit.
func useRegistry(cmd *cobra.Command, at registry.Location, limit time.Duration, do func(context.Context, cluster.Registry) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), limit)
	defer cancel()
	defer showProgress(cmd.ErrOrStderr(), "asking the registry")()
	err := openAndDo(ctx, at, do)
	switch _, advised := errors.AsType[*advisedError](err); {
	case err == nil || advised:
		return err
	case cmd.Context().Err() != nil:
		return interrupted(cmd.Context())
	case ctx.Err() != nil:
		return failure(fmt.Errorf("the registry %s ran out of time (--timeout %s): %w", at, limit, err), "see whether it is up, or pass a longer --timeout")
	}
	err = fmt.Errorf("the registry %s: %w", at, err)
	if problem, ok := errors.AsType[*awsconfig.Problem](err); ok {
		return awsError(err, problem)
	}
	return failure(err, "see whether the registry is up, and whether the guardians have the same "+registryVariable)
}

func openAndDo(ctx context.Context, at registry.Location, do func(context.Context, cluster.Registry) error) (err error) {
	opened, err := at.Open(ctx, registry.Options{SkipProbe: withoutProbe, Logger: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return do(ctx, opened)
}
