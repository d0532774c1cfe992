"""VolumeBinding: a pod's claims have their volumes on the node, or can get them there (`volumes.choose`).

For claims that wait for their first pod the bind step then writes the choice: into the volume (its claimRef), or into the claim (the node
on which one is to be made), and waits until the binder has bound them. A crash in between leaves a claim with a chosen node, or a volume
that names it: the next attempt goes by that, and nothing is made twice.
"""

from __future__ import annotations

import asyncio

from minik.api import meta
from minik.api.core_v1 import pods, volumes
from minik.api.errors import Conflict, NotFound, ServiceUnavailable
from minik.api.meta import Key, Obj, ROObj
from minik.api.storage_v1 import csidriver, csistoragecapacity
from minik.client.client import Client
from minik.sched.hooks import BindStep, Follower, Helped
from minik.sched.plugins import Filter, No, Prepared
from minik.sched.snapshot import Cluster, NodeInfo, PodInfo
from minik.sched.volumes import (
    AFFINITY,
    NO_ROOM,
    NO_SUCH_VOLUME,
    NO_VOLUME,
    Choice,
    ClaimsError,
    Volumes,
    choose,
    claims_of,
    discard_user,
    single_use,
)

NAME = "VolumeBinding"
BIND_SECONDS = 600.0
"""How long a binding waits for its volumes (bindTimeoutSeconds)."""
CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"
_ALL: Helped = frozenset({NAME, "VolumeRestrictions", "VolumeZone", "NodeVolumeLimits"})


def prepare(pod: PodInfo, cluster: Cluster) -> Prepared:
    if not pods.claim_names(pod.obj):
        return None
    known = cluster.part(Volumes)
    try:
        claims = claims_of(pod, known)
    except ClaimsError as error:
        return No((str(error),), resolvable=False)
    conflict, gone = No((AFFINITY,), resolvable=False), No((NO_SUCH_VOLUME,), resolvable=False)
    refusals = {reason: No((reason,), resolvable=False) for reason in (NO_VOLUME, NO_ROOM)}

    def check(node: NodeInfo) -> No | None:
        if claims.lost:
            return gone
        if not all(volumes.is_on(volume, node.labels, node.name) for volume in claims.bound):
            return conflict
        if not claims.waiting:
            return None
        found = choose(claims.waiting, node, known)
        return None if isinstance(found, Choice) else refusals.get(found, conflict)

    return check


FILTER = Filter(NAME, prepare)


# --- around the binding ------------------------------------------------------------------------------------------------------


def _wants(pod: PodInfo, cluster: Cluster) -> bool:
    known = cluster.part(Volumes)
    keys = [Key(pod.key.namespace, name) for name in pods.claim_names(pod.obj)]
    return any(not volumes.is_bound(known.claims.get(key) or {}) for key in keys) or bool(single_use(pod, known))


def _reserve(pod: PodInfo, node_name: str, cluster: Cluster) -> None:
    known, node = cluster.part(Volumes), cluster.get(node_name)
    for key in single_use(pod, known):
        known.coming.setdefault(key, set()).add(pod.uid)
    if node is None:
        return
    try:
        found = choose(claims_of(pod, known).waiting, node, known)
    except ClaimsError:
        return  # pre_bind says so
    if isinstance(found, Choice):
        known.choices[pod.uid] = found
        for key, volume in found.by_claim.items():
            if volume is not None:
                known.assumed[meta.name(volume)] = key


def _unreserve(pod: PodInfo, _node: str, cluster: Cluster) -> None:
    known = cluster.part(Volumes)
    for name in pods.claim_names(pod.obj):
        discard_user(known.coming, Key(pod.key.namespace, name), pod.uid)
    choice = known.choices.pop(pod.uid, None)
    for key, volume in choice.by_claim.items() if choice is not None else ():
        if volume is not None and known.assumed.get(meta.name(volume)) == key:
            del known.assumed[meta.name(volume)]


async def _pre_bind(pod: PodInfo, node: str, cluster: Cluster, client: Client) -> None:
    known = cluster.part(Volumes)
    try:
        claims = claims_of(pod, known)
    except ClaimsError as error:
        raise Conflict(str(error)) from None
    if claims.lost:
        raise Conflict(NO_SUCH_VOLUME)
    waiting = claims.waiting
    choice = known.choices.get(pod.uid)
    if waiting and (choice is None or any(meta.key(claim) not in choice.by_claim for claim in waiting)):
        raise Conflict("the claims changed after the node was chosen")
    assumed = (
        {key: meta.name(volume) for key, volume in choice.by_claim.items() if volume is not None} if choice else {}
    )
    for claim in waiting:
        name = assumed.get(meta.key(claim))
        if name is not None:
            volume = known.volumes.get(name)
            if volume is None or not (volumes.claim_ref(volume) is None or volumes.is_for(volume, claim)):
                raise Conflict(f'persistentvolume "{name}" is not free any more')
            await _give(volume, claim, client)
        elif not meta.annotations(claim).get(volumes.SELECTED_NODE):
            chosen = {
                "annotations": {volumes.SELECTED_NODE: node},
                "resourceVersion": claim["metadata"]["resourceVersion"],
            }
            await client.patch(CLAIMS, meta.name(claim), meta.namespace(claim), {"metadata": chosen})
    try:
        async with asyncio.timeout(BIND_SECONDS):
            for claim in waiting:
                await _bound(meta.key(claim), node, cluster, is_made=meta.key(claim) not in assumed)
    except TimeoutError:
        raise ServiceUnavailable(f"timed out waiting for the volumes of pod {pod.key} to be bound") from None


async def _give(volume: ROObj, claim: ROObj, client: Client) -> None:
    """The volume is the claim's: its binder does the rest."""
    if volumes.claim_ref(volume) is not None:
        return
    reference: Obj = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta.namespace(claim), "name": meta.name(claim),
        "uid": meta.uid(claim),
    }  # fmt: skip
    patch: Obj = {
        "metadata": {
            "annotations": {volumes.BOUND_BY_CONTROLLER: "yes"},
            "resourceVersion": volume["metadata"]["resourceVersion"],
        },
        "spec": {"claimRef": reference},
    }
    await client.patch(VOLUMES, meta.name(volume), "", patch)


async def _bound(key: Key, node_name: str, cluster: Cluster, *, is_made: bool) -> None:
    """Wait until the claim is bound to a volume that the node can use. Raises Conflict if that cannot be any more."""
    known, began = cluster.part(Volumes), False
    while True:
        claim, node = known.claims.get(key), cluster.get(node_name)
        if claim is None or meta.is_deleting(claim):
            raise NotFound(f'persistentvolumeclaim "{key.name}" is gone')
        if volumes.is_bound(claim):
            volume = known.volumes.get(volumes.volume_name(claim))
            if volume is not None:
                if node is not None and volumes.is_on(volume, node.labels, node_name):
                    return
                raise Conflict(f'persistentvolumeclaim "{key.name}" was bound to a volume of another node')
        elif is_made:
            chosen = meta.annotations(claim).get(volumes.SELECTED_NODE)
            began = began or chosen == node_name
            if began and chosen != node_name:
                raise Conflict(f'no volume could be made for persistentvolumeclaim "{key.name}" on node {node_name}')
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        known.changed.setdefault(key, []).append(future)
        await future


STEP = BindStep(NAME, _wants, _reserve, _unreserve, _pre_bind)


# --- what is known -----------------------------------------------------------------------------------------------------------


def _claim_set(cluster: Cluster, claim: ROObj) -> Helped:
    cluster.part(Volumes).put_claim(claim)
    return _ALL


def _claim_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _claim_set(cluster, new)


def _claim_gone(cluster: Cluster, claim: ROObj) -> Helped:
    cluster.part(Volumes).remove_claim(meta.key(claim))
    return frozenset()


def _volume_set(cluster: Cluster, volume: ROObj) -> Helped:
    known, ref = cluster.part(Volumes), volumes.claim_ref(volume)
    known.put_volume(volume)
    if ref is not None:
        known.tell(Key(ref.get("namespace") or "", ref.get("name") or ""))
    return _ALL


def _volume_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _volume_set(cluster, new)


def _volume_gone(cluster: Cluster, volume: ROObj) -> Helped:
    cluster.part(Volumes).remove_volume(meta.name(volume))
    return frozenset()


def _class_set(cluster: Cluster, storage_class: ROObj) -> Helped:
    cluster.part(Volumes).classes[meta.name(storage_class)] = storage_class
    return _ALL


def _class_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _class_set(cluster, new)


def _class_gone(cluster: Cluster, storage_class: ROObj) -> Helped:
    cluster.part(Volumes).classes.pop(meta.name(storage_class), None)
    return frozenset()


def _capacity_set(cluster: Cluster, told: ROObj) -> Helped:
    cluster.part(Volumes).capacities.setdefault(told.get("storageClassName") or "", {})[meta.key(told)] = told
    return frozenset({NAME})


def _capacity_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _capacity_set(cluster, new)  # its class cannot change


def _capacity_gone(cluster: Cluster, told: ROObj) -> Helped:
    cluster.part(Volumes).capacities.get(told.get("storageClassName") or "", {}).pop(meta.key(told), None)
    return frozenset()


def _driver_set(cluster: Cluster, driver: ROObj) -> Helped:
    cluster.part(Volumes).csi_drivers[meta.name(driver)] = driver
    return frozenset({NAME})


def _driver_changed(cluster: Cluster, _old: ROObj, new: ROObj) -> Helped:
    return _driver_set(cluster, new)


def _driver_gone(cluster: Cluster, driver: ROObj) -> Helped:
    cluster.part(Volumes).csi_drivers.pop(meta.name(driver), None)
    return frozenset({NAME})


FOLLOWERS = (
    Follower(csistoragecapacity.RESOURCE, _capacity_set, _capacity_changed, _capacity_gone),
    Follower(csidriver.RESOURCE, _driver_set, _driver_changed, _driver_gone),
    Follower(CLAIMS, _claim_set, _claim_changed, _claim_gone),
    Follower(VOLUMES, _volume_set, _volume_changed, _volume_gone),
    Follower(CLASSES, _class_set, _class_changed, _class_gone),
)
