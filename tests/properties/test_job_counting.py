"""A Job never counts a pod twice nor forgets one, whatever ends when, and wherever its controller stops between two writes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minik.api.batch_v1 import jobs
from minik.api.batch_v1.indexes import Indexes
from minik.api.meta import Obj
from minik.controllers.common.job_record import plan_record, plan_settled, tracked_uids
from minik.controllers.common.job_state import read_state

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PODS = 12


def a_job(*, indexed: bool) -> Obj:
    spec: Obj = {"completions": PODS, "parallelism": PODS, "backoffLimit": 1000, "template": {"spec": {}}}
    if indexed:
        spec["completionMode"] = "Indexed"
    return {"metadata": {"name": "j", "uid": "j"}, "spec": spec, "status": {}}


def a_pod(number: int) -> Obj:
    metadata = {
        "name": f"p{number}", "namespace": "default", "uid": f"u{number}", "finalizers": [jobs.TRACKING],
        "annotations": {jobs.COMPLETION_INDEX: str(number)}, "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}}


def a_pass(job: Obj, pods: list[Obj], *, stop: int) -> None:
    """One pass of the controller, which dies after `stop` writes (the first status, each finalizer, the last status)."""
    plan = plan_record(read_state(job, pods), dict(job["status"]), None, now=NOW)
    if stop <= 0:
        return
    job["status"] = plan.status
    for number, pod in enumerate(plan.release, 1):
        if stop <= number:
            return
        pod["metadata"]["finalizers"] = []
    if stop > len(plan.release) + 1:
        job["status"] = plan_settled(plan.status, tracked=tracked_uids(pods), verdict=None, cut=plan.cut, now=NOW)


STEP = st.one_of(
    st.tuples(st.just("end"), st.integers(0, PODS - 1), st.sampled_from(["Succeeded", "Failed"])),
    st.tuples(st.just("pass"), st.integers(0, 5), st.just("")),
    st.tuples(st.just("gone"), st.integers(0, PODS - 1), st.just("")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=40), st.booleans())
def test_every_pod_counts_once(steps: list[tuple[str, int, str]], indexed: bool) -> None:
    job, pods = a_job(indexed=indexed), {n: a_pod(n) for n in range(PODS)}
    ended: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for what, number, phase in steps:
        if what == "end" and number not in ended:
            ended[number] = phase
            pods[number]["status"]["phase"] = phase
        elif what == "pass":
            a_pass(job, list(pods.values()), stop=number)
        elif what == "gone" and number in pods and number in ended and not pods[number]["metadata"]["finalizers"]:
            del pods[number]
        now: Any = Counter({k: job["status"].get(k) or 0 for k in ("succeeded", "failed")})
        assert now >= seen, "no count goes down"
        seen = now
    a_pass(job, list(pods.values()), stop=100)
    a_pass(job, list(pods.values()), stop=100)
    status, outcomes = job["status"], Counter(ended.values())
    assert (status.get("succeeded", 0), status.get("failed", 0)) == (outcomes["Succeeded"], outcomes["Failed"])
    assert status["uncountedTerminatedPods"] == {}
    if indexed:
        succeeded = Indexes.of(n for n, phase in ended.items() if phase == "Succeeded")
        assert status.get("completedIndexes", "") == str(succeeded)
