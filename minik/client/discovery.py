"""Which kinds a server serves, asked of the server itself: the registry of a client that is not in the server's process.

`discover` reads the aggregated discovery documents (KEP-3352), two requests in all, and the older documents, one for each
group-version, of a server that has no others. `Discovered` keeps a registry in step with it: it watches CustomResourceDefinitions, so that
custom kinds come and go as they do inside the process; where it may not, it asks again every half minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from minik.aio import Tasks
from minik.api.apiextensions_v1.customresourcedefinition import KIND as CRD
from minik.api.errors import Forbidden, NotFound, StatusError
from minik.api.kind import Kind, Subresource
from minik.api.meta import ROObj
from minik.api.registry import Registry
from minik.api.versions import preferred_first
from minik.client.informer import Informers
from minik.client.transport_http import HttpTransport
from minik.clock import Clock, Entropy

log = logging.getLogger("minik.client.discovery")

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
ASK_AGAIN_SECONDS = 30.0
"""Between two looks at what is served, for who may not watch CustomResourceDefinitions."""
_SETTLES_SECONDS = (0.0, 0.3, 1.0, 3.0)
"""After a change of a definition: Kubernetes' own server needs a moment until its discovery shows it."""


async def discover(transport: HttpTransport) -> list[Kind]:
    """Every kind that is served, the preferred version of each resource last. Raises StatusError."""
    found: list[Kind] = []
    for root in ("/api", "/apis"):
        answer = orjson.loads(await transport.raw("GET", root, accept=ACCEPT))
        if answer.get("kind") == "APIGroupDiscoveryList":
            found += _aggregated(answer)
        elif root == "/api":
            for version in answer.get("versions") or ():
                found += await _listed(transport, "", version)
        else:
            for group in answer.get("groups") or ():
                for each in group["versions"]:
                    found += await _listed(transport, group["name"], each["version"])
    return _ordered(found)


def _ordered(kinds: Iterable[Kind]) -> list[Kind]:
    by_resource: dict[str, dict[str, Kind]] = {}
    for kind in kinds:
        by_resource.setdefault(kind.resource, {})[kind.version] = kind
    return [versions[v] for versions in by_resource.values() for v in reversed(preferred_first(versions))]


def _aggregated(answer: ROObj) -> list[Kind]:
    found = []
    for item in answer.get("items") or ():
        group = (item.get("metadata") or {}).get("name") or ""
        for version in item.get("versions") or ():
            for resource in version.get("resources") or ():
                if not resource.get("verbs"):
                    continue
                found.append(
                    _kind(
                        group, version["version"], resource["resource"],
                        kind=(resource.get("responseKind") or {}).get("kind") or "",
                        singular=resource.get("singularResource") or "",
                        namespaced=resource.get("scope") == "Namespaced",
                        facts=resource,
                        subresources=[
                            (sub["subresource"], sub.get("responseKind") or {}, sub.get("verbs") or ())
                            for sub in resource.get("subresources") or ()
                        ],
                    )
                )  # fmt: skip
    return found


async def _listed(transport: HttpTransport, group: str, version: str) -> list[Kind]:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        resources = (await transport.request("GET", path)).get("resources") or ()
    except StatusError as error:
        log.warning("a group cannot be asked what it serves", extra={"path": path, "error": error.message})
        return []
    subresources: dict[str, list[tuple[str, Mapping[str, Any], Iterable[str]]]] = {}
    for each in resources:
        plural, slash, name = each["name"].partition("/")
        if slash:
            subresources.setdefault(plural, []).append((name, each, each.get("verbs") or ()))
    return [
        _kind(
            group, version, each["name"], kind=each["kind"], singular=each.get("singularName") or "",
            namespaced=bool(each.get("namespaced")), facts=each, subresources=subresources.get(each["name"], []),
        )
        for each in resources
        if "/" not in each["name"]
    ]  # fmt: skip


def _kind(
    group: str,
    version: str,
    plural: str,
    *,
    kind: str,
    singular: str,
    namespaced: bool,
    facts: Mapping[str, Any],
    subresources: Iterable[tuple[str, Mapping[str, Any], Iterable[str]]],
) -> Kind:
    return Kind(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=singular or kind.lower(),
        namespaced=namespaced,
        schema="",
        short_names=tuple(facts.get("shortNames") or ()),
        categories=tuple(facts.get("categories") or ()),
        verbs=tuple(facts["verbs"]),
        subresources=tuple(
            Subresource(name=name, kind=of.get("kind") or "", group=of.get("group") or "",
                        version=of.get("version") or "", verbs=tuple(verbs))
            for name, of, verbs in subresources
        ),
    )  # fmt: skip


class Discovered:
    """A registry of what a server serves, kept up to date from `start` to `close`."""

    def __init__(self, transport: HttpTransport, *, clock: Clock, entropy: Entropy) -> None:
        self.registry = Registry()
        self._transport = transport
        self._clock = clock
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._tasks = Tasks("discovery")
        self._informers = Informers(transport, Registry((CRD,)), clock=clock, entropy=entropy)
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Ask once, then follow. Raises StatusError."""
        await self.refresh()
        self._tasks.start("follow", self._follow())

    async def close(self) -> None:
        await self._tasks.close()
        await self._informers.close()

    async def refresh(self) -> None:
        """Ask what is served now. Raises StatusError."""
        found = {(kind.group, kind.version, kind.plural): kind for kind in await discover(self._transport)}
        gone = [kind for key, kind in self._kinds.items() if found.get(key) != kind]
        new = [kind for key, kind in found.items() if self._kinds.get(key) != kind]
        self._kinds = found
        if gone or new:
            self.registry.replace(gone, new)

    async def _follow(self) -> None:
        try:
            await self._transport.list(CRD.path(), query={"limit": "1"})
        except (Forbidden, NotFound):
            await self._ask_again_and_again()
        except StatusError:
            pass  # out of reach for now: the informer goes on trying
        informer = self._informers.of(CRD.resource)
        informer.add_handler(added=self._touch, updated=lambda _old, new: self._touch(new), deleted=self._touch)
        while True:
            await self._changed.wait()
            for pause in _SETTLES_SECONDS:
                self._changed.clear()
                await self._clock.sleep(pause)
                await self._refresh_if_possible()
                if self._changed.is_set():
                    break

    def _touch(self, _crd: ROObj) -> None:
        self._changed.set()

    async def _ask_again_and_again(self) -> None:
        log.info("CustomResourceDefinitions cannot be watched; asking for the served kinds from time to time")
        while True:
            await self._clock.sleep(ASK_AGAIN_SECONDS)
            await self._refresh_if_possible()

    async def _refresh_if_possible(self) -> None:
        try:
            await self.refresh()
        except (StatusError, OSError) as error:
            log.debug("discovery failed", extra={"error": str(error)})
