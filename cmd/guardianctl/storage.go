package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/awsconfig"
	"github.com/vault-guardian/guardian/awssecrets"
	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/bolt"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/guardian"
	"github.com/vault-guardian/guardian/integrity"
)

// storageFlags name the storage of one guardian for the commands that work on
// it directly. The guardian may be running, unless it has the storage for itself.
type storageFlags struct {
	nodeFlags
	storage string
	json    bool
}

const storageNote = `It works on the storage of one guardian directly, not through the network; the
guardian may be running, but for bolt://, which one process at a time can use.`

func (f *storageFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.storage, "storage", os.Getenv("GUARDIAN_STORAGE"), "the guardian's storage: a directory, bolt:///path/guardian.db, or s3://bucket/prefix (or GUARDIAN_STORAGE)")
	f.nodeFlags.register(cmd)
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
}

// use opens the node and calls do with it. Nothing is made that is not there:
// neither a directory nor a key.
func (f *storageFlags) use(cmd *cobra.Command, do func(ctx context.Context, n *guardian.Node) error) error {
	return f.open(cmd, func(ctx context.Context, s openedStorage) error { return do(ctx, s.node) })
}

// openedStorage is the storage of one guardian, and what it took to open it.
type openedStorage struct {
	at    location.Location
	keys  integrity.KeySource
	store backend.Backend
	node  *guardian.Node
}

// open is use for those who need more than the node.
func (f *storageFlags) open(cmd *cobra.Command, do func(ctx context.Context, s openedStorage) error) error {
	return f.openWith(cmd, func(ctx context.Context, at location.Location, _ integrity.KeySource) (backend.Backend, error) {
		return f.openStorage(ctx, "--storage", at)
	}, do)
}

// openWith is open for those who have a way of their own to what is stored.
func (f *storageFlags) openWith(cmd *cobra.Command, openStore func(context.Context, location.Location, integrity.KeySource) (backend.Backend, error),
	do func(ctx context.Context, s openedStorage) error,
) (err error) {
	if f.storage == "" {
		return usageError("pass for example --storage ./data or --storage s3://bucket/prefix, or set GUARDIAN_STORAGE", "no storage given")
	}
	at, err := parseLocation("--storage", f.storage)
	if err == nil {
		err = f.complete(at)
	}
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	keys, err := f.keySource(ctx, at)
	if err != nil {
		return storageError(err)
	}
	store, err := openStore(ctx, at, keys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	n, err := f.openNode(ctx, store, keys)
	if err != nil {
		return keyError(err)
	}
	defer func() { err = errors.Join(err, n.Close(context.WithoutCancel(ctx))) }()
	return do(ctx, openedStorage{at, keys, store, n})
}

func parseLocation(flag, text string) (location.Location, error) {
	at, err := location.Parse(text)
	if err != nil {
		return at, usageError("pass for example "+flag+" ./data or "+flag+" s3://bucket/prefix", "%s: %w", flag, err)
	}
	return at, nil
}

// nodeFlags say which guardian is meant, and what it seals with.
type nodeFlags struct {
	nodeID    string
	keyFile   string
	keySecret string
}

func (f *nodeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.nodeID, "node-id", os.Getenv("GUARDIAN_NODE_ID"), "the guardian's node id (or GUARDIAN_NODE_ID; default local but for s3://)")
	f.registerKeys(cmd, "; default integrity.key in the directory, or beside the file")
}

// registerKeys is also for what has no key beside it.
func (f *nodeFlags) registerKeys(cmd *cobra.Command, orElse string) {
	flags := cmd.Flags()
	flags.StringVar(&f.keyFile, "integrity-key-file", "",
		"the guardian's key file (or GUARDIAN_INTEGRITY_KEY_FILE"+orElse+")")
	flags.StringVar(&f.keySecret, "integrity-key-aws-secret", "",
		"name or ARN of the guardian's keyring in AWS Secrets Manager (or GUARDIAN_INTEGRITY_KEY_AWS_SECRET)")
}

var nodeIDs = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// complete fills in what all but buckets spare.
func (f *nodeFlags) complete(used ...location.Location) error {
	onS3 := slices.ContainsFunc(used, func(at location.Location) bool { return at.Kind() == location.KindS3 })
	if f.nodeID == "" && onS3 {
		return usageError("pass for example --node-id g1, or set GUARDIAN_NODE_ID, as the guardian has it",
			"no node id given: in a bucket a guardian's objects lie under nodes/<node id>/")
	}
	f.nodeID = cmp.Or(f.nodeID, "local")
	if !nodeIDs.MatchString(f.nodeID) {
		return usageError("pass --node-id, or set GUARDIAN_NODE_ID, as the guardian has it", "%q is no node id", f.nodeID)
	}
	return nil
}

// openStorage opens what holds something of a guardian.
func (f *nodeFlags) openStorage(ctx context.Context, flag string, at location.Location) (backend.Backend, error) {
	if !at.Exists() {
		return nil, notAStorage(flag, at)
	}
	store, err := f.openAny(ctx, at, withoutProbe)
	if err != nil {
		return nil, err
	}
	empty, err := guardian.Empty(ctx, store)
	switch {
	case err != nil:
		err = storageError(err)
	case empty:
		err = notAStorage(flag, at)
	default:
		return store, nil
	}
	return nil, errors.Join(err, store.Close())
}

// withoutProbe: the guardian of a bucket proves it at every start.
const withoutProbe = true

// openAny opens what may hold nothing yet.
func (f *nodeFlags) openAny(ctx context.Context, at location.Location, skipProbe bool) (backend.Backend, error) {
	store, err := at.Open(ctx, location.Options{NodeID: f.nodeID, SkipProbe: skipProbe})
	if err != nil {
		return nil, openError(fmt.Errorf("opening storage: %w", err), "run as the user that the guardian runs as")
	}
	return store, nil
}

// openError gives advice to who could not open a storage; orElse is for the
// errors of the system.
func openError(err error, orElse string) error {
	switch {
	case errors.Is(err, bolt.ErrLocked):
		orElse = "stop the guardian or wait for the command that has it, then run this again"
	case errors.Is(err, bolt.ErrDamaged):
		orElse = "correct its path; if it is the right one, keep it aside, and restore a backup or let the other guardians repair a new one"
	}
	return failure(storageError(err), orElse)
}

func notAStorage(flag string, at location.Location) error {
	what := "the directory"
	switch at.Kind() {
	case location.KindBolt:
		what = "the file"
	case location.KindS3:
		what = "the bucket and prefix, with the node id,"
	}
	return failure(fmt.Errorf("%s holds nothing of a guardian", at), "correct "+flag+": it is "+what+" that the guardian was started with")
}

// keySource is what the flags name, else what the environment does, else the
// file beside the data.
func (f *nodeFlags) keySource(ctx context.Context, at location.Location) (integrity.KeySource, error) {
	keys, err := f.namedKeySource(ctx)
	if keys != nil || err != nil {
		return keys, err
	}
	if at.KeyFile() == "" {
		return nil, usageError(adviceKey, "no integrity key given: a bucket has none beside the data")
	}
	return integrity.FileSource{Path: at.KeyFile()}, nil
}

const adviceKey = "pass --integrity-key-aws-secret or --integrity-key-file, or set GUARDIAN_INTEGRITY_KEY_AWS_SECRET, GUARDIAN_INTEGRITY_KEY_FILE or GUARDIAN_INTEGRITY_KEY, as the guardian has it"

// namedKeySource is nil where neither flags nor the environment name one.
func (f *nodeFlags) namedKeySource(ctx context.Context) (integrity.KeySource, error) {
	file, secret, inline := f.keyFile, f.keySecret, ""
	if file == "" && secret == "" {
		file, secret, inline = os.Getenv("GUARDIAN_INTEGRITY_KEY_FILE"), os.Getenv("GUARDIAN_INTEGRITY_KEY_AWS_SECRET"), os.Getenv("GUARDIAN_INTEGRITY_KEY")
	}
	switch {
	case file != "" && secret != "", inline != "" && file+secret != "":
		return nil, usageError("leave one of --integrity-key-file and --integrity-key-aws-secret, or of GUARDIAN_INTEGRITY_KEY_FILE, GUARDIAN_INTEGRITY_KEY_AWS_SECRET and GUARDIAN_INTEGRITY_KEY",
			"more than one integrity key given")
	case secret != "":
		from, err := awssecrets.New(ctx, secret)
		return awssecrets.Keyring{Secret: from}, err
	case inline != "":
		return integrity.InlineSource{Text: inline}, nil
	case file != "":
		return integrity.FileSource{Path: file}, nil
	}
	return nil, nil
}

// quiet is for nodes and their keys: what they would log, the command prints.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func (f *nodeFlags) openNode(ctx context.Context, store backend.Backend, keys integrity.KeySource) (*guardian.Node, error) {
	sealer, err := integrity.NewSealer(ctx, f.nodeID, keys, quiet)
	if err != nil {
		return nil, err
	}
	return guardian.Open(ctx, store, sealer, guardian.Config{Retain: 1, RequestTimeout: 30 * time.Second, Logger: quiet})
}

// keyError gives advice to who opened a storage with what may be wrong keys.
func keyError(err error) error {
	_, explained := errors.AsType[*awsconfig.Problem](err)
	if !explained && (errors.Is(err, integrity.ErrKeyRefused) || errors.Is(err, fs.ErrNotExist)) {
		return failure(err, "correct --integrity-key-file and --node-id, or --integrity-key-aws-secret: they are those that the guardian runs with")
	}
	return storageError(err)
}

// slotArgument reads the identity that a command was given.
func slotArgument(args []string) (guardian.Slot, error) {
	identity, err := parseIdentity(args[0])
	return guardian.Slot{Identity: identity}, err
}

// confirm wants --yes for what cannot be undone.
func confirm(cmd *cobra.Command, yes bool, what string) error {
	if yes {
		return nil
	}
	return usageError("run it again with --yes", "%s %s; nothing was done", cmd.CommandPath(), what)
}

// storageError gives what a node answers the advice of an operator.
func storageError(err error) error {
	if problem, ok := errors.AsType[*awsconfig.Problem](err); ok {
		return awsError(err, problem)
	}
	switch {
	case errors.Is(err, api.ErrNotFound):
		return &advisedError{exitNotFound, err, "guardianctl shares list shows what is stored, guardianctl quarantine list what is damaged"}
	case errors.Is(err, api.ErrIntegrityFailed):
		return &advisedError{exitVerification, err, "mend or replace the object, have the owner store a new version, or give it up with guardianctl quarantine drop"}
	case errors.Is(err, guardian.ErrNotDamaged):
		return failure(err, "guardianctl quarantine release takes it out of quarantine")
	case errors.Is(err, api.ErrKeyUnavailable):
		return failure(err, "use the key file that the guardian runs with")
	}
	return err
}

func awsError(err error, problem *awsconfig.Problem) error {
	if problem.Config {
		return &advisedError{exitUsage, err, problem.Advice}
	}
	return failure(err, problem.Advice)
}
