"""What the scheduler knows: nodes with what runs on them, kept up to date change by change.

`Cluster` is changed by `loop.py` alone; plugins and `cycle.py` only read it. Quantities are whole numbers: CPU in thousandths,
all else in units (bytes, pieces).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Key, ROObj
from minik.memory import untrack
from minik.sched import requests
from minik.sched.columns import Changes, Column, Window
from minik.sched.requests import requests_of, weighed
from minik.sched.tally import Tallies
from minik.sched.terms import affinity_of, constraints_of

MAX_COLUMNS = 128
"""What is remembered of all nodes: a few shapes of pods, and as many groups of them."""


_Part = TypeVar("_Part")


class PodInfo:
    """A pod as the scheduler sees it; computed once for each object. `obj` may become a later one that counts the same (`matters`)."""

    __slots__ = (
        "affinity", "deleting", "host_ports", "key", "labels", "node", "obj", "owner", "priority", "requests", "spec", "spread", "uid",
        "weighed",
    )  # fmt: skip

    def __init__(self, obj: ROObj) -> None:
        spec: Mapping[str, Any] = obj["spec"]
        self.obj = obj
        self.spec = spec
        self.key: Key = meta.key(obj)
        self.uid: str = meta.uid(obj)
        self.labels: Mapping[str, str] = meta.labels(obj)
        self.node: str = spec.get("nodeName") or ""
        self.priority: int = spec.get("priority") or 0
        self.deleting = meta.is_deleting(obj)
        self.requests = _equal_requests(tuple(requests_of(obj).items()))
        self.weighed = _equal_pair(weighed(obj, self.requests))
        """CPU and memory that it counts with where nodes are compared (`requests.py`)."""
        owner = meta.controller_of(obj)
        self.owner: str = owner["uid"] if owner else ""
        self.host_ports: Sequence[tuple[str, str, int]] = pods.host_ports(obj)
        self.affinity = affinity_of(spec, self.key.namespace)
        """Its rules about other pods; None if it has none."""
        self.spread = constraints_of(spec, self.key.namespace, self.labels)
        """Its topology spread constraints."""
        untrack(self.key)
        untrack(self)

    def counts_as(self, other: PodInfo) -> bool:
        """Whether nothing on a node changes if one takes the other's place."""
        return (
            self.requests == other.requests
            and self.weighed == other.weighed
            and self.host_ports == other.host_ports
            and self.labels == other.labels
            and self.deleting == other.deleting
            and self.affinity == other.affinity
        )


def matters(old: ROObj, new: ROObj) -> bool:
    """Whether a pod that runs counts differently after this change of it: its spec, labels, deletion, end, or a resize."""
    return (
        (new["spec"] is not old["spec"] and new["spec"] != old["spec"])
        or meta.labels(old) != meta.labels(new)
        or meta.is_deleting(old) != meta.is_deleting(new)
        or pods.is_finished(old) != pods.is_finished(new)
        or requests.has_changed(old, new)
    )


@lru_cache(maxsize=4096)
def _equal_requests(items: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    """One mapping for all pods that ask for the same."""
    return dict(items)


@lru_cache(maxsize=4096)
def _equal_pair(pair: tuple[int, int]) -> tuple[int, int]:
    return pair


class NodeInfo:
    """A node and the sum of what its pods ask for. `obj` is None while pods are known of a node that is not."""

    __slots__ = (
        "allocatable", "images", "index", "labels", "name", "obj", "pods", "ports", "requested", "taints", "unschedulable",
        "weighed_cpu", "weighed_memory",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.obj: ROObj | None = None
        self.labels: Mapping[str, str] = {}
        self.taints: Sequence[Mapping[str, Any]] = ()
        self.unschedulable = False
        self.images: Sequence[Mapping[str, Any]] = ()
        """What its status says of images that it has."""
        self.allocatable: dict[str, int] = {}
        self.requested: dict[str, int] = {}
        self.weighed_cpu = 0
        self.weighed_memory = 0
        """Sums of `PodInfo.weighed`."""
        self.pods: dict[str, PodInfo] = {}
        self.ports: dict[tuple[str, str, int], int] = {}
        self.index = -1
        """Its place among the cluster's nodes."""

    def set(self, obj: ROObj) -> None:
        spec = obj.get("spec") or {}
        self.obj = obj
        self.labels = meta.labels(obj)
        self.taints = spec.get("taints") or ()
        self.unschedulable = bool(spec.get("unschedulable"))
        status = obj.get("status") or {}
        self.images = status.get("images") or ()
        self.allocatable = quantities(status.get("allocatable") or {})

    def add(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        self._count(pod, 1)

    def remove(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        requested = self.requested
        for resource, amount in pod.requests.items():
            requested[resource] = requested.get(resource, 0) + sign * amount
        cpu, memory = pod.weighed
        self.weighed_cpu += sign * cpu
        self.weighed_memory += sign * memory
        for port in pod.host_ports:
            self.ports[port] = self.ports.get(port, 0) + sign
            if not self.ports[port]:
                del self.ports[port]


def quantities(resources: Mapping[str, Any]) -> dict[str, int]:
    """A ResourceList as whole numbers: CPU in thousandths, all else rounded up to units."""
    return {name: pods.amount(name, text) for name, text in resources.items()}


class Cluster:
    """All nodes, and every pod that has one (bound, or assumed to be while its binding is under way)."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeInfo] = {}
        self._order: list[NodeInfo] = []
        self._where: dict[str, str] = {}
        self.tallies = Tallies(self._nodes.values)
        """Pods counted by domain."""
        self.image_nodes: dict[str, int] = {}
        """image name → how many nodes have it."""
        self.tainted = 0
        self.cordoned = 0
        """How many known nodes have taints, and are unschedulable: where none is, nobody need look at each."""
        self._columns: OrderedDict[str, Column] = OrderedDict()
        self._changes = Changes()
        self._nominated: dict[str, dict[str, PodInfo]] = {}
        self._nominations: dict[str, str] = {}
        self._parts: dict[type[Any], Any] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self._order)

    @property
    def nodes(self) -> Sequence[NodeInfo]:
        """Every known node, in the order they joined."""
        return self._order

    def get(self, name: str) -> NodeInfo | None:
        return self._nodes.get(name)

    def node_of(self, uid: str) -> str:
        """The node a pod counts on, or ""."""
        return self._where.get(uid, "")

    def placed(self, uid: str) -> tuple[PodInfo, str] | None:
        """A pod that counts on a node, and that node's name."""
        name = self._where.get(uid)
        return (self._nodes[name].pods[uid], name) if name is not None else None

    def column(self, key: str, compute: Callable[[NodeInfo], float]) -> Column:
        """What `compute` gives of each node: not negative, and of nothing but the node's own state. `key` names it."""
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = Column(compute, self._order, self._changes)
            if len(self._columns) > MAX_COLUMNS:
                self._columns.popitem(last=False)
        else:
            self._columns.move_to_end(key)
        return column

    def part(self, kind: type[_Part]) -> _Part:
        """What plugins know beyond nodes and pods, kept up to date by their followers (`hooks.py`): one of each class, made when
        first asked for."""
        found = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind()
        return found

    def nominate(self, pod: PodInfo, node_name: str) -> None:
        """Preemption makes room there for `pod`, which waits: pods of lower priority are scheduled as if it were there already."""
        self.unnominate(pod.uid)
        self._nominated.setdefault(node_name, {})[pod.uid] = pod
        self._nominations[pod.uid] = node_name

    def unnominate(self, uid: str) -> None:
        """The pod has a node now, is gone, or waits for no node in particular any more."""
        name = self._nominations.pop(uid, None)
        if name is not None:
            del self._nominated[name][uid]
            if not self._nominated[name]:
                del self._nominated[name]

    def nomination(self, uid: str) -> str:
        """The node that a waiting pod is nominated to, or ""."""
        return self._nominations.get(uid, "")

    @property
    def nominated(self) -> Mapping[str, Mapping[str, PodInfo]]:
        """node name → uid → waiting pod that is nominated to it."""
        return self._nominated

    def window(self, start: int, count: int) -> Window:
        """`count` nodes from number `start` on."""
        return Window(self._order, start, count)

    def set_node(self, obj: ROObj) -> None:
        name = meta.name(obj)
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = NodeInfo(name)
        before: Any = None
        if node.obj is None:
            node.index = len(self._order)
            self._order.append(node)
        else:
            before = node.labels, node.taints
            self._count_node(node, -1)
        self._changed(node)
        if node.images:
            self._count_images(node, -1)
        node.set(obj)
        if node.images:
            self._count_images(node, 1)
        self._count_node(node, 1)
        if before != (node.labels, node.taints):
            self.tallies.set_node(node)

    def remove_node(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None or node.obj is None:
            return
        self._count_node(node, -1)
        self._count_images(node, -1)
        self.tallies.remove_node(name)
        del self._order[node.index]
        for later in self._order[node.index :]:
            later.index -= 1
        self._columns.clear()
        node.obj = None
        node.images = ()
        node.index = -1
        if not node.pods:
            del self._nodes[name]

    def _changed(self, node: NodeInfo) -> None:
        if node.index >= 0:
            self._changes.add(node.index)

    def _count_node(self, node: NodeInfo, sign: int) -> None:
        self.tainted += sign * bool(node.taints)
        self.cordoned += sign * node.unschedulable

    def _count_images(self, node: NodeInfo, sign: int) -> None:
        counts = self.image_nodes
        for name in {name for image in node.images for name in image.get("names") or ()}:
            counts[name] = counts.get(name, 0) + sign
            if not counts[name]:
                del counts[name]

    def set_pod(self, pod: PodInfo, node_name: str) -> None:
        """Count `pod` on a node, and on no other."""
        known = self._nodes[node_name].pods.get(pod.uid) if self._where.get(pod.uid) == node_name else None
        if known is not None and known.counts_as(pod):
            self._nodes[node_name].pods[pod.uid] = pod
            return
        self.remove_pod(pod.uid)
        node = self._nodes.get(node_name)
        if node is None:
            node = self._nodes[node_name] = NodeInfo(node_name)
        node.add(pod)
        self._where[pod.uid] = node_name
        self.tallies.count_pod(pod, node_name, 1)
        self._changed(node)

    def remove_pod(self, uid: str) -> None:
        name = self._where.pop(uid, None)
        if name is None:
            return
        node = self._nodes[name]
        self.tallies.count_pod(node.pods[uid], name, -1)
        node.remove(uid)
        self._changed(node)
        if node.obj is None and not node.pods:
            del self._nodes[name]

    @classmethod
    def of(cls, nodes: Iterable[ROObj], bound: Iterable[ROObj] = ()) -> Cluster:
        """A cluster of these nodes and the pods already on them."""
        cluster = cls()
        for node in nodes:
            cluster.set_node(node)
        for obj in bound:
            pod = PodInfo(obj)
            if pod.node:
                cluster.set_pod(pod, pod.node)
        return cluster
