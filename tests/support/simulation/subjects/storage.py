"""Volumes that people make by hand, for a CSI driver that attaches them (played by `ATTACHER`), and volumes that go with their pod."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from minik.api import meta
from minik.api.core_v1 import pods, volumes
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result
from tests.support.simulation.subjects.subject import NoLook, Problem, Subject
from tests.support.simulation.view import View, name_of

if TYPE_CHECKING:
    from tests.support.simulation.users import User

VOLUMES, CLAIMS, ATTACHMENTS = "persistentvolumes", "persistentvolumeclaims", "volumeattachments.storage.k8s.io"
DRIVERS = "csidrivers.storage.k8s.io"
_DRIVER, _CLASS, _FINALIZER = "csi.simulation.test", "by-hand", "external-attacher/csi-simulation-test"
STATIC, _USER = "static-", "use-"


async def create_driver(user: User) -> None:
    with contextlib.suppress(AlreadyExists):
        await user.create(DRIVERS, {"metadata": {"name": _DRIVER}, "spec": {"attachRequired": True}})


async def create_volume(user: User) -> None:
    """For one node at a time; what was on it is kept."""
    name = user.new_name(STATIC.rstrip("-"))
    labels = {"kind": user.rng.choice(("fast", "slow"))}
    spec = {
        "capacity": {"storage": user.rng.choice(("1Gi", "2Gi"))}, "accessModes": ["ReadWriteOnce"],
        "storageClassName": _CLASS, "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": _DRIVER, "volumeHandle": name},
    }  # fmt: skip
    await user.create(VOLUMES, {"metadata": {"name": name, "labels": labels}, "spec": spec})


def _claim_spec(user: User) -> Obj:
    spec: Obj = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": _CLASS,
    }
    if user.rng.random() < 0.4:
        spec["selector"] = {"matchLabels": {"kind": user.rng.choice(("fast", "slow"))}}
    return spec


def _pod(user: User, volume: Obj) -> Obj:
    container: Obj = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "10m"}}}
    if user.rng.random() < 0.3:
        container["command"] = ["sleep", str(user.rng.randint(1, 20))]
    spec: Obj = {"containers": [container], "terminationGracePeriodSeconds": 1, "volumes": [{"name": "v", **volume}]}
    spec["restartPolicy"] = "Never"
    return {"metadata": {"name": user.new_name(_USER.rstrip("-")), "namespace": user.namespace()}, "spec": spec}


async def create_claim_and_pod(user: User) -> None:
    name = f"kept-{user.rng.randint(0, 3)}"
    pod = _pod(user, {"persistentVolumeClaim": {"claimName": name}})
    metadata = {"name": name, "namespace": pod["metadata"]["namespace"]}
    with contextlib.suppress(AlreadyExists):
        await user.create(CLAIMS, {"metadata": metadata, "spec": _claim_spec(user)})
    await user.create("pods", pod)


async def create_brief(user: User) -> None:
    """A pod with a volume of its own."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await user.create("pods", _pod(user, {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}))


async def delete_pod(user: User) -> None:
    found = [pod for pod in (await user.client.list("pods")).items if meta.name(pod).startswith(_USER)]
    if found:
        pod = user.rng.choice(found)
        await user.client.delete("pods", meta.name(pod), meta.namespace(pod))


async def delete_claim(user: User) -> None:
    await user.delete(CLAIMS)


async def grow_claim(user: User) -> None:
    """Allowed for claims of the class that provisions."""
    wanted = {"requests": {"storage": f"{user.rng.randint(2, 4)}Gi"}}
    await user.change(CLAIMS, lambda draft: draft["spec"].update(resources=wanted))


async def give_back(user: User) -> None:
    """Makes a volume whose claim is gone free for others."""
    found = [volume for volume in (await user.client.list(VOLUMES)).items if volumes.phase(volume) == "Released"]
    if found:
        volume = user.rng.choice(found)
        exact = {"resourceVersion": volume["metadata"]["resourceVersion"]}
        await user.client.patch(VOLUMES, meta.name(volume), "", {"metadata": exact, "spec": {"claimRef": None}})


async def delete_volume(user: User) -> None:
    found = [volume for volume in (await user.client.list(VOLUMES)).items if meta.name(volume).startswith(STATIC)]
    if found:
        await user.client.delete(VOLUMES, meta.name(user.rng.choice(found)))


async def tidy(user: User) -> None:
    """Pods that nobody will ever give a volume go; so do volumes that were deleted while a claim had them, with their claims."""
    going = {meta.name(volume) for volume in (await user.client.list(VOLUMES)).items if meta.is_deleting(volume)}
    for claim in (await user.client.list(CLAIMS)).items:
        if volumes.volume_name(claim) in going and not meta.is_deleting(claim):
            await user.client.delete(CLAIMS, meta.name(claim), meta.namespace(claim))
    claims = (await user.client.list(CLAIMS)).items
    good = {(meta.namespace(c), meta.name(c)) for c in claims if volumes.is_bound(c) and not meta.is_deleting(c)}
    for pod in (await user.client.list("pods")).items:
        if meta.name(pod).startswith(_USER) and not all(
            (meta.namespace(pod), name) in good for name in pods.claim_names(pod)
        ):
            await user.client.delete("pods", meta.name(pod), meta.namespace(pod))


# --- the driver --------------------------------------------------------------------------------------------------------


async def _attach(ctx: Context, key: Key) -> Result:
    """What a driver's external-attacher does: says that it is attached, and lets go."""
    attachment = ctx.cache(ATTACHMENTS).get(key)
    if attachment is None:
        return DONE
    finalizers, exact = meta.finalizers(attachment), {"resourceVersion": attachment["metadata"]["resourceVersion"]}
    if meta.is_deleting(attachment):
        if _FINALIZER in finalizers:
            with contextlib.suppress(NotFound):
                await ctx.client.patch(ATTACHMENTS, key.name, "", {"metadata": {**exact, "finalizers": None}})
        return DONE
    if _FINALIZER not in finalizers:
        patch: Obj = {"metadata": {**exact, "finalizers": [*finalizers, _FINALIZER]}}
        await ctx.client.patch(ATTACHMENTS, key.name, "", patch)
    elif not (attachment.get("status") or {}).get("attached"):
        patch = {"metadata": exact, "status": {"attached": True}}
        await ctx.client.patch(ATTACHMENTS, key.name, "", patch, subresource="status")
    return DONE


ATTACHER = Controller("simulated-attacher", primary=ATTACHMENTS, reconcile=_attach)


# --- what must hold ----------------------------------------------------------------------------------------------------


class _Single(NoLook):
    """A volume for one node at a time is attached to one node at a time, and has one claim."""

    resources = (ATTACHMENTS, CLAIMS)

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._attached: dict[str, dict[str, str]] = {}
        self._claimed: dict[str, dict[str, None]] = {}

    def changed(self, key: str, old: ROObj | None, new: ROObj | None) -> None:
        obj = new if new is not None else old
        if obj is None:
            return
        if key.startswith(ATTACHMENTS):
            volume = obj["spec"]["source"]["persistentVolumeName"]
            on = self._attached.setdefault(volume, {})
            if new is None:
                on.pop(key, None)
            else:
                on[key] = obj["spec"]["nodeName"]
                if len(set(on.values())) > 1:
                    self._problem(f"volume {volume} is attached to {sorted(on.values())}")
            return
        if old is not None and volumes.volume_name(old):
            self._claimed.get(volumes.volume_name(old), {}).pop(key, None)
        if new is not None and volumes.is_bound(new):
            having = self._claimed.setdefault(volumes.volume_name(new), {})
            having[key] = None
            if len(having) > 1:
                self._problem(f"volume {volumes.volume_name(new)} is bound to {sorted(having)}")


def unsettled(view: View) -> Iterator[str]:
    claims = {meta.uid(claim): claim for claim in view.all(CLAIMS)}
    static = {meta.name(volume): volume for volume in view.all(VOLUMES) if meta.name(volume).startswith(STATIC)}
    for volume in static.values():
        reference = volumes.claim_ref(volume)
        wanted = "Available"
        if reference is not None and reference.get("uid"):
            wanted = "Bound" if reference["uid"] in claims else "Released"
        if volumes.phase(volume) != wanted:
            yield f"volume {name_of(volume)}: is {volumes.phase(volume)}, not {wanted}"
    wanting: dict[str, set[str]] = {}
    for pod in view.all("pods"):
        if pods.node_name(pod) and not pods.is_finished(pod):
            for claim in claims.values():
                if meta.namespace(claim) == meta.namespace(pod) and meta.name(claim) in pods.claim_names(pod):
                    wanting.setdefault(volumes.volume_name(claim), set()).add(pods.node_name(pod))
    having: dict[str, set[str]] = {}
    for attachment in view.all(ATTACHMENTS):
        having.setdefault(attachment["spec"]["source"]["persistentVolumeName"], set()).add(
            attachment["spec"]["nodeName"]
        )
        if not (attachment.get("status") or {}).get("attached"):
            yield f"attachment {name_of(attachment)}: is not attached"
    for name in sorted({*(name for name in static if name in wanting), *having}):
        on, users = having.get(name, set()), wanting.get(name, set())
        if len(on) != 1 or not on <= users:
            yield f"volume {name}: is attached to {sorted(on)}, and used on {sorted(users)}"
    told = {
        (meta.name(node), each["devicePath"])
        for node in view.all("nodes")
        for each in (node.get("status") or {}).get("volumesAttached") or ()
    }
    attached = {(each["spec"]["nodeName"], meta.name(each)) for each in view.all(ATTACHMENTS)}
    if told != attached:
        yield f"nodes say that {sorted(told)} are attached, attached are {sorted(attached)}"


SUBJECT = Subject(
    "storage",
    actions=(
        (create_volume, 3.0), (create_claim_and_pod, 4.0), (create_brief, 2.0), (delete_pod, 3.0), (delete_claim, 1.0),
        (grow_claim, 1.0), (give_back, 2.0), (delete_volume, 0.5),
    ),
    starts=(create_driver, create_volume, create_claim_and_pod),
    tidy=tidy,
    unsettled=unsettled,
    watchers=(_Single,),
    outsiders=(ATTACHER,),
)  # fmt: skip
