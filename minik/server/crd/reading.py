"""Stored custom objects as the asked version shows them: with that version's name, without what its schema does not know, and with the
defaults that came after they were stored. And built-in objects in a version that is not the stored one (`Kind.other`).

Called by the reading verbs and by `resources.py` for these kinds only (`view` gives None for others). The stored bytes are left
alone; what is shown is made once per state of an object and version. Conversion of custom kinds is by name alone (strategy None).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minik.api.codec import encode
from minik.api.kind import Kind, OtherVersion
from minik.api.meta import Obj, ROObj
from minik.api.schema import SchemaError
from minik.api.structural import CustomSchema
from minik.storage.base import Revision
from minik.storage.cache import Cache, CacheEvent, Entry
from minik.storage.entry import render

View = Callable[[Entry], Entry]
_SPARE = 1024
"""Views of objects that are gone, kept at most beside one for each that is there."""


def view(cache: Cache, kind: Kind) -> View | None:
    """How to show the entries of a kind; None: as they are."""
    custom = kind.custom
    if custom is None:
        return None if kind.other is None else _converted(kind.other)

    def show(entry: Entry) -> Entry:
        known: tuple[Revision, Entry] | None = custom.served.get(entry.key)
        if known is not None and known[0] == entry.revision:
            return known[1]
        shown = _shown(entry, kind, custom)
        if known is None or known[0] < entry.revision:
            if len(custom.served) > cache.count(kind.resource) * 2 + _SPARE:
                custom.served.clear()
            custom.served[entry.key] = entry.revision, shown
        return shown

    return show


def _converted(other: OtherVersion) -> View:
    return lambda entry: Entry(
        entry.key, entry.revision, entry.created, render(encode(other.shown(entry.obj)), entry.revision)
    )


def _shown(entry: Entry, kind: Kind, custom: CustomSchema) -> Entry:
    stored = entry.obj
    try:
        obj = custom.decode(stored).obj
    except SchemaError:
        return entry  # nobody could have stored it; whoever asks sees what is there
    obj["apiVersion"], obj["kind"] = kind.api_version, kind.kind
    if obj == stored:
        return entry
    return Entry(entry.key, entry.revision, entry.created, render(encode(obj), entry.revision))


def shown_all(entries: Sequence[Entry], show: View | None) -> Sequence[Entry]:
    return entries if show is None else [show(entry) for entry in entries]


def shown_event(event: CacheEvent, show: View | None) -> CacheEvent:
    """The same change between the states as they are shown."""
    if show is None:
        return event
    previous = show(event.previous) if event.previous is not None else None
    return CacheEvent(event.type, show(event.entry), previous, event.revision)


def stored_form(draft: Obj, kind: Kind) -> ROObj:
    """The object as it is stored: in the storage version."""
    if kind.other is not None:
        return kind.other.stored(draft)
    custom = kind.custom
    if custom is None or kind.version == custom.storage_version:
        return draft
    return {**draft, "apiVersion": f"{kind.group}/{custom.storage_version}"}


def is_stale(entry: Entry, kind: Kind) -> bool:
    """Whether an object is stored in another version than it would be now: an update that changes nothing else is written all the same."""
    custom = kind.custom
    return custom is not None and entry.obj.get("apiVersion") != f"{kind.group}/{custom.storage_version}"
