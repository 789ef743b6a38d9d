package store

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// escapes are ways out of the public views, by what they try. None is answered; to ask for nothing is no fault, and gives nothing.
var escapes = map[string][]string{
	"another table by another name": {
		`SELECT "value" FROM "log"."node"`, "SELECT value FROM node", "SELECT name FROM log.labels", "SELECT * FROM log.causes", "SELECT hashes FROM log.tree", "SELECT [value] FROM [log].[node]", "SELECT `value` FROM `log`.`node`", "SELECT n.value FROM log.node AS n",
		"SELECT value FROM LOG.NODE", "SELECT * FROM log . node", "SELECT value FROM/**/log.node", "SELECT main.node.value FROM main.node",
		"SELECT * FROM events NATURAL JOIN log.node", "SELECT e.position FROM events e LEFT JOIN log.labels l ON l.id = e.stream",
		"SELECT count(*) FROM log.labels", "SELECT note FROM log.notes", "SELECT * FROM notes",
		"SELECT events.* FROM log.node AS events", "SELECT rowid FROM log.node", "SELECT count(value) FROM log.node", "SELECT 1 FROM log.node", "SELECT max(rowid) FROM log.labels",
	},
	"behind a name that is allowed": {
		"WITH events AS (SELECT name FROM log.labels) SELECT * FROM events", "SELECT * FROM (SELECT value FROM log.node) AS events", "SELECT (SELECT value FROM log.node) FROM events",
		"SELECT * FROM events WHERE EXISTS (SELECT 1 FROM log.node WHERE value = x'00')",
		"WITH requests AS MATERIALIZED (SELECT value FROM log.node) SELECT * FROM requests",
		"WITH RECURSIVE events(x) AS (SELECT value FROM log.node UNION ALL SELECT x FROM events) SELECT x FROM events LIMIT 3",
		"SELECT * FROM (WITH balances AS (SELECT name AS account FROM log.labels) SELECT * FROM balances)",
		"SELECT position FROM events UNION ALL SELECT value FROM log.node", "SELECT position FROM events EXCEPT SELECT value FROM log.node",
		"SELECT * FROM events ORDER BY (SELECT value FROM log.node)", "SELECT * FROM events LIMIT (SELECT length(value) FROM log.node LIMIT 1)",
		"SELECT sum(amount) OVER (ORDER BY (SELECT value FROM log.node)) FROM balances", "SELECT CASE WHEN (SELECT count(value) FROM log.node) > 0 THEN 1 END",
		"VALUES ((SELECT value FROM log.node))", "SELECT * FROM json_each((SELECT value FROM log.node))", "SELECT * FROM events WHERE position IN (SELECT value FROM log.node)",
		"SELECT * FROM events GROUP BY position HAVING (SELECT count(value) FROM log.node) > 0", "SELECT iif(exists(SELECT value FROM log.node), 1, 0)",
	},
	"the raw table behind a view": {
		"SELECT data FROM log.events", "SELECT data FROM log.state", "SELECT made_by FROM reports.checkpoint", "SELECT id FROM log.events", "SELECT data FROM log.state WHERE kind = 'key'", "SELECT position FROM reports.checkpoint", "SELECT * FROM reports.extensions",
		"SELECT * FROM (SELECT data FROM log.state) AS lots", "WITH lots AS (SELECT data FROM log.state) SELECT data FROM lots",
		"WITH RECURSIVE events AS (SELECT id AS x FROM log.state UNION SELECT x FROM events) SELECT x FROM events", "WITH lots AS (SELECT sum(length(data)) FROM log.state) SELECT * FROM lots",
		"WITH inner_lots AS (SELECT data FROM log.state) SELECT data FROM inner_lots", "SELECT (SELECT data FROM (WITH balances AS (SELECT data FROM log.state) SELECT data FROM balances))",
		"EXPLAIN QUERY PLAN WITH lots AS (SELECT data FROM log.state) SELECT data FROM lots",
	},
	"the schema": {
		"SELECT * FROM log.sqlite_schema", "SELECT * FROM sqlite_schema", "SELECT * FROM temp.sqlite_schema", "SELECT sql FROM sqlite_temp_schema",
		"SELECT * FROM pragma_table_info('events')", "SELECT * FROM pragma_database_list", "SELECT * FROM dbstat", "SELECT sql FROM log.sqlite_master", "SELECT * FROM sqlite_master", "SELECT * FROM log.sqlite_sequence", "SELECT * FROM sqlite_temp_master", "SELECT * FROM log.goose_db_version",
		"SELECT * FROM pragma_table_list", "SELECT * FROM pragma_function_list", "SELECT * FROM pragma_compile_options", "SELECT * FROM pragma_integrity_check", "SELECT * FROM pragma_foreign_key_list('events')",
		"SELECT * FROM sqlite_stmt", "SELECT * FROM sqlite_dbpage", "SELECT * FROM bytecode('SELECT 1')", "SELECT * FROM tables_used('SELECT 1')", "SELECT * FROM completion('SEL')",
	},
	"pragmas": {
		"PRAGMA writable_schema = 1", "PRAGMA trusted_schema = 1", "PRAGMA temp_store_directory = '/tmp'", "PRAGMA journal_mode = DELETE", "PRAGMA log.wal_checkpoint(TRUNCATE)", "PRAGMA key = 'x'",
		"PRAGMA cell_size_check = 0", "PRAGMA hard_heap_limit = 1", "PRAGMA mmap_size = 1", "PRAGMA optimize", "PRAGMA log.user_version", "PRAGMA query_only", "PRAGMA query_only = 0", "PRAGMA table_info(events)", "PRAGMA database_list", "PRAGMA log.secure_delete = 0",
	},
	"other files": {
		"ATTACH ':memory:' AS x", "DETACH log", "VACUUM", "VACUUM INTO 'x.db'", "SELECT load_extension('x')", "ATTACH 'vault.db' AS v", "ATTACH DATABASE 'file:vault.db?mode=rwc' AS v", "VACUUM log INTO '/tmp/copy.db'", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'x')", "SELECT edit('x')",
		"SELECT load_extension('libm.so', 'f')", "SELECT fts3_tokenizer('simple', x'0000000000000000')", "SELECT * FROM fsdir('/')", "SELECT * FROM csv", "SELECT * FROM zipfile('x.zip')",
		"CREATE VIRTUAL TABLE temp.v USING csv(filename='/etc/passwd')", "CREATE VIRTUAL TABLE x USING fts5(a)", "CREATE VIRTUAL TABLE x USING rtree(a,b,c)", "CREATE VIRTUAL TABLE temp.d USING dbstat",
	},
	"writing": {
		"CREATE TABLE x (a)", "CREATE TEMP TABLE x (a)", "CREATE TEMP VIEW x AS SELECT 1", "DROP VIEW events", "ALTER TABLE log.events ADD COLUMN x", "BEGIN IMMEDIATE", "SAVEPOINT x",
		"DELETE FROM log.events", "UPDATE log.balances SET amount = 1", "INSERT INTO log.node VALUES ('x', x'00')", "INSERT INTO events DEFAULT VALUES", "ANALYZE", "REINDEX",
		"REPLACE INTO log.node VALUES ('x', x'00')", "INSERT INTO requests (id) VALUES ('x')", "UPDATE events SET data = '{}'", "DELETE FROM events", "UPDATE log.events SET data = x'7b7d' RETURNING data",
		"WITH x AS (SELECT 1) DELETE FROM log.node", "CREATE INDEX log.i ON events(at)", "CREATE TRIGGER temp.t INSTEAD OF DELETE ON events BEGIN SELECT 1; END", "DROP TABLE log.events", "DROP TRIGGER log.events_no_update",
		"ALTER TABLE log.node RENAME TO x", "CREATE TABLE log.x AS SELECT 1", "CREATE TEMP TABLE x AS SELECT * FROM events", "ANALYZE log", "REINDEX log.events", "COMMIT", "ROLLBACK", "RELEASE x", "BEGIN", "END",
	},
	"several statements": {
		"SELECT 1; SELECT value FROM log.node", "; SELECT value FROM log.node", "SELECT 1; PRAGMA query_only = 0; DELETE FROM log.events", "SELECT 1; DELETE FROM log.events", "EXPLAIN DELETE FROM log.events", "EXPLAIN SELECT value FROM log.node", "EXPLAIN QUERY PLAN SELECT value FROM log.node",
	},
	"nothing": {"", ";", "-- nothing"},
	"no SQL":  {"SELECT", "\x00", "SELECT 1\x00; DELETE FROM log.events", "SELECT ?", "SELECT :x", "SELECT @x"},
}

// TestQueryEscapes: whatever is tried, nothing but the views can be seen, and nothing is changed.
func TestQueryEscapes(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	if err := y.s.SetNodeValue(t.Context(), "secret", []byte("hunter2")); err != nil {
		t.Fatal(err)
	}
	if err := y.s.Rename(t.Context(), Label{Kind: "org", ID: "acme", Name: "Acme Ltd"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for why, queries := range escapes {
		for _, q := range queries {
			n++
			if rows, err := y.query(t.Context(), q, Limits{}); err == nil && (why != "nothing" || len(rows) > 0) {
				t.Errorf("%s: %q was let through: %v", why, q, rows)
			}
		}
	}
	if n < 100 {
		t.Errorf("%d escapes", n)
	}
	if r := y.verify(VerifyOptions{}); r.First() != nil {
		t.Errorf("the log was changed: %v", r.First())
	}
	if rows, err := y.query(t.Context(), "SELECT count(*) FROM events", Limits{}); err != nil || rows[0][0] != int64(y.head()) {
		t.Errorf("the log is not what it was: %v, %v", rows, err)
	}
}

// TestQueryIsBoundedInSize: no value, row or answer is larger than is good for who takes it, however it is made.
func TestQueryIsBoundedInSize(t *testing.T) {
	y := newStory(t)
	y.tell()
	y.reports()
	began := time.Now()
	for _, q := range []string{
		"SELECT randomblob(1000000000)", "SELECT printf('%.*c', 1000000000, 'x')", "SELECT hex(zeroblob(16000000))", "SELECT replace(hex(zeroblob(8000000)), '0', 'xxxxxxxx')",
		"WITH RECURSIVE n(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM n) SELECT max(length(s)) FROM n",
		"SELECT group_concat(data) FROM events, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n)",
		strings.Repeat("SELECT 1 UNION ALL ", 60) + "SELECT 1",
		"SELECT " + strings.TrimSuffix(strings.Repeat("1,", 3000), ","),
		"SELECT json('" + strings.Repeat("[", 20000) + "')",
	} {
		if rows, err := y.query(t.Context(), q, Limits{Rows: 10}); err == nil {
			t.Errorf("%.80s is answered: %.80v", q, rows)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	_, err := y.query(t.Context(), "SELECT zeroblob(1000000) FROM events", Limits{Bytes: 10 << 20})
	if q, ok := errors.AsType[*QueryError](err); !ok || !errors.Is(err, ErrTooManyBytes) {
		t.Errorf("an answer of more bytes than the limit: %v (%v)", err, q)
	}
	if rows, err := y.query(t.Context(), "SELECT zeroblob(1000000) FROM events LIMIT 5", Limits{Bytes: 10 << 20}); err != nil || len(rows) != 5 {
		t.Errorf("an answer within the limit: %d, %v", len(rows), err)
	}
}
