"""A PersistentVolumeClaim that is being deleted stays while a pod uses it (finalizer kubernetes.io/pvc-protection).

Upstream: `pkg/controller/volume/pvcprotection`.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik.api import meta
from minik.api.core_v1 import pods, volumes
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps

CLAIMS = "persistentvolumeclaims"
BY_CLAIM = "minik.pods-of-claim"


def claims_of(pod: ROObj) -> Iterable[str]:
    """namespace/name of every claim that a pod uses on a node: one without a node never starts with a claim that is going."""
    if pods.is_finished(pod) or not pods.is_scheduled(pod):
        return ()
    return [f"{meta.namespace(pod)}/{name}" for name in pods.claim_names(pod)]


async def reconcile(ctx: Context, key: Key) -> Result:
    claim = ctx.cache(CLAIMS).get(key)
    if claim is None or not meta.is_deleting(claim) or volumes.PVC_PROTECTION not in meta.finalizers(claim):
        return DONE
    if ctx.cache("pods").by_index(BY_CLAIM, str(key)) or await _is_used(ctx, key):
        return DONE  # a pod that ends or goes calls again
    rest = [f for f in meta.finalizers(claim) if f != volumes.PVC_PROTECTION]
    patch = {"metadata": {"finalizers": rest, "resourceVersion": claim["metadata"]["resourceVersion"]}}
    try:
        await ctx.client.patch(CLAIMS, key.name, key.namespace, patch)
    except NotFound:
        return DONE
    return DONE


async def _is_used(ctx: Context, key: Key) -> bool:
    """By a pod that has not reached the cache. Asked for once, when the claim would go."""
    found = await ctx.client.list("pods", key.namespace)
    return any(str(key) in claims_of(pod) for pod in found.items)


def _freed(pod: ROObj) -> Iterable[Key]:
    return [Key(meta.namespace(pod), name) for name in pods.claim_names(pod)]


def _ends(old: ROObj, new: ROObj) -> bool:
    return pods.is_finished(old) != pods.is_finished(new)


def _begins_to_go(old: ROObj, new: ROObj) -> bool:
    return meta.is_deleting(new) and (not meta.is_deleting(old) or meta.finalizers(old) != meta.finalizers(new))


CONTROLLER = Controller(
    "claim-protection",
    primary=CLAIMS,
    triggers=[maps("pods", _freed, when=_ends)],
    reconcile=reconcile,
    when=_begins_to_go,
    indexes={"pods": {BY_CLAIM: claims_of}},
    rbac=[can("patch", CLAIMS), can("list", "pods")],
    component="pvc-protection-controller",
)
