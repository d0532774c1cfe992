"""What a power cut could leave of the files that a `recordfs.Recorder` recorded. Pure: from the log to contents.

The model, which is more cruel than a real file system:

* What was written to a file before its last completed sync is on disk. So are creations and deletions before the last sync of
  their directory.
* Of what came later, in any file and in the directory, anything may be there and anything missing, whatever the order: each write
  whole, torn at the disk's 512-byte sectors, missing, or missing although it made the file longer (then zeros or garbage are there).
* Sectors that were not written to keep what they had (SQLite's "powersafe overwrite", which it assumes of Unix disks).
* After a sync that failed, what it was to bring to disk may be missing even if a later sync works; but only until the files are opened
  anew. (Linux forgets it even then. A program that reads such a file, and finds in memory what is not on the disk, cannot know.)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.support.recordfs import Create, Delete, Opened, Operation, Sync, SyncDirectory, Truncate, Write

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Torn:
    """Of a write, only these sectors (numbers within the file) are there."""

    sectors: frozenset[int]


@dataclass(frozen=True, slots=True)
class Grown:
    """The write is missing, but the file is as long as after it; `seed` None: zeros are there, else garbage."""

    seed: int | None


Fate: TypeAlias = bool | Torn | Grown
"""Of one operation: True it is there, False it is missing."""

Files: TypeAlias = Mapping[str, bytes]


@dataclass(slots=True)
class _Pending:
    operation: Operation
    settled: bool = False
    stuck: bool = False
    """A sync of it failed."""


class _File:
    def __init__(self, content: bytes = b"") -> None:
        self.base = bytearray(content)
        self.pending: list[_Pending] = []

    def sync(self, ok: bool) -> None:
        for pending in self.pending:
            if not ok and not pending.settled:
                pending.stuck = True
            elif not pending.stuck:
                pending.settled = True
        done = 0
        for pending in self.pending:
            if not pending.settled:
                break
            _apply(self.base, pending.operation, True)
            done += 1
        del self.pending[:done]


class Disk:
    """The state of the disk as the log is played. `existing`: files that are there before it."""

    def __init__(self, existing: Files) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        for number, name in enumerate(sorted(existing)):
            self._files[number] = _File(existing[name])
            self._names[name] = number
        self._entries: list[_Pending] = []

    def play(self, operation: Operation) -> None:
        """Take the next operation of the log."""
        if isinstance(operation, Create):
            self._files[operation.file] = _File()
            self._entries.append(_Pending(operation))
        elif isinstance(operation, Delete):
            self._entries.append(_Pending(operation))
        elif isinstance(operation, SyncDirectory):
            for pending in self._entries:
                self._apply_entry(self._names, pending.operation)
            self._entries.clear()
        elif isinstance(operation, Opened):
            for file in self._files.values():
                for pending in file.pending:
                    pending.stuck = False
        elif isinstance(operation, Sync):
            self._files[operation.file].sync(operation.ok)
        else:
            self._files[operation.file].pending.append(_Pending(operation))

    @staticmethod
    def _apply_entry(names: dict[str, int], operation: Operation) -> None:
        if isinstance(operation, Create):
            names[operation.name] = operation.file
        elif isinstance(operation, Delete):
            names.pop(operation.name, None)

    def open_operations(self) -> list[Operation]:
        """Those whose fate a power cut now would decide: of files first, file after file, then of the directory."""
        found = [p.operation for file in self._files.values() for p in file.pending if not p.settled]
        return found + [p.operation for p in self._entries]

    def cut(self, fates: Sequence[Fate]) -> Files:
        """The files after a power cut now; `fates` in the order of `open_operations`."""
        fate = iter(fates)
        contents: dict[int, bytes] = {}
        for number, file in self._files.items():
            content = file.base
            if file.pending:
                content = bytearray(content)
                for pending in file.pending:
                    _apply(content, pending.operation, True if pending.settled else next(fate))
            contents[number] = bytes(content)
        names = dict(self._names)
        for pending in self._entries:
            if next(fate):
                self._apply_entry(names, pending.operation)
        return {name: contents[number] for name, number in sorted(names.items())}


def _apply(content: bytearray, operation: Operation, fate: Fate) -> None:
    if isinstance(operation, Truncate):
        if fate:
            del content[operation.size :]
            _extend(content, operation.size)
    elif isinstance(operation, Write):
        end = operation.offset + len(operation.data)
        if fate is True:
            _extend(content, operation.offset)
            content[operation.offset : end] = operation.data
        elif isinstance(fate, Torn):
            for sector in sorted(fate.sectors):
                first = max(operation.offset, sector * SECTOR)
                last = min(end, (sector + 1) * SECTOR)
                _extend(content, first)
                content[first:last] = operation.data[first - operation.offset : last - operation.offset]
        elif isinstance(fate, Grown):
            missing = end - len(content)
            if missing > 0:
                content += bytes(missing) if fate.seed is None else random.Random(fate.seed).randbytes(missing)


def _extend(content: bytearray, size: int) -> None:
    if len(content) < size:
        content += bytes(size - len(content))


def sectors_of(write: Write) -> range:
    return range(write.offset // SECTOR, (write.offset + max(len(write.data), 1) - 1) // SECTOR + 1)


@dataclass(frozen=True, slots=True)
class Variant:
    """`what`: for a person."""

    what: str
    fates: Sequence[Fate]


_SINGLE = 10
"""Operations that are left out, or are there alone, one after the other; more than these are sampled."""


def plan_cuts(disk: Disk, rng: random.Random, *, subsets: int = 4) -> Iterator[Variant]:
    """Ways in which a power cut now could end: everything there, nothing, each file alone, each operation missing or alone, the last
    write torn, and `subsets` random ones of everything.
    """
    operations = disk.open_operations()
    count = len(operations)
    yield Variant("all there", [True] * count)
    if not count:
        return
    yield Variant("nothing there", [False] * count)
    places = [op.file if isinstance(op, Write | Truncate) else None for op in operations]
    if len(set(places)) > 1:
        for place in sorted(set(places), key=str):
            yield Variant(f"only what belongs to file {place}", [p == place for p in places])
            yield Variant(f"all but what belongs to file {place}", [p != place for p in places])
    chosen = range(count) if count <= _SINGLE else sorted(rng.sample(range(count), _SINGLE))
    for one in chosen:
        yield Variant(f"all but operation {one}", [n != one for n in range(count)])
        if count > 2:
            yield Variant(f"only operation {one}", [n == one for n in range(count)])
    yield from _last_writes(operations, rng)
    for number in range(subsets):
        share = rng.choice((0.2, 0.5, 0.8))
        yield Variant(f"subset {number}", [_random_fate(op, rng, share) for op in operations])


def _last_writes(operations: Sequence[Operation], rng: random.Random) -> Iterator[Variant]:
    """The last write of a file torn in three ways, and there in length alone."""
    last = {op.file: n for n, op in enumerate(operations) if isinstance(op, Write)}
    for file, place in last.items():
        write = operations[place]
        assert isinstance(write, Write)
        sectors = list(sectors_of(write))
        middle = len(sectors) // 2
        kept: list[Fate] = [Grown(None), Grown(rng.getrandbits(32))]
        if middle:
            some = frozenset(s for s in sectors if rng.random() < 0.5)
            kept += [Torn(frozenset(sectors[:middle])), Torn(frozenset(sectors[middle:])), Torn(some)]
        for fate in kept:
            fates: list[Fate] = [True] * len(operations)
            fates[place] = fate
            yield Variant(f"last write of file {file}: {type(fate).__name__.lower()}", fates)


def _random_fate(operation: Operation, rng: random.Random, share: float) -> Fate:
    if rng.random() < share:
        return True
    if isinstance(operation, Write):
        dice = rng.random()
        if dice < 0.3:
            return Torn(frozenset(s for s in sectors_of(operation) if rng.random() < 0.5))
        if dice < 0.5:
            return Grown(rng.getrandbits(32) if dice < 0.4 else None)
    return False
