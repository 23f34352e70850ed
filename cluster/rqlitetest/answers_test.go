package rqlitetest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/cluster/rqlitetest"
)

// exchange is a request and what rqlite 10 answers to it.
type exchange struct {
	path, body string
	status     int
	answer     string
}

const (
	execute     = "/db/execute"
	transaction = "/db/execute?transaction"
	strong      = "/db/query?level=strong"
)

// exchanges were made with one empty rqlited, in this order.
var exchanges = []exchange{
	{execute, `[["CREATE TABLE IF NOT EXISTS claims (n INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE)"],["CREATE TABLE IF NOT EXISTS nodes (node TEXT PRIMARY KEY, n INTEGER NOT NULL, url TEXT)"]]`, 200, `{"results":[{},{}]}`},
	{strong, `[["SELECT n, node FROM claims"]]`, 200, `{"results":[{"columns":["n","node"],"types":["integer","text"]}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",1,"a"]]`, 200, `{"results":[{"last_insert_id":1,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",1,"b"]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.n"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",2,"a"]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.node"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",1,"a"]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.n"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",3,null]]`, 200, `{"results":[{"error":"NOT NULL constraint failed: claims.node"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)","three","c"]]`, 200, `{"results":[{"error":"datatype mismatch"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",3]]`, 200, `{"results":[{"error":"not enough args to execute query: want 2 got 1"}]}`},
	{execute, `[["INSERT INTO absent (n) VALUES (?)",3]]`, 200, `{"results":[{"error":"no such table: absent"}]}`},
	{execute, `[["INSERT INTO claims (m) VALUES (?)",3]]`, 200, `{"results":[{"error":"table claims has no column named m"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?)",3]]`, 200, `{"results":[{"error":"1 values for 2 columns"}]}`},

	{transaction, `[["INSERT INTO claims (n, node) VALUES (?, ?)",3,"c"],["INSERT INTO claims (n, node) VALUES (?, ?)",1,"d"]]`, 200, `{"results":[{"last_insert_id":3,"rows_affected":1},{"error":"UNIQUE constraint failed: claims.n"}]}`},
	{transaction, `[["INSERT INTO claims (n, node) VALUES (?, ?)",1,"d"],["INSERT INTO claims (n, node) VALUES (?, ?)",3,"c"]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.n"}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",1,"d"],["INSERT INTO claims (n, node) VALUES (?, ?)",5,"e"]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.n"},{"last_insert_id":5,"rows_affected":1}]}`},
	{strong, `[["SELECT n, node FROM claims ORDER BY n"]]`, 200, `{"results":[{"columns":["n","node"],"types":["integer","text"],"values":[[1,"a"],[5,"e"]]}]}`},

	{execute, `[["UPDATE claims SET node = ? WHERE n = ? AND node = ?","z",5,"e"]]`, 200, `{"results":[{"last_insert_id":5,"rows_affected":1}]}`},
	{execute, `[["UPDATE claims SET node = ? WHERE n = ? AND node = ?","y",5,"e"]]`, 200, `{"results":[{"last_insert_id":5}]}`},
	{execute, `[["UPDATE claims SET node = ? WHERE n = ?","a",5]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.node"}]}`},
	{execute, `[["UPDATE claims SET node = ? WHERE n = ?",null,5]]`, 200, `{"results":[{"error":"NOT NULL constraint failed: claims.node"}]}`},
	{execute, `[["UPDATE claims SET nobody = ? WHERE n = ?",null,5]]`, 200, `{"results":[{"error":"no such column: nobody"}]}`},
	{execute, `[["UPDATE claims SET node = ? WHERE node = ?","z","z"]]`, 200, `{"results":[{"last_insert_id":5,"rows_affected":1}]}`},
	{execute, `[["DELETE FROM claims WHERE n = ?",1]]`, 200, `{"results":[{"last_insert_id":5,"rows_affected":1}]}`},
	{execute, `[["DELETE FROM claims WHERE n = ?",1]]`, 200, `{"results":[{"last_insert_id":5}]}`},
	{execute, `[["SELECT n FROM claims"]]`, 200, `{"results":[{"last_insert_id":5}]}`},
	{execute, `[["CREATE TABLE IF NOT EXISTS claims (n INTEGER PRIMARY KEY)"]]`, 200, `{"results":[{"last_insert_id":5}]}`},

	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","int",12,7]]`, 200, `{"results":[{"last_insert_id":1,"rows_affected":1}]}`},
	{execute, `[["CREATE TABLE IF NOT EXISTS claims (n INTEGER PRIMARY KEY)"],["SELECT n FROM claims"],["SELEC"]]`, 200, `{"results":[{"last_insert_id":1,"rows_affected":1},{"last_insert_id":1,"rows_affected":1},{"error":"near \"SELEC\": syntax error"}]}`},
	{execute, `[["UPDATE nodes SET url = ? WHERE n = ?","x",99],["SELECT n FROM claims"]]`, 200, `{"results":[{"last_insert_id":1},{"last_insert_id":1}]}`},
	{execute, `[["DELETE FROM nodes WHERE n = ?",12],["CREATE TABLE IF NOT EXISTS claims (n INTEGER PRIMARY KEY)"]]`, 200, `{"results":[{"last_insert_id":1,"rows_affected":1},{"last_insert_id":1,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","int",12,7]]`, 200, `{"results":[{"last_insert_id":1,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO claims (n, node) VALUES (?, ?)",5,"b"],["CREATE TABLE IF NOT EXISTS claims (n INTEGER PRIMARY KEY)"]]`, 200, `{"results":[{"error":"UNIQUE constraint failed: claims.n"},{"last_insert_id":1}]}`},
	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","text int","13",true]]`, 200, `{"results":[{"last_insert_id":2,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","real",1.5,1.5]]`, 200, `{"results":[{"last_insert_id":3,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","whole",14.0,null]]`, 200, `{"results":[{"last_insert_id":4,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","text","n","<&\"\u00e9\u2028"]]`, 200, `{"results":[{"last_insert_id":5,"rows_affected":1}]}`},
	{execute, `[["INSERT INTO nodes (node, n, url) VALUES (?, ?, ?)","big",9007199254740993,""]]`, 200, `{"results":[{"last_insert_id":6,"rows_affected":1}]}`},
	{strong, `[["SELECT node, n, url FROM nodes ORDER BY n LIMIT 4"]]`, 200, `{"results":[{"columns":["node","n","url"],"types":["text","integer","text"],"values":[["real",1.5,"1.5"],["int",12,"7"],["text int",13,"1"],["whole",14,null]]}]}`},
	{strong, `[["SELECT node, n, url FROM nodes ORDER BY node"]]`, 200, `{"results":[{"columns":["node","n","url"],"types":["text","integer","text"],"values":[["big",9007199254740993,""],["int",12,"7"],["real",1.5,"1.5"],["text","n","\u003c\u0026\"é\u2028"],["text int",13,"1"],["whole",14,null]]}]}`},
	{"/db/query?level=weak", `[["SELECT url FROM nodes WHERE node = ? AND n = ?","int","12"],["SELECT n FROM claims WHERE node = ?","z"]]`, 200, `{"results":[{"columns":["url"],"types":["text"],"values":[["7"]]},{"columns":["n"],"types":["integer"],"values":[[5]]}]}`},
	{"/db/query?level=linearizable", `[["SELECT n FROM claims WHERE node = ?","z"]]`, 200, `{"results":[{"columns":["n"],"types":["integer"],"values":[[5]]}]}`},
	{"/db/query?level=none", `["SELECT n FROM claims"]`, 200, `{"results":[{"columns":["n"],"types":["integer"],"values":[[5]]}]}`},
	{"/db/query?level=nonsense", `[["SELECT n FROM claims WHERE node = ?","absent"]]`, 200, `{"results":[{"columns":["n"],"types":["integer"]}]}`},
	{strong, `[["SELECT n FROM absent"]]`, 200, `{"results":[{"error":"no such table: absent"}]}`},
	{strong, `[["SELECT absent FROM claims"]]`, 200, `{"results":[{"error":"no such column: absent"}]}`},
	{strong, `[["INSERT INTO claims (n, node) VALUES (?, ?)",9,"q"]]`, 200, `{"results":[{"error":"attempt to change database via query operation"}]}`},
	{execute, `[["SELEC n FROM claims"]]`, 200, `{"results":[{"error":"near \"SELEC\": syntax error"}]}`},
	{strong, `[["SELECT n FROM claims WHERE"]]`, 200, `{"results":[{"error":"incomplete input"}]}`},

	{execute, `garbage`, 400, "invalid JSON body\n"},
	{execute, ``, 400, "invalid JSON body\n"},
	{execute, `[["SELECT 1"`, 400, "invalid JSON body\n"},
	{execute, `{}`, 400, "invalid request\n"},
	{execute, `[[1]]`, 400, "invalid request\n"},
	{execute, `[[]]`, 400, "invalid request\n"},
	{execute, `[1]`, 400, "invalid request\n"},
	{execute, `[]`, 400, "no statements\n"},
	{"/db/absent", `[]`, 404, ""},
}

// typeOf is the Content-Type that goes with a status.
var typeOf = map[int]string{200: "application/json; charset=utf-8", 400: "text/plain; charset=utf-8", 404: ""}

type asker func(path, body string) (status int, header http.Header, text string, err error)

func wantExchanges(t *testing.T, ask asker) {
	t.Helper()
	for _, e := range exchanges {
		status, header, text, err := ask(e.path, e.body)
		if err != nil || status != e.status || text != e.answer || header.Get("Content-Type") != typeOf[e.status] {
			t.Errorf("%s %s:\n%d %q %s, %v\nwant\n%d %q %s", e.path, e.body, status, header.Get("Content-Type"), text, err, e.status, typeOf[e.status], e.answer)
		}
		if header.Get("X-Rqlite-Version") != "10" {
			t.Errorf("%s: version %q", e.path, header.Get("X-Rqlite-Version"))
		}
	}
}

// post asks a node of a cluster without a password.
func post(t *testing.T, address string) asker {
	t.Helper()
	return func(path, body string) (int, http.Header, string, error) {
		answer, err := http.Post("http://"+address+path, "application/json", strings.NewReader(body))
		if err != nil {
			return 0, nil, "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return answer.StatusCode, answer.Header, string(text), err
	}
}

func TestAnswers(t *testing.T) {
	c := rqlitetest.New(t, 1, rqlitetest.Options{})
	wantExchanges(t, post(t, c.Addresses()[0]))
}
