"""Pods that cannot be anywhere: host ports, anti-affinity, claims for one pod alone, priorities and too little room, under budgets.

What is looked at is every binding: whoever is bound fits beside all that are bound there already. Pods that find no place are cleared
away at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists
from minik.api.meta import Key, Obj, ROObj
from minik.api.selectors import matches
from minik.cli.compose_node import SIMULATED
from tests.support.simulation.subjects.subject import NoLook, Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

CLASSES, BUDGETS, CLAIMS = "priorityclasses.scheduling.k8s.io", "poddisruptionbudgets.policy", "persistentvolumeclaims"
_GROUP, _PLACED = "simulation.test/group", "place-"
_HOST = "kubernetes.io/hostname"
_EVICTED = ("EvictionByEvictionAPI", "PreemptionByScheduler")
_FILLERS = 4
"""For so many there is room in the end."""
_AT_ONCE = 0.5
"""Seconds between the mark of an eviction and the deletion that it is, if nothing is cut off in between."""


async def create_classes(user: User) -> None:
    for name, value in (("high", 1000), ("low", -10)):
        with contextlib.suppress(AlreadyExists):
            await user.create(CLASSES, {"metadata": {"name": name}, "value": value})


def _anti_affine(group: str) -> Obj:
    term = {"labelSelector": {"matchLabels": {_GROUP: group}}, "topologyKey": _HOST}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


async def create_pod(user: User) -> None:
    """One that needs something for itself: a port, a node without its like, a claim, much room."""
    rng, namespace = user.rng, user.namespace()
    container: Obj = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "100m"}}}
    spec: Obj = {"containers": [container], "terminationGracePeriodSeconds": rng.choice((0, 1, 4))}
    labels: Obj = {}
    for what in rng.sample(("port", "group", "claim", "room"), rng.choice((1, 1, 2))):
        if what == "port":
            container["ports"] = [{"containerPort": 80, "hostPort": rng.choice((8080, 8081))}]
        elif what == "group":
            labels[_GROUP] = rng.choice(("a", "b"))
            if rng.random() < 0.8:
                spec["affinity"] = _anti_affine(labels[_GROUP])
        elif what == "claim":
            claim = f"alone-{rng.randint(0, 1)}"
            spec["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
        else:
            container["resources"] = {"requests": {"cpu": str(rng.choice((9, 14, 20)))}}
            spec["priorityClassName"] = rng.choice(("high", "high", "low"))
    metadata = {"name": user.new_name(_PLACED.rstrip("-")), "namespace": namespace, "labels": labels}
    await user.create("pods", {"metadata": metadata, "spec": spec})


async def create_claim(user: User) -> None:
    spec = {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": f"alone-{user.rng.randint(0, 1)}", "namespace": user.namespace()}
    await user.create(CLAIMS, {"metadata": metadata, "spec": spec})


async def create_filler(user: User) -> None:
    """Takes up room until somebody more important needs it; its budget keeps some of it there."""
    rng, name, namespace = user.rng, user.new_name("filler"), user.namespace()
    container: Obj = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "7"}}}
    template: Obj = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "priorityClassName": "low", "terminationGracePeriodSeconds": 1},
    }
    spec: Obj = {"replicas": rng.randint(2, 5), "selector": {"matchLabels": {"app": name}}, "template": template}
    await user.create("deployments.apps", {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    if rng.random() < 0.8:
        limit: Obj = rng.choice(
            ({"minAvailable": 1}, {"minAvailable": 2}, {"maxUnavailable": 1}, {"minAvailable": "50%"})
        )
        budget = {"metadata": {"name": name, "namespace": namespace}, "spec": {**limit, "selector": spec["selector"]}}
        await user.create(BUDGETS, budget)


async def evict_many(user: User) -> None:
    """Whatever has a budget, as a drain would."""
    budget = await user.some(BUDGETS)
    if budget is None:
        return
    mine = [
        pod
        for pod in (await user.client.list("pods", meta.namespace(budget))).items
        if matches(budget["spec"]["selector"], meta.labels(pod))
    ]
    for pod in user.rng.sample(mine, min(len(mine), 3)):
        await user.client.evict(Key(meta.namespace(pod), meta.name(pod)))
        user.say(f"evicted {meta.key(pod)}")


async def delete_pod(user: User) -> None:
    found = [pod for pod in (await user.client.list("pods")).items if meta.name(pod).startswith(_PLACED)]
    if found:
        pod = user.rng.choice(found)
        await user.client.delete("pods", meta.name(pod), meta.namespace(pod))


async def mark_pod(user: User) -> None:
    """Says that a pod is about to be disrupted, and does not do it: the mark goes stale."""
    pod = await user.some("pods")
    if pod is not None:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "Simulated", "message": "not at all"}
        patch = {"status": {"conditions": [condition]}}
        name, namespace = meta.name(pod), meta.namespace(pod)
        await user.client.patch("pods", name, namespace, patch, type="strategic", subresource="status")


async def tidy(user: User) -> None:
    await create_classes(user)
    await mark_pod(user)
    for pod in (await user.client.list("pods")).items:
        if meta.name(pod).startswith(_PLACED):
            await user.client.delete("pods", meta.name(pod), meta.namespace(pod))
    every = (await user.client.list("deployments.apps")).items
    fillers = [each for each in every if meta.name(each).startswith("filler-")]
    for number, filler in enumerate(fillers):
        patch = {"spec": {"replicas": int(number < _FILLERS)}}
        await user.client.patch("deployments.apps", meta.name(filler), meta.namespace(filler), patch)


class _Room(NoLook):
    """Whoever is bound to a node fits beside what is bound there."""

    resources = ("pods", CLAIMS)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._on: dict[str, dict[str, ROObj]] = {}
        self._using: dict[str, dict[str, None]] = {}
        """Claim → the bound pods that use it."""
        self._claims: dict[str, ROObj] = {}

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        if key.startswith(CLAIMS):
            if new is None:
                self._claims.pop(key, None)
            else:
                self._claims[key] = new
            return
        was, stands = old is not None and _stands(old), new is not None and _stands(new)
        if was and old is not None and not (stands and new is not None and pods.node_name(new) == pods.node_name(old)):
            self._on.get(pods.node_name(old), {}).pop(key, None)
            for claim in _claims(old):
                self._using.get(claim, {}).pop(key, None)
        if not stands or new is None:
            return
        beside = self._on.setdefault(pods.node_name(new), {})
        if key not in beside:
            for problem in _misfits(new, list(beside.values())):
                self._problem(f"{key} is bound to {pods.node_name(new)}: {problem}")
            self._check_claims(key, new)
        beside[key] = new

    def _check_claims(self, key: str, pod: ROObj) -> None:
        for claim in _claims(pod):
            others = self._using.setdefault(claim, {})
            modes = (self._claims.get(claim) or {"spec": {}})["spec"].get("accessModes") or ()
            if others and "ReadWriteOncePod" in modes:
                self._problem(f"{key} is bound, and {claim} is used by {sorted(others)} already")
            others[key] = None


def _stands(pod: ROObj) -> bool:
    return bool(pods.node_name(pod)) and not pods.is_finished(pod)


def _claims(pod: ROObj) -> list[str]:
    return [f"{CLAIMS}/{meta.namespace(pod)}/{name}" for name in pods.claim_names(pod)]


def _ports(pod: ROObj) -> set[tuple[str, int]]:
    return {
        (port.get("protocol") or "TCP", port["hostPort"])
        for container in pods.containers(pod)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    }


def _misfits(pod: ROObj, others: list[ROObj]) -> Iterator[str]:
    for other in others:
        if common := _ports(pod) & _ports(other):
            yield f"{meta.key(other)} has port {sorted(common)}"
        if meta.namespace(other) == meta.namespace(pod) and (_repels(pod, other) or _repels(other, pod)):
            yield f"{meta.key(other)} is there, and one of them will not be beside the other"
    used = sum(pods.pod_requests(each).get("cpu", 0) for each in (pod, *others))
    if used > 1000 * SIMULATED.cpus:
        yield f"{used} thousandths of a core are asked for, there are {1000 * SIMULATED.cpus}"


def _repels(pod: ROObj, other: ROObj) -> bool:
    rules = (pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    terms = rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    return any(matches(term["labelSelector"], meta.labels(other)) for term in terms)


class _Guarded(NoLook):
    """An eviction leaves as many healthy pods as the pod's budget wants."""

    resources = ("pods", BUDGETS)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._pods: dict[str, dict[str, ROObj]] = {}
        self._budgets: dict[str, dict[str, ROObj]] = {}
        self._marked: dict[str, float] = {}

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        resource, namespace, _ = key.split("/", 2)
        known = (self._pods if resource == "pods" else self._budgets).setdefault(namespace, {})
        if new is None:
            known.pop(key, None)
            self._marked.pop(key, None)
            return
        known[key] = new
        if resource != "pods" or old is None:
            return
        now = asyncio.get_running_loop().time()
        if _evicted(new) and not _evicted(old):
            self._marked[key] = now
        begins = meta.is_deleting(new) and not meta.is_deleting(old)
        if begins and pods.is_ready(old) and now - self._marked.get(key, -_AT_ONCE) < _AT_ONCE:
            for budget in self._budgets.get(namespace, {}).values():
                self._check(key, new, budget, list(known.values()))

    def _check(self, key: str, pod: ROObj, budget: ROObj, all_pods: list[ROObj]) -> None:
        status, selector = budget.get("status") or {}, budget["spec"].get("selector")
        if selector is None or not matches(selector, meta.labels(pod)):
            return
        if status.get("observedGeneration") != meta.generation(budget):
            return
        mine = [each for each in all_pods if matches(selector, meta.labels(each))]
        healthy = sum(pods.is_ready(each) and not meta.is_deleting(each) for each in mine)
        least = budget["spec"].get("minAvailable")
        wanted = least if isinstance(least, int) else status.get("desiredHealthy", 0)
        if healthy < wanted:
            self._problem(f"{key} is evicted, budget {name_of(budget)} wants {wanted} healthy pods, {healthy} are left")


def _evicted(pod: ROObj) -> bool:
    mark = meta.condition(pod, "DisruptionTarget") or {}
    return mark.get("status") == "True" and mark.get("reason") in _EVICTED


def unsettled(view: View) -> Iterator[str]:
    for pod in view.all("pods"):
        mark = meta.condition(pod, "DisruptionTarget") or {}
        if mark.get("status") == "True" and not meta.is_deleting(pod) and not pods.is_finished(pod):
            yield f"pod {name_of(pod)}: is said to be disrupted ({mark.get('reason')}), and is not"


SUBJECT = Subject(
    "placing",
    actions=(
        (create_pod, 8.0), (create_filler, 2.0), (create_claim, 1.5), (evict_many, 3.0), (delete_pod, 2.0), (mark_pod, 1.2),
    ),
    starts=(create_classes, create_claim, create_filler),
    tidy=tidy,
    unsettled=unsettled,
    watchers=(_Room, _Guarded),
)  # fmt: skip
