"""What ReplicaSets and Deployments decide, where simulations found them wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from minik.controllers.common.replicas import Counts, plan_counts, plan_status
from minik.controllers.common.rollout_scale import plan_old_down
from minik.controllers.common.rollout_status import plan_status as plan_deployment_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = Counts(0, 0, 0, 0)


def replica_set(uid: str, replicas: int, available: int, *, seen: bool = True) -> dict[str, Any]:
    return {
        "kind": "ReplicaSet",
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


def test_a_failure_to_delete_is_called_one() -> None:
    status = plan_status(replica_set("rs1", 1, 2), Counts(2, 2, 2, 2), failure="no", now=NOW)
    assert [condition["reason"] for condition in status["conditions"]] == ["FailedDelete"]


def test_pods_on_their_way_out_are_counted_on_their_own() -> None:
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    owned = [
        {"metadata": {"name": "runs"}, "status": {"phase": "Running"}},
        {"metadata": {"name": "leaves", **leaving}, "status": {"phase": "Running"}},
        {"metadata": {"name": "ended", **leaving}, "status": {"phase": "Succeeded"}},
        {"metadata": {"name": "failed"}, "status": {"phase": "Failed"}},
    ]
    owner = replica_set("rs1", 1, 0)
    counts = plan_counts(owner, owned, now=NOW)
    assert (counts.replicas, counts.terminating) == (1, 1)
    status = plan_status(owner, counts, failure="", now=NOW)
    assert status["terminatingReplicas"] == 1
    assert plan_status(owner, NOBODY, failure="", now=NOW)["terminatingReplicas"] == 0
    assert "terminatingReplicas" not in plan_status(
        {**owner, "kind": "ReplicationController"}, counts, failure="", now=NOW
    )
    sets = [{**replica_set("rs2", 1, 0), "status": status}, replica_set("rs3", 0, 0)]
    deployed = {**deployment(1), "kind": "Deployment"}
    assert plan_deployment_status(deployed, None, sets, now=NOW)["terminatingReplicas"] == 1


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
