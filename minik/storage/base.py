"""`Store`: the boundary between the API machinery and whatever keeps its bytes.

Knows no kinds: keys are text (`pods/default/web`), values are bytes. Implementations: `sqlite.py` (the real one) and `memory.py`
(the readable reference); one contract suite, `tests/contract/test_store.py`, holds for both.

    StoreError
    ├── ConflictError    an op's expectation did not hold; nothing of the commit was written
    ├── CompactedError   the asked revision lies before the retained window
    ├── SlowReaderError  a watcher did not read and its buffer is full; it must list again
    ├── StoreFullError   the medium refused the write (disk full, read-only); nothing was written
    ├── UnknownError     the medium failed in the midst of the write: a crash right now may bring it back, else it is gone
    ├── OpenError        the store cannot be opened: in use, of a newer release, damaged; the text is for a person
    ├── BackupError      a backup cannot be made or restored, and why; the store and the old state are as they were
    └── ClosedError      the store is closed
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType, Protocol

Revision = NewType("Revision", int)
"""Position in the store's log: the first write gets 1, each key written gets a greater one; never goes back, never repeats.

Without gaps, except after a refused write, after a crash, and where a store was opened again that had had non-durable keys.
"""

ABSENT = Revision(0)
"""As an expectation: the key must not exist."""


class StoreError(Exception):
    """Base of all errors of a store."""


class ConflictError(StoreError):
    """`key` is at `actual` (ABSENT if it does not exist), not where the op expected it."""

    def __init__(self, key: str, actual: Revision) -> None:
        super().__init__(f"{key} is at revision {actual}")
        self.key = key
        self.actual = actual


class CompactedError(StoreError):
    """The wanted revision is older than `oldest`, the oldest one still retained."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")
        self.wanted = wanted
        self.oldest = oldest


class SlowReaderError(StoreError):
    """The watcher's bounded buffer overflowed."""


class StoreFullError(StoreError):
    """The medium refused the write; nothing was written."""


class UnknownError(StoreError):
    """The medium failed in the midst of the write: after a crash it may be there; if the process goes on, it is not."""


class BackupError(StoreError):
    """A backup cannot be made or restored, and why."""


class OpenError(StoreError):
    """The store cannot be opened, and why."""


class ClosedError(StoreError):
    """The store is closed."""


@dataclass(frozen=True, slots=True)
class Record:
    """One key's state. `created` is the revision that created it, `revision` the one that wrote it last."""

    key: str
    value: bytes
    revision: Revision
    created: Revision


class EventType(IntEnum):
    """What happened to a key. The numbers are stored."""

    PUT = 1
    DELETE = 2


@dataclass(frozen=True, slots=True)
class Event:
    """One write. For a DELETE `value` is the last value before it (None if unknown), for a PUT the new one.

    `previous` is the value before a PUT that replaced one, or None if there was none or a store does not know it: the cache, which
    is what watches with selectors read from, has both states anyway.
    """

    type: EventType
    key: str
    value: bytes | None
    previous: bytes | None
    revision: Revision
    created: Revision


@dataclass(frozen=True, slots=True)
class Op:
    """One write of a commit. `value` None deletes.

    `expected`: the revision the key must be at (`ABSENT`: it must not exist), or None for whatever it is at.
    `durable` False: need not survive the process (kept in memory, never on disk).
    `author`: who writes, for `Store.history`: text that means nothing to the store; some 200 bytes at most, please.
    """

    key: str
    value: bytes | None
    expected: Revision | None = None
    durable: bool = True
    author: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One write of a key, as its history tells it.

    `value` is what it wrote (None for a DELETE), `previous` what it replaced or deleted (None if there was nothing). `written` is
    the wall time of its batch, Unix seconds. `author` is the op's. The state at the revision up to which history is forgotten
    counts as a version too, of which only the value and the revisions are known: no previous, author "", written None.
    """

    revision: Revision
    created: Revision
    type: EventType
    value: bytes | None
    previous: bytes | None
    author: str
    written: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list: `records` in key order as of `revision`; `more` if records remain after the last one."""

    records: Sequence[Record]
    revision: Revision
    more: bool
    remaining: int = 0


Listener = Callable[[Sequence[Event]], None]
"""Is handed the events of one batch, in revision order. Called in the event loop; must neither raise nor call the store."""


class Store(Protocol):
    """An ordered log of key writes. Each success gets the next revision; watchers see exactly that order.

    What an implementation over etcd would map to what: `get`, `list` and `current_revision` to Range (`revision`, `limit`, `count`;
    linearizable); `commit` to one Txn that compares `mod_revision`s (0 for ABSENT); `watch` to Watch from `since + 1` with `prev_kv`,
    and `events` to one that ends at `upto`; `compact` to Compact, and `oldest_revision` to what was last compacted, kept under a key
    of its own; `history` to Ranges of the key at ever earlier revisions, authors and times in a second key of the same Txn.
    `durable=False` is a permission that it need not use, so `floors` is empty. It has to bridge three things: etcd gives all
    keys of a Txn one revision, so ours would be that one times a constant plus the op's number; a Txn must not write a key twice,
    so such ops are folded into one; and `listen` promises that a listener has seen what a writer is told, so a commit is answered
    only once the store's own Watch has brought it. A NOSPACE alarm is StoreFullError, a lost connection or a time-out UnknownError.
    """

    async def get(self, key: str) -> Record | None:
        """The key's committed state."""
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, at: Revision | None = None) -> Page:
        """Records whose key starts with `prefix`, in key order, after the key `after`, at most `limit` (0: all).

        `at`: as of that revision. Raises CompactedError if it is outside the retained window.
        """
        ...

    async def commit(self, ops: Sequence[Op]) -> Sequence[Revision]:
        """Write all of `ops` or nothing; returns each op's revision once all of it is durable.

        Raises ConflictError, StoreFullError, UnknownError, ClosedError, and ValueError for a key that is empty or not Unicode text.
        Deleting an absent key without expectation is a ConflictError.
        Cancelling the caller does not undo the write. Commits are done in the order in which they were asked for; one of nothing
        waits for those before it.
        """
        ...

    def watch(self, prefix: str, *, since: Revision) -> AsyncIterator[Event]:
        """Every event of keys with `prefix` after `since`, gapless and in revision order, then live ones for ever.

        Events appear only once durable. Raises CompactedError (at the first step) and SlowReaderError.
        """
        ...

    async def events(self, prefix: str, *, since: Revision, upto: Revision, limit: int = 0) -> Sequence[Event]:
        """The retained events of keys with `prefix` after `since` up to and including `upto`, in revision order.

        At most the newest `limit` of them (0: all). Raises CompactedError if `since` lies before `oldest_revision`. What `floors`
        names may have lost older events.
        """
        ...

    async def history(self, key: str) -> Sequence[Version]:
        """The retained versions of a key, oldest first; [] if it neither exists nor has a retained history.

        A key that exists and was not written within the retained history has one version (see `Version`). Deletions are versions;
        a key may have been created anew after one.
        """
        ...

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each batch of events as it is published, in the same turn of the loop in which its writers are
        answered: what a writer has been told, every listener has seen. Returns what ends it."""
        ...

    async def compact(self, upto: Revision) -> None:
        """Forget history up to and including `upto`; current state is untouched."""
        ...

    async def current_revision(self) -> Revision:
        """The last committed revision."""
        ...

    async def oldest_revision(self) -> Revision:
        """A watch or list at this revision or a later one works, except for what `floors` names."""
        ...

    async def floors(self) -> Mapping[str, Revision]:
        """First key segment (`events`) → its own oldest revision, where that is later than `oldest_revision`: the history of
        non-durable keys ends with the process."""
        ...

    async def close(self) -> None:
        """Write what was accepted, refuse the rest with ClosedError, release everything. Twice is fine."""
        ...
