"""A fixed story: the same wishes in the same order whatever goes wrong, and `end_state`: what came of them, without what chance decides.

With faults and without, the story must end the same (`tests/simulation/test_same_end.py`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists, NotFound, StatusError
from minik.api.meta import Obj, ROObj
from minik.client.client import Client
from minik.storage.cache import Cache
from tests.support.simulation.history import History
from tests.support.simulation.view import View

NAMESPACE = "story"
_IMAGES = ("app:1", "app:2", "app:3")
_ROUNDS = 14
_WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps")


@dataclass(frozen=True, slots=True)
class Wish:
    """`make` is created; or `name` is patched with `patch`; or it is deleted."""

    resource: str
    name: str
    make: Obj | None = None
    patch: Obj | None = None


def story(rng: random.Random) -> list[Wish]:
    """Creates, changes and deletions of all kinds of workloads."""
    wishes: list[Wish] = []
    living: list[tuple[str, str]] = []
    for number in range(_ROUNDS):
        what = rng.random()
        changeable = [each for each in living if each[0] in _WORKLOADS]
        if what < 0.5 or not changeable:
            made = rng.choice(_MAKERS)(rng, f"w{number}")
            wishes += made
            living += [(wish.resource, wish.name) for wish in made]
        elif what < 0.9:
            resource, name = rng.choice(changeable)
            container: Obj = {"name": "c", "image": rng.choice(_IMAGES)}
            spec: Obj = {"template": {"spec": {"containers": [container]}}}
            if resource == "replicasets.apps":  # only pods that are made anew follow its template: that is chance
                spec = {}
            if resource != "daemonsets.apps":
                spec["replicas"] = rng.randint(0, 4)
            wishes.append(Wish(resource, name, patch={"spec": spec}))
        else:
            resource, name = living.pop(rng.randrange(len(living)))
            wishes.append(Wish(resource, name))
    return wishes


def _template(rng: random.Random, name: str, **spec: Any) -> Obj:
    container: Obj = {"name": "c", "image": rng.choice(_IMAGES), "resources": {"requests": {"cpu": "50m"}}}
    if "command" in spec:
        container["command"] = spec.pop("command")
    grace = rng.choice((1, 3))
    containers = [container]
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": containers, "terminationGracePeriodSeconds": grace, **spec},
    }


def _selecting(rng: random.Random, name: str, **spec: Any) -> Obj:
    return {"selector": {"matchLabels": {"app": name}}, "template": _template(rng, name), **spec}


def _named(resource: str, name: str, **body: Any) -> Wish:
    return Wish(resource, name, make={"metadata": {"name": name, "namespace": NAMESPACE}, **body})


def _deployment(rng: random.Random, name: str) -> list[Wish]:
    made = [_named("deployments.apps", name, spec=_selecting(rng, name, replicas=rng.randint(1, 4)))]
    service = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return [*made, _named("services", name, spec=service)] if rng.random() < 0.5 else made


def _replica_set(rng: random.Random, name: str) -> list[Wish]:
    return [_named("replicasets.apps", name, spec=_selecting(rng, name, replicas=rng.randint(1, 3)))]


def _stateful(rng: random.Random, name: str) -> list[Wish]:
    policy = rng.choice(("OrderedReady", "Parallel"))
    spec = _selecting(rng, name, replicas=rng.randint(1, 3), serviceName=name, podManagementPolicy=policy)
    return [_named("statefulsets.apps", name, spec=spec)]


def _daemons(rng: random.Random, name: str) -> list[Wish]:
    return [_named("daemonsets.apps", name, spec=_selecting(rng, name))]


def _job(rng: random.Random, name: str) -> list[Wish]:
    command = ["sh", "-c", f"sleep {rng.randint(0, 10)}"]
    mode = rng.choice(("NonIndexed", "Indexed"))
    template = _template(rng, name, command=command, restartPolicy="Never")
    ignore = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    spec: Obj = {
        "template": template, "completions": rng.randint(1, 4), "parallelism": rng.randint(1, 3), "completionMode": mode,
        "backoffLimit": 1000, "podFailurePolicy": {"rules": [ignore]},
    }  # fmt: skip
    return [_named("jobs.batch", name, spec=spec)]


def _config(rng: random.Random, name: str) -> list[Wish]:
    return [_named("configmaps", name, data={"a": str(rng.randint(0, 9))})]


_MAKERS: tuple[Callable[[random.Random, str], list[Wish]], ...] = (
    _deployment, _deployment, _replica_set, _stateful, _stateful, _daemons, _job, _job, _config,
)  # fmt: skip


async def tell(wishes: list[Wish], client: Client, history: History, *, pace: float) -> None:
    """Ask for each, in order, until the server has taken it. `pace`: seconds between two."""
    namespace = Wish("namespaces", NAMESPACE, make={"metadata": {"name": NAMESPACE}})
    for wish in [namespace, *wishes]:
        while True:
            try:
                await _ask(wish, client)
                break
            except StatusError as error:
                history.note("story", f"{wish.resource} {wish.name}: {error.reason}")
                await asyncio.sleep(0.5)
        history.note("story", f"{wish.resource} {wish.name}: done")
        await asyncio.sleep(pace)


async def _ask(wish: Wish, client: Client) -> None:
    if wish.make is not None:
        try:
            await client.create(wish.resource, wish.make)
        except AlreadyExists:
            return  # an answer was lost
    elif wish.patch is not None:
        await client.patch(wish.resource, wish.name, NAMESPACE, wish.patch, type="strategic")
    else:
        try:
            await client.delete(wish.resource, wish.name, NAMESPACE, propagation="Background")
        except NotFound:
            return


# --- what came of it -------------------------------------------------------------------------------------------------


def end_state(cache: Cache) -> list[str]:
    """Every object of the story, sorted, without names, addresses, times and counts that chance decides."""
    view = View(cache)
    return sorted(line for resource in sorted(view.cache.resources()) for line in _lines(view, resource))


_CHANCE = frozenset({"events", "leases.coordination.k8s.io", "nodes", "endpointslices.discovery.k8s.io"})


def _lines(view: View, resource: str) -> Iterator[str]:
    if resource in _CHANCE:
        return
    for obj in view.all(resource):
        if meta.namespace(obj) == NAMESPACE:
            line = _line(view, resource, obj)
            if line:
                yield f"{resource} {line}"


def _line(view: View, resource: str, obj: ROObj) -> str:
    status, spec, name = obj.get("status") or {}, obj.get("spec") or {}, meta.name(obj)
    owner = meta.controller_of(obj)
    match resource:
        case "pods":
            return _pod(obj, owner)
        case "replicasets.apps" if owner is not None:
            return f"of {owner['name']}: {spec['replicas']} of {_images(spec['template'])}" if spec["replicas"] else ""
        case "controllerrevisions.apps" | "ipaddresses.networking.k8s.io":
            return ""
        case "jobs.batch":
            ended = [c["type"] for c in status.get("conditions") or () if c["status"] == "True"]
            return f"{name}: {ended} {status.get('succeeded')} {status.get('completedIndexes')}"
        case "services":
            slices = view.owned("endpointslices.discovery.k8s.io", obj)
            ready = sum(e["conditions"]["ready"] for s in slices for e in s.get("endpoints") or ())
            return f"{name}: {ready} ready"
        case "endpoints":
            return f"{name}: {sum(len(s.get('addresses') or ()) for s in obj.get('subsets') or ())}"
        case _:
            counts = {field: status.get(field) for field in ("readyReplicas", "availableReplicas", "numberReady")}
            shown = {field: value for field, value in counts.items() if value}
            return f"{name}: {spec.get('replicas')} {shown} {obj.get('data') if name != 'kube-root-ca.crt' else ''}"


def _images(template: ROObj) -> list[str]:
    return [container["image"] for container in template["spec"]["containers"]]


def _pod(obj: ROObj, owner: Any) -> str:
    if owner is None:
        return f"{meta.name(obj)}: {pods.phase(obj)}"
    if owner["kind"] == "Job":
        return ""  # how many it took is chance
    kept = meta.name(obj) if owner["kind"] == "StatefulSet" else ""
    node = pods.node_name(obj) if owner["kind"] == "DaemonSet" else ""
    base = owner["name"].rsplit("-", 1)[0] if owner["kind"] == "ReplicaSet" else owner["name"]
    return f"{owner['kind']} {base} {kept}{node}: {_images(obj)} {pods.phase(obj)} {pods.is_ready(obj)}"
