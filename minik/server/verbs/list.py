"""GET of a collection: cached bytes of what the selectors select, whole or page by page from one revision.

A `continue` token names the revision and the last key of the page before it (as etcd3's store does); once that revision is compacted,
and after five minutes whatever history is kept, the answer is 410 Expired with a token to go on from the present state.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import orjson

from minik.api import errors
from minik.api.errors import BadRequest, Expired, Timeout
from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.server.core import Core
from minik.server.crd.reading import view
from minik.server.options import resource_version, whole_number
from minik.server.request import EntryList, Request, Response
from minik.server.selection import EVERYTHING, Selection, selection
from minik.server.verbs.common import kind_of
from minik.storage.base import CompactedError
from minik.storage.cache import Entry

TOKEN_SECONDS = 300
"""How long a list can be continued: as long as etcd keeps old revisions for kube-apiserver."""
_WAIT = 3.0
"""Seconds that a read waits for a revision that is not there yet (the watch cache's blockTimeout)."""

_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class ContinueExpired(Expired):
    """410 for a page of a compacted revision; `token` goes on from the present state."""

    def __init__(self, token: str) -> None:
        super().__init__(_CONTINUE_EXPIRED)
        self.token = token

    def to_status(self) -> Obj:
        status = super().to_status()
        status["metadata"] = {"continue": self.token}
        return status


async def list_(core: Core, request: Request) -> Response:
    kind = kind_of(request)
    namespace = request.info.namespace if kind.namespaced else ""
    chosen = selection(request, kind)
    limit = max(whole_number(request, "limit") or 0, 0)
    token = request.one("continue")
    match, version_text = request.one("resourceVersionMatch"), request.one("resourceVersion")
    _check_match(match, version_text, token)
    if token:
        revision, after = decode_token(token, now=core.clock.now().timestamp())
        return await _page(core, request, kind, namespace, chosen, limit, revision, after)
    version = resource_version(version_text)
    if match == "Exact" and version and version != core.cache.revision:
        await wait_for_version(core, version)
        return await _page(core, request, kind, namespace, chosen, limit, version, "")
    if version > core.cache.revision:
        await wait_for_version(core, version)
    entries = await select(core, kind, namespace, chosen)
    return Response(entries=_cut(core, entries, kind, limit, core.cache.revision, counted=chosen is EVERYTHING))


async def select(core: Core, kind: Kind, namespace: str, chosen: Selection) -> Sequence[Entry]:
    show = view(core, kind)
    if chosen is EVERYTHING:
        entries = core.cache.list(kind.store, namespace)
        return entries if show is None else await show.all(entries)
    if chosen.name and (namespace or not kind.namespaced):
        entry = core.cache.get(kind.key(namespace, chosen.name))
        entries = [entry] if entry is not None else []
    elif chosen.index is not None:
        entries = core.cache.by_index(kind.store, *chosen.index)
        if namespace:
            entries = [e for e in entries if e.namespace == namespace]
    else:
        entries = core.cache.list(kind.store, namespace)
    if show is not None:
        entries = await show.all(entries)
    holds = chosen.holds
    return entries if holds is None else [e for e in entries if holds(e.obj)]


def _cut(core: Core, entries: Sequence[Entry], kind: Kind, limit: int, revision: int, *, counted: bool) -> EntryList:
    if not limit or len(entries) <= limit:
        return EntryList(kind, entries, revision)
    page = entries[:limit]
    remaining = len(entries) - limit if counted else None
    token = encode_token(revision, page[-1].key, now=core.clock.now().timestamp())
    return EntryList(kind, page, revision, token, remaining)


async def _page(
    core: Core, request: Request, kind: Kind, namespace: str, chosen: Selection, limit: int, revision: int, after: str
) -> Response:
    """Part of the list as of `revision` (0: now), after the key `after`."""
    if revision <= 0:
        revision = core.cache.revision
    try:
        if revision == core.cache.revision:
            entries = core.cache.list(kind.store, namespace)
        else:
            entries = await core.cache.list_at(kind.store, namespace, revision)
    except CompactedError as error:
        if not after:
            raise Expired(f"The resourceVersion for the provided list is too old: {revision}") from error
        raise ContinueExpired(encode_token(-1, after)) from error
    if after:
        entries = [e for e in entries if e.key > after]
    if (show := view(core, kind)) is not None:
        entries = await show.all(entries)
    if chosen.holds is not None:
        holds = chosen.holds
        entries = [e for e in entries if holds(e.obj)]
    return Response(entries=_cut(core, entries, kind, limit, revision, counted=chosen is EVERYTHING))


def encode_token(revision: int, key: str, *, now: float = 0.0) -> str:
    """`now`: seconds since 1970, from which on it is good for `TOKEN_SECONDS`; a token for the present state (revision -1) has no age."""
    data = {"v": "meta.k8s.io/v1", "rv": revision, "start": key, "at": int(now)}
    return base64.urlsafe_b64encode(orjson.dumps(data)).rstrip(b"=").decode()


def decode_token(token: str, *, now: float) -> tuple[int, str]:
    """(revision, last key). Raises BadRequest, and Expired for a token that is too old."""
    try:
        data = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        revision, key, made = int(data["rv"]), str(data["start"]), int(data.get("at") or 0)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise BadRequest("continue key is not valid: " + str(error)) from error
    if revision > 0 and now - made > TOKEN_SECONDS:
        raise ContinueExpired(encode_token(-1, key))
    return revision, key


def _check_match(match: str, version: str, token: str) -> None:
    """metainternalversion validation of ListOptions."""
    found = []
    if token and version and version != "0":
        raise BadRequest("specifying resource version is not allowed when using continue")
    if not match:
        return
    if match not in ("Exact", "NotOlderThan"):
        found.append(errors.not_supported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]))
    elif not version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        found.append(errors.field_forbidden("resourceVersionMatch", why))
    elif token:
        why = "resourceVersionMatch is forbidden when continue is provided"
        found.append(errors.field_forbidden("resourceVersionMatch", why))
    elif match == "Exact" and version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        found.append(errors.field_forbidden("resourceVersionMatch", why))
    if found:
        raise errors.invalid_object(group="meta.k8s.io", kind="ListOptions", name="", errors=found)


async def wait_for_version(core: Core, version: int) -> None:
    """Until the cache has reached `version`; raises Timeout as the watch cache does for one from the future."""
    if version <= core.cache.revision:
        return
    try:
        await core.cache.wait_for(version, _WAIT)
    except TimeoutError:
        raise too_large(version, core.cache.revision) from None


def too_large(version: int, current: int) -> Timeout:
    """504 with the cause by which clients know that it was the version (storage.NewTooLargeResourceVersionError)."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return Timeout(f"Timeout: Too large resource version: {version}, current: {current}", details=details)
