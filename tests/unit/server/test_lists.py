"""Lists as they are sent: whatever their length, the bytes are those of one JSON document of the announced length."""

from __future__ import annotations

import orjson
import pytest

from minik.api.core_v1.configmap import KIND
from minik.server import http
from minik.server.request import EntryList
from minik.storage.base import Record, Revision
from minik.storage.entry import Entry


def entries(count: int, size: int) -> list[Entry]:
    value = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"resourceVersion":"","name":"a"},"data":{"k":"%s"}}'
    found = []
    for number in range(1, count + 1):
        record = Record(f"configmaps/default/c{number:05}", value % (b"x" * size), Revision(number), Revision(number))
        found.append(Entry.of(record))
    return found


@pytest.mark.parametrize("count", [0, 1, 2, 700])
@pytest.mark.parametrize("size", [1, 2_000])
def test_pieces_and_slices_are_the_list(count: int, size: int) -> None:
    listed = EntryList(KIND, entries(count, size), 1000)
    pieces, length = http.list_pieces(listed)
    slices = list(http._slices(pieces))
    sent = b"".join(slices)
    assert len(sent) == length
    document = orjson.loads(sent)
    assert document["kind"] == "ConfigMapList" and document["metadata"] == {"resourceVersion": "1000"}
    assert document["items"] == [entry.obj for entry in listed.entries]
    assert all(http._SLICE <= len(part) < http._SLICE + size + 1000 for part in slices[:-1])
