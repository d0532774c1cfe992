"""metrics.k8s.io, served by the server itself: what nodes and pods use, for `kubectl top` and the autoscaler; nothing is installed.

`handlers` gives the get and list of its two kinds to `app.py`. When somebody asks, the nodes concerned are asked for a sample over their
links (`tunnel.py`), and two samples make a rate (`rates`, pure). A rate serves everybody who asks within ten seconds, unless a pod has
come that it does not know; when the last sample is older than a minute two are taken, a second apart. So nobody measures anything while
nobody asks. A node that cannot be asked is left out of lists with a warning, and pods without data silently, as metrics-server does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import ServiceUnavailable, StatusError, not_found
from minik.api.kind import Kind
from minik.api.meta import Obj, ROObj
from minik.api.metrics_v1beta1 import usage
from minik.clock import Clock
from minik.link.mux import LinkClosed
from minik.link.requests import StatsRequest
from minik.link.samples import ContainerSample, NodeSample, Usage, decode_sample
from minik.server.core import Core, Verb
from minik.server.request import EntryList, Request, Response
from minik.server.selection import selection
from minik.server.tunnel import Links
from minik.server.verbs.common import kind_of
from minik.storage.base import Revision
from minik.storage.cache import Entry

FRESH_SECONDS = 10.0
STALE_SECONDS = 60.0
GAP_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0
_LEAST_WINDOW = 0.5
"""Seconds; a container that is younger has no rate yet."""


@dataclass(frozen=True, slots=True)
class PodUsage:
    """`containers`: name → (thousand-millionths of a core, bytes), in the `window` seconds before the sample."""

    window: float
    containers: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """A node and its pods by uid, in the `window` seconds up to `time`."""

    time: datetime
    window: float
    node: tuple[int, int]
    pods: Mapping[str, PodUsage]


def rates(before: NodeSample, after: NodeSample) -> NodeUsage:
    """What two samples of a node say. A container that began between them is counted from its start. A pod with a container of which
    nothing can be said is left out."""
    window = (after.time - before.time).total_seconds()
    earlier = {(each.uid, each.name, each.started): each.usage for each in before.containers}
    found: dict[str, dict[str, tuple[int, int]]] = {}
    windows: dict[str, float] = {}
    unknown: set[str] = set()
    for each in after.containers:
        since, base = _base(each, earlier, before, after, window)
        used = each.usage.cpu - base
        if since < _LEAST_WINDOW or used < 0:
            unknown.add(each.uid)
            continue
        found.setdefault(each.uid, {})[each.name] = (round(used / since), each.usage.memory)
        windows[each.uid] = min(since, windows.get(each.uid, since))
    by_pod = {uid: PodUsage(windows[uid], used) for uid, used in found.items() if uid not in unknown}
    cores = max(0, after.node.cpu - before.node.cpu)
    return NodeUsage(after.time, window, (round(cores / max(window, _LEAST_WINDOW)), after.node.memory), by_pod)


def _base(
    each: ContainerSample,
    earlier: Mapping[tuple[str, str, datetime], Usage],
    before: NodeSample,
    after: NodeSample,
    window: float,
) -> tuple[float, int]:
    """(seconds, cpu at their beginning)."""
    known = earlier.get((each.uid, each.name, each.started))
    if known is not None:
        return window, known.cpu
    if each.started > before.time:
        return (after.time - each.started).total_seconds(), 0
    return 0.0, 0


@dataclass(slots=True)
class _Known:
    """What is known of a node. One asks at a time, the others wait for what it learns."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    before: NodeSample | None = None
    last: NodeSample | None = None
    at: float = 0.0
    rates: NodeUsage | None = None


class NodeUsages:
    """Asks nodes what they use, and remembers for a moment."""

    def __init__(self, links: Links, clock: Clock) -> None:
        self._links, self._clock = links, clock
        self._known: dict[str, _Known] = {}

    async def of(self, node: str, uids: Collection[str] = ()) -> NodeUsage:
        """`uids`: of pods that run there. Raises ServiceUnavailable if the node cannot be asked."""
        known = self._known.setdefault(node, _Known())
        async with known.lock:
            age = self._clock.monotonic() - known.at
            if known.rates is not None and age < FRESH_SECONDS:
                if age < GAP_SECONDS or all(uid in known.rates.pods for uid in uids):
                    return known.rates
                base = known.before  # the pods that are known keep a decent window
            elif known.last is not None and age <= STALE_SECONDS:
                base = known.last
            else:
                base = None
            known.rates = None
            if base is None:
                base = await self._ask(node)
                await self._clock.sleep(GAP_SECONDS)
            known.before, known.last = base, await self._ask(node)
            known.rates, known.at = rates(base, known.last), self._clock.monotonic()
            return known.rates

    async def sampled(self, node: str) -> tuple[NodeUsage, NodeSample]:
        """`of`, and the later of its two samples."""
        found = await self.of(node)
        last = self._known[node].last
        assert last is not None
        return found, last

    async def _ask(self, node: str) -> NodeSample:
        parts = []
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                stream = await self._links.open(node, StatsRequest())
                try:
                    while (got := await stream.receive()) is not None:
                        parts.append(got[1] or b"")
                finally:
                    await stream.close("")
            return decode_sample(b"".join(parts))
        except (LinkClosed, TimeoutError, ValueError) as error:
            why = str(error) or f"no answer within {TIMEOUT_SECONDS:.0f} s"
            raise ServiceUnavailable(f"unable to read what node {node} uses: {why}") from error

    async def of_all(self, nodes: Mapping[str, Collection[str]]) -> tuple[dict[str, NodeUsage], list[str]]:
        """`nodes`: name → uids as for `of`. (node → usage, what is wrong with the others.)"""
        wanted = sorted(nodes)
        answers = await asyncio.gather(*(self.of(node, nodes[node]) for node in wanted), return_exceptions=True)
        found: dict[str, NodeUsage] = {}
        problems = []
        for node, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, NodeUsage):
                found[node] = answer
            elif isinstance(answer, StatusError):
                problems.append(str(answer))
            else:
                raise answer
        return found, problems

    def forget_all_but(self, nodes: Iterable[str]) -> None:
        kept = set(nodes)
        for name in [name for name in self._known if name not in kept]:
            del self._known[name]


def handlers(usages: NodeUsages, clock: Clock) -> Mapping[str, Mapping[str, Verb]]:
    """Resource → verb → its function."""

    async def get_node(core: Core, request: Request) -> Response:
        name = request.info.name
        entry = core.cache.get(f"nodes//{name}")
        if entry is None:
            raise not_found("nodemetrics", usage.GROUP, name)
        return Response(obj=_node(entry.obj, await usages.of(name), clock.now()))

    async def list_nodes(core: Core, request: Request) -> Response:
        chosen = selection(request, kind_of(request))
        every = core.cache.list("nodes", "")
        usages.forget_all_but(entry.name for entry in every)
        entries = [entry for entry in every if chosen.holds is None or chosen.holds(entry.obj)]
        found, problems = await usages.of_all({entry.name: () for entry in entries})
        request.warnings += problems
        now = clock.now()
        return _listed(core, request, [_node(e.obj, found[e.name], now) for e in entries if e.name in found])

    async def get_pod(core: Core, request: Request) -> Response:
        namespace, name = request.info.namespace, request.info.name
        entry = core.cache.get(f"pods/{namespace}/{name}")
        missing = not_found("podmetrics", usage.GROUP, f"{namespace}/{name}")
        if entry is None or not pods.node_name(entry.obj):
            raise missing
        found = _pod(entry.obj, await usages.of(pods.node_name(entry.obj), (meta.uid(entry.obj),)), clock.now())
        if found is None:
            raise missing
        return Response(obj=found)

    async def list_pods(core: Core, request: Request) -> Response:
        chosen = selection(request, kind_of(request))
        running = [
            entry.obj
            for entry in core.cache.list("pods", request.info.namespace)
            if pods.phase(entry.obj) == "Running" and (chosen.holds is None or chosen.holds(entry.obj))
        ]
        nodes: dict[str, list[str]] = {}
        for pod in running:
            nodes.setdefault(pods.node_name(pod), []).append(meta.uid(pod))
        found, problems = await usages.of_all(nodes)
        request.warnings += problems
        now = clock.now()
        made = [
            one
            for pod in running
            if (on := found.get(pods.node_name(pod))) is not None and (one := _pod(pod, on, now)) is not None
        ]
        return _listed(core, request, made)

    return {
        usage.NODES.resource: {"get": get_node, "list": list_nodes},
        usage.PODS.resource: {"get": get_pod, "list": list_pods},
    }


def _node(node: ROObj, used: NodeUsage, now: datetime) -> Obj:
    return usage.node_metrics(node, usage.usage(*used.node), timestamp=used.time, window=used.window, now=now)


def _pod(pod: ROObj, on: NodeUsage, now: datetime) -> Obj | None:
    used = on.pods.get(meta.uid(pod))
    if used is None:
        return None
    containers = {name: usage.usage(*amounts) for name, amounts in sorted(used.containers.items())}
    return usage.pod_metrics(pod, containers, timestamp=on.time, window=used.window, now=now)


def _listed(core: Core, request: Request, objects: Sequence[Obj]) -> Response:
    kind: Kind = kind_of(request)
    entries = [
        Entry(kind.key(meta.namespace(obj), meta.name(obj)), Revision(0), Revision(0), orjson.dumps(obj))
        for obj in objects
    ]
    return Response(entries=EntryList(kind, entries, core.cache.revision))
