"""`PendingCommit`: a commit that waits for the writer. Used by `writer.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from minik.storage.base import Op, Revision, StoreError


class PendingCommit:
    """A commit that waits for its batch. Raises ValueError for a key that is no key."""

    __slots__ = ("answer", "ops", "size")

    def __init__(self, ops: Sequence[Op], answer: asyncio.Future[Sequence[Revision]]) -> None:
        self.ops = ops
        self.answer = answer
        size = 0
        for op in ops:
            if not op.key.isascii() or not op.key:
                _check_key(op.key)
            if op.value is not None:
                size += len(op.value)
        self.size = size

    def fail(self, error: StoreError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


def _check_key(key: str) -> None:
    if not key:
        raise ValueError("a key must not be empty")
    key.encode()  # raises UnicodeEncodeError, a ValueError
