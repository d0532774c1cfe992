"""Approves what kubelets ask for themselves: client certificates of nodes, if whoever asks may have one without being asked.

kube-controller-manager's certificatesigningrequest-approving-controller. The right is to create `certificatesigningrequests/nodeclient`, or
`selfnodeclient` for a node that renews its own. Upstream asks again with a growing delay; here a new binding brings pending requests
back.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik.api import meta, times
from minik.api.certificates_v1 import certificatesigningrequest as csrs
from minik.api.meta import Key, Obj, ROObj
from minik.api.rbac_v1.rules import CLUSTER_ROLE_BINDINGS
from minik.client.controller import DONE, Context, Controller, Result, Scope, can, maps_with
from minik.controllers.common.certificates import KUBELET_CLIENT, why_not_kubelet_client

_REVIEWS = "subjectaccessreviews.authorization.k8s.io"
_PENDING = "pending"


def is_pending(csr: ROObj) -> bool:
    """Whether it is a kubelet's and nobody has decided about it."""
    undecided = not csrs.has(csr, csrs.APPROVED) and not csrs.has(csr, csrs.DENIED)
    return csrs.signer(csr) == KUBELET_CLIENT and undecided and not csrs.certificate(csr) and not meta.is_deleting(csr)


def rights(csr: ROObj, common_name: str) -> list[tuple[str, str]]:
    """(the subresource to be allowed, what is then said), the narrower right first."""
    found = [("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")]
    if csr["spec"].get("username") == common_name:
        own = "Auto approving self kubelet client certificate after SubjectAccessReview."
        found.insert(0, ("selfnodeclient", own))
    return found


async def reconcile(ctx: Context, key: Key) -> Result:
    csr = ctx.cache(csrs.RESOURCE).get(key)
    if csr is None or not is_pending(csr):
        return DONE
    from minik import pki  # on first use: cryptography takes 85 ms to import

    facts = pki.request_facts(csrs.request_pem(csr))
    if why_not_kubelet_client(facts, csr["spec"].get("usages") or ()):
        return DONE
    for subresource, message in rights(csr, facts.common_name):
        if await _may(ctx, csr, subresource):
            await _approve(ctx, csr, message)
            return DONE
    return DONE


async def _may(ctx: Context, csr: ROObj, subresource: str) -> bool:
    spec = csr["spec"]
    wanted = {
        "group": csrs.GROUP, "resource": "certificatesigningrequests", "verb": "create", "subresource": subresource,
        "version": "*",
    }  # fmt: skip
    who = {field: spec[field] for field in ("uid", "groups", "extra") if field in spec}
    review: Obj = {"spec": {"user": spec.get("username") or "", **who, "resourceAttributes": wanted}, "metadata": {}}
    answer = await ctx.client.create(_REVIEWS, review)
    return bool(answer["status"]["allowed"])


async def _approve(ctx: Context, csr: ROObj, message: str) -> None:
    now = times.format_time(ctx.clock.now())
    condition = {
        "type": csrs.APPROVED, "status": "True", "reason": "AutoApproved", "message": message,
        "lastUpdateTime": now, "lastTransitionTime": now,
    }  # fmt: skip
    status = {**(csr.get("status") or {}), "conditions": [*csrs.conditions(csr), condition]}
    await ctx.client.update(csrs.RESOURCE, {**csr, "status": status}, subresource="approval")


def _index(csr: ROObj) -> Iterable[str]:
    return ("true",) if is_pending(csr) else ()


def _all_pending(scope: Scope, _binding: ROObj) -> Iterable[Key]:
    return [meta.key(csr) for csr in scope.cache(csrs.RESOURCE).by_index(_PENDING, "true")]


CONTROLLER = Controller(
    "certificatesigningrequest-approving",
    primary=csrs.RESOURCE,
    triggers=[maps_with(CLUSTER_ROLE_BINDINGS, _all_pending)],
    indexes={csrs.RESOURCE: {_PENDING: _index}},
    when=lambda _old, new: is_pending(new),
    reconcile=reconcile,
    rbac=[can("update", f"{csrs.RESOURCE}/approval"), can("approve", f"signers.{csrs.GROUP}"), can("create", _REVIEWS)],
)
