"""`share`: equal parts of decoded objects become one part. Called by `entry.py` on what it decodes.

Decoded objects are read-only, so ten thousand pods of one template need not hold its environment, tolerations and probes ten thousand
times: that is two thirds of their memory. And decoded objects are trees: the garbage collector need not see them.

A part is known by its JSON text (so `1`, `1.0` and `true` stay apart, and so do other orders of keys). What was met lately is kept in
two generations of bounded size: what is asked for moves to the younger one, the older one is dropped when the younger is full.
"""

from __future__ import annotations

from typing import Any

import orjson

from minik.api.meta import Obj
from minik.memory import untrack

MAX_RAW = 32 * 1024
"""Bytes of JSON; greater objects are few, and not worth the pass over them."""
MAX_PART = 4096
"""Bytes of JSON; greater parts are not kept for comparison, only parts of them are."""
_GENERATION = 8192


class Pool:
    """What equal parts are replaced by."""

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int = _GENERATION) -> None:
        self._size = size
        self._young: dict[str | bytes, Any] = {}
        self._old: dict[str | bytes, Any] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def share(self, obj: Obj) -> Obj:
        """Replace the parts of `obj`, in place, by equal ones that were met before; returns `obj`.

        Whoever reads it meanwhile sees equal values. Not shared are the object, its metadata, spec and status themselves: with
        names and times inside, no two are equal.
        """
        for key, value in obj.items():
            if type(value) is dict:
                self._share_parts(value, strings=key != "metadata")
                untrack(value)
            elif type(value) is list:
                obj[key] = self._shared(value)
        untrack(obj)
        if len(self._young) > self._size:
            self._old, self._young = self._young, {}
        return obj

    def _shared(self, part: Any) -> Any:
        text = orjson.dumps(part)
        known = self._young.get(text)
        if known is not None:
            return known
        known = self._old.get(text)
        if known is None:
            known = part
            if type(part) is dict:
                self._share_parts(part, strings=True)
            else:
                self._share_items(part)
            untrack(part)
        if len(text) <= MAX_PART:
            self._young[text] = known
        return known

    def _share_parts(self, part: Obj, *, strings: bool) -> None:
        young = self._young
        for key, value in part.items():
            kind = type(value)
            if kind is str:
                if strings:
                    known = young.get(value)
                    if known is None:
                        known = young[value] = self._old.get(value, value)
                    part[key] = known
            elif kind is dict or kind is list:
                part[key] = self._shared(value)

    def _share_items(self, part: list[Any]) -> None:
        for index, value in enumerate(part):
            if type(value) is dict or type(value) is list:
                part[index] = self._shared(value)


_pool = Pool()


def share(obj: Obj) -> Obj:
    """`Pool.share` with the process's own pool."""
    return _pool.share(obj)
