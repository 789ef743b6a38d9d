package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// cursor reads a table in the order of its key, so that it can be compared with rows that come in the same order.
type cursor struct {
	table
	rows *sql.Rows
	next []any // nil at the end
	// Two rows are in use at a time, the next and the one that was taken last: they take turns.
	rowsOf [2][]any
	into   [2][]any
	turn   int
}

// openCursor reads a whole table, or the rows of it in which a column has a value.
func openCursor(ctx context.Context, q querier, t table, where ...string) (*cursor, error) {
	query := "SELECT " + t.names() + " FROM " + t.name
	var args []any
	if len(where) > 0 {
		query += " WHERE " + where[0] + " = ?"
		args = append(args, where[1])
	}
	rows, err := q.QueryContext(ctx, query+" ORDER BY "+strings.Join(t.key, ", "), args...)
	if err != nil {
		return nil, err
	}
	c := &cursor{table: t, rows: rows}
	for i := range c.rowsOf {
		c.rowsOf[i], c.into[i] = make([]any, len(t.columns)), make([]any, len(t.columns))
		for j := range c.into[i] {
			c.into[i][j] = &c.rowsOf[i][j]
		}
	}
	return c, c.advance()
}

func (c *cursor) advance() error {
	if !c.rows.Next() {
		c.next = nil
		return c.rows.Err()
	}
	c.turn = 1 - c.turn
	c.next = c.rowsOf[c.turn]
	return c.rows.Scan(c.into[c.turn]...)
}

// take gives the stored row of the same key, nil if there is none; it is good until the next one is taken. Rows before it
// are too many.
func (c *cursor) take(want []any, found func(Difference)) ([]any, error) {
	for c.next != nil {
		switch o := c.order(c.next, want); {
		case o > 0:
			return nil, nil
		case o == 0:
			row := c.next
			return row, c.advance()
		}
		c.extra(found)
		if err := c.advance(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// rest ends the reading: every row that is left is too many.
func (c *cursor) rest(found func(Difference)) error {
	for c.next != nil {
		c.extra(found)
		if err := c.advance(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) extra(found func(Difference)) {
	position := c.value(c.next, "position")
	if position == nil {
		position = c.value(c.next, "admitted_position")
	}
	found(Difference{uint64(position.(int64)), c.name, c.rowName(c.next), "", "absent", fmt.Sprint("there: ", c.next)})
}

func (c *cursor) order(a, b []any) int {
	for _, k := range c.key {
		if o := compareValues(c.value(a, k), c.value(b, k)); o != 0 {
			return o
		}
	}
	return 0
}

func compareValues(a, b any) int {
	if n, ok := a.(int64); ok {
		return cmp.Compare(n, b.(int64))
	}
	return cmp.Compare(a.(string), b.(string))
}

// names lists the columns for a statement.
func (t table) names() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// value is that of a named column in a row, nil if the table has no such column.
func (t table) value(row []any, name string) any {
	if i := slices.IndexFunc(t.columns, func(c tableColumn) bool { return c.name == name }); i >= 0 {
		return row[i]
	}
	return nil
}

// rowName names a row by its key.
func (t table) rowName(row []any) string {
	var s []string
	for _, k := range t.key {
		s = append(s, fmt.Sprint(k, "=", t.value(row, k)))
	}
	return strings.Join(s, " ")
}

// compareRow names each column in which a stored row is not as it should be. got is nil if there is no such row.
func compareRow(t table, position uint64, got, want []any, found func(Difference)) {
	if got == nil {
		found(Difference{position, t.name, t.rowName(want), "", "there", "missing"})
		return
	}
	for i, c := range t.columns {
		if got[i] != want[i] {
			found(Difference{position, t.name, t.rowName(want), c.name, fmt.Sprint(want[i]), fmt.Sprint(got[i])})
		}
	}
}
