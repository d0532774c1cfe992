"""What aggregated API servers say of themselves: their resources and their OpenAPI documents, asked for when a client wants to know.

`Discovery` and `OpenAPI` add these to what the registry tells. An answer counts for a minute; when none comes, the last one goes on
counting and is called stale (KEP-3352), and a group that never answered is listed without resources.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from minik.api import meta
from minik.api.apiregistration_v1.apiservice import AVAILABLE
from minik.api.errors import StatusError
from minik.api.meta import Obj, ROObj
from minik.api.versions import preferred_first
from minik.clock import Clock
from minik.server.aggregation import Aggregation, GroupVersion
from minik.server.request import Request, RequestInfo, Response, User

_FRESH_SECONDS, _STALE_SECONDS = 60.0, 10.0
"""How long an answer counts, and how long it counts that there was none."""
_ANSWER_SECONDS = 5.0
_ASKER = User("system:kube-aggregator", frozenset({"system:masters", "system:authenticated"}))


@dataclass(slots=True)
class _Asked:
    """The last answer for one path of one APIService."""

    spec: object
    """Of the APIService: another one may have another server behind it."""
    at: float
    document: Mapping[str, Any] | None = None
    is_stale: bool = False


@dataclass(slots=True)
class Documents:
    """The documents of aggregated API servers."""

    aggregation: Aggregation
    clock: Clock
    _asked: dict[tuple[GroupVersion, str], _Asked] = field(default_factory=dict)

    def groups(self) -> dict[str, list[str]]:
        """group → its versions that others serve, the preferred one first; groups by their priority."""
        ranked = sorted(self.aggregation.served.items(), key=lambda item: (*_rank(item[1]), item[0]))
        found: dict[str, list[ROObj]] = {}
        for (group, _), apiservice in ranked:
            found.setdefault(group, []).append(apiservice)
        return {group: _by_priority(of) for group, of in found.items()}

    async def described(self, group: str, versions: Sequence[str]) -> list[Obj]:
        """The versions of an APIGroupDiscovery (apidiscovery.k8s.io)."""
        found = await asyncio.gather(*(self._ask((group, v), f"/apis/{group}/{v}") for v in versions))
        return [
            {
                "version": version,
                "resources": _resources(group, version, asked.document),
                "freshness": "Stale" if asked.is_stale else "Current",
            }
            for version, asked in zip(versions, found, strict=True)
        ]

    async def openapi(self) -> dict[str, Obj]:
        """`apis/<group>/<version>` → its entry in the answer of `/openapi/v3`, of those that have a document."""
        served = list(self.aggregation.served)
        found = await asyncio.gather(*(self._ask(gv, "/openapi/v3") for gv in served))
        entries: dict[str, Obj] = {}
        for (group, version), asked in zip(served, found, strict=True):
            path = f"apis/{group}/{version}"
            entry = ((asked.document or {}).get("paths") or {}).get(path)
            if isinstance(entry, Mapping):
                entries[path] = dict(entry)
        return entries

    async def openapi_document(self, request: Request, group: str, version: str) -> Response | None:
        """The document itself, as its server gives it; None if nobody else serves the group and version."""
        apiservice = self.aggregation.served.get((group, version))
        return await self.aggregation.serve(request, apiservice) if apiservice is not None else None

    async def _ask(self, group_version: GroupVersion, path: str) -> _Asked:
        apiservice = self.aggregation.served[group_version]
        now, spec = self.clock.monotonic(), apiservice["spec"]
        asked = self._asked.get((group_version, path))
        if asked is not None and asked.spec != spec:
            asked = None
        if asked is not None and now - asked.at < (_STALE_SECONDS if asked.is_stale else _FRESH_SECONDS):
            return asked
        self._asked = {key: kept for key, kept in self._asked.items() if key[0] in self.aggregation.served}
        fresh = self._asked[group_version, path] = _Asked(
            spec, now, asked.document if asked is not None else None, True
        )
        if (meta.condition(apiservice, AVAILABLE) or {}).get("status") == "False":
            return fresh  # nobody is made to wait for a server of which it is known that it does not answer
        request = Request("GET", path, {}, {}, decoded=True, user=_ASKER, info=RequestInfo("get", path))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await self.aggregation.serve(request, apiservice, path=path)
            if response.status == 200 and response.raw is not None:
                document = orjson.loads(response.raw)
                if isinstance(document, Mapping):
                    fresh.document, fresh.is_stale = document, False
        except (StatusError, TimeoutError, orjson.JSONDecodeError):
            return fresh
        return fresh


def _rank(apiservice: ROObj) -> tuple[int, str]:
    return -int(apiservice["spec"].get("groupPriorityMinimum") or 0), meta.name(apiservice)


def _by_priority(of: Sequence[ROObj]) -> list[str]:
    """Versions by `versionPriority`, and by their names as Kubernetes orders them."""
    names = preferred_first([each["spec"]["version"] for each in of])
    priority = {each["spec"]["version"]: int(each["spec"].get("versionPriority") or 0) for each in of}
    return sorted(names, key=lambda name: -priority[name])


def _resources(group: str, version: str, document: Mapping[str, Any] | None) -> list[Obj]:
    """An APIResourceList as the resources of an APIVersionDiscovery."""
    found: dict[str, Obj] = {}
    for entry in (document or {}).get("resources") or ():
        name, _, sub = str(entry.get("name") or "").partition("/")
        kind = {
            "group": entry.get("group") or group,
            "version": entry.get("version") or version,
            "kind": entry.get("kind") or "",
        }
        verbs = list(entry.get("verbs") or ())
        scope = "Namespaced" if entry.get("namespaced") else "Cluster"
        if sub:
            parent = found.setdefault(name, {"resource": name, "scope": scope, "singularResource": "", "verbs": []})
            parent.setdefault("subresources", []).append({"subresource": sub, "responseKind": kind, "verbs": verbs})
            continue
        own: Obj = {
            "resource": name, "responseKind": kind, "scope": scope, "singularResource": entry.get("singularName") or "",
            "verbs": verbs,
        }  # fmt: skip
        for field_ in ("shortNames", "categories"):
            if entry.get(field_):
                own[field_] = list(entry[field_])
        found[name] = {**found.get(name, {}), **own}
    return list(found.values())
