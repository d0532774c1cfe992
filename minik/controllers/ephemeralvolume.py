"""Generic ephemeral volumes (KEP-1698): a claim for each, owned by its pod and gone with it. Upstream: pkg/controller/volume/ephemeral."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import AlreadyExists
from minik.api.meta import Key, Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Result, can, maps

CLAIMS = "persistentvolumeclaims"


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
        name = pods.ephemeral_claim(pod, volume["name"])
        claim = ctx.cache(CLAIMS).get(Key(key.namespace, name))
        if claim is None:
            try:
                await ctx.client.create(CLAIMS, new_claim(pod, volume))
                continue
            except AlreadyExists:
                claim = await ctx.client.get(CLAIMS, name, key.namespace)
        if not meta.is_controlled_by(claim, pod):
            text = f'PVC "{key.namespace}/{name}" was not created for pod "{key}" (pod is not owner)'
            ctx.recorder.event(pod, "Warning", "FailedCreate", text)
    return DONE


def _with_such(pod: ROObj) -> Iterable[Key]:
    return (meta.key(pod),) if wanted(pod) else ()


def _owner(claim: ROObj) -> Iterable[Key]:
    ref = meta.controller_of(claim)
    return (Key(meta.namespace(claim), ref["name"]),) if ref is not None and ref["kind"] == "Pod" else ()


def _never(_old: ROObj, _new: ROObj) -> bool:
    return False  # which volumes a pod has does not change


CONTROLLER = Controller(
    "ephemeral-volume",
    primary="",
    triggers=[maps("pods", _with_such, when=_never), maps(CLAIMS, _owner, when=_never)],
    reconcile=reconcile,
    rbac=[can("create,get", CLAIMS)],
    component="ephemeral-volume-controller",
)
