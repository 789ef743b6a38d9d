-- +goose Up

-- What the master key itself seals, beside the data keys: 'check', by which a wrong key is known when the file is opened.
CREATE TABLE vault (
    name   TEXT PRIMARY KEY,
    master TEXT NOT NULL, -- id of the master key: a hash of it
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A data key seals the secrets of one org. The newest seals, older ones still open what they sealed.
CREATE TABLE data_keys (
    id      TEXT PRIMARY KEY,
    org     TEXT NOT NULL,
    master  TEXT NOT NULL,    -- id of the master key that wraps it
    wrapped BLOB NOT NULL,
    created INTEGER NOT NULL  -- ns since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX data_keys_of_org ON data_keys (org, created);

-- The provider secrets. version counts the secrets that a credential has had; it is sealed with the value, so that an
-- older one put back into its row does not open.
CREATE TABLE secrets (
    org      TEXT NOT NULL,
    id       TEXT NOT NULL,   -- of the credential
    version  INTEGER NOT NULL,
    data_key TEXT NOT NULL REFERENCES data_keys (id),
    sealed   BLOB NOT NULL,
    created  INTEGER NOT NULL, -- ns since 1970
    PRIMARY KEY (org, id)
) STRICT, WITHOUT ROWID;
