"""Invariants of the state file that its schema cannot express. `open.py` checks the quick ones; `minik check` checks all.

Each is a query that finds nothing in a sound file.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Invariant:
    """`broken` counts the violations."""

    text: str
    broken: str
    quick: bool = False


INVARIANTS = (
    Invariant("the two numbers of the log are there", "SELECT count(*) <> 2 FROM meta", quick=True),
    Invariant(
        "nothing was forgotten that was not yet written",
        """SELECT count(*) FROM meta WHERE name = 'floor' AND value > max(
            (SELECT ifnull(max(revision), 0) FROM current), (SELECT ifnull(max(revision), 0) FROM history),
            (SELECT value FROM meta WHERE name = 'ceiling'))""",
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
)


def check_quickly(db: sqlite3.Connection) -> list[str]:
    """What is wrong, of what takes under a millisecond to find. [] is sound."""
    return _broken(db, quick=True)


def check_all(db: sqlite3.Connection) -> list[str]:
    """Everything that is wrong, the file's own structure included."""
    found = [f"the file is damaged: {row[0]}" for row in db.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
    return found or _broken(db, quick=False)


def check_file(path: Path) -> list[str]:
    """As `check_all`, of a file that no server has open. Raises sqlite3.Error if it cannot be read."""
    db = sqlite3.connect(path)
    try:
        return check_all(db)
    finally:
        db.close()


def _broken(db: sqlite3.Connection, *, quick: bool) -> list[str]:
    found = []
    for invariant in INVARIANTS:
        if invariant.quick or not quick:
            (count,) = db.execute(invariant.broken).fetchone()
            if count:
                found.append(f"not so: {invariant.text} ({count})")
    return found
