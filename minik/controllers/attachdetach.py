"""VolumeAttachments (storage.k8s.io/v1): CSI volumes are attached to the nodes whose pods use them, and detached when none does.

The key is a node. `common/attach_plan.py` decides; the CSI driver's attacher does the work on seeing the VolumeAttachment, and says so in
its status; from there it goes to the node's `status.volumesAttached`. Volumes that are no CSI driver's, and those of drivers with
`attachRequired: false`, are not attached. Upstream: `pkg/controller/volume/attachdetach`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minik.api import meta
from minik.api.core_v1 import nodes, pods, volumes
from minik.api.errors import AlreadyExists, NotFound
from minik.api.meta import Key, ROObj
from minik.api.storage_v1 import csidriver, volumeattachment
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps, maps_with, requeue_after
from minik.controllers.common.attach_plan import (
    PATIENCE,
    AttachPlan,
    NodeState,
    Wanted,
    is_attached,
    is_ours,
    plan_attach,
    volume_of,
)

CLAIMS, VOLUMES, ATTACHMENTS, DRIVERS = (
    "persistentvolumeclaims", "persistentvolumes", volumeattachment.RESOURCE, csidriver.RESOURCE,
)  # fmt: skip
_PODS_OF_NODE, _PODS_OF_CLAIM = "minik.pods-with-claims-of-node", "minik.running-pods-of-claim"
_OF_NODE, _OF_VOLUME = "minik.attachments-of-node", "minik.attachments-of-volume"


class Memory:
    """Of each node: since when its attachments have been unused, what its pods have been told, and which volumes it is being given
    that the cache does not show yet: of two nodes that want one volume at the same moment, one gets it."""

    def __init__(self) -> None:
        self.coming: dict[str, frozenset[str]] = {}
        self.unused: dict[str, dict[str, float]] = {}
        self.told: dict[str, set[tuple[str, str, str]]] = {}


async def reconcile(ctx: Context, key: Key) -> Result:
    memory: Memory = ctx.state
    wanted = await _wanted(ctx, key.name)
    attachments = [each for each in ctx.cache(ATTACHMENTS).by_index(_OF_NODE, key.name) if is_ours(each)]
    if not wanted and not attachments:
        memory.coming.pop(key.name, None)
        memory.unused.pop(key.name, None)
        memory.told.pop(key.name, None)
        return await _report(ctx, ctx.cache("nodes").get(key), AttachPlan())
    memory.coming.pop(key.name, None)  # the cache shows what the last call wrote
    elsewhere = {meta.name(each.volume): _others(ctx, meta.name(each.volume), key.name) for each in wanted}
    named = {volume_of(each): ctx.cache(VOLUMES).get(Key("", volume_of(each))) for each in attachments}
    now, since = ctx.clock.monotonic(), memory.unused.get(key.name, {})
    state = NodeState(
        key.name,
        ctx.cache("nodes").get(key),
        attachments,
        elsewhere,
        {name: now - start for name, start in since.items()},
    )
    plan = plan_attach(state, wanted, {name: volume for name, volume in named.items() if volume is not None})
    memory.unused[key.name] = {name: since.get(name, now) for name in plan.held}
    memory.coming[key.name] = frozenset(each["spec"]["source"]["persistentVolumeName"] for each in plan.create)
    await _report(ctx, state.node, plan)
    for attachment in plan.detach:
        try:
            await ctx.client.delete(ATTACHMENTS, meta.name(attachment), uid=meta.uid(attachment))
        except NotFound:
            continue
    for new in plan.create:
        try:
            await ctx.client.create(ATTACHMENTS, new)
        except AlreadyExists:
            continue
    _tell(ctx, key.name, plan)
    if any(meta.name(each.wanted.volume) in coming for each in plan.blocked for coming in memory.coming.values()):
        return requeue_after(0.1)
    if plan.held and state.node is not None and not nodes.is_ready(state.node):
        return requeue_after(PATIENCE - max(now - start for start in memory.unused[key.name].values()))
    return DONE


def _others(ctx: Context, volume: str, node: str) -> list[str]:
    """The other nodes that have a volume, or are being given it."""
    found = {each["spec"]["nodeName"] for each in ctx.cache(ATTACHMENTS).by_index(_OF_VOLUME, volume)}
    memory: Memory = ctx.state
    return sorted((found | {name for name, coming in memory.coming.items() if volume in coming}) - {node})


async def _wanted(ctx: Context, node: str) -> list[Wanted]:
    """The attachable volumes of the pods of a node, each once."""
    users: dict[str, list[ROObj]] = {}
    for pod in ctx.cache("pods").by_index(_PODS_OF_NODE, node):
        for name in pods.claim_names(pod):
            claim = ctx.cache(CLAIMS).get(Key(meta.namespace(pod), name))
            if claim is not None and volumes.is_bound(claim):
                users.setdefault(volumes.volume_name(claim), []).append(pod)
    found = []
    for name, using in sorted(users.items()):
        volume = ctx.cache(VOLUMES).get(Key("", name))
        if volume is not None and await _is_attachable(ctx, volume):
            found.append(Wanted(volume, tuple(using)))
    return found


async def _is_attachable(ctx: Context, volume: ROObj) -> bool:
    """Unless its driver says that it need not be. The cache may just not have the driver yet."""
    csi = volume["spec"].get("csi")
    if csi is None:
        return False
    driver = ctx.cache(DRIVERS).get(Key("", csi["driver"]))
    if driver is None:
        try:
            driver = await ctx.client.get(DRIVERS, csi["driver"])
        except NotFound:
            return True
    return driver["spec"].get("attachRequired", True) is not False


async def _report(ctx: Context, node: ROObj | None, plan: AttachPlan) -> Result:
    """Tell the node what is attached. It must not begin to use what is about to be detached, so this comes first."""
    if node is None:
        return DONE
    reported = [dict(each) for each in plan.report]
    if reported != [dict(each) for each in (node.get("status") or {}).get("volumesAttached") or ()]:
        patch = {"metadata": {"uid": meta.uid(node)}, "status": {"volumesAttached": reported or None}}
        await ctx.client.patch_status("nodes", meta.name(node), "", patch)
    return DONE


def _tell(ctx: Context, node: str, plan: AttachPlan) -> None:
    """Events to pods, each once while it is so. What was attached before this controller started is not news."""
    news: list[tuple[ROObj, str, str]] = []
    for blocked in plan.blocked:
        text = (
            f'Multi-Attach error for volume "{meta.name(blocked.wanted.volume)}" '
            "Volume is already exclusively attached to one node and can't be attached to another"
        )
        news += [(pod, "FailedAttachVolume", text) for pod in blocked.wanted.pods]
    for wanted, message in plan.failed:
        text = f'AttachVolume.Attach failed for volume "{meta.name(wanted.volume)}" : {message}'
        news += [(pod, "FailedAttachVolume", text) for pod in wanted.pods]
    for wanted in plan.attached:
        text = f'AttachVolume.Attach succeeded for volume "{meta.name(wanted.volume)}" '
        news += [(pod, "SuccessfulAttachVolume", text) for pod in wanted.pods if not pods.is_ready(pod)]
    memory: Memory = ctx.state
    told = memory.told.get(node, set())
    memory.told[node] = {(meta.uid(pod), reason, text) for pod, reason, text in news}
    for pod, reason, text in news:
        if (meta.uid(pod), reason, text) not in told:
            ctx.recorder.event(pod, "Normal" if reason == "SuccessfulAttachVolume" else "Warning", reason, text)


# --- what brings a node back ---------------------------------------------------------------------------------------------------


def _holds(pod: ROObj) -> Sequence[str]:
    """The claims that a pod uses on a node, while it does."""
    return pods.claim_names(pod) if pods.is_scheduled(pod) and not pods.is_finished(pod) else ()


def _by_node(pod: ROObj) -> Iterable[str]:
    return (pods.node_name(pod),) if _holds(pod) else ()


def _by_claim(pod: ROObj) -> Iterable[str]:
    return [f"{meta.namespace(pod)}/{name}" for name in _holds(pod)]


def _node_of(pod: ROObj) -> Iterable[Key]:
    return (Key("", pods.node_name(pod)),) if pods.is_scheduled(pod) and pods.claim_names(pod) else ()


def _begins_or_ends(old: ROObj, new: ROObj) -> bool:
    return pods.node_name(old) != pods.node_name(new) or pods.is_finished(old) != pods.is_finished(new)


def _users(scope: Scope, claim: Key) -> set[Key]:
    found = scope.cache("pods").by_index(_PODS_OF_CLAIM, str(claim))
    return {Key("", pods.node_name(pod)) for pod in found}


def _of_claim(scope: Scope, claim: ROObj) -> Iterable[Key]:
    return _users(scope, meta.key(claim))


def _of_volume(scope: Scope, volume: ROObj) -> Iterable[Key]:
    ref = volumes.claim_ref(volume)
    if ref is None or volume["spec"].get("csi") is None:
        return ()
    return _users(scope, Key(ref.get("namespace") or "", ref.get("name") or ""))


def _of_attachment(scope: Scope, attachment: ROObj) -> Iterable[Key]:
    """Its own node, and those that wait until the volume is free."""
    volume = scope.cache(VOLUMES).get(Key("", volume_of(attachment)))
    others = _of_volume(scope, volume) if volume is not None else ()
    return {Key("", attachment["spec"]["nodeName"]), *others}


def _of_node(scope: Scope, node: ROObj) -> Iterable[Key]:
    name = meta.name(node)
    known = scope.cache(ATTACHMENTS).by_index(_OF_NODE, name) or scope.cache("pods").by_index(_PODS_OF_NODE, name)
    return (Key("", name),) if known or (node.get("status") or {}).get("volumesAttached") else ()


def _lets_go(old: ROObj, new: ROObj) -> bool:
    """A heartbeat, or an image that was pulled, is nothing to this controller."""
    before, after = old.get("status") or {}, new.get("status") or {}
    return (
        any(before.get(field) != after.get(field) for field in ("volumesInUse", "volumesAttached"))
        or (old.get("spec") or {}).get("taints") != (new.get("spec") or {}).get("taints")
        or nodes.is_ready(old) != nodes.is_ready(new)
    )


def _binds(old: ROObj, new: ROObj) -> bool:
    return volumes.is_bound(old) != volumes.is_bound(new)


def _moves(old: ROObj, new: ROObj) -> bool:
    return (
        is_attached(old) != is_attached(new)
        or meta.is_deleting(old) != meta.is_deleting(new)
        or (old.get("status") or {}).get("attachError") != (new.get("status") or {}).get("attachError")
    )


def _never(_old: ROObj, _new: ROObj) -> bool:
    return False  # which volume it is does not change


CONTROLLER = Controller(
    "attach-detach",
    primary="",
    triggers=[
        maps("pods", _node_of, when=_begins_or_ends),
        maps_with(CLAIMS, _of_claim, when=_binds),
        maps_with(VOLUMES, _of_volume, when=_never),
        maps_with(ATTACHMENTS, _of_attachment, when=_moves),
        maps_with("nodes", _of_node, when=_lets_go),
    ],
    reconcile=reconcile,
    caches=[DRIVERS],
    indexes={
        "pods": {_PODS_OF_NODE: _by_node, _PODS_OF_CLAIM: _by_claim},
        ATTACHMENTS: {
            _OF_NODE: lambda attachment: (attachment["spec"]["nodeName"],),
            _OF_VOLUME: lambda attachment: (volume_of(attachment),),
        },
    },
    state=lambda _setup: Memory(),
    rbac=[can("create,delete", ATTACHMENTS), can("get", DRIVERS), can("patch", "nodes/status")],
    component="attachdetach-controller",
)
