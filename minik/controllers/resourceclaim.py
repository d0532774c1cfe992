"""ResourceClaims (resource.k8s.io/v1): made from templates for pods, and given back when nobody uses them any more.

`PODS`: a pod that names a template gets a claim of its own, owned by it, and is told its name in `status.resourceClaimStatuses`.
`CLAIMS`: users that are gone or have ended are struck off; a claim without users gives its devices back (the scheduler's finalizer goes,
so a deleted one can go); a claim made for a pod that has ended is deleted. Upstream: `pkg/controller/resourceclaim`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.errors import NotFound
from minik.api.meta import Key, Obj, ROObj
from minik.api.resource_v1 import resourceclaimtemplate
from minik.api.resource_v1.resourceclaim import RESOURCE, allocation_of, reserved_for
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps, maps_with

FINALIZER = "resource.kubernetes.io/delete-protection"
POD_CLAIM_NAME = "resource.kubernetes.io/pod-claim-name"
TEMPLATES = resourceclaimtemplate.RESOURCE
_BY_TEMPLATE = "minik.claim-template"
_BY_USER = "minik.claim-user"


def templates_of(pod: ROObj) -> dict[str, str]:
    """The name of a claim within the pod → the template it is made from."""
    rows = pod["spec"].get("resourceClaims") or ()
    return {row["name"]: row["resourceClaimTemplateName"] for row in rows if row.get("resourceClaimTemplateName")}


# --- pods --------------------------------------------------------------------------------------------------------------------


async def _for_pod(ctx: Context, key: Key) -> Result:
    pod = ctx.cache("pods").get(key)
    if pod is None or meta.is_deleting(pod) or pods.is_finished(pod):
        return DONE
    wanted = templates_of(pod)
    mine = {meta.annotations(c).get(POD_CLAIM_NAME): meta.name(c) for c in ctx.cache(RESOURCE).owned_by(pod)}
    known = {row["name"]: row.get("resourceClaimName") for row in _statuses(pod)}
    for within, template_name in wanted.items():
        if known.get(within) or within in mine:
            continue
        template = ctx.cache(TEMPLATES).get(Key(key.namespace, template_name))
        if template is None:
            text = f"PodResourceClaim {within}: resourceclaimtemplate {template_name!r} not found"
            ctx.recorder.event(pod, "Warning", "FailedResourceClaimCreation", text)
            continue
        made = await ctx.client.create(RESOURCE, new_claim(pod, within, template))
        mine[within] = meta.name(made)
    rows = [{"name": name, "resourceClaimName": known.get(name) or mine.get(name)} for name in wanted]
    rows = [row for row in rows if row["resourceClaimName"]]
    if rows != [{"name": name, "resourceClaimName": known[name]} for name in wanted if known.get(name)]:
        patch = {"metadata": {"uid": meta.uid(pod)}, "status": {"resourceClaimStatuses": rows}}
        await ctx.client.patch("pods", key.name, key.namespace, patch, subresource="status")
    return DONE


def _statuses(pod: ROObj) -> Sequence[Mapping[str, Any]]:
    return (pod.get("status") or {}).get("resourceClaimStatuses") or ()


def new_claim(pod: ROObj, within: str, template: ROObj) -> Obj:
    """The claim for one entry of the pod's `resourceClaims`."""
    given = template["spec"].get("metadata") or {}
    metadata: Obj = {
        "generateName": f"{meta.name(pod)}-{within}-",
        "namespace": meta.namespace(pod),
        "labels": dict(given.get("labels") or {}),
        "annotations": {**(given.get("annotations") or {}), POD_CLAIM_NAME: within},
        "ownerReferences": [meta.controller_ref(pod)],
    }
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": metadata,
        "spec": meta.draft(template)["spec"]["spec"],
    }


def _pods_with_templates(pod: ROObj) -> Iterable[Key]:
    return (meta.key(pod),) if templates_of(pod) else ()


def _by_template(pod: ROObj) -> Iterable[str]:
    return [f"{meta.namespace(pod)}/{name}" for name in templates_of(pod).values()]


def _waiting_for(scope: Scope, template: ROObj) -> Iterable[Key]:
    found = scope.cache("pods").by_index(_BY_TEMPLATE, str(meta.key(template)))
    return [meta.key(pod) for pod in found]


def _owning_pod(claim: ROObj) -> Iterable[Key]:
    owner = meta.controller_of(claim)
    return (Key(meta.namespace(claim), owner["name"]),) if owner is not None and owner["kind"] == "Pod" else ()


def _claim_lost(old: ROObj, new: ROObj) -> bool:
    return meta.controller_of(old) != meta.controller_of(new)


def _statuses_differ(old: ROObj, new: ROObj) -> bool:
    return _statuses(old) != _statuses(new) or pods.is_finished(old) != pods.is_finished(new)


PODS = Controller(
    "resource-claims-of-pods",
    primary="",
    triggers=[
        maps("pods", _pods_with_templates, when=_statuses_differ),
        maps_with(TEMPLATES, _waiting_for),
        maps(RESOURCE, _owning_pod, when=_claim_lost),
    ],
    reconcile=_for_pod,
    indexes={"pods": {_BY_TEMPLATE: _by_template}},
    rbac=[can("create", RESOURCE), can("patch", "pods/status")],
    component="resource-claim-controller",
)


# --- claims ------------------------------------------------------------------------------------------------------------------


async def _for_claim(ctx: Context, key: Key) -> Result:
    claim = ctx.cache(RESOURCE).get(key)
    if claim is None:
        return DONE
    users = reserved_for(claim)
    living = [user for user in users if await _is_using(ctx, claim, user)]
    had_devices = allocation_of(claim) is not None
    from_scheduler = had_devices and FINALIZER in meta.finalizers(
        claim
    )  # what somebody else allocated is theirs to take back
    if not living and (from_scheduler or users):
        claim = await _write_status(ctx, claim, {"allocation": None, "reservedFor": None, "devices": None})
    elif len(living) < len(users):
        claim = await _write_status(ctx, claim, {"reservedFor": living})
    is_free = allocation_of(claim) is None and (had_devices or meta.is_deleting(claim))
    if is_free and FINALIZER in meta.finalizers(claim):  # else the scheduler may be about to give it devices
        rest = [f for f in meta.finalizers(claim) if f != FINALIZER]
        patch: Obj = {"metadata": {"finalizers": rest, "resourceVersion": claim["metadata"]["resourceVersion"]}}
        try:
            claim = await ctx.client.patch(RESOURCE, key.name, key.namespace, patch)
        except NotFound:
            return DONE
    if not meta.is_deleting(claim) and await _owner_has_ended(ctx, claim):
        try:
            await ctx.client.delete(RESOURCE, key.name, key.namespace, uid=meta.uid(claim))
        except NotFound:
            return DONE
    return DONE


async def _write_status(ctx: Context, claim: ROObj, status: Obj) -> ROObj:
    patch = {"metadata": {"resourceVersion": claim["metadata"]["resourceVersion"]}, "status": status}
    return await ctx.client.patch(RESOURCE, meta.name(claim), meta.namespace(claim), patch, subresource="status")


async def _is_using(ctx: Context, claim: ROObj, user: Mapping[str, Any]) -> bool:
    """Whether it is a pod that is there and has not ended. Other users are somebody else's to strike off."""
    if user.get("apiGroup") or user.get("resource") != "pods":
        return True
    pod = ctx.cache("pods").get(Key(meta.namespace(claim), user["name"]))
    if pod is None or meta.uid(pod) != user["uid"]:  # it may just not have reached the cache
        try:
            pod = await ctx.client.get("pods", user["name"], meta.namespace(claim))
        except NotFound:
            return False
    if meta.uid(pod) != user["uid"] or pods.is_finished(pod):
        return False
    return not (meta.is_deleting(pod) and not pods.is_scheduled(pod))


async def _owner_has_ended(ctx: Context, claim: ROObj) -> bool:
    """Whether it was made for a pod that has ended; one that is gone is the garbage collector's."""
    for key in _owning_pod(claim):
        pod = ctx.cache("pods").get(key)
        owner = meta.controller_of(claim)
        return pod is not None and owner is not None and meta.uid(pod) == owner["uid"] and pods.is_finished(pod)
    return False


def _users(claim: ROObj) -> Iterable[str]:
    namespace = meta.namespace(claim)
    return [f"{namespace}/{user['name']}" for user in reserved_for(claim) if user.get("resource") == "pods"]


def _claims_of(scope: Scope, pod: ROObj) -> Iterable[Key]:
    """Of a pod that has claims: what it uses, and what was made for it."""
    if not pod["spec"].get("resourceClaims"):
        return ()
    claims = scope.cache(RESOURCE)
    used = claims.by_index(_BY_USER, str(meta.key(pod)))
    return {meta.key(claim) for claim in (*used, *claims.owned_by(pod))}


def _ended(old: ROObj, new: ROObj) -> bool:
    return pods.is_finished(old) != pods.is_finished(new) or meta.is_deleting(old) != meta.is_deleting(new)


CLAIMS = Controller(
    "resource-claim",
    primary=RESOURCE,
    triggers=[maps_with("pods", _claims_of, when=_ended)],
    reconcile=_for_claim,
    indexes={RESOURCE: {_BY_USER: _users}},
    rbac=[can("patch,delete", RESOURCE), can("patch", f"{RESOURCE}/status"), can("get", "pods")],
    component="resource-claim-controller",
)
