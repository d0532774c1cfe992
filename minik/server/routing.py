"""From a URL to a `RequestInfo`, as apiserver's `request.RequestInfoFactory` reads it.

Called by `chain.py` for every request. Knows paths and verbs; whether the kind has the verb or the subresource is decided in
`app.py`, which answers with 404 and 405.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minik.api.errors import NotFound
from minik.api.registry import Registry
from minik.server.request import RequestInfo

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})

WHY = "/minik/v1/why/"

NO_SUCH_RESOURCE = "the server could not find the requested resource"


def no_such_resource() -> NotFound:
    """404 for a path that names no kind, subresource or endpoint."""
    return NotFound(NO_SUCH_RESOURCE, details={})


def parse(method: str, path: str, query: Mapping[str, Sequence[str]], registry: Registry) -> RequestInfo:
    """What `method path?query` asks for. Paths that are not of a resource have `is_resource` False and the method as verb.

    `kind` is None if the path has a resource's shape but nothing of that name is served.
    """
    parts = path.split("/")
    if len(parts) > 2 and not parts[-1]:
        parts.pop()
    prefix = parts[1] if len(parts) > 1 else ""
    if prefix == "api":
        at, group = 3, ""
    elif prefix == "apis":
        at, group = 4, parts[2] if len(parts) > 2 else ""
    elif path.startswith(WHY) and len(parts) == 6:
        # to be told why a pod is where it is, one must be allowed to read it, and no more than that
        return RequestInfo(
            _VERBS.get(method, ""), path, is_resource=True, version="v1", plural="pods", namespace=parts[4], name=parts[5],
            kind=registry.by_plural("", "v1", "pods"),
        )  # fmt: skip
    else:
        return RequestInfo(method.lower(), path)
    if len(parts) <= at:
        return RequestInfo(method.lower(), path)  # discovery
    version = parts[at - 1]
    rest = parts[at:]
    legacy_watch = rest[0] == "watch" and len(rest) > 1
    if legacy_watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
        elif group:
            return RequestInfo(method.lower(), path)
    plural = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    info = RequestInfo(
        _VERBS.get(method, ""),
        path,
        is_resource=True,
        group=group,
        version=version,
        plural=plural,
        subresource=subresource,
        namespace=namespace,
        name=name,
        rest="/".join(rest[3:]),
        kind=registry.by_plural(group, version, plural),
    )
    if legacy_watch:
        info.verb = "watch"
    elif not name:
        if info.verb == "get":
            watch = query.get("watch")
            info.verb = "watch" if watch and watch[0].lower() not in ("false", "0") else "list"
            fields = query.get("fieldSelector")
            if fields and fields[0].startswith("metadata.name=") and "," not in fields[0]:
                info.name = fields[0].removeprefix("metadata.name=").removeprefix("=")
        elif info.verb == "delete":
            info.verb = "deletecollection"
    if info.verb in ("list", "watch"):
        info.labels = (query.get("labelSelector") or ("",))[0]
    return info
