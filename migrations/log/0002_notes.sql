-- +goose Up

-- Outside the fold, as labels are: what a request said of itself that its org's policy may have read, which is the name of its
-- key and its metadata. It is written with the admission, and can be erased.
CREATE TABLE notes (
    request TEXT PRIMARY KEY,
    org     TEXT NOT NULL,
    note    BLOB NOT NULL                        -- JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_org ON notes (org);
