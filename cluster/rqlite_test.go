package cluster_test

import (
	"log/slog"
	"testing"

	"github.com/vault-guardian/guardian/cluster"
	"github.com/vault-guardian/guardian/cluster/clustertest"
	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// rqlite is the database of an Rqlite.
type rqlite struct {
	url     string
	options []cluster.RqliteOption
	execute func(t testing.TB, sql string, parameters ...any)
}

func standIn(c *rqlitetest.Cluster) rqlite {
	return rqlite{c.URL(), nil, c.Execute}
}

func (r rqlite) Open(t *testing.T, log *slog.Logger) cluster.Registry {
	t.Helper()
	registry, err := cluster.OpenRqlite(r.url, log, r.options...)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

// prepare has the tables created.
func (r rqlite) prepare(t *testing.T) {
	t.Helper()
	registry := r.Open(t, nil)
	defer registry.Close()
	if _, err := registry.List(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (r rqlite) Claim(t *testing.T, first int, nodes ...string) {
	t.Helper()
	r.prepare(t)
	for i, node := range nodes {
		r.execute(t, "INSERT INTO guardian_indices (share_index, node_id) VALUES (?, ?)", first+i, node)
	}
}

func (r rqlite) Plant(t *testing.T, record clustertest.Record) {
	t.Helper()
	r.prepare(t)
	r.execute(t, "INSERT INTO guardians (node_id, share_index, client_url, peer_url, public_key, failure_domain, registered_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
		record.NodeID, record.Index, record.ClientURL, record.PeerURL, record.PublicKey, record.FailureDomain, record.RegisteredNS)
}

func (r rqlite) Forget(t *testing.T, node string) {
	t.Helper()
	r.execute(t, "DELETE FROM guardians WHERE node_id = ?", node)
}

func TestRqlite(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.Database {
		t.Parallel()
		return standIn(rqlitetest.New(t, 1, rqlitetest.Options{}))
	})
}

func TestRqliteOfThree(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) clustertest.Database {
		t.Parallel()
		c := rqlitetest.New(t, 3, rqlitetest.Options{User: "guardian", Password: "p@ss/w,rd:?"})
		c.Elect(2)
		return standIn(c)
	})
}
