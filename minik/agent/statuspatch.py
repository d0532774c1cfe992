"""The smallest strategic merge patch that brings a pod's status from what the API server has to what it should say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik.api.meta import Obj

_MERGED_BY = {"conditions": "type", "podIPs": "ip", "hostIPs": "ip"}
"""The lists of a pod's status that a strategic merge merges, and by what."""


def status_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Obj:
    """The strategic merge patch of `status` from `old` to `new`; empty when they say the same."""
    patch: Obj = {}
    for key in [*new, *(k for k in old if k not in new)]:
        before, after = old.get(key), new.get(key)
        if _same(before, after):
            continue
        merge_key = _MERGED_BY.get(key)
        if merge_key is None or after is None or before is None:
            patch[key] = after
        elif part := _list_patch(before, after, merge_key):
            patch[key] = part
    return patch


def _same(one: Any, other: Any) -> bool:
    """Equal on the wire: null and absent are the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_same(one.get(k), other.get(k)) for k in {*one, *other})
    if isinstance(one, Sequence) and isinstance(other, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other) or (not one and not other and isinstance(one or other or {}, Mapping))


def _list_patch(before: Sequence[Any], after: Sequence[Any], merge_key: str) -> list[Obj]:
    known = {entry[merge_key]: entry for entry in before}
    patch: list[Obj] = []
    for entry in after:
        was = known.pop(entry[merge_key], None)
        if was is None:
            patch.append({k: v for k, v in entry.items() if v is not None})
        elif not _same(was, entry):
            patch.append({**entry, **{k: None for k in was if k not in entry}})
    return [*patch, *({merge_key: gone, "$patch": "delete"} for gone in known)]
