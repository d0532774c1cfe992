"""The claims of a StatefulSet's pods: made before the pod, kept when it goes, unless the retention policy says otherwise. Pure.

`persistentVolumeClaimRetentionPolicy` (KEP-1847) works through owners: what the set owns goes with the set, what a condemned pod owns
goes with the pod; the garbage collector does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik.api import meta
from minik.api.meta import Obj, ROObj
from minik.controllers.common.stateful_pods import claim_name, in_range

CLAIMS = "persistentvolumeclaims"


def new_claim(stateful_set: ROObj, template: Mapping[str, Any], ordinal: int) -> Obj:
    """The claim of one template for one ordinal, with the owners that the policy gives it."""
    given = template["metadata"]
    metadata: Obj = {"name": claim_name(stateful_set, template, ordinal), "namespace": meta.namespace(stateful_set)}
    labels = {**(given.get("labels") or {}), **(stateful_set["spec"]["selector"].get("matchLabels") or {})}
    if labels:
        metadata["labels"] = labels
    if given.get("annotations"):
        metadata["annotations"] = given["annotations"]
    owners = wanted_owners(stateful_set, (), None, ordinal)
    if owners:
        metadata["ownerReferences"] = owners
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": template.get("spec") or {},
    }


def wanted_owners(
    stateful_set: ROObj, owners: tuple[Mapping[str, Any], ...], pod: ROObj | None, ordinal: int
) -> list[Mapping[str, Any]]:
    """A claim's owner references under the policy; `owners` are those that it has, and strangers among them stay."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    deleted, scaled = (policy.get(field) == "Delete" for field in ("whenDeleted", "whenScaled"))
    condemned = not in_range(stateful_set, ordinal)
    name = f"{meta.name(stateful_set)}-{ordinal}"
    others = [
        ref
        for ref in owners
        if ref.get("uid") != meta.uid(stateful_set) and (ref.get("kind"), ref.get("name")) != ("Pod", name)
    ]
    if scaled and condemned:
        return [*others, meta.controller_ref(pod)] if pod is not None else others
    return [*others, meta.controller_ref(stateful_set)] if deleted else others


def is_stale(claim: ROObj, name: str) -> bool:
    """Whether the claim still belongs to an earlier pod of that name, with which it goes: a new pod must not take it."""
    return any(ref.get("kind") == "Pod" and ref.get("name") == name for ref in meta.owners(claim))
