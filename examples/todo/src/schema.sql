-- The tables of the example. Times are whole seconds since 1970.
CREATE TABLE IF NOT EXISTS settings (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    -- The hash of the password; null for accounts of a provider.
    password TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS identities (
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    user INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (provider, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sessions (
    key BLOB PRIMARY KEY,
    contents TEXT NOT NULL,
    idle_end INTEGER NOT NULL,
    end INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS lists (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    owner INTEGER NOT NULL REFERENCES users (id)
) STRICT;

CREATE TABLE IF NOT EXISTS members (
    list INTEGER NOT NULL REFERENCES lists (id),
    user INTEGER NOT NULL REFERENCES users (id),
    PRIMARY KEY (list, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS members_by_user ON members (user);

CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    list INTEGER NOT NULL REFERENCES lists (id),
    text TEXT NOT NULL,
    is_done INTEGER NOT NULL DEFAULT 0,
    author INTEGER NOT NULL REFERENCES users (id),
    -- Grows with each change, so that a page drops news that is older than what it shows.
    version INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE INDEX IF NOT EXISTS items_by_list ON items (list);
