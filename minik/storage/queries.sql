-- All SQL of the SQLite store. Read by database.py: each statement follows a line "-- name: <name>".
--
-- current  what exists now
-- history  what each write replaced: with `current` it tells the state at, and every event since, any revision after the floor;
--          and who wrote it when (Unix milliseconds), since migration 2
-- meta     ceiling: no revision above it was ever used for a non-durable key; floor: the last revision that history forgot
-- volatile the resources (first key segments) that ever had non-durable keys
-- mark     every write up to `revision` happened before `written` (Unix seconds); for retention by age
-- write    not a table: inserting a row carries out one write. So a batch is one statement, and without any other one it is its
--          own transaction. A row without a key is nothing; it fills a batch up to a size whose statement is already prepared.

-- name: migration 1
CREATE TABLE current (
    revision INTEGER PRIMARY KEY CHECK (revision > 0),
    created  INTEGER NOT NULL CHECK (created BETWEEN 1 AND revision),
    key      TEXT    NOT NULL UNIQUE CHECK (key <> ''),
    value    BLOB    NOT NULL
);
CREATE TABLE history (
    revision INTEGER PRIMARY KEY CHECK (revision > 0),
    type     INTEGER NOT NULL CHECK (type IN (1, 2)),
    created  INTEGER NOT NULL CHECK (created BETWEEN 1 AND revision),
    replaced INTEGER CHECK (replaced BETWEEN created AND revision - 1),
    key      TEXT    NOT NULL CHECK (key <> ''),
    value    BLOB    CHECK ((value IS NULL) = (replaced IS NULL)),
    CHECK (type = 1 OR replaced IS NOT NULL)
);
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('ceiling', 0), ('floor', 0);
CREATE TABLE volatile (
    resource TEXT PRIMARY KEY
) WITHOUT ROWID;
CREATE TABLE mark (
    revision INTEGER PRIMARY KEY,
    written  INTEGER NOT NULL
);
CREATE VIEW write AS
    SELECT 0 AS revision, 0 AS created, 0 AS replaced, '' AS key, x'' AS value;
CREATE TRIGGER write_one INSTEAD OF INSERT ON write WHEN NEW.key IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the file and the index in memory disagree')
        WHERE NEW.replaced IS NOT (SELECT revision FROM current WHERE key = NEW.key);
    INSERT INTO history (revision, type, created, replaced, key, value) VALUES (
        NEW.revision, iif(NEW.value IS NULL, 2, 1), NEW.created, NEW.replaced, NEW.key,
        (SELECT value FROM current WHERE revision = NEW.replaced));
    DELETE FROM current WHERE revision = NEW.replaced;
    INSERT INTO current (revision, created, key, value)
        SELECT NEW.revision, NEW.created, NEW.key, NEW.value WHERE NEW.value IS NOT NULL;
END;

-- name: migration 2
ALTER TABLE history ADD COLUMN author TEXT;
ALTER TABLE history ADD COLUMN written INTEGER CHECK (written >= 0);
-- Now whether the index in memory is right about what a write replaces is decided by the constraints of the two tables.
DROP TRIGGER write_one;
DROP VIEW write;
CREATE VIEW write AS
    SELECT 0 AS revision, 0 AS created, 0 AS replaced, '' AS key, x'' AS value, '' AS author, 0 AS written;
CREATE TRIGGER write_one INSTEAD OF INSERT ON write WHEN NEW.key IS NOT NULL
BEGIN
    INSERT INTO history (revision, type, created, replaced, key, value, author, written) VALUES (
        NEW.revision, iif(NEW.value IS NULL, 2, 1), NEW.created, NEW.replaced, NEW.key,
        (SELECT value FROM current WHERE revision = NEW.replaced AND key = NEW.key), NEW.author, NEW.written);
    DELETE FROM current WHERE revision = NEW.replaced;
    INSERT INTO current (revision, created, key, value)
        SELECT NEW.revision, NEW.created, NEW.key, NEW.value WHERE NEW.value IS NOT NULL;
END;

-- name: index
SELECT key, revision, created FROM current;

-- name: places
SELECT key, revision, created FROM current INDEXED BY sqlite_autoindex_current_1
    WHERE key > :after ORDER BY key LIMIT :limit;

-- name: count_all
SELECT count(*) FROM current;

-- name: meta
SELECT name, value FROM meta;

-- name: set_meta
UPDATE meta SET value = :value WHERE name = :name;

-- name: last_revision
SELECT max((SELECT ifnull(max(revision), 0) FROM current), (SELECT ifnull(max(revision), 0) FROM history));

-- name: last_durable
SELECT max((SELECT ifnull(max(revision), 0) FROM current), (SELECT ifnull(max(revision), 0) FROM history),
    (SELECT value FROM meta WHERE name = 'floor'));

-- name: last_given
SELECT max((SELECT ifnull(max(revision), 0) FROM current), (SELECT ifnull(max(revision), 0) FROM history),
    (SELECT max(value) FROM meta)) + EXISTS (SELECT 1 FROM volatile);

-- name: count_by_resource
SELECT substr(key, 1, instr(key || '/', '/') - 1) AS resource, count(*) FROM current GROUP BY resource ORDER BY resource;

-- name: last_written
SELECT (SELECT written FROM history ORDER BY revision DESC LIMIT 1);

-- name: last_mark
SELECT max(written) FROM mark;

-- name: volatile
SELECT resource FROM volatile;

-- name: add_volatile
INSERT OR IGNORE INTO volatile (resource) VALUES (:resource);

-- name: marks
SELECT revision, written FROM mark ORDER BY revision;

-- name: add_mark
INSERT OR REPLACE INTO mark (revision, written) VALUES (:revision, :written);

-- name: forget_marks
DELETE FROM mark WHERE revision < :floor;

-- name: oldest_history
SELECT min(revision) FROM history;

-- name: forget
DELETE FROM history WHERE revision <= :upto AND revision IN
    (SELECT revision FROM history ORDER BY revision LIMIT :rows);

-- name: forget_all
DELETE FROM history;

-- name: get
SELECT key, value, revision, created FROM current WHERE key = :key;

-- name: list
SELECT key, value, revision, created FROM current
    WHERE key >= :prefix AND key < :end AND key > :after ORDER BY key LIMIT :limit;

-- name: count
SELECT count(*) FROM current WHERE key >= :prefix AND key < :end AND key > :after;

-- name: first_writes
SELECT key, min(revision), replaced FROM history
    WHERE revision > :since AND revision <= :upto AND key >= :prefix AND key < :end AND key > :after GROUP BY key;

-- name: list_unchanged
SELECT key, value, revision, created FROM current
    WHERE key >= :prefix AND key < :end AND key > :after AND revision <= :at ORDER BY key LIMIT :limit;

-- name: count_unchanged
SELECT count(*) FROM current WHERE key >= :prefix AND key < :end AND key > :after AND revision <= :at;

-- name: replaced
SELECT key, value, replaced, created FROM history WHERE revision = :revision;

-- name: event_rows
SELECT h.revision, h.type, h.created, h.key, h.value, c.value FROM history h LEFT JOIN current c ON c.revision = h.revision
    WHERE h.revision > :since AND h.revision <= :upto AND h.key >= :prefix AND h.key < :end ORDER BY h.revision;

-- name: last_event_rows
SELECT h.revision, h.type, h.created, h.key, h.value, c.value FROM history h LEFT JOIN current c ON c.revision = h.revision
    WHERE h.revision > :since AND h.key >= :prefix AND h.key < :end ORDER BY h.revision DESC LIMIT :limit;

-- name: versions
SELECT revision, type, created, replaced, value, author, written FROM history
    WHERE revision > :after AND revision <= :upto AND key = :key ORDER BY revision;

-- name: copy_current_sizes
SELECT revision, length(value) FROM current WHERE revision > :after AND revision <= :upto ORDER BY revision LIMIT :rows;

-- name: copy_current
SELECT revision, created, key, value FROM current WHERE revision > :after AND revision <= :upto ORDER BY revision;

-- name: copy_history_sizes
SELECT revision, length(value) FROM history WHERE revision > :after AND revision <= :upto ORDER BY revision LIMIT :rows;

-- name: copy_history
SELECT revision, type, created, replaced, key, value, author, written FROM history
    WHERE revision > :after AND revision <= :upto ORDER BY revision;

-- name: copy_replaced_sizes
SELECT revision, iif(replaced <= :bound, length(value), 0) FROM history
    WHERE revision > :after AND revision <= :upto ORDER BY revision LIMIT :rows;

-- name: copy_replaced
SELECT replaced, created, key, value FROM history
    WHERE revision > :after AND revision <= :upto AND replaced <= :bound ORDER BY revision;
