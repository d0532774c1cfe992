"""minik's own endpoints for administrators: looking back at what the store keeps, and copying and checking it while it is in use.

    GET /minik/v1/history/{resource}/{namespace or -}/{name}     the retained versions of an object, also of a deleted one:
                                                                 all, the newest (?limit=N), or the one at a revision and the last (?at=N)
    GET /minik/v1/backup                                         a consistent copy of the state, as a state file
    GET /minik/v1/check                                          whether the store is sound

Called by `app.py`; the commands are `minik history`, `rewind`, `backup` and `check`. Who may is decided in `authz/rules.py`. Rewinding
needs no endpoint: it is an ordinary write of an old state.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import orjson

from minik.api import times
from minik.api.codec import render
from minik.api.errors import BadRequest, NotFound, StatusError
from minik.api.registry import Registry
from minik.server.author import parse_author
from minik.server.options import whole_number
from minik.server.request import Handler, Request, Response
from minik.server.routing import no_such_resource
from minik.storage.base import EventType, Revision, Store, Version

PREFIX = "minik"
HISTORY, BACKUP, CHECK = "/minik/v1/history", "/minik/v1/backup", "/minik/v1/check"
REVISION_HEADER, SIZE_HEADER, DIGEST_HEADER = "Minik-Revision", "Minik-Size", "Repr-Digest"
"""Of a backup: its revision, its bytes, and `sha-256=:<base64>:` (RFC 9530)."""
NO_NAMESPACE = "-"
_CHUNK = 1 << 18
_DIRECTORY = "backup.tmp"


class NotSupported(StatusError):
    code, reason = 501, "NotImplemented"


@runtime_checkable
class Copyable(Protocol):
    """A store that can be copied while it is in use."""

    async def backup(self, target: Path) -> Revision: ...


@runtime_checkable
class Checkable(Protocol):
    """A store that can look for what is wrong with it."""

    async def check(self) -> Sequence[str]: ...


def endpoint(store: Store, registry: Registry, *, data_dir: Path | None) -> Handler:
    """The handler of everything below `/minik/`. `data_dir`: where there is room for a copy; None if nowhere."""
    copying = asyncio.Lock()
    if data_dir is not None:
        shutil.rmtree(data_dir / _DIRECTORY, ignore_errors=True)  # of a server that was killed

    async def handle(request: Request) -> Response:
        path = request.path
        if path.startswith(HISTORY + "/"):
            return await _history(store, registry, request)
        if path == CHECK:
            return await _check(store)
        if path == BACKUP:
            if data_dir is None or not isinstance(store, Copyable):
                raise NotSupported("this server keeps its state in memory: there is nothing to back up")
            async with copying:
                return await _backup(store, data_dir / _DIRECTORY)
        raise no_such_resource()

    return handle


# --- history ----------------------------------------------------------------------------------------------------------


async def _history(store: Store, registry: Registry, request: Request) -> Response:
    """Raises BadRequest and NotFound."""
    parts = request.path.removeprefix(HISTORY + "/").split("/")
    if len(parts) != 3 or not all(parts):
        raise BadRequest(
            f"the path is {HISTORY}/RESOURCE/NAMESPACE/NAME, the namespace {NO_NAMESPACE} if there is none"
        )
    resource, namespace, name = parts
    kind = registry.get(resource)
    if kind is None:
        raise NotFound(f'the server has no resource "{resource}"', details={})
    if kind.namespaced == (namespace == NO_NAMESPACE):
        raise BadRequest(f"{resource} are {'' if kind.namespaced else 'not '}namespaced")
    limit, at = whole_number(request, "limit") or 0, whole_number(request, "at")
    if limit < 0 or (at is not None and at < 0):
        raise BadRequest("limit and at are numbers from 0 on")
    versions = await store.history(kind.key("" if namespace == NO_NAMESPACE else namespace, name))
    shown = versions[-limit:] if limit else versions if at is None else versions_at(versions, at)
    body = {
        "kind": "History",
        "resource": resource,
        "revision": await store.current_revision(),
        "oldest": await store.oldest_revision(),
        "omitted": len(versions) - len(shown),
        "versions": [_version(version) for version in shown],
    }
    return Response(raw=orjson.dumps(body))


def versions_at(versions: Sequence[Version], at: int) -> Sequence[Version]:
    """The version that was there at a revision, if one was, and the last one; oldest first, each once."""
    then = [version for version in versions if version.revision <= at]
    return [*then[-1:], *versions[max(len(then), len(versions) - 1) :]]


def _version(version: Version) -> dict[str, Any]:
    """`time`, `user`, `manager` and `verb` are null or "" where they are not known; `object` is null for a DELETE."""
    author = parse_author(version.author)
    value = version.value
    written = version.written
    return {
        "revision": version.revision,
        "created": version.created,
        "type": EventType(version.type).name,
        "user": author.user,
        "manager": author.manager,
        "verb": author.verb,
        "time": None if written is None else times.format_micro_time(datetime.fromtimestamp(written, UTC)),
        "object": None if value is None else orjson.Fragment(render(value, version.revision)),
    }


# --- check ------------------------------------------------------------------------------------------------------------


async def _check(store: Store) -> Response:
    if not isinstance(store, Checkable):
        raise NotSupported("this server keeps its state in memory: there is nothing to check")
    revision = await store.current_revision()
    return Response(obj={"kind": "Check", "revision": revision, "problems": list(await store.check())})


# --- backup -----------------------------------------------------------------------------------------------------------


async def _backup(store: Copyable, directory: Path) -> Response:
    """The copy has no name any more when its first byte goes out: nothing of it stays, whatever happens to client or server."""
    try:
        await asyncio.to_thread(directory.mkdir, mode=0o700, exist_ok=True)
        path = directory / "state.copy"
        revision = await store.backup(path)
        file = path.open("rb")
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    try:
        size, digest = await asyncio.to_thread(_measure, file)
    except BaseException:
        file.close()
        raise
    headers = {
        REVISION_HEADER: str(revision),
        SIZE_HEADER: str(size),
        DIGEST_HEADER: f"sha-256=:{base64.b64encode(digest).decode()}:",
        "Content-Disposition": f'attachment; filename="minik-{revision}.db"',
    }
    return Response(headers=headers, stream=_chunks(file), content_type="application/vnd.sqlite3")


def _measure(file: BufferedReader) -> tuple[int, bytes]:
    """(size, SHA-256) of what is left to read; the file is at its beginning again afterwards."""
    digest = hashlib.file_digest(file, "sha256")
    size = file.tell()
    file.seek(0)
    return size, digest.digest()


async def _chunks(file: BufferedReader) -> AsyncIterator[bytes]:
    with contextlib.closing(file):
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
