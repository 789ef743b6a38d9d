package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"waybill/migrations"
)

// migrate brings a file to the newest schema, whose migrations stand in a folder of package migrations. Its caller
// holds the folder's lock: goose has none for SQLite, and two at once fail on a new file.
func migrate(ctx context.Context, db *sql.DB, folder string) error {
	has, newest, err := schemas(ctx, db, folder)
	if err != nil {
		return err
	}
	if has > newest {
		return newer(folder, has, newest)
	}
	if has == newest {
		return nil
	}
	files, err := fs.Sub(migrations.FS, folder)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations of %s: %w", folder, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrating %s: %w", folder, err)
	}
	return nil
}

// known refuses a file whose schema is not the one that this binary reads. Who only reads does not migrate.
func known(ctx context.Context, db *sql.DB, folder string) error {
	has, newest, err := schemas(ctx, db, folder)
	switch {
	case err != nil:
		return err
	case has > newest:
		return newer(folder, has, newest)
	case has < newest:
		return fmt.Errorf("the %s has schema %d, and this waybill reads %d: open it for writing once, with waybill serve, to migrate it", folder, has, newest)
	}
	return nil
}

// schemas is the schema that a file has, 0 for a new one, and the newest that this binary knows.
func schemas(ctx context.Context, db *sql.DB, folder string) (has, newest int64, err error) {
	if newest, err = newestOf(folder); err != nil {
		return 0, 0, err
	}
	var n int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&n); err != nil {
		return 0, 0, fmt.Errorf("reading the schema of %s: %w", folder, err)
	}
	if n == 0 {
		return 0, newest, nil
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&has)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the schema of %s: %w", folder, err)
	}
	return has, newest, nil
}

func newestOf(folder string) (int64, error) {
	names, err := fs.Glob(migrations.FS, folder+"/*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("no migrations in %s: %w", folder, err)
	}
	number, _, _ := strings.Cut(path.Base(names[len(names)-1]), "_") // Glob sorts, and the numbers have leading zeros
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("migration %s has no number", names[len(names)-1])
	}
	return n, nil
}

func newer(folder string, has, newest int64) error {
	return fmt.Errorf("the %s has schema %d, and this waybill knows up to %d: it was written by a newer one, run that", folder, has, newest)
}
