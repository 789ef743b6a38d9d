-- +goose Up

-- The last checkpoint that was signed, beside the key that signed it and apart from the log: by it a log is known that was put back
-- to an older state. It is public and proves itself, so it is not sealed.
CREATE TABLE checkpoint (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    at   INTEGER NOT NULL,                       -- when it was signed, in nanoseconds since 1970
    key  TEXT    NOT NULL,                       -- the public key
    note TEXT    NOT NULL                        -- the signed text
) STRICT;
