"""What the scheduler knows of volumes and claims, and which volumes a pod's claims would have on a node. Pure.

`Volumes` lives in `Cluster.part`; the followers of the filters about volumes keep it (`volume_binding` claims, volumes, classes and what
drivers say, `volume_restrictions` users, `node_volume_limits` limits and attachments), and the bind step of `volume_binding` notes in it
what is assumed. The rules by which a volume suits a claim are `minik/api/core_v1/volumes.py`'s. Upstream:
`pkg/scheduler/framework/plugins/volumebinding`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from minik.api import meta, quantity
from minik.api.core_v1 import pods, volumes
from minik.api.meta import Key, ROObj
from minik.api.selectors import matches
from minik.api.storage_v1 import storageclass
from minik.sched.snapshot import NodeInfo, PodInfo

AFFINITY = "node(s) didn't match PersistentVolume's node affinity"
NO_SUCH_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
NO_ROOM = "node(s) did not have enough free storage"
IMMEDIATE = "pod has unbound immediate PersistentVolumeClaims"
ONCE_POD = "ReadWriteOncePod"


class ClaimsError(Exception):
    """The pod cannot run anywhere as things are with its claims; the text is upstream's."""


class Volumes:
    """See the module."""

    def __init__(self) -> None:
        self.claims: dict[Key, ROObj] = {}
        self.volumes: dict[str, ROObj] = {}
        self.classes: dict[str, ROObj] = {}
        self.csi_nodes: dict[str, ROObj] = {}
        self.csi_drivers: dict[str, ROObj] = {}
        self.capacities: dict[str, dict[Key, ROObj]] = {}
        """class → CSIStorageCapacity objects."""
        self.attachments: dict[str, dict[str, ROObj]] = {}
        """node → VolumeAttachment objects by name."""
        self.assumed: dict[str, Key] = {}
        """Volumes that are being bound: name → claim."""
        self.choices: dict[str, Choice] = {}
        """What was chosen for pods that are being bound: uid → choice."""
        self.users: dict[Key, set[str]] = {}
        """Claims in use: claim → uids of the pods that have a node and have not ended."""
        self.coming: dict[Key, set[str]] = {}
        """The same of ReadWriteOncePod claims and pods that are being bound."""
        self.changed: dict[Key, list[asyncio.Future[None]]] = {}
        """Who waits for a claim to change."""
        self._free: dict[str, dict[str, ROObj]] = {}

    def put_volume(self, volume: ROObj) -> None:
        name = meta.name(volume)
        self._forget(name)
        self.volumes[name] = volume
        if volumes.claim_ref(volume) is None:
            self._free.setdefault(volumes.class_of(volume), {})[name] = volume
        else:
            self.assumed.pop(name, None)

    def remove_volume(self, name: str) -> None:
        self._forget(name)
        self.volumes.pop(name, None)
        self.assumed.pop(name, None)

    def _forget(self, name: str) -> None:
        old = self.volumes.get(name)
        if old is not None:
            self._free.get(volumes.class_of(old), {}).pop(name, None)

    def put_claim(self, claim: ROObj) -> None:
        key = meta.key(claim)
        self.claims[key] = claim
        self.tell(key)

    def remove_claim(self, key: Key) -> None:
        self.claims.pop(key, None)
        self.tell(key)

    def tell(self, key: Key) -> None:
        """Wake who waits for the claim."""
        for future in self.changed.pop(key, ()):
            if not future.done():
                future.set_result(None)

    def no_user(self, key: Key, uid: str) -> None:
        """The pod with that uid does not use the claim any more, nor will it."""
        for users in (self.users, self.coming):
            discard_user(users, key, uid)

    def candidates(self, claim: ROObj) -> Iterable[ROObj]:
        """Free volumes of the claim's class, and those meant for it, that nobody else is being given."""
        key = meta.key(claim)
        free = self._free.get(volumes.class_of(claim), {}).values()
        meant = (v for v in self.volumes.values() if volumes.claim_ref(v) is not None and volumes.is_for(v, claim))
        return [v for v in (*free, *meant) if self.assumed.get(meta.name(v), key) == key]


def discard_user(users: dict[Key, set[str]], key: Key, uid: str) -> None:
    """`users`: of claims, `Volumes.users` or `Volumes.coming`."""
    found = users.get(key, set())
    found.discard(uid)
    if not found:
        users.pop(key, None)


@dataclass(slots=True)
class PodClaims:
    """A pod's claims, by what is to be done about them."""

    bound: list[ROObj] = field(default_factory=list)
    """Their volumes."""
    waiting: list[ROObj] = field(default_factory=list)
    """Claims whose volume is chosen with the node."""
    lost: bool = False
    """Whether some claim is bound to a volume that is not there."""


def claims_of(pod: PodInfo, known: Volumes) -> PodClaims:
    """Raises ClaimsError."""
    found = PodClaims()
    for volume in pod.spec.get("volumes") or ():
        is_ephemeral = volume.get("ephemeral") is not None
        if is_ephemeral:
            name = pods.ephemeral_claim(pod.obj, volume["name"])
        elif volume.get("persistentVolumeClaim") is not None:
            name = volume["persistentVolumeClaim"].get("claimName") or ""
        else:
            continue
        claim = known.claims.get(Key(pod.key.namespace, name))
        if claim is None:
            if is_ephemeral:
                raise ClaimsError(
                    f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
                )
            raise ClaimsError(f'persistentvolumeclaim "{name}" not found')
        if is_ephemeral and not meta.is_controlled_by(claim, pod.obj):
            raise ClaimsError(
                f'PVC "{pod.key.namespace}/{name}" was not created for pod "{pod.key}" (pod is not owner)'
            )
        if meta.is_deleting(claim):
            raise ClaimsError(f'persistentvolumeclaim "{name}" is being deleted')
        _sort(found, claim, known)
    return found


def _sort(found: PodClaims, claim: ROObj, known: Volumes) -> None:
    name = meta.name(claim)
    if volumes.is_bound(claim):
        volume = known.volumes.get(volumes.volume_name(claim))
        if volumes.phase(claim) == "Lost":
            gone = volumes.volume_name(claim)
            raise ClaimsError(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{gone}"')
        if volume is None:
            found.lost = True
        else:
            found.bound.append(volume)
        return
    of_class = known.classes.get(volumes.class_of(claim))
    if volumes.volume_name(claim) or of_class is None or not storageclass.waits(of_class):
        raise ClaimsError(IMMEDIATE)
    found.waiting.append(claim)


@dataclass(slots=True)
class Choice:
    """What a pod's claims would have on a node: claim → the volume, or None for one that is to be made there."""

    by_claim: dict[Key, ROObj | None] = field(default_factory=dict)


def choose(waiting: Sequence[ROObj], node: NodeInfo, known: Volumes) -> Choice | str:
    """A volume for each claim on the node, or why there is none."""
    choice = Choice()
    taken: set[str] = set()
    for claim in sorted(waiting, key=volumes.requested):
        selected = meta.annotations(claim).get(volumes.SELECTED_NODE)
        if selected and selected != node.name:
            return NO_VOLUME  # one is being made elsewhere
        here = [
            volume
            for volume in known.candidates(claim)
            if meta.name(volume) not in taken and volumes.is_on(volume, node.labels, node.name)
        ]
        volume = None if selected else volumes.best_for(here, claim)
        if volume is not None:
            taken.add(meta.name(volume))
        elif not _can_be_made(claim, node, known):
            return NO_VOLUME
        elif not selected and not _has_room(claim, node, known):
            return NO_ROOM
        choice.by_claim[meta.key(claim)] = volume
    return choice


def _can_be_made(claim: ROObj, node: NodeInfo, known: Volumes) -> bool:
    storage_class = known.classes[volumes.class_of(claim)]
    if storage_class["provisioner"] == storageclass.NO_PROVISIONER:
        return False
    terms: Sequence[Mapping[str, Any]] = storage_class.get("allowedTopologies") or ()
    return not terms or any(
        all(node.labels.get(row["key"]) in row["values"] for row in term.get("matchLabelExpressions") or ())
        for term in terms
    )


def _has_room(claim: ROObj, node: NodeInfo, known: Volumes) -> bool:
    """Whether a driver that tells its capacity has enough for the claim on the node (KEP-1472)."""
    name = volumes.class_of(claim)
    driver = known.csi_drivers.get(known.classes[name]["provisioner"])
    if driver is None or not driver["spec"].get("storageCapacity"):
        return True
    wanted = volumes.requested(claim)
    return any(
        matches(told["nodeTopology"], node.labels) and _most(told) >= wanted
        for told in known.capacities.get(name, {}).values()
        if told.get("nodeTopology") is not None
    )


def _most(told: ROObj) -> int:
    """The largest volume that could be made, in bytes."""
    text = told.get("maximumVolumeSize") or told.get("capacity")
    return quantity.parse(text).value() if text is not None else -1


def single_use(pod: PodInfo, known: Volumes) -> list[Key]:
    """The pod's claims that only one pod at a time may use."""
    keys = [Key(pod.key.namespace, name) for name in pods.claim_names(pod.obj)]
    return [key for key in keys if ONCE_POD in volumes.access_modes(known.claims.get(key) or {})]


Attachable: TypeAlias = tuple[str, str | Key]
"""A CSI driver, and the handle of a volume of it; or the claim, if it has no volume yet."""


def attachable(pod: PodInfo, known: Volumes) -> Iterable[Attachable]:
    """What has to be attached to a node for the pod: volumes by CSI drivers, and for claims without a volume what the provisioner of their
    class will make (NodeVolumeLimits' getCSIDriverInfo). Inline CSI volumes are mounted, not attached."""
    for name in pods.claim_names(pod.obj):
        key = Key(pod.key.namespace, name)
        claim = known.claims.get(key)
        if claim is None:
            continue
        volume = known.volumes.get(volumes.volume_name(claim))
        if volume is not None:
            yield from _by_driver(volume)
        elif (of_class := known.classes.get(volumes.class_of(claim))) is not None:
            yield of_class["provisioner"], key


def attached(node_name: str, known: Volumes) -> Iterable[Attachable]:
    """What is attached to a node, or still being detached, whether a pod there uses it or not."""
    for attachment in known.attachments.get(node_name, {}).values():
        volume = known.volumes.get(attachment["spec"]["source"].get("persistentVolumeName") or "")
        if volume is not None:
            yield from _by_driver(volume)


def _by_driver(volume: ROObj) -> Iterable[Attachable]:
    source = volume["spec"].get("csi")
    if source is not None:
        yield source["driver"], source["volumeHandle"]
