"""What ReplicaSets and Deployments decide, where simulations found them wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from minik.controllers.common.replicas import Counts, plan_status
from minik.controllers.common.rollout_scale import plan_old_down

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = Counts(0, 0, 0, 0, None)


def replica_set(uid: str, replicas: int, available: int, *, seen: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": uid, "uid": uid, "generation": 2, "creationTimestamp": f"2026-01-01T00:00:0{uid[-1]}Z"},
        "spec": {"replicas": replicas, "template": {}},
        "status": {"replicas": replicas, "availableReplicas": available, "observedGeneration": 2 if seen else 1},
    }


def test_a_failure_keeps_its_first_message() -> None:
    owner = replica_set("rs1", 1, 0)
    owner["status"] = plan_status(owner, NOBODY, failure='pods "rs1-abc" is forbidden', now=NOW)
    later = plan_status(owner, NOBODY, failure='pods "rs1-xyz" is forbidden', now=NOW + timedelta(minutes=1))
    assert later == owner["status"]
    assert plan_status({**owner, "status": later}, NOBODY, failure="", now=NOW).get("conditions") is None


def deployment(replicas: int) -> dict[str, Any]:
    rolling = {"maxSurge": "100%", "maxUnavailable": 0}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "strategy": strategy}}


def test_pods_that_a_shrinking_set_still_counts_are_not_taken_for_available() -> None:
    old, new = replica_set("rs1", 3, 4), replica_set("rs2", 5, 3)
    assert [
        (scale.replica_set["metadata"]["uid"], scale.replicas) for scale in plan_old_down(deployment(5), new, [old])
    ] == [("rs1", 2)]


def test_a_size_that_nobody_has_seen_yet_is_waited_for() -> None:
    old, new = replica_set("rs1", 5, 5), replica_set("rs2", 5, 3)
    assert plan_old_down(deployment(5), new, [old])
    assert not plan_old_down(deployment(5), replica_set("rs2", 5, 3, seen=False), [old])
    assert not plan_old_down(deployment(5), new, [replica_set("rs1", 5, 5, seen=False)])
