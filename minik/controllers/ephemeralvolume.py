"""Generic ephemeral volumes (KEP-1698): a claim for each, owned by its pod and gone with it. Upstream: pkg/controller/volume/ephemeral."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists, StatusError
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps, maps_with

CLAIMS = "persistentvolumeclaims"
_BY_CLAIM = "minik.pods-of-ephemeral-claim"


def wanted(pod: ROObj) -> list[Mapping[str, Any]]:
    """The pod's volumes that are such."""
    return [volume for volume in pod["spec"].get("volumes") or () if volume.get("ephemeral") is not None]


def new_claim(pod: ROObj, volume: Mapping[str, Any]) -> Obj:
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    given = template.get("metadata") or {}
    metadata: Obj = {
        "name": pods.ephemeral_claim(pod, volume["name"]),
        "namespace": meta.namespace(pod),
        "ownerReferences": [meta.controller_ref(pod)],
    }
    for field in ("labels", "annotations"):
        if given.get(field):
            metadata[field] = dict(given[field])
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }


async def reconcile(ctx: Context, key: Key) -> Result:
    pod = ctx.cache("pods").get(key)
    if pod is None or meta.is_deleting(pod) or pods.is_finished(pod):
        return DONE
    for volume in wanted(pod):
        try:
            await _ensure(ctx, pod, volume)
        except StatusError as error:
            ctx.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {error.message}")
            raise
    return DONE


async def _ensure(ctx: Context, pod: ROObj, volume: Mapping[str, Any]) -> None:
    """Make the claim. One of that name that is not the pod's is left alone, and the pod says so until that is gone."""
    name, namespace = pods.ephemeral_claim(pod, volume["name"]), meta.namespace(pod)
    claim = ctx.cache(CLAIMS).get(Key(namespace, name))
    if claim is None:
        try:
            await ctx.client.create(CLAIMS, new_claim(pod, volume))
            return
        except AlreadyExists:
            claim = await ctx.client.get(CLAIMS, name, namespace)
    if not meta.is_controlled_by(claim, pod):
        why = f'PVC "{namespace}/{name}" was not created for pod "{meta.key(pod)}" (pod is not owner)'
        ctx.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {why}")


def _with_such(pod: ROObj) -> Iterable[Key]:
    return (meta.key(pod),) if wanted(pod) else ()


def _by_claim(pod: ROObj) -> Iterable[str]:
    return [f"{meta.namespace(pod)}/{pods.ephemeral_claim(pod, volume['name'])}" for volume in wanted(pod)]


def _wanting(scope: Scope, claim: ROObj) -> Iterable[Key]:
    """The pod whose claim went, or whose claim's name is free at last."""
    return [meta.key(pod) for pod in scope.cache("pods").by_index(_BY_CLAIM, str(meta.key(claim)))]


def _never(_old: ROObj, _new: ROObj) -> bool:
    return False  # which volumes a pod has does not change


CONTROLLER = Controller(
    "ephemeral-volume",
    primary="",
    triggers=[maps("pods", _with_such, when=_never), maps_with(CLAIMS, _wanting, when=_never)],
    reconcile=reconcile,
    indexes={"pods": {_BY_CLAIM: _by_claim}},
    rbac=[can("create,get", CLAIMS)],
    component="ephemeral-volume-controller",
)
