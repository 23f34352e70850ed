package main

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"golang.org/x/sys/unix"

	"github.com/vault-guardian/guardian/audit"
	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/registry"
	"github.com/vault-guardian/guardian/guardian"
)

// Config is everything that can be configured. Each field is one variable; a
// variable that is set to nothing counts as unset.
type Config struct {
	// Storage is a directory, bolt:///path/guardian.db, or s3://bucket/prefix.
	Storage string `env:"GUARDIAN_STORAGE" envDefault:"./data"`
	// NodeID names the node in all that it seals, and its objects in a bucket;
	// by default "local" but for a bucket.
	NodeID string `env:"GUARDIAN_NODE_ID"`
	// Bind is where the client plane listens; port 0 picks one.
	Bind string `env:"GUARDIAN_BIND" envDefault:"0.0.0.0:7500"`
	// AdminBind is where the admin plane listens; by default defaultAdminBind if
	// that is free. Beyond loopback it needs what the next three configure.
	AdminBind string `env:"GUARDIAN_ADMIN_BIND"`
	// AdminTokensFile holds the token of each actor who may use the admin plane.
	AdminTokensFile string `env:"GUARDIAN_ADMIN_TOKENS_FILE"`
	// AdminTLSCertFile and AdminTLSKeyFile make the admin plane speak TLS 1.3.
	AdminTLSCertFile string `env:"GUARDIAN_ADMIN_TLS_CERT_FILE"`
	AdminTLSKeyFile  string `env:"GUARDIAN_ADMIN_TLS_KEY_FILE"`
	// TLSCertFile and TLSKeyFile make the client plane speak TLS 1.3.
	TLSCertFile string `env:"GUARDIAN_TLS_CERT_FILE"`
	TLSKeyFile  string `env:"GUARDIAN_TLS_KEY_FILE"`
	// BearerTokensAWSSecret names the token of each actor in AWS Secrets
	// Manager; the three below are ignored then.
	BearerTokensAWSSecret string `env:"GUARDIAN_SERVER_BEARER_TOKENS_AWS_SECRET"`
	// BearerTokensFile holds the token of each actor; BearerTokensJSON is
	// ignored then.
	BearerTokensFile string `env:"GUARDIAN_SERVER_BEARER_TOKENS_FILE"`
	// BearerTokensJSON is the token of each actor. It is forgotten once there
	// are digests.
	BearerTokensJSON string `env:"GUARDIAN_SERVER_BEARER_TOKENS_JSON"`
	// BearerToken is the token of actor "default", beside those of the file or
	// JSON. It is forgotten likewise.
	BearerToken string `env:"GUARDIAN_SERVER_BEARER_TOKEN"`
	// Unauthenticated lets everybody in when no token is configured, and turns
	// off the limits that were not set.
	Unauthenticated Bool `env:"GUARDIAN_UNAUTHENTICATED" envDefault:"false"`
	// Ownership is required, sticky or off; by default sticky with tokens and
	// with Unauthenticated, else required.
	Ownership string `env:"GUARDIAN_OWNERSHIP"`
	// OldestProof is the oldest version of an ownership proof that is taken.
	OldestProof int `env:"GUARDIAN_PROOF" envDefault:"1"`
	// Audiences are further names that this guardian is dialled by.
	Audiences string `env:"GUARDIAN_AUDIENCES"`
	// RateLimitPerAddress, RateLimitWrites and RateLimitReads are per minute,
	// RateLimitNewIdentities is per hour; see limit.Config. 0 is no limit here
	// and in what follows.
	RateLimitPerAddress    int `env:"GUARDIAN_RATE_LIMIT_PER_ADDRESS" envDefault:"120"`
	RateLimitWrites        int `env:"GUARDIAN_RATE_LIMIT_WRITES" envDefault:"0"`
	RateLimitReads         int `env:"GUARDIAN_RATE_LIMIT_READS" envDefault:"0"`
	RateLimitNewIdentities int `env:"GUARDIAN_RATE_LIMIT_NEW_IDENTITIES" envDefault:"0"`
	// MaxInFlightPerActor bounds the calls of one actor carried out at once.
	MaxInFlightPerActor int `env:"GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR" envDefault:"16"`
	// QuotaBytes bounds what is kept for one identity.
	QuotaBytes int64 `env:"GUARDIAN_QUOTA_BYTES" envDefault:"0"`
	// TrustedProxies are the addresses whose X-Forwarded-For is believed.
	TrustedProxies string `env:"GUARDIAN_TRUSTED_PROXIES"`
	// RateLimitExempt are addresses, and GatewayActors actors, that speak for
	// many users.
	RateLimitExempt string `env:"GUARDIAN_RATE_LIMIT_EXEMPT"`
	GatewayActors   string `env:"GUARDIAN_GATEWAY_ACTORS"`
	// IntegrityKeyAWSSecret names the keyring in AWS Secrets Manager.
	IntegrityKeyAWSSecret string `env:"GUARDIAN_INTEGRITY_KEY_AWS_SECRET"`
	// IntegrityKeyFile holds the keyring; by default integrity.key in the
	// storage directory, or beside the file.
	IntegrityKeyFile string `env:"GUARDIAN_INTEGRITY_KEY_FILE"`
	// IntegrityKey is the keyring itself, in place of a file.
	IntegrityKey string `env:"GUARDIAN_INTEGRITY_KEY"`
	// AdvertiseURL is what clients use; by default made from Bind.
	AdvertiseURL string `env:"GUARDIAN_ADVERTISE_URL"`
	// Registry is where the guardians of a cluster find each other: rqlite, a
	// bucket or a directory. It may hold a password. Without one this guardian
	// is alone, and there is neither a peer plane nor a node key.
	Registry string `env:"GUARDIAN_REGISTRY"`
	// PeerBind is where the peer plane listens; port 0 picks one.
	PeerBind string `env:"GUARDIAN_PEER_BIND" envDefault:"0.0.0.0:7501"`
	// PeerAdvertiseURL is what other guardians use; by default made from
	// PeerBind.
	PeerAdvertiseURL string `env:"GUARDIAN_PEER_ADVERTISE_URL"`
	// NodeKeyAWSSecret names the node key in AWS Secrets Manager, NodeKeyFile
	// is its file; by default it is in the secret of the keyring or, but for a
	// bucket, in node.key beside integrity.key.
	NodeKeyAWSSecret string `env:"GUARDIAN_NODE_KEY_AWS_SECRET"`
	NodeKeyFile      string `env:"GUARDIAN_NODE_KEY_FILE"`
	// AdmissionKey is the public key that signs the roster, in hex.
	AdmissionKey string `env:"GUARDIAN_ADMISSION_KEY"`
	// FailureDomain is a label such as a region.
	FailureDomain string `env:"GUARDIAN_FAILURE_DOMAIN"`
	// HeartbeatInterval is the time between heartbeats to a guardian, which is
	// suspect and dead after so long a silence.
	HeartbeatInterval     time.Duration `env:"GUARDIAN_HEARTBEAT_INTERVAL" envDefault:"5s"`
	HeartbeatSuspectAfter time.Duration `env:"GUARDIAN_HEARTBEAT_SUSPECT_AFTER" envDefault:"15s"`
	HeartbeatDeadAfter    time.Duration `env:"GUARDIAN_HEARTBEAT_DEAD_AFTER" envDefault:"60s"`
	// RetainVersions is how many committed generations are kept, the current
	// one included.
	RetainVersions int `env:"GUARDIAN_RETAIN_VERSIONS" envDefault:"2"`
	// RequireAllShares refuses to start unless every stored share verifies.
	RequireAllShares Bool `env:"GUARDIAN_REQUIRE_ALL_SHARES" envDefault:"false"`
	// SkipStoreProbe starts on an S3 store that was not proved to be safe.
	SkipStoreProbe Bool `env:"GUARDIAN_SKIP_STORE_PROBE" envDefault:"false"`
	// Audit is where a line of every decision goes: off, log or store.
	Audit string `env:"GUARDIAN_AUDIT" envDefault:"log"`
	// AuditRequired fails a request whose line cannot be stored.
	AuditRequired Bool `env:"GUARDIAN_AUDIT_REQUIRED" envDefault:"false"`
	// ScrubInterval is the time from the start of one scrub of the storage to
	// that of the next; 0 scrubs only when an operator asks.
	ScrubInterval time.Duration `env:"GUARDIAN_SCRUB_INTERVAL" envDefault:"24h"`
	// RepairBytesPerSecond bounds the shares that repair sends and receives.
	RepairBytesPerSecond int `env:"GUARDIAN_REPAIR_BYTES_PER_SECOND" envDefault:"4194304"`
	// RefreshInterval is how often all shares that this guardian leads the refresh
	// of are dealt anew; 0 never.
	RefreshInterval time.Duration `env:"GUARDIAN_REFRESH_INTERVAL" envDefault:"0"`
	// ReplaceAfter is how long a holder must be dead for another member to take
	// its place; 0 never.
	ReplaceAfter time.Duration `env:"GUARDIAN_REPLACE_AFTER" envDefault:"24h"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `env:"GUARDIAN_LOG_LEVEL" envDefault:"info"`
	// LogFormat is text or json.
	LogFormat string `env:"GUARDIAN_LOG_FORMAT" envDefault:"text"`
	// HealthInterval is within what time the storage must have answered.
	HealthInterval time.Duration `env:"GUARDIAN_HEALTH_INTERVAL" envDefault:"10s"`
	// RequestTimeout bounds reading one request.
	RequestTimeout time.Duration `env:"GUARDIAN_REQUEST_TIMEOUT" envDefault:"30s"`
	// MaxRequests bounds the calls carried out at once.
	MaxRequests int `env:"GUARDIAN_MAX_REQUESTS" envDefault:"1000"`

	// source is where the variables came from, for the log.
	source string
	// What follows is parsed by Validate: Storage, the digests of the tokens in
	// the variables, which of those are ignored, Registry, AdmissionKey, and the
	// lists.
	location                    location.Location
	registry                    registry.Location
	admissionKey                ed25519.PublicKey
	fixedTokens                 *auth.Tokens
	ignoredTokens               []string
	audiences, gatewayActors    []string
	trustedProxies, exemptAddrs []netip.Prefix
}

// Bool is a boolean as people write it: 1 true yes on, 0 false no off and
// nothing, in any case.
type Bool bool

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bool) UnmarshalText(text []byte) error {
	switch strings.ToLower(string(text)) {
	case "1", "true", "yes", "on":
		*b = true
	case "0", "false", "no", "off", "":
		*b = false
	default:
		return errors.New("not a boolean: use true or false")
	}
	return nil
}

// variableError says what is wrong with one variable. It never quotes one that
// holds a secret.
type variableError struct{ variable, problem string }

func (e *variableError) Error() string { return e.variable + ": " + e.problem }

// Validate reports every bad field at once, by the name of its variable.
func (c *Config) Validate() error {
	var bad problems
	var err error
	c.location, err = location.Parse(c.Storage)
	bad.check("GUARDIAN_STORAGE", err)
	bad.check("GUARDIAN_NODE_ID", c.checkNodeID())
	bad.check("GUARDIAN_BIND", checkBind(c.Bind))
	bad.check("GUARDIAN_INTEGRITY_KEY", c.checkKey())
	bad.check("GUARDIAN_ADVERTISE_URL", checkIfSet(c.AdvertiseURL, cluster.CheckClientURL))
	bad.require("GUARDIAN_RETAIN_VERSIONS", c.RetainVersions >= 1 && c.RetainVersions <= guardian.MaxRetain,
		fmt.Sprintf("must be 1 to %d", guardian.MaxRetain))
	bad.require("GUARDIAN_AUDIT", slices.Contains(auditModes, audit.Mode(c.Audit)), "use off, log or store")
	bad.require("GUARDIAN_AUDIT_REQUIRED", !bool(c.AuditRequired) || audit.Mode(c.Audit) == audit.ToStore, "needs GUARDIAN_AUDIT=store")
	bad.require("GUARDIAN_REFRESH_INTERVAL", c.RefreshInterval >= 0, "must not be negative")
	bad.require("GUARDIAN_REPLACE_AFTER", c.ReplaceAfter >= 0, "must not be negative")
	bad.require("GUARDIAN_SCRUB_INTERVAL", c.ScrubInterval >= 0, "must not be negative")
	bad.require("GUARDIAN_REPAIR_BYTES_PER_SECOND", c.RepairBytesPerSecond >= 1<<10, "must be at least 1024")
	bad.require("GUARDIAN_LOG_LEVEL", slices.Contains(logLevels, c.LogLevel), "use debug, info, warn or error")
	bad.require("GUARDIAN_LOG_FORMAT", slices.Contains(logFormats, c.LogFormat), "use text or json")
	bad.require("GUARDIAN_HEALTH_INTERVAL", c.HealthInterval >= time.Second, "must be at least 1s")
	bad.require("GUARDIAN_REQUEST_TIMEOUT", c.RequestTimeout >= time.Second && c.RequestTimeout <= time.Hour, "must be 1s to 1h")
	bad.require("GUARDIAN_MAX_REQUESTS", c.MaxRequests >= 1, "must be at least 1")
	c.checkAdmin(&bad)
	c.checkTLS(&bad)
	c.checkTokens(&bad)
	c.checkOwnership(&bad)
	c.checkLimits(&bad)
	c.checkCluster(&bad)
	return errors.Join(bad...)
}

type problems []error

func (p *problems) check(variable string, err error) {
	if err != nil {
		*p = append(*p, &variableError{variable, err.Error()})
	}
}

func (p *problems) require(variable string, ok bool, problem string) {
	if !ok {
		*p = append(*p, &variableError{variable, problem})
	}
}

var (
	nodeIDs    = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	auditModes = []audit.Mode{audit.Off, audit.ToLog, audit.ToStore}
	logLevels  = []string{"debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

func (c *Config) onS3() bool { return c.location.Kind() == location.KindS3 }

func (c *Config) checkNodeID() error {
	switch {
	case c.NodeID != "":
	case c.onS3():
		return errors.New("needed with s3://: name this guardian, for example g1; its objects lie under nodes/<node id>/")
	case c.Registry != "":
		return errors.New("needed with GUARDIAN_REGISTRY, where no two guardians have the same: for example g1, or local for one that has stored without a name")
	}
	if !nodeIDs.MatchString(c.nodeID()) {
		return errors.New("use 1 to 63 of a-z, 0-9 and hyphen")
	}
	return nil
}

// nodeID is NodeID, or what the only guardian of a directory or file is called.
func (c *Config) nodeID() string { return cmp.Or(c.NodeID, "local") }

// checkKey wants one source of the keyring; all but a bucket have one of their own.
func (c *Config) checkKey() error {
	var given []string
	for name, value := range map[string]string{
		"GUARDIAN_INTEGRITY_KEY_AWS_SECRET": c.IntegrityKeyAWSSecret,
		"GUARDIAN_INTEGRITY_KEY_FILE":       c.IntegrityKeyFile,
		"GUARDIAN_INTEGRITY_KEY":            c.IntegrityKey,
	} {
		if value != "" {
			given = append(given, name)
		}
	}
	slices.Sort(given)
	switch {
	case len(given) > 1:
		return fmt.Errorf("%s are all set: unset all but one", strings.Join(given, " and "))
	case len(given) == 0 && c.onS3():
		return errors.New("needed with s3://: set GUARDIAN_INTEGRITY_KEY_AWS_SECRET, or GUARDIAN_INTEGRITY_KEY_FILE, or this to 32 random bytes in base64 (openssl rand -base64 32), the same at every start")
	}
	return nil
}

func checkBind(bind string) error {
	host, port, err := net.SplitHostPort(bind)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || strings.ContainsAny(host, " \t\r\n/") {
		return errors.New("not host:port with a port from 0 to 65535")
	}
	return nil
}

func checkIfSet(value string, check func(string) error) error {
	if value == "" {
		return nil
	}
	return check(value)
}

// parse fills a Config from variables. Its problems and those of Validate come
// together, one per variable.
func parse(vars map[string]string) (*Config, error) {
	var cfg Config
	misparsed := misparsed(env.ParseWithOptions(&cfg, env.Options{Environment: vars}))
	for _, word := range []*string{&cfg.LogLevel, &cfg.LogFormat, &cfg.Ownership} {
		*word = strings.ToLower(*word)
	}
	if cfg.Unauthenticated {
		cfg.liftLimits(vars)
	}
	all := append(slices.Clone(misparsed), unjoin(errors.Join(checkDefaultStorage(vars)))...)
	for _, problem := range unjoin(cfg.Validate()) {
		if !sameVariable(misparsed, problem) {
			all = append(all, problem)
		}
	}
	return &cfg, errors.Join(all...)
}

// checkDefaultStorage refuses to go on where nothing was chosen and the default
// cannot be, as in a container that was started bare.
func checkDefaultStorage(vars map[string]string) error {
	if vars["GUARDIAN_STORAGE"] != "" {
		return nil
	}
	_, err := os.Stat("data")
	if !errors.Is(err, fs.ErrNotExist) || unix.Access(".", unix.W_OK) == nil {
		return nil
	}
	return &variableError{"GUARDIAN_STORAGE", "not set, and ./data cannot be made here: set it to s3://bucket/prefix or to a directory of this user, and GUARDIAN_SERVER_BEARER_TOKEN to what callers must send"}
}

func sameVariable(among []error, problem error) bool {
	bad, ok := errors.AsType[*variableError](problem)
	return ok && slices.ContainsFunc(among, func(err error) bool {
		other, ok := errors.AsType[*variableError](err)
		return ok && other.variable == bad.variable
	})
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

func (c *Config) logLevel() (level slog.Level) {
	_ = level.UnmarshalText([]byte(c.LogLevel)) // validated
	return level
}
