"""Invariants of the state file that its schema cannot express. `sqlite.py` checks the quick ones at opening; `minik check` checks all.

Each is a query that finds nothing in a sound file. What no check can find: a value whose bytes changed on the disk (SQLite has no
checksums in the file), and of the write-ahead log what `wal.py` and `high.py` say of themselves.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from minik.storage import database, wal
from minik.storage.faults import explain
from minik.storage.high import read_note


@dataclass(frozen=True, slots=True)
class Invariant:
    """`broken` counts the violations; `since`: the file's format from which on it holds."""

    text: str
    broken: str
    quick: bool = False
    since: int = 1


_LAST = """max((SELECT ifnull(max(revision), 0) FROM current), (SELECT ifnull(max(revision), 0) FROM history),
    (SELECT value FROM meta WHERE name = 'ceiling'))"""

INVARIANTS = (
    Invariant(
        "the two numbers of the log are there",
        "SELECT count(*) <> 2 OR total(name IN ('ceiling', 'floor')) <> 2 FROM meta",
        quick=True,
    ),
    Invariant(
        "nothing was forgotten that was not yet written",
        f"SELECT count(*) FROM meta WHERE name = 'floor' AND value > {_LAST}",
        quick=True,
    ),
    Invariant(
        "no time is noted of what was not yet written",
        f"SELECT count(*) FROM mark WHERE revision > {_LAST}",
        quick=True,
    ),
    Invariant(
        "the latest writes are in the history",
        """SELECT count(*) FROM (SELECT revision FROM current ORDER BY revision DESC LIMIT 1000) c
            WHERE c.revision > (SELECT value FROM meta WHERE name = 'floor')
            AND NOT EXISTS (SELECT 1 FROM history h WHERE h.revision = c.revision)""",
        quick=True,
    ),
    Invariant(
        "every write after the floor is in the history",
        """SELECT count(*) FROM current c WHERE c.revision > (SELECT value FROM meta WHERE name = 'floor')
            AND NOT EXISTS (SELECT 1 FROM history h WHERE h.revision = c.revision AND h.key = c.key AND h.type = 1)""",
    ),
    Invariant(
        "the last write of a key in the history is what there is",
        """SELECT count(*) FROM (SELECT key, type, max(revision) AS revision FROM history GROUP BY key) h
            LEFT JOIN current c ON c.key = h.key
            WHERE CASE h.type WHEN 1 THEN c.revision IS NOT h.revision ELSE c.revision IS NOT NULL END""",
    ),
    Invariant(
        "every write in the history replaced the one before it",
        """SELECT count(*) FROM (SELECT type, replaced, created, revision,
                lag(revision) OVER log AS before, lag(type) OVER log AS type_before, lag(created) OVER log AS created_before
                FROM history WINDOW log AS (PARTITION BY key ORDER BY revision))
            WHERE before IS NOT NULL
            AND CASE type_before WHEN 1 THEN replaced IS NOT before OR created <> created_before
                ELSE replaced IS NOT NULL END""",
    ),
    Invariant(
        "every write has its author and its time, from the first that has",
        """SELECT count(*) FROM history WHERE (author IS NULL OR written IS NULL)
            AND revision >= (SELECT min(revision) FROM history WHERE author IS NOT NULL OR written IS NOT NULL)""",
        since=2,
    ),
)


def check_quickly(db: sqlite3.Connection) -> list[str]:
    """What is wrong, of what takes under a millisecond to find. [] is sound."""
    return _broken(db, quick=True)


def check_all(db: sqlite3.Connection) -> list[str]:
    """Everything that is wrong, the file's own structure included."""
    found = [f"the file is damaged: {row[0]}" for row in db.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
    return found or _broken(db, quick=False)


def check_file(path: Path) -> list[str]:
    """As `check_all`, of a file that no server has open, its write-ahead log included. Raises OpenError if one has, or nothing is there.

    The file stays as it is, but for a log that a crash left: if that is sound, it goes into the file.
    """
    damage = wal.lost_transactions(path.with_name(path.name + "-wal"))
    if damage is not None:
        return [
            f"the write-ahead log is damaged from byte {damage.end} on: {damage.lost} or more transactions are lost"
        ]
    try:
        with database.open_closed(path) as db:
            if not database.format_of(db):
                return ["the file is empty"]
            (last,) = db.execute(database.Q["last_durable"]).fetchone()
            noted = read_note(path)
            found = [f"writes are missing: it ends at revision {last}, but {noted} was written"] if last < noted else []
            return found + check_all(db)
    except sqlite3.Error as error:
        return [explain(error, path)]


def _broken(db: sqlite3.Connection, *, quick: bool) -> list[str]:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    found = []
    for invariant in INVARIANTS:
        if version >= invariant.since and (invariant.quick or not quick):
            (count,) = db.execute(invariant.broken).fetchone()
            if count:
                found.append(f"not so: {invariant.text} ({count})")
    return found
