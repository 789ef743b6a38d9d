-- +goose Up

-- Outside the fold: what the node has signed of its log, each a statement of what the tree was at a position. Rows stay also where
-- the log was restored to an earlier position since: others may hold what was signed.
CREATE TABLE checkpoints (
    epoch    INTEGER NOT NULL,
    position INTEGER NOT NULL,                   -- of the last event that it covers
    at       INTEGER NOT NULL,                   -- when it was signed, in nanoseconds since 1970
    key      TEXT    NOT NULL,                   -- the public key, as outsiders have it
    note     TEXT    NOT NULL,                   -- the signed text
    PRIMARY KEY (epoch, position)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN
    SELECT RAISE(ABORT, 'what was signed was signed');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN
    SELECT RAISE(ABORT, 'what was signed was signed');
END;
-- +goose StatementEnd
