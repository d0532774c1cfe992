"""What must hold at every moment of a run. Fed by engines (containers that start) and by the store (what is published)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from minik.agent import names
from minik.agent.containers.base import ContainerInfo
from minik.api.core_v1 import pods
from minik.api.meta import ROObj, controller_of, is_deleting, labels, uid
from minik.controllers.common.rollout_scale import max_surge, max_unavailable
from minik.storage.base import Event, EventType
from tests.support.simulation.host import SimulatedNode
from tests.support.simulation.job_monitor import JobMonitor
from tests.support.simulation.network import Link
from tests.support.simulation.subjects import SUBJECTS
from tests.support.simulation.subjects.subject import Watcher
from tests.support.simulation.workloads import STRAY

MEMORY_SECONDS = 150.0
"""How long a former number of replicas, and a create whose answer was lost, may explain a surplus."""
_BUSY_SECONDS, _BUSY_WRITES = 10.0, 150
"""Whoever writes one object that often in that time is going round in circles."""
_OWNERS = ("replicasets.apps", "replicationcontrollers")
_OWN = ("pods", *_OWNERS, "jobs.batch", "deployments.apps")


@dataclass
class _Set:
    """A ReplicaSet or ReplicationController and its pods."""

    key: str
    owner: str
    asked: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=200))
    pods: dict[str, ROObj] = field(default_factory=dict)

    def most_asked(self, now: float) -> int:
        while len(self.asked) > 1 and self.asked[1][0] < now - MEMORY_SECONDS:
            self.asked.popleft()
        return max(number for _, number in self.asked)


@dataclass
class _Rollout:
    """A Deployment that must stay available."""

    key: str
    replicas: int
    bound: int
    most: int
    """With its surge."""
    is_reached: bool = False


class Monitors:
    """`problems` collects what did not hold, once each."""

    def __init__(self, nodes: Sequence[SimulatedNode], control_link: Link, note: Callable[[str, str], None]) -> None:
        self.problems: list[str] = []
        self.found = asyncio.Event()
        """There is a problem."""
        self.is_gentle = False
        """Nobody but the controllers takes pods away: Deployments must stay available."""
        self.created_pods = 0
        self._nodes, self._link, self._note = nodes, control_link, note
        self._sets: dict[str, _Set] = {}
        self._set_keys: dict[str, str] = {}
        self._objects: dict[str, ROObj] = {}
        """Of the resources that somebody here looks at, as last published."""
        self._rollouts: dict[str, _Rollout] = {}
        self._rollout_keys: dict[str, str] = {}
        self._writes: dict[str, tuple[float, int]] = {}
        self._jobs = JobMonitor(self._problem)
        self._watchers = [watch(self._problem) for subject in SUBJECTS for watch in subject.watchers]
        self._by_resource: dict[str, list[Watcher]] = {}
        for watcher in self._watchers:
            for resource in watcher.resources:
                self._by_resource.setdefault(resource, []).append(watcher)
        self._followed = frozenset((*_OWN, *self._by_resource))

    def _problem(self, text: str) -> None:
        self.found.set()
        if len(self.problems) < 20:
            self._note("check", text)
            self.problems.append(f"at {asyncio.get_running_loop().time():.3f}: {text}")

    # --- containers --------------------------------------------------------------------------------------------------

    def started(self, node: str, info: ContainerInfo) -> None:
        """A container begins to run on `node`."""
        pod, container = info.labels[names.UID], info.labels[names.CONTAINER]
        what = f"{info.labels[names.NAMESPACE]}/{info.labels[names.POD_NAME]} ({pod})"
        for other in self._nodes:
            for running in other.engine.running_of(pod):
                labels = running.labels
                if running.id == info.id or not labels.get(names.CONTAINER):
                    continue
                if other.name != node:
                    self._problem(f"pod {what} runs on {other.name} and on {node}")
                elif labels[names.CONTAINER] == container:
                    self._problem(f"container {container} of pod {what} runs twice on {node}")
        self._check_identity(info, what)

    def _check_identity(self, info: ContainerInfo, what: str) -> None:
        """Of a StatefulSet's pods of one name only one runs (KEP "at most one"): the one before has ended everywhere."""
        namespace, name = info.labels[names.NAMESPACE], info.labels[names.POD_NAME]
        pod = self._objects.get(f"pods/{namespace}/{name}")
        if pod is None or (controller_of(pod) or {}).get("kind") != "StatefulSet":
            return
        for node in self._nodes:
            for other in node.engine.running():
                labels = other.labels
                same = (labels.get(names.NAMESPACE), labels.get(names.POD_NAME)) == (namespace, name)
                if same and labels.get(names.CONTAINER) and labels.get(names.UID) != info.labels[names.UID]:
                    self._problem(f"pod {what} runs beside {labels.get(names.UID)} of the same name on {node.name}")

    # --- the store ---------------------------------------------------------------------------------------------------

    def events(self, events: Sequence[Event]) -> None:
        touched: dict[str, None] = {}
        concerned: dict[Watcher, None] = {}
        for event in events:
            resource = event.key.partition("/")[0]
            self._count(event.key)
            if resource not in self._followed:
                continue
            old, new = self._take(event)
            for watcher in self._by_resource.get(resource, ()):
                concerned[watcher] = None
                watcher.changed(event.key, old, new)
            if resource == "pods":
                touched.update(dict.fromkeys(self._pod(event.key, old, new)))
            elif resource in _OWNERS:
                self._set(event.key, new)
                if new is not None:
                    touched[uid(new)] = None
            elif resource == "jobs.batch" and new is not None:
                self._jobs.job(new)
            elif resource == "deployments.apps" and self.is_gentle:
                self._deployment(event.key, new)
        for watcher in concerned:
            watcher.look()
        if self.is_gentle:
            self._check_available(touched)

    def _take(self, event: Event) -> tuple[ROObj | None, ROObj | None]:
        """The object as it was and as it is."""
        old = self._objects.pop(event.key, None)
        if event.type is EventType.DELETE:
            return old, None
        assert event.value is not None
        new = self._objects[event.key] = orjson.loads(event.value)
        return old, new

    def _count(self, key: str) -> None:
        now = asyncio.get_running_loop().time()
        since, number = self._writes.get(key, (now, 0))
        if now - since > _BUSY_SECONDS:
            since, number = now, 0
        self._writes[key] = (since, number + 1)
        if number == _BUSY_WRITES:
            self._problem(f"{key} was written {number} times within {now - since:.1f} s")

    def _pod(self, key: str, old: ROObj | None, new: ROObj | None) -> Iterable[str]:
        """Takes the pod over; the uids of the sets it belongs to."""
        if new is not None:
            self._jobs.pod(new)
        elif old is not None:
            self._jobs.pod(old, is_gone=True)
        before, after = _owner(old), _owner(new)
        if before in self._sets:
            self._sets[before].pods.pop(key, None)
        found = self._sets.get(after)
        if found is not None and new is not None:
            found.pods[key] = new
            if old is None:
                self.created_pods += 1
                self._check_surplus(found)
        return (before, after)

    def _check_surplus(self, owner: _Set) -> None:
        now = asyncio.get_running_loop().time()
        there = sum(1 for pod in owner.pods.values() if pods.is_active(pod) and STRAY not in labels(pod))
        asked = owner.most_asked(now)
        lost = sum(1 for at in self._link.lost_creates if at > now - MEMORY_SECONDS)
        if there > asked + lost:
            self._problem(f"{owner.key} has {there} pods, was asked for {asked}, and {lost} answers were lost")

    def _set(self, key: str, obj: ROObj | None) -> None:
        if obj is None:
            self._sets.pop(self._set_keys.pop(key, ""), None)
            return
        found = self._sets.get(uid(obj))
        if found is None:
            found = self._sets[uid(obj)] = _Set(key, _owner(obj))
            self._set_keys[key] = uid(obj)
        number = obj["spec"].get("replicas", 1)
        if not found.asked or found.asked[-1][1] != number:
            now = asyncio.get_running_loop().time()
            if found.asked:  # asked for until now
                found.asked[-1] = (now, found.asked[-1][1])
            found.asked.append((now, number))

    # --- Deployments -------------------------------------------------------------------------------------------------

    def _deployment(self, key: str, obj: ROObj | None) -> None:
        if obj is None:
            self._rollouts.pop(self._rollout_keys.pop(key, ""), None)
            return
        if obj["spec"]["strategy"]["type"] != "RollingUpdate" or is_deleting(obj):
            self._rollouts.pop(uid(obj), None)
            return
        number = obj["spec"]["replicas"]
        found = self._rollouts.get(uid(obj))
        if found is None or found.replicas != number:
            self._rollout_keys[key] = uid(obj)
            self._rollouts[uid(obj)] = _Rollout(key, number, number - max_unavailable(obj), number + max_surge(obj))

    def _check_available(self, touched: Iterable[str]) -> None:
        owners = dict.fromkeys(self._sets[each].owner for each in touched if each in self._sets)
        for owner in owners:
            rollout = self._rollouts.get(owner)
            if rollout is None:
                continue
            active = [
                pod
                for each in self._sets.values()
                if each.owner == owner
                for pod in each.pods.values()
                if pods.is_active(pod)
            ]
            # Upstream's measure, too: a set that was told to have fewer may take a moment to delete one, while another makes its own.
            asked = sum(each.asked[-1][1] for each in self._sets.values() if each.owner == owner)
            if asked > rollout.most:
                self._problem(f"{rollout.key}: its sets are asked for {asked} pods, may be for {rollout.most}")
            available = sum(map(pods.is_ready, active))
            if available >= rollout.replicas:
                rollout.is_reached = True
            elif rollout.is_reached and available < rollout.bound:
                rollout.is_reached = False
                self._problem(f"{rollout.key}: {available} pods available, must be {rollout.bound}")


def _owner(obj: ROObj | None) -> str:
    owner: Any = controller_of(obj) if obj is not None else None
    return owner["uid"] if owner else ""
