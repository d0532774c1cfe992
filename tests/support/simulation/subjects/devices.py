"""ResourceClaims: nodes offer two devices each, pods want one or two, from a template or a claim that they share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists
from minik.api.meta import Obj, ROObj
from minik.api.resource_v1.resourceclaim import RESOURCE, allocation_of, reserved_for
from tests.support.simulation.subjects.subject import NoLook, Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

CLASSES, SLICES, TEMPLATES = (
    f"{plural}.resource.k8s.io" for plural in ("deviceclasses", "resourceslices", "resourceclaimtemplates")
)
_DRIVER, _CLASS, _USER, _SHARED = "gpu.simulation.test", "gpu", "device-", "shared"


async def offer(user: User) -> None:
    """What the driver of each node would publish."""
    with contextlib.suppress(AlreadyExists):
        await user.create(CLASSES, {"metadata": {"name": _CLASS}, "spec": {}})
    for node in (await user.client.list("nodes")).items:
        name = meta.name(node)
        pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": _DRIVER, "nodeName": name, "pool": pool, "devices": [{"name": "a"}, {"name": "b"}]}
        with contextlib.suppress(AlreadyExists):
            await user.create(SLICES, {"metadata": {"name": f"{name}-gpu"}, "spec": spec})


def _wish(count: int) -> Obj:
    return {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": _CLASS, "count": count}}]}}


async def create_template(user: User) -> None:
    count = user.rng.choice((1, 1, 2))
    metadata = {"name": f"want-{count}", "namespace": user.namespace()}
    await user.create(TEMPLATES, {"metadata": metadata, "spec": {"spec": _wish(count)}})


async def create_claim(user: User) -> None:
    await user.create(RESOURCE, {"metadata": {"name": _SHARED, "namespace": user.namespace()}, "spec": _wish(1)})


async def create_pod(user: User) -> None:
    rng = user.rng
    wanted: Obj = {"name": "d", "resourceClaimTemplateName": f"want-{rng.choice((1, 1, 2))}"}
    if rng.random() < 0.3:
        wanted = {"name": "d", "resourceClaimName": _SHARED}
    container: Obj = {
        "name": "c",
        "image": "app:1",
        "resources": {"requests": {"cpu": "10m"}, "claims": [{"name": "d"}]},
    }
    if rng.random() < 0.5:
        container["command"] = ["sleep", str(rng.randint(1, 15))]
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "resourceClaims": [wanted],
        "terminationGracePeriodSeconds": 1,
    }
    await user.create(
        "pods", {"metadata": {"name": user.new_name("device"), "namespace": user.namespace()}, "spec": spec}
    )


async def _of(user: User) -> list[ROObj]:
    return [pod for pod in (await user.client.list("pods")).items if meta.name(pod).startswith(_USER)]


async def delete_pod(user: User) -> None:
    found = await _of(user)
    if found:
        pod = user.rng.choice(found)
        await user.client.delete("pods", meta.name(pod), meta.namespace(pod))


async def delete_claim(user: User) -> None:
    await user.delete(RESOURCE)


async def tidy(user: User) -> None:
    """Pods that found no devices go."""
    for pod in await _of(user):
        if not pods.node_name(pod) or pods.phase(pod) == "Pending":
            await user.client.delete("pods", meta.name(pod), meta.namespace(pod))


def _devices(claim: ROObj) -> list[tuple[Any, ...]]:
    results = ((allocation_of(claim) or {}).get("devices") or {}).get("results") or ()
    return [(each["driver"], each["pool"], each["device"]) for each in results]


class _Exclusive(NoLook):
    """No device belongs to two claims."""

    resources = (RESOURCE,)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._held: dict[tuple[Any, ...], str] = {}

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        for device in _devices(old) if old is not None else ():
            if self._held.get(device) == key:
                del self._held[device]
        for device in _devices(new) if new is not None else ():
            other = self._held.setdefault(device, key)
            if other != key:
                self._problem(f"{key} and {other} both have {device}")


def unsettled(view: View) -> Iterator[str]:
    """A claim has devices exactly while a pod uses it; one that was made for a pod goes with it."""
    living = {meta.uid(pod): pod for pod in view.all("pods") if not pods.is_finished(pod)}
    for claim in view.all(RESOURCE):
        what, users = f"claim {name_of(claim)}", [user["uid"] for user in reserved_for(claim)]
        if any(uid not in living for uid in users):
            yield f"{what}: is reserved for a pod that has ended"
        if bool(users) != bool(_devices(claim)):
            yield f"{what}: has {len(_devices(claim))} devices for {len(users)} pods"
        owner = meta.controller_of(claim)
        if owner is not None and owner["uid"] not in living:
            yield f"{what}: was made for {owner['name']}, which has ended"
    for pod in living.values():
        names = [row["name"] for row in (pod.get("status") or {}).get("resourceClaimStatuses") or ()]
        wanted = [row["name"] for row in pod["spec"].get("resourceClaims") or () if "resourceClaimTemplateName" in row]
        if names != wanted:
            yield f"pod {name_of(pod)}: says that it has {names} of {wanted}"


SUBJECT = Subject(
    "devices",
    actions=(
        (create_template, 2.0), (create_claim, 1.0), (create_pod, 8.0), (delete_pod, 3.0), (delete_claim, 0.7), (offer, 0.5),
    ),
    starts=(offer, create_template, create_claim, create_pod),
    tidy=tidy,
    unsettled=unsettled,
    watchers=(_Exclusive,),
)  # fmt: skip
