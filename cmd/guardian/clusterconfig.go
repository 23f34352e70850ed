package main

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/registry"
)

// minHeartbeat keeps what a member sends far below what its peers take from it.
const minHeartbeat = 100 * time.Millisecond

func (c *Config) checkCluster(bad *problems) {
	bad.check("GUARDIAN_PEER_BIND", checkBind(c.PeerBind))
	bad.require("GUARDIAN_FAILURE_DOMAIN", cluster.ValidFailureDomain(c.FailureDomain),
		fmt.Sprintf("use at most %d of printable ASCII", cluster.MaxFailureDomain))
	bad.require("GUARDIAN_HEARTBEAT_INTERVAL", c.HeartbeatInterval >= minHeartbeat, fmt.Sprintf("must be at least %v", minHeartbeat))
	bad.require("GUARDIAN_HEARTBEAT_SUSPECT_AFTER", c.HeartbeatSuspectAfter > c.HeartbeatInterval,
		"must be longer than GUARDIAN_HEARTBEAT_INTERVAL")
	bad.require("GUARDIAN_HEARTBEAT_DEAD_AFTER", c.HeartbeatDeadAfter > c.HeartbeatSuspectAfter,
		"must be longer than GUARDIAN_HEARTBEAT_SUSPECT_AFTER")
	if c.Registry == "" {
		c.checkAlone(bad)
		return
	}
	bad.check("GUARDIAN_REGISTRY", c.checkRegistry())
	bad.check("GUARDIAN_PEER_ADVERTISE_URL", checkIfSet(c.PeerAdvertiseURL, cluster.CheckPeerURL))
	bad.check("GUARDIAN_NODE_KEY_FILE", c.checkNodeKey())
	bad.check("GUARDIAN_ADMISSION_KEY", c.checkAdmissionKey())
}

// checkAlone refuses what would be passed over in silence.
func (c *Config) checkAlone(bad *problems) {
	for variable, value := range map[string]string{
		"GUARDIAN_PEER_ADVERTISE_URL":  c.PeerAdvertiseURL,
		"GUARDIAN_NODE_KEY_AWS_SECRET": c.NodeKeyAWSSecret,
		"GUARDIAN_NODE_KEY_FILE":       c.NodeKeyFile,
		"GUARDIAN_ADMISSION_KEY":       c.AdmissionKey,
	} {
		bad.require(variable, value == "", "needs GUARDIAN_REGISTRY")
	}
}

func (c *Config) checkRegistry() (err error) {
	if c.registry, err = registry.Parse(c.Registry); err != nil {
		return err
	}
	if c.registry.Overlaps(c.location) {
		return errors.New("overlaps GUARDIAN_STORAGE: give a directory or prefix of its own that all guardians share, such as s3://bucket/registry")
	}
	return nil
}

// checkNodeKey wants one source of the node key; all but a bucket have one of
// their own.
func (c *Config) checkNodeKey() error {
	switch {
	case c.NodeKeyFile != "" && c.NodeKeyAWSSecret != "":
		return errors.New("GUARDIAN_NODE_KEY_AWS_SECRET is set too: unset one")
	case c.onS3() && cmp.Or(c.NodeKeyFile, c.NodeKeyAWSSecret, c.IntegrityKeyAWSSecret) == "":
		return errors.New(`needed with s3:// and GUARDIAN_REGISTRY: set this to a file with 32 random bytes in base64 (openssl rand -base64 32), of this guardian only and the same at every start, or set GUARDIAN_NODE_KEY_AWS_SECRET, or put "node_key" into the secret of GUARDIAN_INTEGRITY_KEY_AWS_SECRET`)
	}
	return nil
}

func (c *Config) checkAdmissionKey() error {
	if c.AdmissionKey == "" {
		return nil
	}
	key, err := hex.DecodeString(c.AdmissionKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return errors.New("not an Ed25519 public key: 64 hex digits")
	}
	c.admissionKey = key
	return nil
}

// peerAdvertised is the URL that other guardians use, where the peer plane
// listens on address.
func (c *Config) peerAdvertised(address string) string {
	return cmp.Or(c.PeerAdvertiseURL, "https://"+dialled(address))
}
