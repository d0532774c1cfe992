"""What a cluster is known by, as a part of a backup: the files with its keys and certificates, in a table of their own.

Without them a restored cluster would be another one: agents, service accounts' tokens and kubeconfigs are accepted because of the keys
they were made with. `minik backup` puts them into the finished copy, `minik restore` takes them out again; the state of a server never
has such a table, and `backup.restore` drops it on the way.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from minik.storage import database
from minik.storage.base import OpenError
from minik.storage.faults import explain

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""What a backup from elsewhere may name: a file, and in no other directory."""


def put(backup: Path, files: Mapping[str, bytes]) -> None:
    """Put files, by name, into a backup that has none. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(backup, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("CREATE TABLE identity (name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT, WITHOUT ROWID")
        db.executemany("INSERT INTO identity (name, content) VALUES (?, ?)", sorted(files.items()))
        db.execute("COMMIT")


def files_of(backup: Path) -> dict[str, bytes]:
    """The files in a backup; {} if it has none. Raises OpenError."""
    try:
        with database.open_closed(backup) as db:
            if not _has(db):
                return {}
            found = db.execute("SELECT name, content FROM identity ORDER BY name").fetchall()
            return {name: content for name, content in found if _NAME.fullmatch(name)}
    except sqlite3.Error as error:
        raise OpenError(explain(error, backup)) from error


def drop(db: sqlite3.Connection) -> None:
    """Take the table out of a copy, without a trace."""
    if _has(db):
        db.execute("PRAGMA secure_delete = ON").fetchall()
        db.execute("DROP TABLE identity")


def _has(db: sqlite3.Connection) -> bool:
    (count,) = db.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'identity'").fetchone()
    return bool(count)
