package store

import (
	"database/sql/driver"
	"strings"
)

// batchRows is how many rows of a table one statement writes. Most of what a row costs is the statement around it.
const batchRows = 16

// inserts are the statements that write one row of a table, and batchRows of them.
type inserts struct {
	one, many *stmt
	columns   int
}

// exec writes rows, whose values stand one after another.
func (in inserts) exec(values []driver.Value) error {
	for many := in.columns * batchRows; len(values) >= many; values = values[many:] {
		if err := in.many.exec(values[:many]...); err != nil {
			return err
		}
	}
	for ; len(values) > 0; values = values[in.columns:] {
		if err := in.one.exec(values[:in.columns]...); err != nil {
			return err
		}
	}
	return nil
}

// insertOf is the statement that writes so many rows of a table.
func insertOf(table, names string, columns, rows int) string {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return "INSERT INTO " + table + " (" + names + ") VALUES " + row + strings.Repeat(", "+row, rows-1)
}
