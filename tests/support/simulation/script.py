"""A fixed story: the same wishes in the same order whatever goes wrong. `ending.py` says what came of them.

With faults and without, the story must end the same (`tests/simulation/test_same_end.py`). So it holds only what has one end: an
autoscaler whose pods use far too much or nothing, claims that go with their pods, a quota with room for all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minik.api import meta
from minik.api.core_v1.secret import ACCOUNT_NAME, ACCOUNT_TOKEN
from minik.api.errors import AlreadyExists, NotFound, StatusError, TooManyRequests
from minik.api.meta import Key, Obj
from minik.client.client import Client, Propagation
from tests.support.simulation.ending import NAMESPACES
from tests.support.simulation.history import History
from tests.support.simulation.subjects import autoscaling, custom, identities

NAMESPACE, OTHER = NAMESPACES
_IMAGES = ("app:1", "app:2", "app:3")
_ROUNDS = 18
_ATTEMPTS = 2000
_WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "replicationcontrollers")
_PROPAGATIONS: tuple[Propagation, ...] = ("Background", "Foreground")
_SCALED = "-scaled"
"""At the end of the name of what an autoscaler scales."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`make` is created; or `name` is patched with `patch`; or a pod of the app `name` is evicted; or it is deleted."""

    resource: str
    name: str
    make: Obj | None = None
    patch: Obj | None = None
    evict: bool = False
    propagation: Propagation = "Background"
    namespace: str = NAMESPACE


def story(rng: random.Random) -> list[Wish]:
    """Creates, changes and deletions of all kinds of things."""
    wishes: list[Wish] = [
        *(Wish("namespaces", each, make={"metadata": {"name": each}}, namespace="") for each in NAMESPACES),
        Wish(custom.DEFINITIONS, custom.GADGETS, make=custom.definition("gadgets"), namespace=""),
    ]
    living: list[Wish] = []
    for number in range(_ROUNDS):
        what = rng.random()
        changeable = [each for each in living if each.resource in _WORKLOADS]
        if what < 0.55 or not changeable:
            made = rng.choice(_MAKERS)(rng, f"w{number}")
            wishes += made
            living += [
                wish for wish in made if wish.resource != autoscaling.AUTOSCALERS
            ]  # how far it got would be chance
        elif what < 0.9:
            wishes.append(_change(rng, rng.choice(changeable)))
        else:
            chosen = living.pop(rng.randrange(len(living)))
            how = rng.choice(_PROPAGATIONS)
            wishes.append(Wish(chosen.resource, chosen.name, propagation=how, namespace=chosen.namespace))
    if rng.random() < 0.3:
        wishes.append(Wish("namespaces", OTHER, namespace=""))
    return wishes


def _change(rng: random.Random, chosen: Wish) -> Wish:
    if rng.random() < 0.15:
        return Wish("pods", chosen.name, evict=True)
    container: Obj = {"name": "c", "image": rng.choice(_IMAGES)}
    spec: Obj = {"template": {"spec": {"containers": [container]}}}
    if chosen.resource in ("replicasets.apps", "replicationcontrollers"):
        spec = {}  # only pods that are made anew follow the template: that is chance
    if chosen.resource != "daemonsets.apps" and not chosen.name.endswith(_SCALED):
        spec["replicas"] = rng.randint(0, 4)
    return Wish(chosen.resource, chosen.name, patch={"spec": spec})


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


def _cron_job(rng: random.Random, name: str) -> list[Wish]:
    """Runs every minute; of its runs one is kept."""
    (job,) = _job(rng, name)
    assert job.make is not None
    policy = rng.choice(("Allow", "Forbid", "Replace"))
    spec = {"schedule": "* * * * *", "concurrencyPolicy": policy, "successfulJobsHistoryLimit": 1}
    return [_named("cronjobs.batch", name, spec={**spec, "jobTemplate": {"spec": job.make["spec"]}})]


def _guarded(rng: random.Random, name: str) -> list[Wish]:
    limit = rng.choice(({"minAvailable": 1}, {"maxUnavailable": 1}, {"minAvailable": "50%"}))
    budget = _named("poddisruptionbudgets.policy", name, spec={**limit, "selector": {"matchLabels": {"app": name}}})
    return [budget, *rng.choice((_deployment, _stateful))(rng, name)]


def _controller(rng: random.Random, name: str) -> list[Wish]:
    spec = {"replicas": rng.randint(1, 3), "selector": {"app": name}, "template": _template(rng, name)}
    return [_named("replicationcontrollers", name, spec=spec)]


def _autoscaled(rng: random.Random, name: str) -> list[Wish]:
    """Its pods use four times as much as they should, or nothing."""
    kind, name = rng.choice(("Deployment", "StatefulSet")), name + _SCALED
    target = autoscaling.target(kind, name, NAMESPACE, ["load", rng.choice(("0", "400m"))], rng.randint(1, 3))
    goal = {"type": "Utilization", "averageUtilization": 100}
    made = autoscaling.autoscaler(kind, name, NAMESPACE, goal, 1, rng.randint(2, 4))
    made["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    return [Wish(f"{kind.lower()}s.apps", name, make=target), Wish(autoscaling.AUTOSCALERS, name, make=made)]


def _volumes(rng: random.Random, name: str) -> list[Wish]:
    """Claims that come and go with the pods."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    keeps = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    (made,) = _stateful(rng, name)
    assert made.make is not None
    more = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
    made.make["spec"] |= {**more, "persistentVolumeClaimRetentionPolicy": keeps}
    return [made]


def _services(rng: random.Random, name: str) -> list[Wish]:
    ports = [{"port": 1000 + int(name.removeprefix("w"))}]
    spec: Obj = {"type": rng.choice(("ClusterIP", "NodePort", "LoadBalancer")), "ports": ports}
    rows = [{"ip": f"192.0.2.{rng.randint(1, 200)}"}]
    endpoints = _named("endpoints", name, subsets=[{"addresses": rows, "ports": [{"port": 80}]}])
    return [_named("services", name, spec=spec), endpoints]


def _quota(rng: random.Random, name: str) -> list[Wish]:
    hard = {"pods": "200", "requests.cpu": "90", "count/deployments.apps": "50", "services": "50", "configmaps": "50"}
    return [_named("resourcequotas", name, spec={"hard": dict(rng.sample(sorted(hard.items()), 3))})]


def _gadgets(rng: random.Random, name: str) -> list[Wish]:
    """An owner, whose child goes with it; and a child of one that never was, which goes at once."""
    children = [
        custom.gadget("gadgets", f"{name}-{child}", NAMESPACE, [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "never-was", "uid": f"{rng.getrandbits(128):032x}"}
        ])
        for child in range(rng.randint(0, 1))
    ]  # fmt: skip
    made = [custom.gadget("gadgets", name, NAMESPACE, []), *children]
    return [Wish(custom.GADGETS, meta.name(each), make=each) for each in made]


def _account(rng: random.Random, name: str) -> list[Wish]:
    annotations = {ACCOUNT_NAME: rng.choice((name, name, "nobody"))}
    secret: Obj = {
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": annotations},
        "type": ACCOUNT_TOKEN,
    }
    return [_named("serviceaccounts", name), Wish("secrets", name, make=secret)]


def _roles(rng: random.Random, name: str) -> list[Wish]:
    labels = {"simulation.test/of": name}
    rules = [{"apiGroups": [""], "resources": [rng.choice(("pods", "secrets"))], "verbs": ["get"]}]
    part = {"metadata": {"name": f"story-{name}-part", "labels": labels}, "rules": rules}
    whole = {
        "metadata": {"name": f"story-{name}"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": labels}]},
    }
    return [Wish(identities.ROLES, meta.name(each), make={**each}, namespace="") for each in (whole, part)]


def _elsewhere(rng: random.Random, name: str) -> list[Wish]:
    """In a namespace that may be deleted with all that is in it."""
    del rng
    metadata = {"name": name, "namespace": OTHER}
    return [Wish("configmaps", name, make={"metadata": metadata, "data": {"a": "b"}}, namespace=OTHER)]


_MAKERS: tuple[Callable[[random.Random, str], list[Wish]], ...] = (
    _deployment, _deployment, _replica_set, _stateful, _volumes, _daemons, _job, _job, _config, _cron_job, _guarded, _guarded,
    _controller, _autoscaled, _services, _quota, _gadgets, _account, _roles, _elsewhere,
)  # fmt: skip


async def tell(wishes: list[Wish], client: Client, history: History, *, pace: float) -> None:
    """Ask for each, in order, until the server has taken it. `pace`: seconds between two."""
    for wish in wishes:
        for attempt in range(_ATTEMPTS):
            try:
                await _ask(wish, client)
                break
            except StatusError as error:
                history.note("story", f"{wish.resource} {wish.name}: {error.reason}")
                if attempt == _ATTEMPTS - 1:
                    raise
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
        await client.patch(wish.resource, wish.name, wish.namespace, wish.patch, type="strategic")
    elif wish.evict:
        await _evict(wish, client)
    else:
        try:
            await client.delete(wish.resource, wish.name, wish.namespace, propagation=wish.propagation)
        except NotFound:
            return


async def _evict(wish: Wish, client: Client) -> None:
    """One pod, if there is one and its budget lets it go."""
    found = (await client.list("pods", wish.namespace, label_selector=f"app={wish.name}")).items
    if found:
        try:
            await client.evict(Key(wish.namespace, min(map(meta.name, found))))
        except (NotFound, TooManyRequests):
            return
