-- The first tables. What is here is never changed: a later version adds a file.

-- One row for each name that was ever leased. It says who may write and where the journal ends; an append compares
-- and moves it. Without entries it is no agent, but a name or a tombstone.
CREATE TABLE agents (
    id text COLLATE "C" PRIMARY KEY,
    -- The last entry: its seq, its epoch and its last cursor.
    seq bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0,
    last_cursor bigint NOT NULL DEFAULT 0,
    -- The highest epoch ever granted. It outlives the agent.
    granted bigint NOT NULL,
    -- The lease in force, by the server's own clock.
    leased bigint,
    holder text,
    expires timestamptz,
    unfinished boolean NOT NULL DEFAULT false,
    -- Of columns that an append does not change, so that the row can be replaced within its page.
    alive boolean NOT NULL GENERATED ALWAYS AS (seq > 0) STORED
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX agents_alive ON agents (id) WHERE alive;
CREATE INDEX agents_unfinished ON agents (id) WHERE unfinished;

-- The entries, as JSON in bytes: text would refuse NUL.
CREATE TABLE entries (
    agent text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    -- The first seq that it stands for: its own, unless it is what a run was replaced by.
    first bigint NOT NULL,
    -- Its last cursor; nothing if it tells no event.
    told bigint,
    body bytea NOT NULL,
    PRIMARY KEY (agent, seq)
) PARTITION BY HASH (agent);
CREATE INDEX entries_told ON entries (agent, told) WHERE told IS NOT NULL;
CREATE TABLE entries_0 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE entries_1 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE entries_2 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE entries_3 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE entries_4 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE entries_5 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE entries_6 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE entries_7 PARTITION OF entries FOR VALUES WITH (MODULUS 8, REMAINDER 7);

-- One row, so that it is replaced as a whole. A person reads it with convert_from(messages, 'UTF8').
CREATE TABLE checkpoints (
    agent text COLLATE "C" PRIMARY KEY,
    seq bigint NOT NULL,
    messages bytea,
    tools bytea,
    todos bytea,
    metadata bytea
);

CREATE TABLE blobs (
    agent text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (agent, name)
);
-- Not compressed, so that a part is read without the rest.
ALTER TABLE blobs ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- The nodes that said that they are there, until their word ends by the server's clock.
CREATE TABLE nodes (
    id text COLLATE "C" PRIMARY KEY,
    url text NOT NULL,
    expires timestamptz NOT NULL
);

-- Counts by name and day. A name is any text, also one with NUL.
CREATE TABLE counts (
    day bigint NOT NULL,
    name bytea NOT NULL,
    n numeric(20) NOT NULL,
    PRIMARY KEY (day, name)
);

-- Written to by whoever asks whether the store takes writes.
CREATE TABLE probe (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at timestamptz NOT NULL
);
INSERT INTO probe (at) VALUES (clock_timestamp());
