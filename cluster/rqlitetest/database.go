package rqlitetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// database is a set of tables. The zero database has none.
type database struct {
	tables     map[string]*table
	lastInsert int64
	changes    int64 // rows that the last INSERT, UPDATE or DELETE affected
}

// table keeps its rows in the order of their ids, which SQLite calls rowid.
type table struct {
	name    string
	columns []column
	rows    []row
}

type column struct {
	name, kind                   string // kind is TEXT or INTEGER
	notNull, unique, isPrimaryID bool   // an INTEGER PRIMARY KEY is the rowid
}

// row is never changed, only replaced.
type row struct {
	id     int64
	values []any // nil, int64, float64 or string
}

// result is the answer to one statement.
type result struct {
	LastInsertID int64    `json:"last_insert_id,omitempty"`
	RowsAffected int64    `json:"rows_affected,omitempty"`
	Columns      []string `json:"columns,omitempty"`
	Types        []string `json:"types,omitempty"`
	Values       [][]any  `json:"values,omitempty"`
	Error        string   `json:"error,omitempty"`
}

var (
	errChanges  = errors.New("attempt to change database via query operation")
	errMismatch = errors.New("datatype mismatch")
)

// request carries statements out. In a transaction the first that fails is the
// last one, and undoes the others.
func (d *database) request(statements []statement, reads, transaction bool) []result {
	before := d.clone()
	var results []result
	for _, s := range statements {
		one, err := d.run(s, reads)
		if err != nil {
			one = result{Error: err.Error()}
		}
		results = append(results, one)
		if err != nil && transaction {
			*d = before
			break
		}
	}
	return results
}

func (d *database) clone() database {
	copied := database{tables: maps.Clone(d.tables), lastInsert: d.lastInsert, changes: d.changes}
	for name, t := range copied.tables {
		same := *t
		same.rows = slices.Clone(t.rows)
		copied.tables[name] = &same
	}
	return copied
}

func (d *database) table(name string) (*table, error) {
	if t := d.tables[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("no such table: %s", name)
}

func (d *database) create(t *table) {
	if d.tables == nil {
		d.tables = map[string]*table{}
	}
	if d.tables[t.name] == nil {
		d.tables[t.name] = t
	}
}

func (t *table) column(name string) int {
	return slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
}

// insert adds a row with the values of the columns named, and returns its id.
func (t *table) insert(names []string, values []any) (int64, error) {
	added := row{id: t.nextID(), values: make([]any, len(t.columns))}
	for i, name := range names {
		at := t.column(name)
		if at < 0 {
			return 0, fmt.Errorf("table %s has no column named %s", t.name, name)
		}
		added.values[at] = t.columns[at].coerce(values[i])
	}
	if err := t.settle(&added, -1); err != nil {
		return 0, err
	}
	t.rows = append(t.rows, added)
	slices.SortFunc(t.rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	return added.id, nil
}

func (t *table) nextID() int64 {
	if len(t.rows) == 0 {
		return 1
	}
	return t.rows[len(t.rows)-1].id + 1
}

// settle checks a row that is to be at place, -1 if it is new, and gives it the
// id that it names.
func (t *table) settle(r *row, place int) error {
	for i, c := range t.columns {
		if c.isPrimaryID && r.values[i] != nil {
			id, isInt := r.values[i].(int64)
			if !isInt {
				return errMismatch
			}
			r.id = id
		}
		if c.isPrimaryID {
			r.values[i] = r.id
		}
		if c.notNull && r.values[i] == nil {
			return fmt.Errorf("NOT NULL constraint failed: %s.%s", t.name, c.name)
		}
		if c.unique && t.holds(i, r.values[i], place) {
			return fmt.Errorf("UNIQUE constraint failed: %s.%s", t.name, c.name)
		}
	}
	return nil
}

// holds reports whether another row than that at place has the value.
func (t *table) holds(column int, value any, place int) bool {
	return value != nil && slices.ContainsFunc(t.rows, func(other row) bool {
		return (place < 0 || other.id != t.rows[place].id) && other.values[column] == value
	})
}

// match is a column with the value that it has, or is to be given.
type match struct {
	column int
	value  any
}

func (r row) matches(all []match) bool {
	return !slices.ContainsFunc(all, func(m match) bool { return m.value == nil || r.values[m.column] != m.value })
}

// update assigns to every row that matches, and returns how many did.
func (t *table) update(assign, where []match) (int64, error) {
	var changed int64
	before := slices.Clone(t.rows)
	for i, r := range t.rows {
		if !r.matches(where) {
			continue
		}
		next := row{id: r.id, values: slices.Clone(r.values)}
		for _, a := range assign {
			next.values[a.column] = a.value
		}
		if err := t.settle(&next, i); err != nil {
			t.rows = before
			return 0, err
		}
		t.rows[i] = next
		changed++
	}
	return changed, nil
}

func (t *table) remove(where []match) int64 {
	before := len(t.rows)
	t.rows = slices.DeleteFunc(t.rows, func(r row) bool { return r.matches(where) })
	return int64(before - len(t.rows))
}

// choose returns the columns of the rows that match. order is the column to
// order by, -1 for the order of the ids; limit is -1 for all.
func (t *table) choose(columns []int, where []match, order, limit int) [][]any {
	rows := slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return !r.matches(where) })
	if order >= 0 {
		slices.SortStableFunc(rows, func(a, b row) int { return compare(a.values[order], b.values[order]) })
	}
	if limit >= 0 {
		rows = rows[:min(limit, len(rows))]
	}
	var chosen [][]any
	for _, r := range rows {
		values := make([]any, len(columns))
		for i, at := range columns {
			values[i] = r.values[at]
		}
		chosen = append(chosen, values)
	}
	return chosen
}

// compare orders as SQLite does: NULL, numbers, text.
func compare(a, b any) int {
	rank := func(v any) int {
		switch v.(type) {
		case nil:
			return 0
		case string:
			return 2
		default:
			return 1
		}
	}
	if rank(a) != rank(b) {
		return cmp.Compare(rank(a), rank(b))
	}
	if text, ok := a.(string); ok {
		return strings.Compare(text, b.(string))
	}
	return cmp.Compare(number(a), number(b))
}

func number(v any) float64 {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	default:
		return 0
	}
}

// coerce is what SQLite calls the column's affinity.
func (c column) coerce(value any) any {
	switch v := value.(type) {
	case int64:
		if c.kind == "TEXT" {
			return strconv.FormatInt(v, 10)
		}
	case float64:
		if c.kind == "TEXT" {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && c.kind == "INTEGER" {
			return n
		}
	}
	return value
}
