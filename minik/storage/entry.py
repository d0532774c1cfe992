"""`Entry` and `CacheEvent`: one state of one key, and one change of it, as the cache holds and hands them out.

Both are shared by all readers and slim: there is one `Entry` per object and one more per event of the recent history. Built by
`cache.py` only.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import orjson

from minik.api.meta import ROObj
from minik.memory import untrack
from minik.storage.base import Event, EventType, Record, Revision
from minik.storage.sharing import MAX_RAW, share

ChangeType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]

_MARK = b'"metadata":{"resourceVersion":"'
_MARK_LENGTH = len(_MARK)


def render(value: bytes, revision: int) -> bytes:
    """The served form of a stored value (see `minik.api.codec.encode`), or of one already served under another revision.

    A value without a place for a revision is served as it is.
    """
    start = value.find(_MARK)
    if start < 0:
        return value
    start += _MARK_LENGTH
    return b"%b%d%b" % (value[:start], revision, value[value.index(b'"', start) :])


class Entry:
    """One state of one key. Equal only to itself."""

    __slots__ = ("_frames", "_obj", "created", "key", "raw", "revision")

    def __init__(self, key: str, revision: Revision, created: Revision, raw: bytes) -> None:
        self.key = key
        self.revision = revision
        self.created = created
        """The revision that created the object."""
        self.raw = raw
        """The JSON bytes as served, `resourceVersion` filled in."""
        self._obj: ROObj | None = None
        self._frames: dict[str, bytes] | None = None
        untrack(self)

    @classmethod
    def of(cls, record: Record) -> Entry:
        return cls(record.key, record.revision, record.created, render(record.value, record.revision))

    @property
    def namespace(self) -> str:
        """ "" for cluster-scoped kinds."""
        return self.key.split("/", 2)[1]

    @property
    def name(self) -> str:
        return self.key.split("/", 2)[2]

    @property
    def obj(self) -> ROObj:
        """The decoded object: decoded on the first use, shared by everyone, read-only. Parts of it are parts of other objects too."""
        obj = self._obj
        if obj is None:
            raw = self.raw
            decoded = orjson.loads(raw)
            obj = self._obj = share(decoded) if len(raw) <= MAX_RAW and type(decoded) is dict else decoded
        return obj

    @property
    def decoded(self) -> ROObj | None:
        """The decoded object if somebody has asked for it."""
        return self._obj

    def frame(self, type_: str) -> bytes:
        """The line of a watch that says `type_` of this state. Kept, for a while, if many watches are likely to need it."""
        frames = self._frames
        if frames is None:
            return b'{"type":"%b","object":%b}\n' % (type_.encode(), self.raw)
        frame = frames.get(type_)
        if frame is None:
            frame = frames[type_] = b'{"type":"%b","object":%b}\n' % (type_.encode(), self.raw)
        return frame

    def share_frames(self) -> None:
        """Keep the frames that are built from now on."""
        if self._frames is None:
            self._frames = {}

    def drop_frames(self) -> None:
        self._frames = None

    def drop_decoded(self) -> None:
        """Forget the decoded object; it is decoded anew if somebody asks."""
        self._obj = None

    def at(self, revision: Revision) -> Entry:
        """The same state under another resourceVersion: what a watch shows of an object at its deletion."""
        return Entry(self.key, revision, self.created, render(self.raw, revision))

    def __repr__(self) -> str:
        return f"<Entry {self.key}@{self.revision}>"


class CacheEvent:
    """One change. `previous` is the state before it, None if there was none; `entry` the new one.

    For a DELETED, `entry` is the last state under the revision of the deletion, as the API shows it.
    """

    __slots__ = ("_left", "entry", "previous", "revision", "time", "type")

    def __init__(self, type_: ChangeType, entry: Entry, previous: Entry | None, revision: Revision) -> None:
        self.type: ChangeType = type_
        self.entry = entry
        self.previous = previous
        self.revision = revision
        self.time = 0.0
        """When it was published, by the event loop's clock."""
        self._left: Entry | None = None
        untrack(self)

    @classmethod
    def of(cls, event: Event, entry: Entry, previous: Entry | None) -> CacheEvent:
        if event.type is EventType.DELETE:
            return cls("DELETED", entry, previous, event.revision)
        return cls("ADDED" if previous is None else "MODIFIED", entry, previous, event.revision)

    @property
    def frame(self) -> bytes:
        """The line of a watch for this event, built once for all watches."""
        return self.entry.frame(self.type)

    @property
    def left(self) -> Entry:
        """The state before the event under the event's revision: what a watch shows as DELETED of an object that its selector no
        longer selects (cacher's `updateResourceVersion`). Built once. Raises ValueError for an ADDED."""
        if self._left is None:
            if self.previous is None:
                raise ValueError("nothing was there before an ADDED")
            self._left = self.previous.at(self.revision)
            self._left.share_frames()
        return self._left

    def settle(self) -> None:
        """Give up what only readers of a fresh event need."""
        self._left = None
        self.entry.drop_frames()
        if self.previous is not None:
            self.previous.drop_decoded()

    def __repr__(self) -> str:
        return f"<{self.type} {self.entry!r}>"
