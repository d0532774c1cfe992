"""A Deployment's next step, as a pure function of the Deployment, its ReplicaSets and the time.

`plan_rollout` gives the writes to make now (`Step`s, in order) and the status to report. It is asked again whenever anything
changed; so each plan is one step of a rollout, and never needs to know which one came before. After kube-controller-manager's
deployment package (rolling.go, recreate.go, sync.go, progress.go).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from minik.api import meta
from minik.api.meta import Obj, ROObj
from minik.controllers.common.rollout_scale import (
    DESIRED,
    MAX_REPLICAS,
    REVISION,
    Scale,
    max_surge,
    new_replica_count,
    plan_old_down,
    plan_proportional,
    replicas_of,
    revision_of,
)
from minik.controllers.common.rollout_status import deadline_in, is_complete, plan_status, totals_of

HASH_LABEL = "pod-template-hash"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_COPIED = {LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED, MAX_REPLICAS}
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Create:
    """Create the ReplicaSet for the present template."""

    replica_set: Obj


@dataclass(frozen=True, slots=True)
class Annotate:
    """Bring annotations (and, for the new ReplicaSet, minReadySeconds) up to date."""

    replica_set: ROObj
    patch: Obj


@dataclass(frozen=True, slots=True)
class Delete:
    """Drop a ReplicaSet beyond the history limit."""

    replica_set: ROObj


@dataclass(frozen=True, slots=True)
class SetRevision:
    """Note the revision on the Deployment itself."""

    revision: str


Step = Create | Annotate | Scale | Delete | SetRevision


@dataclass(slots=True)
class RolloutPlan:
    """What to write now, and what to report. `check_after`: seconds until the progress deadline is to be looked at."""

    steps: list[Step] = field(default_factory=list)
    status: Obj = field(default_factory=dict)
    check_after: float | None = None


def template_hash(template: ROObj, collisions: int = 0) -> str:
    """A short name for a pod template, the same for equal templates; `collisions` gives another one."""
    digest = hashlib.blake2b(
        orjson.dumps(template, option=orjson.OPT_SORT_KEYS) + str(collisions).encode(), digest_size=8
    ).digest()
    number = int.from_bytes(digest, "big")
    text = ""
    for _ in range(10):
        number, digit = divmod(number, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text


def _same_template(one: ROObj, other: ROObj) -> bool:
    if one.get("spec") != other.get("spec"):
        return False

    def metadata(template: ROObj) -> tuple[Any, Any]:
        given = template.get("metadata") or {}
        labels = {k: v for k, v in (given.get("labels") or {}).items() if k != HASH_LABEL}
        return labels, given.get("annotations") or {}

    return metadata(one) == metadata(other)


def find_new(deployment: ROObj, replica_sets: Sequence[ROObj]) -> ROObj | None:
    """The ReplicaSet of the present template; the oldest, should there be several."""
    template = deployment["spec"]["template"]
    for candidate in sorted(replica_sets, key=lambda rs: (rs["metadata"].get("creationTimestamp", ""), meta.name(rs))):
        if _same_template(candidate["spec"]["template"], template):
            return candidate
    return None


def plan_rollout(
    deployment: ROObj, replica_sets: Sequence[ROObj], *, old_pods_running: bool, now: datetime
) -> RolloutPlan:
    """The next step. `old_pods_running`: whether pods of other ReplicaSets than the new one are left (Recreate waits for them)."""
    plan = RolloutPlan()
    spec = deployment["spec"]
    new = find_new(deployment, replica_sets)
    old = [rs for rs in replica_sets if rs is not new]
    if meta.is_deleting(deployment):
        plan.status = plan_status(deployment, new, replica_sets, now=now)
        return plan
    if spec.get("paused"):
        _note_revisions(plan, deployment, new, old)
        plan.steps += plan_proportional(deployment, new, old)
        if not plan.steps:
            _clean_up(plan, deployment, new, old)
    elif _is_being_scaled(deployment, replica_sets):
        _note_revisions(plan, deployment, new, old)
        plan.steps += plan_proportional(deployment, new, old)
    else:
        _note_revisions(plan, deployment, new, old)
        if (spec.get("strategy") or {}).get("type") == "Recreate":
            _recreate(plan, deployment, new, old, old_pods_running)
        else:
            _roll(plan, deployment, new, old)
    plan.status = plan_status(deployment, new, replica_sets, now=now)
    plan.check_after = deadline_in(deployment, plan.status, now)
    return plan


def _is_being_scaled(deployment: ROObj, replica_sets: Sequence[ROObj]) -> bool:
    wanted = str(deployment["spec"].get("replicas", 1))
    return any(meta.annotations(rs).get(DESIRED, wanted) != wanted for rs in replica_sets if replicas_of(rs) > 0)


def _annotations(deployment: ROObj, revision: int) -> dict[str, str]:
    wanted = deployment["spec"].get("replicas", 1)
    copied = {k: v for k, v in meta.annotations(deployment).items() if k not in _NOT_COPIED}
    return {
        **copied,
        REVISION: str(revision),
        DESIRED: str(wanted),
        MAX_REPLICAS: str(wanted + max_surge(deployment)),
    }


def _note_revisions(plan: RolloutPlan, deployment: ROObj, new: ROObj | None, old: Sequence[ROObj]) -> None:
    """The new ReplicaSet carries the highest revision and the Deployment's annotations; the Deployment says the revision too."""
    if new is None:
        return
    revision = max(max((revision_of(rs) for rs in old), default=0) + 1, revision_of(new))
    wanted = _annotations(deployment, revision)
    have = meta.annotations(new)
    changes: dict[str, str] = {k: v for k, v in wanted.items() if have.get(k) != v and k not in (DESIRED, MAX_REPLICAS)}
    before = revision_of(new)
    if before and before != revision:
        history = [r for r in have.get(REVISION_HISTORY, "").split(",") if r]
        changes[REVISION_HISTORY] = ",".join([*history, str(before)])
    patch: Obj = {}
    if changes:
        patch["metadata"] = {"annotations": changes}
    min_ready = deployment["spec"].get("minReadySeconds") or 0
    if (new["spec"].get("minReadySeconds") or 0) != min_ready:
        patch["spec"] = {"minReadySeconds": min_ready}
    if patch:
        plan.steps.append(Annotate(new, patch))
    if meta.annotations(deployment).get(REVISION) != str(revision):
        plan.steps.append(SetRevision(str(revision)))


def new_replica_set(deployment: ROObj, old: Sequence[ROObj], replicas: int) -> Obj:
    """The ReplicaSet object for the present template."""
    spec = deployment["spec"]
    template = meta.draft(spec["template"])
    collisions = (deployment.get("status") or {}).get("collisionCount") or 0
    name = template_hash(spec["template"], collisions)
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = name
    selector = meta.draft(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = name
    revision = max((revision_of(rs) for rs in old), default=0) + 1
    result: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta.name(deployment)}-{name}",
            "namespace": meta.namespace(deployment),
            "labels": dict(template["metadata"]["labels"]),
            "annotations": _annotations(deployment, revision),
            "ownerReferences": [meta.controller_ref(deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        result["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    return result


def _roll(plan: RolloutPlan, deployment: ROObj, new: ROObj | None, old: Sequence[ROObj]) -> None:
    """One step of a rolling update: first grow the new one as far as surge allows, else shrink the old ones as far as availability."""
    everything = [*old, new] if new is not None else list(old)
    if new is None:
        count = new_replica_count(deployment, everything, None)
        plan.steps.append(Create(new_replica_set(deployment, old, count)))
        revision = max((revision_of(rs) for rs in old), default=0) + 1
        plan.steps.append(SetRevision(str(revision)))
        return
    count = new_replica_count(deployment, everything, new)
    if count != replicas_of(new):
        plan.steps.append(Scale(new, count))
        return
    downs = plan_old_down(deployment, new, [rs for rs in old if replicas_of(rs) > 0])
    if downs:
        plan.steps += downs
        return
    if is_complete(deployment, totals_of(new, everything)):
        _clean_up(plan, deployment, new, old)


def _recreate(
    plan: RolloutPlan, deployment: ROObj, new: ROObj | None, old: Sequence[ROObj], old_pods_running: bool
) -> None:
    """All old pods go before the first new one comes."""
    downs = [Scale(rs, 0) for rs in old if replicas_of(rs) > 0]
    if downs:
        plan.steps += downs
        return
    if old_pods_running:
        return
    wanted = deployment["spec"].get("replicas", 1)
    if new is None:
        plan.steps.append(Create(new_replica_set(deployment, old, wanted)))
        plan.steps.append(SetRevision(str(max((revision_of(rs) for rs in old), default=0) + 1)))
    elif replicas_of(new) != wanted:
        plan.steps.append(Scale(new, wanted))
    elif is_complete(deployment, totals_of(new, [*old, new])):
        _clean_up(plan, deployment, new, old)


def _clean_up(plan: RolloutPlan, deployment: ROObj, new: ROObj | None, old: Sequence[ROObj]) -> None:
    """Delete the oldest of the empty old ReplicaSets beyond spec.revisionHistoryLimit."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return
    empty = [
        rs
        for rs in old
        if rs is not new
        and not meta.is_deleting(rs)
        and replicas_of(rs) == 0
        and not (rs.get("status") or {}).get("replicas")
        and ((rs.get("status") or {}).get("observedGeneration") or 0) >= meta.generation(rs)
    ]
    surplus = len(old) - limit
    plan.steps += [Delete(rs) for rs in sorted(empty, key=revision_of)[: max(0, surplus)]]
