"""A Deployment's rollout keeps its bounds at every step and always ends, whatever the pods do meanwhile."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minik.api import meta
from minik.controllers.common.rollout import Annotate, Create, Delete, SetRevision, find_new, plan_rollout
from minik.controllers.common.rollout_scale import Scale, max_surge, max_unavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A Deployment, its ReplicaSets, and a crude ReplicaSet controller with pods that become available at random."""

    def __init__(self, seed: int, replicas: int, surge: int | str, unavailable: int | str) -> None:
        self.random = random.Random(seed)
        self.made = 0
        self.sets: list[dict[str, Any]] = []
        self.deployment: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
                },
                "revisionHistoryLimit": 2,
                "progressDeadlineSeconds": 600,
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "v1"}]}},
            },
        }

    def set_image(self, image: str) -> None:
        self.deployment["spec"]["template"]["spec"] = {"containers": [{"image": image}]}
        self.deployment["metadata"]["generation"] += 1

    def step(self) -> bool:
        """One pass of the controller. False if it had nothing to write."""
        plan = plan_rollout(self.deployment, self.sets, old_pods_running=False, now=NOW)
        changed = bool(plan.steps) or plan.status != self.deployment.get("status")
        for step in plan.steps:
            match step:
                case Create(replica_set):
                    self.made += 1
                    stamp = f"2026-01-01T00:{self.made // 60:02}:{self.made % 60:02}Z"
                    metadata = {
                        **replica_set["metadata"],
                        "uid": f"rs{self.made}",
                        "creationTimestamp": stamp,
                        "generation": 1,
                    }
                    self.sets.append({**replica_set, "metadata": metadata, "status": {"replicas": 0}})
                case Scale(replica_set, replicas):
                    replica_set["spec"]["replicas"] = replicas
                    wanted = self.deployment["spec"]["replicas"]
                    replica_set["metadata"]["annotations"] |= {
                        "deployment.kubernetes.io/desired-replicas": str(wanted),
                        "deployment.kubernetes.io/max-replicas": str(wanted + max_surge(self.deployment)),
                    }
                case Annotate(replica_set, patch):
                    replica_set["metadata"]["annotations"] |= patch.get("metadata", {}).get("annotations", {})
                case SetRevision(revision):
                    self.deployment["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = (
                        revision
                    )
                case Delete(replica_set):
                    self.sets.remove(replica_set)
        self.deployment["status"] = plan.status
        return changed

    def pods_move(self, *, all_of_them: bool = False) -> bool:
        """ReplicaSets create and delete their pods; some become available. A shrinking set loses unavailable ones first."""
        moved = False
        for rs in self.sets:
            wanted, status = rs["spec"]["replicas"], rs["status"]
            available = min(status.get("availableReplicas", 0), wanted)
            if available < wanted:
                available = wanted if all_of_them else available + self.random.randint(0, wanted - available)
            fresh = {
                "replicas": wanted,
                "readyReplicas": available,
                "availableReplicas": available,
                "observedGeneration": rs["metadata"]["generation"],
            }
            moved |= fresh != status
            rs["status"] = fresh
        return moved

    def available(self) -> int:
        """Available pods as decided at this moment; checks the upper bound on the way."""
        wanted = self.deployment["spec"]["replicas"]
        total = sum(rs["spec"]["replicas"] for rs in self.sets)
        assert total <= wanted + max_surge(self.deployment)
        # a set that shrinks loses its unavailable pods first
        return sum(min(rs["status"].get("availableReplicas", 0), rs["spec"]["replicas"]) for rs in self.sets)

    def settle(self) -> None:
        for _ in range(200):
            if not self.step() and not self.pods_move(all_of_them=True):
                return
        raise AssertionError("the rollout does not end")


bounds = st.one_of(st.integers(0, 5), st.sampled_from(["0%", "25%", "50%", "100%"]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 20), bounds, bounds, st.integers(1, 4))
def test_bounds_hold_at_every_step_and_it_ends(
    seed: int, replicas: int, surge: int | str, unavailable: int | str, versions: int
) -> None:
    world = World(seed, replicas, surge, unavailable)
    world.settle()
    for version in range(2, versions + 2):
        world.set_image(f"v{version}")
        least = replicas - max_unavailable(world.deployment)
        for _ in range(world.random.randint(0, 12)):
            before = world.available()
            world.step()
            after = world.available()
            assert after >= min(before, least)
            world.pods_move()
    world.settle()
    new = find_new(world.deployment, world.sets)
    assert new is not None
    sizes = {meta.name(rs): rs["spec"]["replicas"] for rs in world.sets}
    assert sizes.pop(meta.name(new)) == replicas
    assert not any(sizes.values())
    assert len(sizes) <= 2
    reasons = {c["type"]: (c["status"], c["reason"]) for c in world.deployment["status"]["conditions"]}
    assert reasons["Progressing"] == ("True", "NewReplicaSetAvailable")
    assert reasons["Available"] == ("True", "MinimumReplicasAvailable")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(0, 30))
def test_scaling_in_the_middle_of_a_rollout_ends_at_the_new_size(seed: int, replicas: int, later: int) -> None:
    world = World(seed, replicas, "25%", "25%")
    world.settle()
    world.set_image("v2")
    world.step()
    world.pods_move()
    world.deployment["spec"]["replicas"] = later
    world.deployment["metadata"]["generation"] += 1
    world.settle()
    assert sum(rs["spec"]["replicas"] for rs in world.sets) == later


def test_rollback_reuses_the_old_set_and_gives_it_the_next_revision() -> None:
    world = World(1, 3, 1, 0)
    world.settle()
    world.set_image("v2")
    world.settle()
    world.set_image("v1")
    world.settle()
    new = find_new(world.deployment, world.sets)
    assert new is not None
    assert len(world.sets) == 2
    assert new["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert new["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
    assert world.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
