"""Extenders: HTTP servers that are asked beside the plugins.

`extenders` of a KubeSchedulerConfiguration; what is sent and answered is k8s.io/kube-scheduler/extender/v1. Its fields are named as in Go
(`NodeNames`, `Host`); an answer may spell them in any case, as it may for kube-scheduler (older versions said `nodenames`).

`consult` asks them about the nodes that the filters left, and makes of the answers one more filter and one more score, with which the
decision is taken then: it stays a function of values. `agree` shows them the candidates of a preemption, and gives back those (and of
each the victims) that they leave. `bind` hands the binding itself over. Called by `loop.py` and `binder.py`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from minik.api.errors import InternalError
from minik.api.meta import ROObj
from minik.sched.columns import Window
from minik.sched.plugins import Check, Filter, No, Plugins, Rates, Score
from minik.sched.preemption import Budgets, Victims, candidate, choose, violates
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo

if TYPE_CHECKING:
    import aiohttp

FILTER = "Extender"
"""In the place of a filter's name."""
TIMEOUT = 5.0
"""Seconds, if `httpTimeout` says nothing (DefaultExtenderTimeout)."""
_MAX_SCORE = 10
_LARGEST = 64 << 20
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_FIELDS = frozenset({
    "urlPrefix", "filterVerb", "prioritizeVerb", "bindVerb", "weight", "enableHTTPS", "tlsConfig", "httpTimeout", "nodeCacheCapable",
    "managedResources", "ignorable", "preemptVerb",
})  # fmt: skip
_TLS_FIELDS = frozenset({"insecure", "serverName", "certFile", "keyFile", "caFile", "caData"})


class ExtenderError(Exception):
    """An extender that may not be ignored did not answer, or with an error."""


@dataclass(slots=True, eq=False)
class Extender:
    """One server, as configured. Holds a connection pool from the first request until `close`."""

    url: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    bind_verb: str = ""
    preempt_verb: str = ""
    weight: int = 1
    timeout: float = TIMEOUT
    names_only: bool = False
    """Whether it knows the nodes itself (nodeCacheCapable)."""
    managed: frozenset[str] = frozenset()
    """The resources it is about; none: it is about every pod."""
    ignorable: bool = False
    tls: Mapping[str, Any] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    @property
    def binds(self) -> bool:
        return bool(self.bind_verb)

    def is_interested(self, pod: PodInfo) -> bool:
        """Whether it is to be asked about the pod."""
        if not self.managed:
            return True
        containers = (*(pod.spec.get("containers") or ()), *(pod.spec.get("initContainers") or ()))
        return any(
            name in self.managed
            for container in containers
            for side in ("requests", "limits")
            for name in (container.get("resources") or {}).get(side) or ()
        )

    async def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Mapping[str, No]:
        """node → why it will not do. Raises ExtenderError."""
        told = await self._ask(self.filter_verb, self._arguments(pod, nodes))
        if not isinstance(told, Mapping):
            raise ExtenderError(f"extender {self.url}: filter: the answer is no object")
        answer = _fields(told)
        if answer.get("error"):
            raise ExtenderError(f"extender {self.url}: {answer['error']}")
        said = {name: No((str(text),)) for name, text in (answer.get("failednodes") or {}).items()}
        for name, text in (answer.get("failedandunresolvablenodes") or {}).items():
            said[name] = No((str(text),), resolvable=False)
        kept, silently = _kept(answer, self.names_only), No((f"node(s) were filtered out by extender {self.url}",))
        return {node.name: said.get(node.name, silently) for node in nodes if node.name not in kept}

    async def prioritize(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> Mapping[str, float]:
        """node → 0 to 10. Raises ExtenderError."""
        answer = await self._ask(self.prioritize_verb, self._arguments(pod, nodes))
        try:
            rows = map(_fields, answer or ())
            return {each["host"]: float(each["score"]) for each in rows}
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise ExtenderError(f"extender {self.url}: prioritize: the answer is no list of scores") from error

    async def preempt(self, pod: PodInfo, candidates: Mapping[str, Victims]) -> Mapping[str, frozenset[str]]:
        """node → the uids of the pods that would have to go from there, of the nodes where that is all right. Raises ExtenderError."""
        if self.names_only:
            victims: ROObj = {
                "NodeNameToMetaVictims": {
                    name: {"Pods": [{"UID": each.uid} for each in found.pods], "NumPDBViolations": 0}
                    for name, found in candidates.items()
                }
            }
        else:
            victims = {
                "NodeNameToVictims": {
                    name: {"Pods": [each.obj for each in found.pods], "NumPDBViolations": 0}
                    for name, found in candidates.items()
                }
            }
        answer = await self._ask(self.preempt_verb, {"Pod": pod.obj, **victims})
        try:
            left = {
                name: frozenset(_fields(each)["uid"] for each in _fields(found).get("pods") or ())
                for name, found in (_fields(answer or {}).get("nodenametometavictims") or {}).items()
            }
        except (AttributeError, TypeError, KeyError) as error:
            raise ExtenderError(f"extender {self.url}: preempt: the answer is no map of victims") from error
        for name, uids in list(left.items()):
            if not uids:
                if self.ignorable:
                    del left[name]
                    continue
                raise ExtenderError(f"extender {self.url}: preempt: expected at least one victim pod on node {name!r}")
        return left

    async def bind(self, pod: PodInfo, node: str) -> bool:
        """Let it bind the pod. False if it failed, and may be ignored; if it may not, raises InternalError."""
        body = {"PodName": pod.key.name, "PodNamespace": pod.key.namespace, "PodUID": pod.uid, "Node": node}
        try:
            answer = await self._ask(self.bind_verb, body)
            said = _fields(answer).get("error") if isinstance(answer, Mapping) else None
            if said:
                raise ExtenderError(f"extender {self.url}: {said}")
        except ExtenderError as error:
            if self.ignorable:
                return False
            raise InternalError(str(error)) from error
        return True

    def _arguments(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> ROObj:
        if self.names_only:
            return {"Pod": pod.obj, "Nodes": None, "NodeNames": [node.name for node in nodes]}
        items = [node.obj for node in nodes]
        listed = {"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": items}
        return {"Pod": pod.obj, "Nodes": listed, "NodeNames": None}

    async def _ask(self, verb: str, body: ROObj) -> Any:
        import aiohttp
        import orjson

        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls_context(self.tls)))
        url = f"{self.url.rstrip('/')}/{verb}"
        try:
            async with self._session.post(
                url,
                data=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(self.timeout),
                server_hostname=self.tls.get("serverName") or None,
            ) as answer:
                text = await answer.content.read(_LARGEST)
                if answer.status != 200:
                    raise ExtenderError(f"failed {verb} with extender at URL {self.url}, code {answer.status}")
                return orjson.loads(text) if text else None
        except TimeoutError as error:
            raise ExtenderError(f"extender {self.url}: {verb}: no answer within {self.timeout:g} s") from error
        except (aiohttp.ClientError, OSError, orjson.JSONDecodeError) as error:
            raise ExtenderError(f"extender {self.url}: {verb}: {error}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _fields(told: Mapping[str, Any]) -> dict[str, Any]:
    """An object of an answer by its fields in lower case."""
    return {name.lower(): value for name, value in told.items()}


def _kept(answer: Mapping[str, Any], names_only: bool) -> frozenset[str]:
    """The nodes that an answer (its `_fields`) keeps; none if it does not say, as for kube-scheduler."""
    names, nodes = answer.get("nodenames"), answer.get("nodes") or {}
    if names_only and names is not None:
        return frozenset(names)
    return frozenset(each["metadata"]["name"] for each in nodes.get("items") or ())


async def consult(extenders: Sequence[Extender], pod: PodInfo, nodes: Sequence[NodeInfo], plugins: Plugins) -> Plugins:
    """`plugins`, and what `extenders` say of `nodes`. Raises ExtenderError if one that may not be ignored fails to filter; one that fails
    to rate is left out (as in kube-scheduler)."""
    refused: dict[str, No] = {}
    left = list(nodes)
    asked = frozenset(node.name for node in left)
    for extender in extenders:
        if not extender.filter_verb or not left:
            continue
        try:
            refused.update(await extender.filter(pod, left))
        except ExtenderError:
            if not extender.ignorable:
                raise
        left = [node for node in left if node.name not in refused]
    totals = await _rated([each for each in extenders if each.prioritize_verb], pod, left)

    def prepare(_pod: PodInfo, _cluster: Cluster) -> Check:
        unknown = No(("node(s) were not shown to the extender",))
        return lambda node: refused.get(node.name) or (None if node.name in asked else unknown)

    def rate(_pod: PodInfo, _cluster: Cluster, window: Window) -> Rates:
        return [totals.get(node.name, 0.0) for node in window]

    scores = (*plugins.scores, Score(FILTER, 1, rate)) if totals else plugins.scores
    return replace(plugins, filters=(*plugins.filters, Filter(FILTER, prepare)), scores=scores)


async def agree(
    extenders: Sequence[Extender], pod: PodInfo, candidates: Sequence[Victims], cluster: Cluster
) -> Victims | None:
    """Whom to remove, after each of `extenders` has struck out nodes or changed who goes; None: nobody. Raises ExtenderError if one that
    may not be ignored fails, or names a pod that is not on the node. A budget is not violated whatever they say."""
    left = {each.node: each for each in candidates}
    for extender in extenders:
        if not left:
            break
        try:
            answer = await extender.preempt(pod, left)
            left = {
                name: each
                for name, uids in answer.items()
                if not violates((each := _victims(extender, cluster, name, uids)).pods, cluster.part(Budgets))
            }
        except ExtenderError:
            if not extender.ignorable:
                raise
    return choose(list(left.values())) if left else None


def _victims(extender: Extender, cluster: Cluster, name: str, uids: frozenset[str]) -> Victims:
    node = cluster.get(name)
    known = node.pods if node is not None else {}
    for uid in uids:
        if uid not in known:
            raise ExtenderError(f"extender {extender.url}: preempt: pod {uid!r} is not on node {name!r}")
    return candidate(name, [known[uid] for uid in uids], cluster.part(Budgets))


async def _rated(extenders: Sequence[Extender], pod: PodInfo, nodes: Sequence[NodeInfo]) -> Mapping[str, float]:
    """The sums of what they give each node, weighed, and on the scale of the plugins (0 to 100)."""
    totals: dict[str, float] = {}
    if not nodes:
        return totals
    answers = await asyncio.gather(*(each.prioritize(pod, nodes) for each in extenders), return_exceptions=True)
    for extender, answer in zip(extenders, answers, strict=True):
        if isinstance(answer, ExtenderError):
            continue
        if isinstance(answer, BaseException):
            raise answer
        for name, score in answer.items():
            totals[name] = totals.get(name, 0.0) + score * extender.weight * 100 / _MAX_SCORE
    return totals


# --- configuration ------------------------------------------------------------------------------------------------------


def parse_extender(given: Mapping[str, Any]) -> Extender:
    """One of a configuration's `extenders`. Raises ValueError."""
    for name in given:
        if name not in _FIELDS:
            raise ValueError(f"{name}: unknown field")
    url = given.get("urlPrefix") or ""
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError("urlPrefix: must begin with http:// or https://")
    weight = given.get("weight")
    if given.get("prioritizeVerb") and (not isinstance(weight, int) or weight <= 0):
        raise ValueError("weight: must be positive, because there is a prioritizeVerb")
    tls = given.get("tlsConfig") or {}
    for name in tls:
        if name not in _TLS_FIELDS:
            raise ValueError(f"tlsConfig.{name}: not supported")
    if given.get("enableHTTPS") and url.startswith("http://"):
        url = f"https://{url.removeprefix('http://')}"
    tls_context(tls)
    return Extender(
        url,
        filter_verb=given.get("filterVerb") or "",
        prioritize_verb=given.get("prioritizeVerb") or "",
        bind_verb=given.get("bindVerb") or "",
        preempt_verb=given.get("preemptVerb") or "",
        weight=weight or 1,
        timeout=parse_duration(given.get("httpTimeout") or TIMEOUT),
        names_only=bool(given.get("nodeCacheCapable")),
        managed=frozenset(each["name"] for each in given.get("managedResources") or ()),
        ignorable=bool(given.get("ignorable")),
        tls=tls,
    )


def ignored_resources(given: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """The resources that only extenders look after (`ignoredByScheduler`)."""
    return [
        each["name"]
        for extender in given
        for each in extender.get("managedResources") or ()
        if each.get("ignoredByScheduler")
    ]


def parse_duration(text: Any) -> float:
    """Seconds of a duration like `1m30s` or `500ms`. Raises ValueError."""
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text > 0:
        return float(text)
    match = _DURATION.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError(f"httpTimeout: {text!r} is no duration like 5s or 500ms")
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


def tls_context(tls: Mapping[str, Any]) -> ssl.SSLContext:
    """Raises ValueError if a file is missing or no certificate."""
    try:
        authority = base64.b64decode(tls["caData"]).decode() if tls.get("caData") else None
        context = ssl.create_default_context(cafile=tls.get("caFile") or None, cadata=authority)
        if tls.get("insecure"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if tls.get("certFile"):
            context.load_cert_chain(tls["certFile"], tls.get("keyFile") or None)
    except (OSError, ValueError) as error:
        raise ValueError(f"tlsConfig: {error}") from error
    return context
