-- +goose Up

-- The log. Every other table of this file but labels and node is a fold of it. The columns are public.
CREATE TABLE events (
    position INTEGER PRIMARY KEY,                -- in the whole log, from 1, gapless
    stream   TEXT    NOT NULL,                   -- an org's id, or 'platform'
    version  INTEGER NOT NULL,                   -- in the stream, from 1, gapless
    id       BLOB    NOT NULL,                   -- UUIDv7, 16 bytes
    type     TEXT    NOT NULL,
    schema   INTEGER NOT NULL,                   -- number of the shape of data
    at       INTEGER NOT NULL,                   -- nanoseconds since 1970, UTC, strictly increasing
    actor    TEXT    NOT NULL,
    cause    TEXT    NOT NULL,
    data     BLOB    NOT NULL,                   -- JSON, hashed as it stands
    UNIQUE (stream, version)
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN
    SELECT RAISE(ABORT, 'events are facts: a correction is a new event');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN
    SELECT RAISE(ABORT, 'events are facts: a correction is a new event');
END;
-- +goose StatementEnd

-- The Merkle tree over the log (RFC 6962). A row holds the hashes that its event completes, from the leaf upwards, 32
-- bytes each: the hash of level L and index n lies at L*32 in the row of position (n+1)<<L.
CREATE TABLE tree (
    position INTEGER PRIMARY KEY,
    hashes   BLOB NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER tree_no_update BEFORE UPDATE ON tree BEGIN
    SELECT RAISE(ABORT, 'the tree only grows');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tree_no_delete BEFORE DELETE ON tree BEGIN
    SELECT RAISE(ABORT, 'the tree only grows');
END;
-- +goose StatementEnd

-- Inline projections: what admission needs, at the head with every commit.
CREATE TABLE state (
    kind     TEXT    NOT NULL,                   -- org, key, credential, hold, plan, model, price
    id       TEXT    NOT NULL,
    position INTEGER NOT NULL,                   -- of the last event that touched the row
    data     BLOB    NOT NULL,                   -- JSON
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE balances (
    account  TEXT    NOT NULL,
    unit     TEXT    NOT NULL,                   -- usd in nano-dollars, tok, msg
    amount   INTEGER NOT NULL CHECK (amount <> 0),
    position INTEGER NOT NULL,
    PRIMARY KEY (account, unit)
) STRICT, WITHOUT ROWID;

-- Receipts of causes: where in the log the events of the first time stand.
CREATE TABLE causes (
    scope TEXT    NOT NULL,                      -- an org, 'platform', or 'payment'
    key   TEXT    NOT NULL,
    input TEXT    NOT NULL,                      -- digest of what was asked under it
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

-- Outside the fold: what things are called, editable and erasable, and what the node itself keeps.
CREATE TABLE labels (
    kind  TEXT NOT NULL,                         -- org, key, credential
    id    TEXT NOT NULL,
    scope TEXT NOT NULL,                         -- '' for orgs, the org for what belongs to one
    name  TEXT NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, scope, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
