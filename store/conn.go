package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"modernc.org/sqlite"
)

// conn is the write connection. One goroutine owns it from start to end, so it goes without the pool of database/sql:
// nothing may connect again behind the writer's back, and no context may end a commit. It is not faster.
type conn struct {
	driver.Conn
	kept []*stmt
}

// connect opens a connection that nothing else shares.
func connect(dsn string) (*conn, error) {
	c, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// keep prepares a statement that lives as long as the connection.
func (c *conn) keep(query string) (*stmt, error) {
	s, err := c.prepare(query)
	if err == nil {
		c.kept = append(c.kept, s)
	}
	return s, err
}

// Close closes the statements first: SQLite would leave the file open while there is one.
func (c *conn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.Conn.Close())...)
}

// exec runs a statement that is needed once.
func (c *conn) exec(query string, args ...driver.Value) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	return errors.Join(s.exec(args...), s.Close())
}

// one gives the first row of a query that is needed once, nil if there is none.
func (c *conn) one(query string, args ...driver.Value) ([]driver.Value, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	row, err := s.one(args...)
	return row, errors.Join(err, s.Close())
}

// stmt is a prepared statement of the write connection.
type stmt struct {
	driver.Stmt
	args []driver.NamedValue // reused
}

func (c *conn) prepare(query string) (*stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("preparing %q: %w", query, err)
	}
	return &stmt{Stmt: s}, nil
}

func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs the statement. Its context is the writer's own, which never ends: a commit cannot be cancelled.
func (s *stmt) exec(args ...driver.Value) error {
	_, err := s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), s.bind(args))
	return err
}

// each visits the rows that the statement gives. The row is reused.
func (s *stmt) each(visit func(row []driver.Value) error, args ...driver.Value) error {
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err = rows.Next(row); err != nil {
			break
		}
		if err = visit(row); err != nil {
			break
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// one gives the first row, nil if there is none.
func (s *stmt) one(args ...driver.Value) (first []driver.Value, err error) {
	err = s.each(func(row []driver.Value) error {
		if first == nil {
			first = append(first, row...)
		}
		return nil
	}, args...)
	return first, err
}
