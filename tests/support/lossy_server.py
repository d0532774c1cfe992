"""`minik server` with a fault, to prove that the torture notices: python -m tests.support.lossy_server FAULT server …

late     acknowledges a batch before it is on disk: it is written together with the next one
early    shows a batch to readers and watchers before it is on disk
again    gives the revisions of non-durable writes out again after a death
silent   lets a watch go on after a restart although the non-durable objects it knows are gone
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from unittest.mock import patch

from minik.cli.main import main
from minik.storage import database
from minik.storage.base import Event, Revision
from minik.storage.database import Extras
from minik.storage.high import HighWater
from minik.storage.hub import Hub
from minik.storage.journal import BatchPlan, Row
from minik.storage.sqlite import SqliteStore


def late() -> None:
    write = database.write
    held: list[tuple[Sequence[Row], Extras]] = []

    def write_the_one_before(db: sqlite3.Connection, rows: Sequence[Row], extras: Extras) -> int:
        held.append((rows, extras))
        return write(db, *held.pop(0)) if len(held) > 1 else 0

    patch.object(database, "write", write_the_one_before).start()


def early() -> None:
    write, publish = SqliteStore._write, Hub.publish
    shown: list[Revision] = [Revision(0)]

    def publish_once(self: Hub, events: Sequence[Event]) -> None:
        if events[-1].revision > shown[0]:
            shown[0] = events[-1].revision
            publish(self, events)

    async def show_first(self: SqliteStore, plan: BatchPlan, extras: Extras) -> None:
        if plan.events:
            self._hub.publish(plan.events)
        await asyncio.sleep(0.005)
        await write(self, plan, extras)

    patch.object(Hub, "publish", publish_once).start()
    patch.object(SqliteStore, "_write", show_first).start()


def again() -> None:
    plan_extras = SqliteStore._plan_extras

    def without_ceiling(self: SqliteStore, plan: BatchPlan) -> Extras:
        extras = plan_extras(self, plan)
        extras.ceiling = None
        return extras

    patch.object(SqliteStore, "_plan_extras", without_ceiling).start()


def silent() -> None:
    async def floors(_self: SqliteStore) -> Mapping[str, Revision]:
        return {}

    patch.object(SqliteStore, "floors", floors).start()


def _forgetful(_self: HighWater, _revision: Revision) -> None:
    """The store would notice at its next start that writes are missing; here the clients shall."""


FAULTS: Mapping[str, Callable[[], None]] = {each.__name__: each for each in (late, early, again, silent)}

if __name__ == "__main__":
    patch.object(HighWater, "note", _forgetful).start()
    FAULTS[sys.argv.pop(1)]()
    main()
