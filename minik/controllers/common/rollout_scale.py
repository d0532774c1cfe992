"""The arithmetic of rolling updates: how large each ReplicaSet of a Deployment may be at this moment. Pure.

Bounds that hold at every step: never more than replicas + maxSurge pods, never fewer than replicas - maxUnavailable available.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minik.api import meta
from minik.api.meta import ROObj

REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"


@dataclass(frozen=True, slots=True)
class Scale:
    """Set a ReplicaSet's size (and note the Deployment's, by which proportions are kept)."""

    replica_set: ROObj
    replicas: int


def revision_of(obj: ROObj) -> int:
    try:
        return int(meta.annotations(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def replicas_of(rs: ROObj) -> int:
    count: int = rs["spec"].get("replicas", 1)
    return count


def available(rs: ROObj) -> int:
    return (rs.get("status") or {}).get("availableReplicas") or 0


def _sure(rs: ROObj) -> int:
    """How many are available whatever the status does not tell yet: a ReplicaSet that shrinks counts for a while what it just deleted."""
    return min(available(rs), replicas_of(rs))


def _is_observed(rs: ROObj) -> bool:
    """Its controller has seen its present size; until then its status may be of pods that are gone."""
    return ((rs.get("status") or {}).get("observedGeneration") or 0) >= meta.generation(rs)


def total_replicas(replica_sets: Sequence[ROObj]) -> int:
    return sum(replicas_of(rs) for rs in replica_sets)


def resolve(value: int | str | None, total: int, *, up: bool) -> int:
    """An int-or-percent of `total`; percentages are rounded up or down."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * total / 100
    return math.ceil(share) if up else math.floor(share)


def _fenceposts(deployment: ROObj) -> tuple[int, int]:
    """(maxSurge, maxUnavailable); both zero would stall, so then one pod may be missing (deploymentutil.ResolveFenceposts)."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0, 0
    rolling = strategy.get("rollingUpdate") or {}
    wanted = deployment["spec"].get("replicas", 1)
    surge = resolve(rolling.get("maxSurge"), wanted, up=True)
    unavailable = resolve(rolling.get("maxUnavailable"), wanted, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def max_surge(deployment: ROObj) -> int:
    return _fenceposts(deployment)[0]


def max_unavailable(deployment: ROObj) -> int:
    wanted: int = deployment["spec"].get("replicas", 1)
    return min(_fenceposts(deployment)[1], wanted)


def new_replica_count(deployment: ROObj, everything: Sequence[ROObj], new: ROObj | None) -> int:
    """How large the new ReplicaSet may be now (NewRSNewReplicas)."""
    wanted: int = deployment["spec"].get("replicas", 1)
    current = replicas_of(new) if new is not None else 0
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return wanted
    if current > wanted:
        return wanted
    room = wanted + max_surge(deployment) - total_replicas(everything)
    if room <= 0:
        return current
    return current + min(room, wanted - current)


def plan_old_down(deployment: ROObj, new: ROObj, old: Sequence[ROObj]) -> list[Scale]:
    """How far the old ReplicaSets can shrink: unhealthy pods first, then healthy ones within the availability bound.

    Kubernetes believes every status; so while one lags behind it may shrink below the bound (found by simulation). Here a size that
    its controller has not seen is waited for: the status that tells so calls again."""
    if not old or not all(_is_observed(rs) for rs in (*old, new)):
        return []
    wanted = deployment["spec"].get("replicas", 1)
    least = wanted - max_unavailable(deployment)
    new_unavailable = replicas_of(new) - _sure(new)
    budget = total_replicas(old) + replicas_of(new) - least - new_unavailable
    if budget <= 0:
        return []
    sizes = {meta.uid(rs): replicas_of(rs) for rs in old}
    oldest_first = sorted(old, key=lambda rs: rs["metadata"].get("creationTimestamp", ""))
    left = budget
    for rs in oldest_first:
        unhealthy = replicas_of(rs) - _sure(rs)
        drop = min(left, unhealthy)
        if drop > 0:
            sizes[meta.uid(rs)] -= drop
            left -= drop
    total_available = sum(_sure(rs) for rs in (*old, new))
    spare = total_available - least
    for rs in oldest_first:
        if spare <= 0:
            break
        drop = min(sizes[meta.uid(rs)], spare)
        sizes[meta.uid(rs)] -= drop
        spare -= drop
    return [Scale(rs, sizes[meta.uid(rs)]) for rs in old if sizes[meta.uid(rs)] != replicas_of(rs)]


def plan_proportional(deployment: ROObj, new: ROObj | None, old: Sequence[ROObj]) -> list[Scale]:
    """The Deployment's own size changed: scale the one active ReplicaSet, or share the difference out (sync.go scale)."""
    wanted = deployment["spec"].get("replicas", 1)
    everything = [*old, new] if new is not None else list(old)
    active = [rs for rs in everything if replicas_of(rs) > 0]
    if len(active) <= 1:
        only = active[0] if active else (new or _latest(old))
        if only is None:
            return []
        return [Scale(only, wanted)] if _needs(only, wanted, deployment) else []
    if new is not None and replicas_of(new) >= wanted and available(new) == wanted:
        return [Scale(rs, 0) for rs in old if replicas_of(rs) > 0]
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return []
    allowed = wanted + max_surge(deployment) if wanted > 0 else 0
    to_add = allowed - total_replicas(active)
    growing = to_add > 0
    ordered = sorted(
        active,
        key=lambda rs: (-replicas_of(rs), _age(rs) if not growing else _reverse_age(rs)),
    )
    sizes: list[int] = []
    added = 0
    for rs in ordered:
        size = replicas_of(rs)
        if to_add:
            share = _fraction(rs, allowed, to_add - added)
            size += share
            added += share
        sizes.append(size)
    if sizes:
        sizes[0] = max(0, sizes[0] + to_add - added)
    return [Scale(rs, size) for rs, size in zip(ordered, sizes, strict=True) if _needs(rs, size, deployment)]


def _needs(rs: ROObj, size: int, deployment: ROObj) -> bool:
    wanted = deployment["spec"].get("replicas", 1)
    return replicas_of(rs) != size or meta.annotations(rs).get(DESIRED) != str(wanted)


def _age(rs: ROObj) -> str:
    return rs["metadata"].get("creationTimestamp", "")  # type: ignore[no-any-return]  # JSON


def _reverse_age(rs: ROObj) -> tuple[int, ...]:
    return tuple(-ord(c) for c in _age(rs))


def _latest(old: Sequence[ROObj]) -> ROObj | None:
    return max(old, key=_age, default=None)


def _fraction(rs: ROObj, allowed: int, left: int) -> int:
    """The ReplicaSet's share of a change, by its part of the size before it (deploymentutil.GetReplicaSetProportion)."""
    if replicas_of(rs) == 0 or left == 0:
        return 0
    try:
        before = int(meta.annotations(rs).get(MAX_REPLICAS, "0")) or allowed
    except ValueError:
        before = allowed
    share = round(replicas_of(rs) * allowed / before) - replicas_of(rs)
    return min(share, left) if left > 0 else max(share, left)
