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
from minik.sched.columns import Column, Window

ZONE = "topology.kubernetes.io/zone"
MAX_COLUMNS = 32
"""What is remembered of all nodes: a few shapes of pods, and as many owners."""


_Part = TypeVar("_Part")


class PodInfo:
    """A pod as the scheduler sees it; computed once for each object."""

    __slots__ = ("host_ports", "key", "node", "obj", "owner", "priority", "requests", "spec", "uid")

    def __init__(self, obj: ROObj) -> None:
        spec: Mapping[str, Any] = obj["spec"]
        self.obj = obj
        self.spec = spec
        self.key: Key = meta.key(obj)
        self.uid: str = meta.uid(obj)
        self.node: str = spec.get("nodeName") or ""
        self.priority: int = spec.get("priority") or 0
        self.requests = _equal_requests(tuple(pods.pod_requests(obj).items()))
        owner = meta.controller_of(obj)
        self.owner: str = owner["uid"] if owner else ""
        self.host_ports: Sequence[tuple[str, str, int]] = pods.host_ports(obj)
        untrack(self.key)
        untrack(self)

    @property
    def labels(self) -> Mapping[str, str]:
        return meta.labels(self.obj)

    def counts_as(self, other: PodInfo) -> bool:
        """Whether a node is as full with one as with the other."""
        return (self.requests, self.owner, self.host_ports) == (other.requests, other.owner, other.host_ports)


@lru_cache(maxsize=4096)
def _equal_requests(items: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    """One mapping for all pods that ask for the same."""
    return dict(items)


class NodeInfo:
    """A node and the sum of what its pods ask for. `obj` is None while pods are known of a node that is not."""

    __slots__ = (
        "allocatable", "index", "labels", "name", "obj", "owners", "pods", "ports", "requested", "taints", "unschedulable",
        "zone",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.obj: ROObj | None = None
        self.labels: Mapping[str, str] = {}
        self.taints: Sequence[Mapping[str, Any]] = ()
        self.unschedulable = False
        self.zone = ""
        self.allocatable: dict[str, int] = {}
        self.requested: dict[str, int] = {}
        self.pods: dict[str, PodInfo] = {}
        self.owners: dict[str, int] = {}
        """controller uid → how many of its pods are here."""
        self.ports: dict[tuple[str, str, int], int] = {}
        self.index = -1
        """Its place among the cluster's nodes."""

    def set(self, obj: ROObj) -> None:
        spec = obj.get("spec") or {}
        self.obj = obj
        self.labels = meta.labels(obj)
        self.taints = spec.get("taints") or ()
        self.unschedulable = bool(spec.get("unschedulable"))
        self.zone = self.labels.get(ZONE, "")
        self.allocatable = quantities((obj.get("status") or {}).get("allocatable") or {})

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
        if pod.owner:
            self.owners[pod.owner] = self.owners.get(pod.owner, 0) + sign
            if not self.owners[pod.owner]:
                del self.owners[pod.owner]
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
        self.zones: dict[str, int] = {}
        """zone → how many schedulable-known nodes it has."""
        self.tainted = 0
        self.cordoned = 0
        """How many known nodes have taints, and are unschedulable: where none is, nobody need look at each."""
        self._columns: OrderedDict[str, Column] = OrderedDict()
        self._owners: dict[str, dict[str, int]] = {}
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
            column = self._columns[key] = Column(compute, len(self._order))
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

    def owned_by_zone(self, owner: str) -> Mapping[str, int]:
        """zone ("" for none) → how many pods of the controller with uid `owner` run there, where there are any."""
        return self._owners.get(owner, {})

    def set_node(self, obj: ROObj) -> None:
        name = meta.name(obj)
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = NodeInfo(name)
        if node.obj is None:
            node.index = len(self._order)
            self._order.append(node)
            for column in self._columns.values():
                column.grow()
        else:
            self._count_node(node, -1)
            self._changed(node)
        node.set(obj)
        self._count_node(node, 1)

    def remove_node(self, name: str) -> None:
        node = self._nodes.get(name)
        if node is None or node.obj is None:
            return
        self._count_node(node, -1)
        del self._order[node.index]
        for later in self._order[node.index :]:
            later.index -= 1
        self._columns.clear()
        node.obj = None
        node.index = -1
        if not node.pods:
            del self._nodes[name]

    def _changed(self, node: NodeInfo) -> None:
        if node.obj is not None:
            for column in self._columns.values():
                column.forget(node.index)

    def _count_node(self, node: NodeInfo, sign: int) -> None:
        self.tainted += sign * bool(node.taints)
        self.cordoned += sign * node.unschedulable
        zone = node.zone
        if zone:
            self.zones[zone] = self.zones.get(zone, 0) + sign
            if not self.zones[zone]:
                del self.zones[zone]
        for owner, pods_here in node.owners.items():
            self._count_owner(owner, zone, sign * pods_here)

    def _count_owner(self, owner: str, zone: str, number: int) -> None:
        zones = self._owners.setdefault(owner, {})
        zones[zone] = zones.get(zone, 0) + number
        if not zones[zone]:
            del zones[zone]
            if not zones:
                del self._owners[owner]

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
        self._changed(node)
        if pod.owner and node.obj is not None:
            self._count_owner(pod.owner, node.zone, 1)

    def remove_pod(self, uid: str) -> None:
        name = self._where.pop(uid, None)
        if name is None:
            return
        node = self._nodes[name]
        owner = node.pods[uid].owner
        node.remove(uid)
        self._changed(node)
        if owner and node.obj is not None:
            self._count_owner(owner, node.zone, -1)
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
