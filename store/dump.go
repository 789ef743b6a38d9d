package store

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// dump writes an export as SQL that makes its tables and fills them, in one transaction. Rows of several tables come
// alternately; they are gathered by table, so that a statement has many.
type dump struct {
	w       *bufio.Writer
	dialect Dialect
	open    map[string]*statement
}

// statement is an INSERT that more rows may join.
type statement struct {
	bytes.Buffer
	rows int
}

// dumpRows bounds a statement, so that neither side need hold much of it.
const dumpRows = 200

func newDump(w io.Writer, d Dialect) *dump {
	return &dump{bufio.NewWriterSize(w, 1<<16), d, map[string]*statement{}}
}

func (d *dump) begin(tables []table) error {
	d.w.WriteString("-- Traces of a waybill. Money is in nano-dollars, times are in nanoseconds since 1970, UTC.\nBEGIN;\n")
	for _, t := range tables {
		d.w.WriteString(t.create(d.dialect) + ";\n")
	}
	return d.w.Flush()
}

// create is the statement that makes the table.
func (t table) create(d Dialect) string {
	integer, options := "INTEGER", " STRICT"
	if d == Postgres {
		integer, options = "BIGINT", ""
	}
	var s strings.Builder
	s.WriteString("CREATE TABLE " + t.name + " (")
	for _, c := range t.columns {
		kind := integer
		if c.text {
			kind = "TEXT"
		}
		s.WriteString(c.name + " " + kind + " NOT NULL, ")
	}
	s.WriteString("PRIMARY KEY (" + strings.Join(t.key, ", ") + "))" + options)
	return s.String()
}

func (d *dump) put(t table, row []any) error {
	s := d.open[t.name]
	if s == nil {
		s = new(statement)
		d.open[t.name] = s
	}
	if s.rows == 0 {
		s.WriteString("INSERT INTO " + t.name + " VALUES")
	} else {
		s.WriteByte(',')
	}
	for i, v := range row {
		s.WriteString([]string{"\n(", ", "}[min(i, 1)])
		switch v := v.(type) {
		case int64:
			s.Write(strconv.AppendInt(s.AvailableBuffer(), v, 10))
		case string:
			d.quote(s, v)
		}
	}
	s.WriteByte(')')
	if s.rows++; s.rows == dumpRows {
		return d.flush(s)
	}
	return nil
}

func (d *dump) flush(s *statement) error {
	if s.rows == 0 {
		return nil
	}
	s.WriteString(";\n")
	s.rows = 0
	_, err := s.WriteTo(d.w)
	return err
}

// quote writes a string as both dialects have it: a backslash means itself where standard_conforming_strings is on, as it
// is by default. A NUL would end the statement for SQLite's shell, and PostgreSQL has none at all.
func (d *dump) quote(s *statement, v string) {
	v = strings.ReplaceAll(v, "'", "''")
	if d.dialect == Postgres {
		v = strings.ReplaceAll(v, "\x00", "")
	} else {
		v = strings.ReplaceAll(v, "\x00", "' || char(0) || '")
	}
	s.WriteString("'" + v + "'")
}

func (d *dump) end() error {
	for _, t := range exportTables {
		if s := d.open[t.name]; s != nil {
			if err := d.flush(s); err != nil {
				return err
			}
		}
	}
	d.w.WriteString("COMMIT;\n") // the writer keeps its first error
	return d.w.Flush()
}

// csvSink writes one table of an export as CSV.
type csvSink struct {
	w     *csv.Writer
	only  table
	cells []string
}

func newCSVSink(w io.Writer, only table) *csvSink { return &csvSink{w: csv.NewWriter(w), only: only} }

func (c *csvSink) begin([]table) error {
	return c.w.Write(strings.Split(c.only.names(), ", "))
}

func (c *csvSink) put(t table, row []any) error {
	if t.name != c.only.name {
		return nil
	}
	c.cells = c.cells[:0]
	for _, v := range row {
		c.cells = append(c.cells, fmt.Sprint(v))
	}
	return c.w.Write(c.cells)
}

func (c *csvSink) end() error {
	c.w.Flush()
	return c.w.Error()
}

// jsonSink writes the rows of an export as JSON, one a line.
type jsonSink struct {
	w    *bufio.Writer
	only *table
	line []byte
}

func newJSONSink(w io.Writer, only *table) *jsonSink {
	return &jsonSink{w: bufio.NewWriterSize(w, 1<<16), only: only}
}

func (j *jsonSink) begin([]table) error { return nil }

func (j *jsonSink) put(t table, row []any) error {
	if j.only != nil && t.name != j.only.name {
		return nil
	}
	j.line = append(j.line[:0], `{"table":"`+t.name+`"`...)
	for i, c := range t.columns {
		j.line = append(j.line, `,"`+c.name+`":`...)
		switch v := row[i].(type) {
		case int64:
			j.line = strconv.AppendInt(j.line, v, 10)
		case string:
			if t.name == eventsTable.name && c.name == "data" { // JSON already
				j.line = append(j.line, v...)
				continue
			}
			s, err := json.Marshal(v)
			if err != nil {
				return err
			}
			j.line = append(j.line, s...)
		}
	}
	_, err := j.w.Write(append(j.line, "}\n"...))
	return err
}

func (j *jsonSink) end() error { return j.w.Flush() }
