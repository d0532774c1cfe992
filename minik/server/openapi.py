"""`/openapi/v3` (discovery), `/openapi/v3/<group version>` and `/openapi/v2`: what the API looks like, for machines.

Mounted by the server's routing for everything under `/openapi/`. The documents are built from the API tables and the registry when
first asked for, kept as bytes, and forgotten when a kind is added or removed. Schemas are in `openapi_schemas`, operations in
`openapi_paths`.

Source of the form: kube-openapi `handler3` (a hash in each URL, so that clients may cache for ever) and `handler`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from minik import KUBERNETES_VERSION, __version__
from minik.api import tables
from minik.api.errors import NotFound
from minik.api.kind import Kind
from minik.api.meta import Obj
from minik.api.registry import Registry
from minik.server.aggregation_documents import Documents
from minik.server.openapi_paths import paths
from minik.server.openapi_schemas import Version, schemas
from minik.server.request import Request, Response

_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_V2_PROTOBUF_ANSWER = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What kubectl asks of `/openapi/v2`, and the type of the answer (Go takes no "@" there). It asks for one use: to check objects
itself when it knows no such kind. The answer has no definitions (gnostic `openapi_v2.Document`, fields 1 and 2 only), so kubectl
checks nothing and goes on to say what is really wrong."""

_SECURITY = {"BearerToken": {"in": "header", "name": "authorization", "type": "apiKey"}}


class OpenAPI:
    """The documents of one registry, cached."""

    def __init__(self, registry: Registry, others: Documents | None = None) -> None:
        """`others`: what aggregated API servers have to say; their documents are theirs, and only in version 3."""
        self._registry = registry
        self._others = others
        self._documents: dict[str, bytes] = {}
        self._hashes: dict[str, str] = {}
        registry.on_change(self._forget)

    def _forget(self) -> None:
        self._documents.clear()
        self._hashes.clear()

    def hashes(self) -> dict[str, str]:
        """`apis/apps/v1` → the hash of its document, without building any."""
        if not self._hashes:
            self._hashes = {path: _hash(kinds) for path, kinds in group_versions(self._registry).items()}
        return self._hashes

    def root(self, others: Mapping[str, Obj] | None = None) -> bytes:
        """The answer of `/openapi/v3`. `others`: entries beside those of the registry."""
        found = {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"} for path, digest in self.hashes().items()
        }
        return orjson.dumps({"paths": {**found, **(others or {})}})

    def document(self, path: str) -> bytes | None:
        """The OpenAPI v3 document of `api/v1` or `apis/<group>/<version>`; None if nothing is served there."""
        if path not in self._documents:
            kinds = group_versions(self._registry).get(path)
            if kinds is None:
                return None
            self._documents[path] = orjson.dumps(document_v3(kinds))
        return self._documents[path]

    def v2(self) -> bytes:
        """The OpenAPI v2 document of everything."""
        if "v2" not in self._documents:
            self._documents["v2"] = orjson.dumps(document_v2(list(self._registry)))
        return self._documents["v2"]

    async def handle(self, request: Request) -> Response:
        """GET of any path under `/openapi/`. Raises NotFound.

        With the current hash in its URL a document may be cached for ever; an outdated hash is redirected to the current one.
        """
        path = request.path.rstrip("/").removeprefix("/openapi/")
        if path == "v3":
            entries = await self._others.openapi() if self._others is not None else {}
            return _answer(self.root(entries), {})
        if path == "v2" and _V2_PROTOBUF in request.headers.get("Accept", ""):
            return Response(headers={"Vary": "Accept"}, raw=_v2_protobuf(), content_type=_V2_PROTOBUF_ANSWER)
        if path == "v2":
            etag = f'"{hashlib.sha256("".join(self.hashes().values()).encode()).hexdigest().upper()}"'
            return _not_modified(etag) if _has(request, etag) else _answer(self.v2(), {"ETag": etag})
        name = path.removeprefix("v3/")
        if self._others is not None and name.startswith("apis/") and name.count("/") == 2:
            _, group, version = name.split("/")
            if (answer := await self._others.openapi_document(request, group, version)) is not None:
                return answer
        digest = self.hashes().get(name)
        if digest is None or name == path:
            raise NotFound("the server could not find the requested resource")
        asked, headers = request.one("hash"), {"ETag": f'"{digest}"'}
        if asked and asked != digest:
            return Response(status=301, headers={"Location": f"/openapi/v3/{name}?hash={digest}"}, raw=b"")
        if asked:
            headers["Cache-Control"] = "public, immutable, max-age=31536000"
        if _has(request, headers["ETag"]):
            return _not_modified(headers["ETag"])
        return _answer(self.document(name) or b"", headers)


def _v2_protobuf() -> bytes:
    """`swagger`, and `info` with `title` and `version`."""

    def text(number: int, value: bytes) -> bytes:
        return bytes((number << 3 | 2, len(value))) + value

    return text(1, b"2.0") + text(2, text(1, b"Kubernetes") + text(2, f"v{KUBERNETES_VERSION}".encode()))


def _has(request: Request, etag: str) -> bool:
    return request.headers.get("If-None-Match", "") == etag


def _not_modified(etag: str) -> Response:
    return Response(status=304, headers={"ETag": etag}, raw=b"")


def _answer(body: bytes, headers: dict[str, str]) -> Response:
    return Response(headers={"Vary": "Accept", **headers}, raw=body, content_type="application/json")


def group_versions(registry: Registry) -> dict[str, list[Kind]]:
    """`api/v1`, `apis/apps/v1` → its kinds."""
    found: dict[str, list[Kind]] = {}
    for kind in registry:
        found.setdefault(f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}", []).append(kind)
    return found


def document_v3(kinds: list[Kind]) -> Obj:
    """The OpenAPI v3 document of one group-version."""
    operations, components = _parts(kinds, 3)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"},
        "paths": operations,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


def document_v2(kinds: list[Kind]) -> Obj:
    """The OpenAPI v2 (swagger) document of all kinds."""
    operations, definitions = _parts(kinds, 2)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"},
        "paths": operations,
        "definitions": definitions,
        "securityDefinitions": _SECURITY,
        "security": [{"BearerToken": []}],
    }


def _parts(kinds: list[Kind], version: Version) -> tuple[dict[str, Any], dict[str, Obj]]:
    operations, types = paths(kinds, version)
    custom: dict[str, Obj] = {}
    for kind in kinds:
        if kind.custom is not None:
            from minik.server.crd.openapi import schemas_of

            custom |= schemas_of(kind, version)
    return operations, schemas({*types, *(kind.schema for kind in kinds)}, version, custom)


@cache
def _tables_digest() -> bytes:
    digest = hashlib.sha256(f"{__version__} {KUBERNETES_VERSION}".encode())
    for stem in tables.stems():
        digest.update((tables.FOLDER / f"{stem}.txt").read_bytes())
    return digest.digest()


def _hash(kinds: list[Kind]) -> str:
    """Changes whenever the document would: the tables' text and what the registry says of the kinds."""
    digest = hashlib.sha256(_tables_digest())
    for kind in kinds:
        subresources = [(s.name, s.kind, s.group, s.version, s.verbs) for s in kind.subresources]
        facts = (kind.api_version, kind.kind, kind.plural, kind.namespaced, kind.schema, kind.verbs, subresources)
        digest.update(repr(facts).encode())
        if kind.custom is not None:
            digest.update(orjson.dumps(kind.custom.schema))
    return digest.hexdigest().upper()
