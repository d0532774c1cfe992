"""What a Deployment reports: counts and conditions, as a pure function of its ReplicaSets (deployment/progress.go, sync.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from minik.api import meta, times
from minik.api.meta import Obj, ROObj
from minik.controllers.common.conditions import with_condition
from minik.controllers.common.rollout_scale import available, max_unavailable, revision_of, total_replicas

NO_DEADLINE = 2**31 - 1
NOT_CREATED = "ReplicaSetCreateError"


def _count(rs: ROObj, name: str) -> int:
    return (rs.get("status") or {}).get(name) or 0


def totals_of(new: ROObj | None, everything: Sequence[ROObj]) -> dict[str, int]:
    return {
        "replicas": sum(_count(rs, "replicas") for rs in everything),
        "updatedReplicas": _count(new, "replicas") if new is not None else 0,
        "readyReplicas": sum(_count(rs, "readyReplicas") for rs in everything),
        "availableReplicas": sum(available(rs) for rs in everything),
    }


def is_complete(deployment: ROObj, totals: Mapping[str, int]) -> bool:
    """All pods are new, and all are available (deploymentutil.DeploymentComplete)."""
    wanted = deployment["spec"].get("replicas", 1)
    observed = (deployment.get("status") or {}).get("observedGeneration") or 0
    return (
        totals["updatedReplicas"] == wanted
        and totals["replicas"] == wanted
        and totals["availableReplicas"] == wanted
        and observed >= meta.generation(deployment)
    )


def plan_status(deployment: ROObj, new: ROObj | None, replica_sets: Sequence[ROObj], *, now: datetime) -> Obj:
    """The status to report, conditions included."""
    totals = totals_of(new, replica_sets)
    unavailable = max(0, total_replicas(replica_sets) - totals["availableReplicas"])
    status: Obj = {"observedGeneration": meta.generation(deployment)}
    status |= {k: v for k, v in (*totals.items(), ("unavailableReplicas", unavailable)) if v}
    status["terminatingReplicas"] = sum(_count(rs, "terminatingReplicas") for rs in replica_sets)
    if collisions := (deployment.get("status") or {}).get("collisionCount"):
        status["collisionCount"] = collisions
    seen = {
        **deployment,
        "status": {**(deployment.get("status") or {}), "observedGeneration": meta.generation(deployment)},
    }
    conditions = [
        _available(deployment, totals),
        _progressing(seen, new, replica_sets, totals, now),
        _failure(replica_sets),
    ]
    status["conditions"] = _merge(deployment, [c for c in conditions if c is not None], now)
    return status


def _available(deployment: ROObj, totals: Mapping[str, int]) -> Obj:
    wanted = deployment["spec"].get("replicas", 1)
    if totals["availableReplicas"] >= wanted - max_unavailable(deployment):
        return _condition("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    return _condition(
        "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
    )


def _failure(replica_sets: Sequence[ROObj]) -> Obj | None:
    for rs in sorted(replica_sets, key=revision_of, reverse=True):
        failed = meta.condition(rs, "ReplicaFailure")
        if failed is not None:
            return _condition("ReplicaFailure", failed["status"], failed["reason"], failed["message"])
    return None


def _condition(type_: str, status: str, reason: str, message: str) -> Obj:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def _progressing(
    deployment: ROObj, new: ROObj | None, replica_sets: Sequence[ROObj], totals: Mapping[str, int], now: datetime
) -> Obj | None:
    before = meta.condition(deployment, "Progressing")
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    if deadline is None or deadline == NO_DEADLINE:
        return None
    paused = bool(deployment["spec"].get("paused"))
    if paused:
        return _condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
    if before is not None and before.get("reason") == "DeploymentPaused":
        return _condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
    name = f'ReplicaSet "{meta.name(new)}"' if new is not None else f'Deployment "{meta.name(deployment)}"'
    if is_complete(deployment, totals):
        return _condition("Progressing", "True", "NewReplicaSetAvailable", f"{name} has successfully progressed.")
    old = deployment.get("status") or {}
    moved = any(
        totals[field_] > (old.get(field_) or 0) for field_ in ("updatedReplicas", "readyReplicas", "availableReplicas")
    ) or (totals["replicas"] - totals["updatedReplicas"]) < (
        (old.get("replicas") or 0) - (old.get("updatedReplicas") or 0)
    )
    if before is None or (new is not None and before.get("reason") == NOT_CREATED):
        if new is None:
            return None
        return _condition("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{meta.name(new)}"')
    if moved or _template_changed(before, new, totals):
        progressed = _condition("Progressing", "True", "ReplicaSetUpdated", f"{name} is progressing.")
        progressed["lastUpdateTime"] = times.format_time(now)
        return progressed
    since = times.parse_time(before["lastUpdateTime"])
    if before.get("reason") == "ProgressDeadlineExceeded" or now - since > timedelta(seconds=deadline):
        return _condition("Progressing", "False", "ProgressDeadlineExceeded", f"{name} has timed out progressing.")
    return dict(before)


def plan_not_created(deployment: ROObj, message: str, *, now: str) -> Obj:
    """The status of a Deployment whose new ReplicaSet was refused; unchanged if that is said already."""
    status = dict(deployment.get("status") or {})
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    if deadline is None or deadline == NO_DEADLINE:
        return status
    before = meta.condition(deployment, "Progressing")
    new = _condition("Progressing", "False", NOT_CREATED, message)
    if before is not None and new.items() <= before.items():
        return status
    conditions = with_condition(status.get("conditions") or (), {**new, "lastUpdateTime": now}, now=now)
    return {**status, "conditions": conditions}


def _template_changed(before: ROObj, new: ROObj | None, totals: Mapping[str, int]) -> bool:
    """A finished rollout is followed by another one: progress is counted anew."""
    del totals
    if before.get("reason") not in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return False
    return new is not None and f'"{meta.name(new)}"' not in before.get("message", "")


def _merge(deployment: ROObj, conditions: Sequence[Obj], now: datetime) -> list[Obj]:
    """Keep the times of what did not change; conditions of other types stay."""
    stamp = times.format_time(now)
    result: list[Obj] = []
    fresh = {c["type"]: c for c in conditions}
    for before in (deployment.get("status") or {}).get("conditions") or ():
        after = fresh.pop(before["type"], None)
        if after is None:
            if before["type"] not in ("ReplicaFailure", "Progressing"):
                result.append(dict(before))
            continue
        same_status = after["status"] == before["status"]
        same_reason = same_status and after.get("reason") == before.get("reason")
        result.append(
            {
                **after,
                "lastUpdateTime": after.get("lastUpdateTime") or (before["lastUpdateTime"] if same_reason else stamp),
                "lastTransitionTime": before["lastTransitionTime"] if same_status else stamp,
            }
        )
    result += [{"lastUpdateTime": stamp, "lastTransitionTime": stamp, **c} for c in fresh.values()]
    return result


def deadline_in(deployment: ROObj, status: ROObj, now: datetime) -> float | None:
    """Seconds until a rollout without progress must be called failed."""
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    condition = meta.condition({"status": status, "metadata": {}}, "Progressing")
    if deadline is None or deadline == NO_DEADLINE or condition is None or deployment["spec"].get("paused"):
        return None
    if condition["reason"] in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded"):
        return None
    since = times.parse_time(condition["lastUpdateTime"])
    return max(0.0, (since - now).total_seconds() + float(deadline) + 1)
