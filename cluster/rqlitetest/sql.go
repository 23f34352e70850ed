package rqlitetest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var tokens = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\S`)

// parser reads one statement, and stops at the first thing it does not know.
type parser struct {
	words      []string
	parameters []any
	err        error
}

// run carries one statement out; one that reads if reads is set.
func (d *database) run(s statement, reads bool) (result, error) {
	p := &parser{words: tokens.FindAllString(s.text, -1), parameters: s.parameters}
	if wanted := strings.Count(s.text, "?"); wanted > len(s.parameters) {
		return result{}, fmt.Errorf("not enough args to execute query: want %d got %d", wanted, len(s.parameters))
	}
	verbs := map[string]func(*parser) (result, error){
		"CREATE": d.runCreate, "INSERT": d.runInsert, "UPDATE": d.runUpdate, "DELETE": d.runDelete, "SELECT": d.runSelect,
	}
	word := p.next()
	verb := strings.ToUpper(word)
	run := verbs[verb]
	switch {
	case run == nil:
		return result{}, fmt.Errorf("near %q: syntax error", word)
	case reads && verb != "SELECT":
		return result{}, errChanges
	case !reads && verb == "SELECT": // rows are not given to who executes
		return d.lately(), nil
	}
	return run(p)
}

// runCreate knows CREATE TABLE IF NOT EXISTS name (column kind constraint, ...).
func (d *database) runCreate(p *parser) (result, error) {
	p.expect("TABLE", "IF", "NOT", "EXISTS")
	t := &table{name: p.next()}
	t.columns = list(p, p.column)
	if err := p.end(); err != nil {
		return result{}, err
	}
	d.create(t)
	return d.lately(), nil
}

// lately is the answer to a statement that inserts, updates and deletes
// nothing: SQLite then tells of the last one that did.
func (d *database) lately() result {
	return result{LastInsertID: d.lastInsert, RowsAffected: d.changes}
}

func (p *parser) column() column {
	c := column{name: p.next(), kind: strings.ToUpper(p.next())}
	if c.kind != "TEXT" && c.kind != "INTEGER" {
		p.fail(c.kind)
	}
	for {
		switch {
		case p.take("NOT"):
			p.expect("NULL")
			c.notNull = true
		case p.take("UNIQUE"):
			c.unique = true
		case p.take("PRIMARY"):
			p.expect("KEY")
			c.unique, c.isPrimaryID = true, c.kind == "INTEGER"
		default:
			return c
		}
	}
}

// runInsert knows INSERT INTO name (column, ...) VALUES (?, ...).
func (d *database) runInsert(p *parser) (result, error) {
	p.expect("INTO")
	name := p.next()
	names := list(p, p.next)
	p.expect("VALUES")
	values := list(p, p.value)
	if err := p.end(); err != nil {
		return result{}, err
	}
	t, err := d.table(name)
	if err != nil {
		return result{}, err
	}
	if len(names) != len(values) {
		return result{}, fmt.Errorf("%d values for %d columns", len(values), len(names))
	}
	d.changes = 0
	id, err := t.insert(names, values)
	if err != nil {
		return result{}, err
	}
	d.lastInsert, d.changes = id, 1
	return d.lately(), nil
}

// runUpdate knows UPDATE name SET column = ?, ... WHERE column = ? AND ....
func (d *database) runUpdate(p *parser) (result, error) {
	t, err := d.table(p.next())
	if err != nil {
		return result{}, err
	}
	p.expect("SET")
	assign := p.matches(t, ",")
	where := p.where(t)
	if err := p.end(); err != nil {
		return result{}, err
	}
	d.changes = 0
	changed, err := t.update(assign, where)
	if err != nil {
		return result{}, err
	}
	d.changes = changed
	return d.lately(), nil
}

// runDelete knows DELETE FROM name WHERE column = ? AND ....
func (d *database) runDelete(p *parser) (result, error) {
	p.expect("FROM")
	t, err := d.table(p.next())
	if err != nil {
		return result{}, err
	}
	where := p.where(t)
	if err := p.end(); err != nil {
		return result{}, err
	}
	d.changes = t.remove(where)
	return d.lately(), nil
}

// runSelect knows SELECT column, ... FROM name WHERE column = ? AND ...
// ORDER BY column LIMIT n.
func (d *database) runSelect(p *parser) (result, error) {
	names := p.separated(",")
	p.expect("FROM")
	t, err := d.table(p.next())
	if err != nil {
		return result{}, err
	}
	columns := make([]int, len(names))
	types := make([]string, len(names))
	for i, name := range names {
		columns[i] = p.columnOf(t, name)
		types[i] = strings.ToLower(t.columns[columns[i]].kind)
	}
	where := p.where(t)
	order, limit := p.order(t), p.limit()
	if err := p.end(); err != nil {
		return result{}, err
	}
	return result{Columns: names, Types: types, Values: t.choose(columns, where, order, limit)}, nil
}

func (p *parser) where(t *table) []match {
	if !p.take("WHERE") {
		return nil
	}
	return p.matches(t, "AND")
}

func (p *parser) order(t *table) int {
	if !p.take("ORDER") {
		return -1
	}
	p.expect("BY")
	return p.columnOf(t, p.next())
}

func (p *parser) limit() int {
	if !p.take("LIMIT") {
		return -1
	}
	n, err := strconv.Atoi(p.next())
	if err != nil {
		p.fail("LIMIT")
	}
	return n
}

// matches reads column = ? separated by a word.
func (p *parser) matches(t *table, separator string) []match {
	var all []match
	for {
		at := p.columnOf(t, p.next())
		p.expect("=")
		all = append(all, match{at, t.columns[at].coerce(p.value())})
		if !p.take(separator) {
			return all
		}
	}
}

// columnOf returns the place of a column, the first one's if there is none of
// that name.
func (p *parser) columnOf(t *table, name string) int {
	at := t.column(name)
	switch {
	case at >= 0 || p.err != nil:
	case name == "":
		p.fail(name)
	default:
		p.err = fmt.Errorf("no such column: %s", name)
	}
	return max(at, 0)
}

// list reads items in parentheses, with commas between them.
func list[T any](p *parser, item func() T) []T {
	p.expect("(")
	all := []T{item()}
	for p.take(",") {
		all = append(all, item())
	}
	p.expect(")")
	return all
}

func (p *parser) separated(separator string) []string {
	all := []string{p.next()}
	for p.take(separator) {
		all = append(all, p.next())
	}
	return all
}

// value takes a ? and returns its parameter.
func (p *parser) value() any {
	p.expect("?")
	if p.err != nil {
		return nil
	}
	first := p.parameters[0]
	p.parameters = p.parameters[1:]
	return first
}

// next takes one word, "" at the end.
func (p *parser) next() string {
	if len(p.words) == 0 {
		return ""
	}
	word := p.words[0]
	p.words = p.words[1:]
	return word
}

// take takes the next word if it is that one.
func (p *parser) take(word string) bool {
	if len(p.words) == 0 || !strings.EqualFold(p.words[0], word) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(words ...string) {
	for _, word := range words {
		if !p.take(word) {
			p.fail(p.next())
			return
		}
	}
}

// fail keeps the first error.
func (p *parser) fail(word string) {
	switch {
	case p.err != nil:
	case word == "":
		p.err = errors.New("incomplete input")
	default:
		p.err = fmt.Errorf("near %q: syntax error", word)
	}
}

// end wants nothing more.
func (p *parser) end() error {
	if len(p.words) > 0 {
		p.fail(p.words[0])
	}
	return p.err
}
