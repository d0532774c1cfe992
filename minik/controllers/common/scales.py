"""What the controllers of some pods are scaled to: the number of pods there should be, for disruption budgets.

ReplicaSets, Deployments behind them, StatefulSets and ReplicationControllers are read from caches; any other kind through its `scale`
subresource, if it has one (kubernetes `pkg/controller/disruption`, getExpectedScale).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minik.api import meta
from minik.api.errors import NotFound
from minik.api.meta import Key, ROObj
from minik.client.controller import Context

SETS, DEPLOYMENTS, STATEFUL = "replicasets.apps", "deployments.apps", "statefulsets.apps"
CONTROLLERS = "replicationcontrollers"
SCALED = (SETS, DEPLOYMENTS, STATEFUL, CONTROLLERS)
"""The caches that who calls `expected_scale` declares."""
_BY_KIND = {("apps", "ReplicaSet"): SETS, ("apps", "StatefulSet"): STATEFUL, ("", "ReplicationController"): CONTROLLERS}


class ScaleUnknown(Exception):
    """It cannot be said how many pods there should be."""


async def expected_scale(ctx: Context, selected: Iterable[ROObj]) -> tuple[int, int]:
    """(sum of what the pods' controllers are scaled to, number of pods without one). Raises ScaleUnknown."""
    scales: dict[str, int] = {}
    asked: set[str] = set()
    unmanaged = 0
    for pod in selected:
        reference = meta.controller_of(pod)
        if reference is None:
            unmanaged += 1
            continue
        if reference["uid"] in asked:
            continue
        asked.add(reference["uid"])
        uid, scale = await _scale_of(ctx, meta.namespace(pod), reference, meta.name(pod))
        scales[uid] = scale
    return sum(scales.values()), unmanaged


async def _scale_of(ctx: Context, namespace: str, reference: Mapping[str, Any], pod: str) -> tuple[str, int]:
    group, _ = meta.parse_api_version(reference["apiVersion"])
    resource = _BY_KIND.get((group, reference["kind"]))
    if resource is None:
        return await _from_subresource(ctx, namespace, reference, pod)
    owner = _living(ctx, resource, namespace, reference)
    if owner is not None and resource == SETS:
        parent = meta.controller_of(owner)
        if parent is not None and parent.get("kind") == "Deployment":
            owner = _living(ctx, DEPLOYMENTS, namespace, parent)
    if owner is None:
        raise ScaleUnknown(f'found no controllers for pod "{pod}"')
    return meta.uid(owner), owner["spec"].get("replicas", 1)


def _living(ctx: Context, resource: str, namespace: str, reference: Mapping[str, Any]) -> ROObj | None:
    found = ctx.cache(resource).get(Key(namespace, reference["name"]))
    return found if found is not None and meta.uid(found) == reference["uid"] else None


async def _from_subresource(ctx: Context, namespace: str, reference: Mapping[str, Any], pod: str) -> tuple[str, int]:
    group, version = meta.parse_api_version(reference["apiVersion"])
    kind = ctx.registry.by_kind(group, version, reference["kind"])
    if kind is None:
        raise ScaleUnknown(f'no matches for kind "{reference["kind"]}" in version "{reference["apiVersion"]}"')
    if kind.scale is None:
        raise ScaleUnknown(f"{kind.resource} does not implement the scale subresource")
    try:
        scale = await ctx.client.get(kind.resource, reference["name"], namespace, subresource="scale")
    except NotFound:
        raise ScaleUnknown(f'found no controllers for pod "{pod}"') from None
    if meta.uid(scale) != reference["uid"]:
        raise ScaleUnknown(f'found no controllers for pod "{pod}"')
    return meta.uid(scale), (scale.get("spec") or {}).get("replicas") or 0
