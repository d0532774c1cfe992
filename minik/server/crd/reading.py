"""Stored custom objects as the asked version shows them: with that version's name, without what its schema does not know, and with the
defaults that came after they were stored. And built-in objects in a version that is not the stored one (`Kind.other`).

Called by the reading verbs and by `resources.py` for these kinds only (`view` gives None for others). The stored bytes are left
alone; what is shown is made once per state of an object and version. Custom kinds are converted by name alone (strategy None), or
by a webhook (`conversion.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from minik.api.codec import encode
from minik.api.kind import Kind, OtherVersion
from minik.api.meta import Obj, ROObj
from minik.api.schema import SchemaError
from minik.api.structural import CustomSchema
from minik.storage.base import Revision
from minik.storage.cache import Cache, CacheEvent, Entry
from minik.storage.entry import render

if TYPE_CHECKING:
    from minik.server.core import Core

_SPARE = 1024
"""Views of objects that are gone, kept at most beside one for each that is there."""


class View(Protocol):
    """How the entries of one version of a kind are shown. Only conversion by a webhook ever waits, or fails: it raises InternalError."""

    async def one(self, entry: Entry, written: ROObj | None = None) -> Entry:
        """`written`: the object in this version, if it has just been written as such."""
        ...

    async def all(self, entries: Sequence[Entry]) -> Sequence[Entry]: ...

    async def events(self, events: Iterable[CacheEvent]) -> Sequence[CacheEvent]:
        """The same changes between the states as they are shown."""
        ...


class _AtOnce:
    """Needs nobody else."""

    def __init__(self, show: Callable[[Entry], Entry]) -> None:
        self._show = show

    async def one(self, entry: Entry, written: ROObj | None = None) -> Entry:
        return self._show(entry)

    async def all(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        return [self._show(entry) for entry in entries]

    async def events(self, events: Iterable[CacheEvent]) -> Sequence[CacheEvent]:
        return [shown_event(event, self._show) for event in events]


def view(core: Core, kind: Kind) -> View | None:
    """How to show the entries of a kind; None: as they are. A kind that is going is shown without its webhook, which may be gone."""
    if kind.custom is not None and kind.custom.conversion is not None and not kind.custom.terminating:
        from minik.server.crd.conversion import Converted

        return Converted(core, kind, kind.custom)
    show = shower(core.cache, kind)
    return None if show is None else _AtOnce(show)


def shower(cache: Cache, kind: Kind) -> Callable[[Entry], Entry] | None:
    """The same without a webhook, for who cannot wait: what only a webhook could convert is shown by name alone."""
    custom = kind.custom
    if custom is None:
        return None if kind.other is None else _converted(kind.other)
    if custom.conversion is not None:
        return lambda entry: remembered(custom, entry) or as_stored(entry, kind, custom)
    return lambda entry: remembered(custom, entry) or keep(cache, kind, custom, entry, as_stored(entry, kind, custom))


def remembered(custom: CustomSchema, entry: Entry) -> Entry | None:
    """What is shown of this state, if that has been made."""
    known: tuple[Revision, Entry] | None = custom.served.get(entry.key)
    return known[1] if known is not None and known[0] == entry.revision else None


def keep(cache: Cache, kind: Kind, custom: CustomSchema, entry: Entry, shown: Entry) -> Entry:
    """Remember what is shown of this state, unless a newer one is known. Returns it."""
    known = custom.served.get(entry.key)
    if known is None or known[0] < entry.revision:
        if len(custom.served) > cache.count(kind.resource) * 2 + _SPARE:
            custom.served.clear()
        custom.served[entry.key] = entry.revision, shown
    return shown


def as_stored(entry: Entry, kind: Kind, custom: CustomSchema) -> Entry:
    """The entry under this version's name, pruned and with defaults."""
    return decoded(entry, entry.obj, kind, custom)


def decoded(entry: Entry, obj: ROObj, kind: Kind, custom: CustomSchema) -> Entry:
    """The entry with `obj`, its state in this version, pruned and with defaults."""
    try:
        shown = custom.decode(obj).obj
    except SchemaError:
        return entry  # nobody could have stored it; whoever asks sees what is there
    shown["apiVersion"], shown["kind"] = kind.api_version, kind.kind
    return entry if shown == entry.obj else made(entry, shown)


def made(entry: Entry, obj: ROObj) -> Entry:
    """The entry with another object."""
    return Entry(entry.key, entry.revision, entry.created, render(encode(obj), entry.revision))


def _converted(other: OtherVersion) -> Callable[[Entry], Entry]:
    return lambda entry: made(entry, other.shown(entry.obj))


def shown_event(event: CacheEvent, show: Callable[[Entry], Entry]) -> CacheEvent:
    previous = show(event.previous) if event.previous is not None else None
    return CacheEvent(event.type, show(event.entry), previous, event.revision)


def is_plain(kind: Kind) -> bool:
    """Whether objects are stored just as they are shown."""
    return kind.custom is None and kind.other is None


async def stored_form(core: Core, draft: Obj, kind: Kind) -> ROObj:
    """The object as it is stored: in the storage version. Raises InternalError if a webhook fails to convert it."""
    if kind.other is not None:
        return kind.other.stored(draft)
    custom = kind.custom
    if custom is None or kind.version == custom.storage_version:
        return draft
    if custom.conversion is not None:
        from minik.server.crd.conversion import converted

        return (await converted(core, kind, custom.conversion, [draft], custom.storage_version))[0]
    return {**draft, "apiVersion": f"{kind.group}/{custom.storage_version}"}


def is_stale(entry: Entry, kind: Kind) -> bool:
    """Whether an object is stored in another version than it would be now: an update that changes nothing else is written all the same."""
    custom = kind.custom
    return custom is not None and entry.obj.get("apiVersion") != f"{kind.group}/{custom.storage_version}"
