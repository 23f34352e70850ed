package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// createTables makes what is absent. What exists is left as it is. Whose an
// index is, is said by guardian_indices alone: a row that somebody put into
// guardians by hand keeps nobody from an index.
var createTables = []statement{
	{`CREATE TABLE IF NOT EXISTS guardian_indices (share_index INTEGER PRIMARY KEY, node_id TEXT NOT NULL UNIQUE)`},
	{`CREATE TABLE IF NOT EXISTS guardians (node_id TEXT PRIMARY KEY, share_index INTEGER NOT NULL, ` +
		`client_url TEXT NOT NULL, peer_url TEXT NOT NULL, public_key TEXT NOT NULL, failure_domain TEXT NOT NULL, registered_ns INTEGER NOT NULL)`},
	{`CREATE TABLE IF NOT EXISTS guardian_records (record_key TEXT PRIMARY KEY, history TEXT NOT NULL, data TEXT NOT NULL)`},
}

const (
	memberColumns = "node_id, share_index, client_url, peer_url, public_key, failure_domain, registered_ns"
	selectIndices = "SELECT share_index, node_id FROM guardian_indices ORDER BY share_index LIMIT 1000"
)

// levels of consistency
const (
	// levelLinearizable has the leader ask the others whether it leads, and
	// catch up, before it answers. At level weak a new leader may answer from
	// before writes that were acknowledged. An rqlite that does not know the
	// level reads at weak.
	levelLinearizable = "linearizable"
	levelStrong       = "strong" // the read goes through the log, behind all writes
)

var (
	errNotMember = errors.New("it is not a guardian's record")
	blobLiteral  = regexp.MustCompile(`^\s*[xX]'`)
)

// readsAsBlob reports whether rqlite takes a text parameter for a literal of
// bytes.
func readsAsBlob(text string) bool { return blobLiteral.MatchString(text) }

// prepare creates the tables, once.
func (r *Rqlite) prepare(ctx context.Context) error {
	if r.prepared.Load() {
		return nil
	}
	results, err := r.client.send(ctx, "/db/execute", "", createTables)
	if err != nil {
		return err
	}
	for _, result := range results {
		if result.Error != "" {
			return fmt.Errorf("creating tables: %w", r.failure(result))
		}
	}
	r.prepared.Store(true)
	return nil
}

// failure is the error of a statement.
func (r *Rqlite) failure(result sqlResult) error {
	if strings.HasPrefix(result.Error, "no such table") {
		r.prepared.Store(false) // the database was replaced: the next call makes them again
	}
	return fmt.Errorf("rqlite: %q", r.client.presentable(result.Error))
}

// execute carries out one conditional write. It fails with errMoved when no row
// met the condition.
func (r *Rqlite) execute(ctx context.Context, s statement) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	results, err := r.client.send(ctx, "/db/execute", "", []statement{s})
	if err != nil {
		return err
	}
	const broken = "UNIQUE constraint failed: "
	switch result := results[0]; {
	case strings.HasPrefix(result.Error, broken), result.Error == "" && result.RowsAffected == 0:
		if result.repeated {
			return errMovedRepeated
		}
		return errMoved
	case result.Error != "":
		return r.failure(result)
	}
	return nil
}

// query returns the rows that each statement selects.
func (r *Rqlite) query(ctx context.Context, level string, statements ...statement) ([][]sqlRow, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	results, err := r.client.send(ctx, "/db/query", level, statements)
	if err != nil {
		return nil, err
	}
	tables := make([][]sqlRow, len(results))
	for i, result := range results {
		if result.Error != "" {
			return nil, r.failure(result)
		}
		tables[i] = result.Values
	}
	return tables, nil
}

// claims implements ledger.
func (r *Rqlite) claims(ctx context.Context) (map[int]string, error) {
	tables, err := r.query(ctx, levelStrong, statement{selectIndices})
	if err != nil {
		return nil, err
	}
	return ownersOf(tables[0]), nil
}

func ownersOf(rows []sqlRow) map[int]string {
	owners := map[int]string{}
	for _, row := range rows {
		var index int
		var node string
		if row.scan(&index, &node) == nil {
			owners[index] = node
		}
	}
	return owners
}

// claim implements ledger.
func (r *Rqlite) claim(ctx context.Context, index int, node string) error {
	return r.execute(ctx, statement{"INSERT INTO guardian_indices (share_index, node_id) VALUES (?, ?)", index, node})
}

// find implements ledger.
func (r *Rqlite) find(ctx context.Context, node string) (stored, error) {
	tables, err := r.query(ctx, levelStrong,
		statement{"SELECT " + memberColumns + " FROM guardians WHERE node_id = ?", node},
		statement{selectIndices})
	if err != nil {
		return stored{}, err
	}
	if len(tables[0]) == 0 {
		return stored{}, errAbsent
	}
	found := candidatesOf(tables[0])[0]
	if found.node != node || found.problem(ownersOf(tables[1]), nil) != nil {
		return stored{}, errUnusable
	}
	return stored{Member: found.member}, nil
}

// write implements ledger. A row has no revision: the whole of it is the
// condition, and it may return to what it was.
func (r *Rqlite) write(ctx context.Context, m Member, old stored) error {
	key := base64.StdEncoding.EncodeToString(m.PublicKey)
	if old.NodeID == "" {
		return r.execute(ctx, statement{
			"INSERT INTO guardians (" + memberColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?)",
			m.NodeID, m.Index, m.ClientURL, m.PeerURL, key, m.FailureDomain, m.RegisteredNS,
		})
	}
	return r.execute(ctx, statement{
		"UPDATE guardians SET client_url = ?, peer_url = ?, failure_domain = ? " +
			"WHERE node_id = ? AND public_key = ? AND client_url = ? AND peer_url = ? AND failure_domain = ?",
		m.ClientURL, m.PeerURL, m.FailureDomain,
		m.NodeID, key, old.ClientURL, old.PeerURL, old.FailureDomain,
	})
}

// candidatesOf reads rows of memberColumns.
func candidatesOf(rows []sqlRow) []candidate {
	candidates := make([]candidate, len(rows))
	for i, row := range rows {
		candidates[i] = candidateOf(row)
	}
	return candidates
}

func candidateOf(row sqlRow) candidate {
	var m Member
	var key string
	err := row.scan(&m.NodeID, &m.Index, &m.ClientURL, &m.PeerURL, &key, &m.FailureDomain, &m.RegisteredNS)
	if err == nil {
		m.PublicKey, err = base64.StdEncoding.Strict().DecodeString(key)
	}
	if err != nil {
		return candidate{node: row.name(), err: errNotMember}
	}
	return candidate{node: m.NodeID, member: m}
}

// sqlRow is one row of an answer, in the order of the columns asked for.
type sqlRow []json.RawMessage

// scan reads all columns. Of a column that is NULL or of another type than its
// target it fails.
func (row sqlRow) scan(targets ...any) error {
	if len(row) != len(targets) {
		return errNotMember
	}
	for i, target := range targets {
		if string(row[i]) == "null" {
			return errNotMember
		}
		if err := json.Unmarshal(row[i], target); err != nil {
			return errNotMember
		}
	}
	return nil
}

// name is what stands in the first column, for people.
func (row sqlRow) name() string {
	if len(row) == 0 {
		return "?"
	}
	var text string
	if json.Unmarshal(row[0], &text) != nil {
		return string(row[0])
	}
	return text
}
