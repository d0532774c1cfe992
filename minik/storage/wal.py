"""`lost_transactions`: whether the write-ahead log is damaged before its end. Called before SQLite opens a file that was not closed.

SQLite reads the log up to the first frame whose checksum is wrong and takes the rest for a transaction that was under way when the
machine stopped. With a sync after each transaction there can be only one such: what follows a complete transaction was begun after
that one was durable, hence acknowledged. So if behind the first wrong frame the end of a transaction is followed by a frame whose
checksum goes on from it (what an overwritten transaction left does not), acknowledged writes are damaged: a person must decide.

What cannot be told from the log: that it was cut off at its end, or is missing (`high.py` notices that), and a wrong frame in the
very last transaction, which is what every power cut leaves.

The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = 32
_FRAME = 24
_LITTLE = 0x377F0682
_BIG = 0x377F0683
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Damage:
    """The log is good up to the byte `end`, after its `good`th transaction; at least `lost` whole ones lie behind the damage."""

    good: int
    lost: int
    end: int


def lost_transactions(log: Path) -> Damage | None:
    """None if nothing that was acknowledged is missing, as far as can be told. Raises OSError."""
    try:
        with log.open("rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    return find_damage(data)


def find_damage(data: bytes) -> Damage | None:
    """As `lost_transactions`, of a log's content. 15 ms a megabyte."""
    if len(data) < _HEADER + _FRAME:
        return None
    magic, _, page, _, salt_1, salt_2, sum_1, sum_2 = struct.unpack(">8I", data[:_HEADER])
    if magic not in (_LITTLE, _BIG) or not 512 <= page <= 65536:
        return None
    order = "<" if magic == _LITTLE else ">"
    if _checksum(order, data[: _HEADER - 8], (0, 0)) != (sum_1, sum_2):
        return None
    sums = (sum_1, sum_2)
    size = _FRAME + page
    good, lost, end = 0, 0, _HEADER
    wrong = ended = False
    for start in range(_HEADER, len(data) - size + 1, size):
        number, pages, frame_salt_1, frame_salt_2, frame_1, frame_2 = struct.unpack_from(">6I", data, start)
        present = number != 0 and (frame_salt_1, frame_salt_2) == (salt_1, salt_2)
        if present and (ended or not wrong):
            sums = _checksum(order, data[start : start + 8], sums)
            sums = _checksum(order, data[start + _FRAME : start + size], sums)
        follows = present and sums == (frame_1, frame_2)
        if wrong:
            lost += ended and follows
        elif follows and pages:
            good, end = good + 1, start + size
        ended = present and pages != 0 and (wrong or follows)
        wrong = wrong or not follows
        sums = (frame_1, frame_2)
    return Damage(good, lost, end) if lost else None


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
