"""Opens what a power cut left with the real code, and says what it finds."""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

from minik.clock import LoopClock
from minik.storage import check, wal
from minik.storage.base import CompactedError, Op, OpenError, Record, Revision
from minik.storage.compactor import Retention
from minik.storage.sqlite import SqliteStore
from tests.crash.ledger import Ledger, Recovered
from tests.support.apswdb import TurnConnection, connect_plain
from tests.support.powercut import Files

PROBE = "probe/after/0"
"""The key of the write that is tried after opening."""


_checksum = lru_cache(maxsize=50_000)(wal._checksum)
"""It takes longer than all the rest of opening, and the logs of all states are made of the same frames."""


def digest(files: Files) -> bytes:
    """Equal for equal files."""
    total = hashlib.blake2b(digest_size=16)
    for name, content in files.items():
        total.update(f"{name} {len(content)}\n".encode())
        total.update(content)
    return total.digest()


def lay_out(files: Files, directory: Path) -> None:
    """Make `directory` hold `files` and nothing else."""
    for path in directory.iterdir():
        if path.name != "lock" and path.name not in files:
            path.unlink()
    for name, content in files.items():
        (directory / name).write_bytes(content)


async def recover(files: Files, directory: Path, *, synchronous: str = "FULL", seed: int = 0) -> Recovered:
    """What a store finds in `files`. `directory` is for its use. `seed` chooses what is read beyond the current state."""
    lay_out(files, directory)
    opened: list[TurnConnection] = []

    async def connect(path: Path) -> TurnConnection:
        opened.append(await connect_plain(path))
        return opened[-1]

    keep = Retention(age=1e9, at_least=1e9)
    try:
        with patch("minik.storage.wal._checksum", _checksum):
            store = await SqliteStore.open(
                directory / "state.db", clock=LoopClock(), retention=keep, synchronous=synchronous, connect=connect
            )
    except OpenError as error:
        return Recovered(error=str(error))
    try:
        return await _read(store, opened[-1], random.Random(seed))
    finally:
        await store.close()


async def _read(store: SqliteStore, connection: TurnConnection, rng: random.Random) -> Recovered:
    problems = await connection.run(check.check_all)
    if problems:
        return Recovered(problems=problems)
    revision = await store.current_revision()
    floor = await store.oldest_revision()
    records = {record.key: record for record in (await store.list("")).records}
    events = await store.events("", since=floor, upto=revision)
    authors = {}
    if records:
        for version in await store.history(rng.choice(sorted(records))):
            if version.written is not None:
                authors[int(version.revision)] = version.author
    past: dict[int, dict[str, Record]] = {}
    if revision > floor:
        at = Revision(rng.randint(floor, revision))
        try:
            past[at] = {record.key: record for record in (await store.list("pods/", at=at)).records}
        except CompactedError as error:
            problems.append(f"no list at {at}, after {floor}: {error}")
    (after,) = await store.commit([Op(PROBE, b"x")])
    probe = await store.get(PROBE)
    if probe is None or probe.revision != after:
        problems.append(f"a write after opening is not there: {probe}")
    return Recovered(records, events, floor, revision, after, authors, past, problems)


class Recoveries:
    """Recovers each distinct state once, in `directory`, and judges it by the ledger."""

    def __init__(self, directory: Path, *, synchronous: str = "FULL") -> None:
        self._directory = directory
        self._synchronous = synchronous
        self.distinct = 0
        self.seen = 0
        self._known: dict[tuple[int, bytes], tuple[Recovered, int | None, str]] = {}

    async def recover(self, files: Files) -> Recovered:
        return await recover(files, self._directory, synchronous=self._synchronous, seed=self.distinct)

    async def judge(self, files: Files, ledger: Ledger, moment: int, *, lossy: bool = False) -> tuple[int | None, str]:
        """(last durable revision there, what is wrong) of a power cut at `moment`. `lossy`: the last writes may be missing."""
        self.seen += 1
        key = (id(ledger), digest(files))
        found = self._known.get(key)
        if found is None:
            self.distinct += 1
            recovered = await self.recover(files)
            verdict = ledger.judge(recovered)
            found = self._known[key] = (recovered, verdict.last, verdict.wrong)
        recovered, last, wrong = found
        if last is not None and not lossy:
            wrong = ledger.missing(recovered, last, moment)
        return last, wrong
