"""What the scheduler knows of devices (dynamic resource allocation, KEP-4381): claims, classes, slices, and which devices a node has. Pure.

Kept by `filters/dynamic_resources.py`; `allocator.py` searches it for what a pod's claims want.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minik.api import meta, quantity
from minik.api.core_v1 import node_selectors
from minik.api.meta import Key, Obj, ROObj
from minik.api.resource_v1.resourceclaim import allocation_of
from minik.sched.snapshot import NodeInfo


class DeviceId(NamedTuple):
    driver: str
    pool: str
    device: str


class Devices:
    """See the module. Changed by followers alone, but for `pending`, which is the bind step's."""

    def __init__(self) -> None:
        self.claims: dict[Key, ROObj] = {}
        self.classes: dict[str, ROObj] = {}
        self.pools: dict[tuple[str, str], dict[str, ROObj]] = {}
        """(driver, pool) → name → slice."""
        self.pending: dict[Key, Obj] = {}
        """Allocations that are being written: claim → its allocation."""

    def put_slice(self, slice_: ROObj) -> None:
        self.pools.setdefault(_pool_of(slice_), {})[meta.name(slice_)] = slice_

    def remove_slice(self, slice_: ROObj) -> None:
        slices = self.pools.get(_pool_of(slice_), {})
        slices.pop(meta.name(slice_), None)
        if not slices:
            self.pools.pop(_pool_of(slice_), None)

    def taken(self) -> set[DeviceId]:
        """What claims have, but for administrators' access."""
        return {
            DeviceId(result["driver"], result["pool"], result["device"])
            for allocation in self._allocations()
            for result in (allocation.get("devices") or {}).get("results") or ()
            if not result.get("adminAccess")
        }

    def _allocations(self) -> Iterator[Mapping[str, Any]]:
        for key, claim in self.claims.items():
            allocation = allocation_of(claim)
            if allocation is not None:
                yield allocation
            elif key in self.pending:
                yield self.pending[key]


def _pool_of(slice_: ROObj) -> tuple[str, str]:
    spec = slice_["spec"]
    return spec["driver"], spec["pool"]["name"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that exists on the node."""

    id: DeviceId
    device: Mapping[str, Any]
    slice: ROObj


@dataclass(slots=True)
class Pool:
    """A pool's devices on one node, and what they share."""

    devices: list[Candidate] = field(default_factory=list)
    counters: dict[tuple[str, str], int] = field(default_factory=dict)
    """(set, counter) → what is left, in thousandths."""
    is_complete: bool = False


def usable_on(selector: ROObj, node: NodeInfo) -> bool:
    """Whether a core/v1 NodeSelector matches the node."""
    return node_selectors.matches(selector, node.labels, node.name)


def _is_on(place: Mapping[str, Any], node: NodeInfo) -> bool:
    if place.get("allNodes"):
        return True
    if place.get("nodeName"):
        return bool(place["nodeName"] == node.name)
    return place.get("nodeSelector") is not None and usable_on(place["nodeSelector"], node)


def pools_on(known: Devices, node: NodeInfo, taken: set[DeviceId]) -> dict[tuple[str, str], Pool]:
    found: dict[tuple[str, str], Pool] = {}
    for identity, slices in known.pools.items():
        newest = max(slice_["spec"]["pool"].get("generation") or 0 for slice_ in slices.values())
        current = [s for s in slices.values() if (s["spec"]["pool"].get("generation") or 0) == newest]
        pool = Pool(is_complete=len(current) == current[0]["spec"]["pool"].get("resourceSliceCount"))
        for slice_ in current:
            for counter_set in slice_["spec"].get("sharedCounters") or ():
                for name, counter in counter_set["counters"].items():
                    pool.counters[counter_set["name"], name] = quantity.parse(counter["value"]).milli()
        for slice_ in sorted(current, key=meta.name):
            spec = slice_["spec"]
            each_says = bool(spec.get("perDeviceNodeSelection"))
            for device in spec.get("devices") or ():
                candidate = Candidate(DeviceId(*identity, device["name"]), device, slice_)
                if candidate.id in taken:
                    use_counters(pool, device)
                if _is_on(device if each_says else spec, node):
                    pool.devices.append(candidate)
        if pool.devices:
            found[identity] = pool
    return found


def use_counters(pool: Pool, device: Mapping[str, Any], sign: int = 1) -> bool:
    """Take what the device consumes (`sign` -1: give it back); says whether nothing is overdrawn."""
    fits = True
    for used in device.get("consumesCounters") or ():
        for name, counter in (used.get("counters") or {}).items():
            key = used["counterSet"], name
            pool.counters[key] = pool.counters.get(key, 0) - sign * quantity.parse(counter["value"]).milli()
            fits = fits and pool.counters[key] >= 0
    return fits
