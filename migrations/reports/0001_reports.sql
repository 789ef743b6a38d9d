-- The reports: tables that anybody can make again from the log alone, and that are made again whenever this file changes.
-- They follow the log at a short distance; how far they have come is in the checkpoint. Amounts are integers: nano-dollars,
-- tokens, nanoseconds since 1970 UTC. What is not there is 0 or empty, never NULL, so that sums need no care.
-- +goose Up

-- One row a request. The token classes are disjoint: input_tokens + cache_read_tokens + cache_write_tokens + output_tokens
-- is every token once. reasoning_tokens is the part of output_tokens that was thought rather than said.
CREATE TABLE requests (
    id                 TEXT    NOT NULL,
    org                TEXT    NOT NULL,
    key                TEXT    NOT NULL, -- empty for a call of the operator's
    at                 INTEGER NOT NULL, -- of the admission
    state              TEXT    NOT NULL, -- admitted, settled, voided, interrupted
    dialect            TEXT    NOT NULL,
    lane               TEXT    NOT NULL, -- auto, manual
    model_asked        TEXT    NOT NULL,
    provider           TEXT    NOT NULL, -- of the leg that answered, or the last one called
    model              TEXT    NOT NULL, -- likewise, provider/id
    credential         TEXT    NOT NULL, -- likewise: byok, platform
    attempts           INTEGER NOT NULL, -- legs that were admitted
    input_tokens       INTEGER NOT NULL, -- plain input, at the full price
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL, -- into short-lived and long-lived caches together
    output_tokens      INTEGER NOT NULL, -- reasoning included
    reasoning_tokens   INTEGER NOT NULL,
    usage_source       TEXT    NOT NULL, -- provider, estimate
    plan_tokens        INTEGER NOT NULL, -- drawn from the allowance
    charge_nano        INTEGER NOT NULL, -- drawn from credit
    list_cost_nano     INTEGER NOT NULL,
    skipped_nano       INTEGER NOT NULL, -- list cost that was not billed
    skip_reason        TEXT    NOT NULL,
    overage_nano       INTEGER NOT NULL, -- used beyond hold and balance: the operator's loss
    first_byte_ns      INTEGER NOT NULL, -- from the admission to the first content
    duration_ns        INTEGER NOT NULL,
    finish_reason      TEXT    NOT NULL,
    upstream_id        TEXT    NOT NULL, -- the provider's own id of the answer
    reason             TEXT    NOT NULL, -- why it was voided or interrupted
    admitted_position  INTEGER PRIMARY KEY,
    settled_position   INTEGER NOT NULL  -- of the resolution, whichever it was; 0 while the request is open
) STRICT;
CREATE INDEX requests_id ON requests (id);
CREATE INDEX requests_org ON requests (org);

-- Where a request's further legs stand in the log; its admission and its resolution are in requests.
CREATE TABLE extensions (
    position INTEGER PRIMARY KEY,
    request  TEXT    NOT NULL
) STRICT;
CREATE INDEX extensions_request ON extensions (request);

-- One row for each leg that was tried or passed over, known once its request is resolved. The tokens are what the upstream
-- counted for this attempt, in the classes of requests; those of an attempt that was discarded are in no other table.
CREATE TABLE attempts (
    position           INTEGER NOT NULL, -- of the resolution
    line               INTEGER NOT NULL, -- in it, from 1
    request            TEXT    NOT NULL,
    n                  INTEGER NOT NULL, -- the leg's number; 0 if it was never admitted
    model              TEXT    NOT NULL,
    credential         TEXT    NOT NULL, -- its id
    kind               TEXT    NOT NULL, -- byok, platform
    outcome            TEXT    NOT NULL, -- answered, failed, skipped, cut, abandoned, interrupted
    status             INTEGER NOT NULL, -- the upstream's HTTP status
    class              TEXT    NOT NULL,
    reason             TEXT    NOT NULL,
    latency_ns         INTEGER NOT NULL,
    first_byte_ns      INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    usage_source       TEXT    NOT NULL, -- provider, estimate; of what was discarded, empty if that was nothing
    upstream_id        TEXT    NOT NULL,
    PRIMARY KEY (position, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_upstream ON attempts (upstream_id) WHERE upstream_id <> '';

-- One row a posting. Those of one position are an entry and sum to zero in each unit.
CREATE TABLE entries (
    position INTEGER NOT NULL,
    line     INTEGER NOT NULL, -- in the entry, from 1
    org      TEXT    NOT NULL, -- whose event it was, on the house's side too
    account  TEXT    NOT NULL, -- org/ORG/KIND[/ID][/held], house/KIND
    unit     TEXT    NOT NULL, -- usd in nano-dollars, tok in plan tokens, msg in free messages
    amount   INTEGER NOT NULL,
    type     TEXT    NOT NULL, -- of the event
    at       INTEGER NOT NULL,
    request  TEXT    NOT NULL, -- empty if it was not one
    PRIMARY KEY (position, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_org ON entries (org);

-- One row for each UTC day, org, key, model and kind of credential. A request counts on the day of its resolution, when
-- money moved, so that the days agree with the entries.
CREATE TABLE usage_daily (
    day                TEXT    NOT NULL, -- YYYY-MM-DD
    org                TEXT    NOT NULL,
    key                TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    kind               TEXT    NOT NULL, -- byok, platform
    requests           INTEGER NOT NULL, -- resolved, however that went
    settled            INTEGER NOT NULL, -- of these
    input_tokens       INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    plan_tokens        INTEGER NOT NULL,
    charge_nano        INTEGER NOT NULL,
    list_cost_nano     INTEGER NOT NULL,
    skipped_nano       INTEGER NOT NULL,
    overage_nano       INTEGER NOT NULL,
    position           INTEGER NOT NULL, -- of the last resolution counted
    PRIMARY KEY (org, day, key, model, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_daily_day ON usage_daily (day);

-- How far the tables above have come: the position and the id of the last event that they show, and what they were made by.
CREATE TABLE checkpoint (
    made_by  TEXT    NOT NULL,
    position INTEGER NOT NULL,
    event    BLOB    NOT NULL
) STRICT;
