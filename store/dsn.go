package store

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// logFile is the log's file in a data folder.
const logFile = "waybill.db"

func logPath(dir string) string { return filepath.Join(dir, logFile) }

// Pragmas live in the DSN, so that no connection of a pool can lack them. Each is here for a reason:
//
//   - busy_timeout: a replicator's checkpoint or a person's shell may hold a lock for a moment.
//   - journal_mode WAL: readers go on while the writer commits.
//   - synchronous FULL: an acknowledged commit has been synced; with commits grouped, NORMAL gains nothing.
//   - foreign_keys: off by default in SQLite, on wherever a migration declares one.
//   - secure_delete: what is erased is overwritten, not left on a free page.
//   - wal_autocheckpoint 0: SQLite would swallow a checkpoint's failed sync; the writer checkpoints and looks.
//   - _txlock immediate: a transaction that will write takes the lock first, so none fails half-way for want of it.
var writing = url.Values{
	"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)",
		"wal_autocheckpoint(0)"},
	"_txlock": {"immediate"},
}

// Reading opens the file itself read-only; query_only says so once more on the connection.
var reading = url.Values{
	"mode":    {"ro"},
	"_pragma": {"busy_timeout(5000)", "query_only(1)"},
}

// private makes a file for its owner's eyes, unless it is there: SQLite would leave it to the umask, and gives the files beside it its mode.
// Nobody has one open that this makes: closing one that SQLite has open would drop the process's locks on it.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn is the file: form, the only one that honours mode, with a path that SQLite decodes again.
func dsn(path string, params url.Values) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + params.Encode()
}
