"""`pod_status` and `status_patch`: what a pod's status says, and how little is sent to make it so."""

from __future__ import annotations

from typing import Any

import pytest

from minik.agent.actions import Health, Memory, Waiting
from minik.agent.containerstatus import Facts
from minik.agent.observed import NOTHING, ObservedPod
from minik.agent.status import pod_status
from minik.agent.statuspatch import status_patch
from tests.unit.agent.builders import NOW, ago, container, pod, ran, sandbox, seen

READY = Facts("192.0.2.1", "10.244.0.5")
CRASH = Waiting("CrashLoopBackOff", "back-off 10s")


def status_of(
    p: dict[str, Any], observed: ObservedPod, memory: Memory | None = None, facts: Facts = READY
) -> dict[str, Any]:
    return pod_status(p, observed, memory or Memory(), facts, NOW)


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["status"] + (f" {c['reason']}" if "reason" in c else "") for c in status["conditions"]}


def test_a_pod_that_nobody_began_with() -> None:
    status = status_of(pod(), NOTHING, facts=Facts("192.0.2.1"))
    assert status["phase"] == "Pending"
    assert "podIP" not in status
    assert (status["hostIP"], status["qosClass"], status["startTime"]) == (
        "192.0.2.1",
        "BestEffort",
        "2026-01-01T12:00:00Z",
    )
    assert status["containerStatuses"] == [
        {
            "name": "web", "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}, "ready": False,
            "restartCount": 0, "image": "img", "imageID": "", "started": False,
        }
    ]  # fmt: skip
    assert conditions(status) == {
        "PodReadyToStartContainers": "False", "Initialized": "True", "ContainersReady": "False ContainersNotReady",
        "Ready": "False ContainersNotReady", "PodScheduled": "True",
    }  # fmt: skip


def test_a_running_pod_is_ready() -> None:
    status = status_of(
        pod(), seen(sandbox(), ran(attempt=2, started_at=ago(5)), ran(state="exited", attempt=1, exit_code=3))
    )
    assert (status["phase"], status["podIP"], status["podIPs"]) == ("Running", "10.244.0.5", [{"ip": "10.244.0.5"}])
    (c,) = status["containerStatuses"]
    assert c["state"] == {"running": {"startedAt": "2026-01-01T11:59:55Z"}}
    assert (c["ready"], c["started"], c["restartCount"], c["containerID"]) == (True, True, 2, "docker://web-2")
    assert c["imageID"] == "sha256:0a"
    assert c["lastState"]["terminated"]["exitCode"] == 3
    assert set(conditions(status).values()) == {"True"}


def test_probes_decide_on_started_and_ready() -> None:
    memory = Memory(health={"web-0": Health(started=True, ready=False)})
    status = status_of(pod(), seen(sandbox(), ran()), memory)
    assert (status["containerStatuses"][0]["ready"], status["containerStatuses"][0]["started"]) == (False, True)
    assert conditions(status)["Ready"] == "False ContainersNotReady"
    memory = Memory(health={"web-0": Health(started=False, ready=True)})
    assert not status_of(pod(), seen(sandbox(), ran()), memory)["containerStatuses"][0]["ready"]


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Always", (0, 0), "Running"), ("OnFailure", (0, 0), "Succeeded"), ("OnFailure", (0, 1), "Running"),
        ("Never", (0, 0), "Succeeded"), ("Never", (0, 1), "Failed"),
    ],
)  # fmt: skip
def test_phase_when_all_have_ended(policy: str, codes: tuple[int, int], phase: str) -> None:
    p = pod(container("a"), container("b"), restartPolicy=policy)
    observed = seen(sandbox("exited"), ran("a", "exited", exit_code=codes[0]), ran("b", "exited", exit_code=codes[1]))
    status = status_of(p, observed)
    assert status["phase"] == phase
    if phase == "Succeeded":
        assert conditions(status)["Ready"] == "False PodCompleted"
        assert conditions(status)["Initialized"] == "True PodCompleted"
    if phase == "Failed":
        assert conditions(status)["ContainersReady"] == "False PodFailed"


def test_a_pod_that_has_ended_stays_so() -> None:
    assert status_of(pod(status={"phase": "Succeeded"}), NOTHING)["phase"] == "Succeeded"


def test_a_pod_is_not_over_before_its_last_container_is() -> None:
    memory = Memory(failed=("DeadlineExceeded", "too long"))
    status = status_of(pod(status={"phase": "Running"}), seen(sandbox(), ran()), memory)
    assert (status["phase"], status.get("reason")) == ("Running", None)
    status = status_of(pod(status={"phase": "Running"}), seen(ran(state="exited", exit_code=137)), memory)
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", "too long")


def test_a_refused_pod_shows_its_reason_and_no_containers() -> None:
    status = status_of(pod(), NOTHING, Memory(failed=("OutOfcpu", "no")), Facts("192.0.2.1"))
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfcpu")
    assert "containerStatuses" not in status


def test_crash_loop() -> None:
    facts = Facts("192.0.2.1", "10.244.0.5", {"web": CRASH}, {"web-1": "it broke"})
    observed = seen(sandbox(), ran(state="exited", attempt=1, exit_code=2))
    status = status_of(pod(status={"phase": "Running"}), observed, facts=facts)
    (c,) = status["containerStatuses"]
    assert c["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert c["lastState"]["terminated"]["message"] == "it broke"
    assert (c["restartCount"], status["phase"]) == (1, "Running")


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (ran(state="exited"), {"exitCode": 0, "reason": "Completed"}),
        (ran(state="exited", oom_killed=True), {"exitCode": 0, "reason": "Completed"}),
        (ran(state="exited", exit_code=3), {"exitCode": 3, "reason": "Error"}),
        (ran(state="exited", exit_code=137, oom_killed=True), {"exitCode": 137, "reason": "OOMKilled"}),
        (
            ran(state="created", exit_code=127, error="no such file", created_at=ago(1)),
            {"exitCode": 127, "reason": "ContainerCannotRun", "message": "no such file"},
        ),
    ],
)
def test_reasons_of_an_end(info: Any, expected: dict[str, Any]) -> None:
    state = status_of(pod(), seen(sandbox(), info))["containerStatuses"][0]["state"]["terminated"]
    assert {k: v for k, v in state.items() if k in ("exitCode", "reason", "message")} == expected


def test_init_containers() -> None:
    p = pod(init=(container("i1"), container("i2")))
    status = status_of(p, seen(sandbox(), ran("i1", "exited")))
    assert [s["ready"] for s in status["initContainerStatuses"]] == [True, False]
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    assert (status["phase"], conditions(status)["Initialized"]) == ("Pending", "False ContainersNotInitialized")
    message = next(c["message"] for c in status["conditions"] if c["type"] == "Initialized")
    assert message == "containers with incomplete status: [i2]"
    failed = status_of({**p, "spec": {**p["spec"], "restartPolicy": "Never"}}, seen(ran("i1", "exited", exit_code=1)))
    assert failed["phase"] == "Failed"


def test_a_sidecar_counts_for_readiness_and_not_for_the_phase() -> None:
    p = pod(init=(container("side", restartPolicy="Always"),), restartPolicy="Never")
    status = status_of(p, seen(sandbox(), ran("side"), ran()), Memory(health={"side-0": Health(ready=False)}))
    assert (status["phase"], conditions(status)["Ready"]) == ("Running", "False ContainersNotReady")
    ended = status_of(p, seen(ran("side", "exited", exit_code=137), ran(state="exited")))
    assert ended["phase"] == "Succeeded"


def test_readiness_gates() -> None:
    gate = {"readinessGates": [{"conditionType": "x.io/lb"}]}
    assert conditions(status_of(pod(**gate), seen(sandbox(), ran())))["Ready"] == "False ReadinessGatesNotReady"
    passed = {"conditions": [{"type": "x.io/lb", "status": "True"}]}
    status = status_of(pod(**gate, status=passed), seen(sandbox(), ran()))
    assert (conditions(status)["Ready"], conditions(status)["x.io/lb"]) == ("True", "True")


def test_a_container_removed_behind_our_back() -> None:
    running = status_of(pod(), seen(sandbox(), ran()))
    status = status_of(pod(status=running), seen(sandbox()))
    (c,) = status["containerStatuses"]
    assert c["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert "waiting" in c["state"]
    for before in (running, status):  # whether or not anybody was told that it was gone
        again = status_of(pod(status=before), seen(sandbox(), ran(attempt=1)))
        (now,) = again["containerStatuses"]
        assert (now["restartCount"], "running" in now["state"]) == (1, True)
        assert now["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
        (later,) = status_of(pod(status=again), seen(sandbox(), ran(attempt=1)))["containerStatuses"]
        assert later["lastState"] == now["lastState"]


def test_what_ended_long_ago_is_still_said() -> None:
    """The engine's record of it may be gone."""
    before = status_of(pod(), seen(sandbox(), ran(attempt=1), ran(state="exited", exit_code=3)))
    assert before["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
    after = status_of(pod(status=before), seen(sandbox(), ran(attempt=1)))
    assert after["containerStatuses"] == before["containerStatuses"]


def test_a_pod_whose_container_is_a_younger_one_was_not_ready_in_between() -> None:
    first = status_of(pod(), seen(sandbox(), ran()))
    old = "2025-01-01T00:00:00Z"
    for condition in first["conditions"]:
        condition["lastTransitionTime"] = old
    again = status_of(pod(status=first), seen(sandbox(), ran(attempt=1)))
    times = {c["type"]: c["lastTransitionTime"] for c in again["conditions"]}
    assert (times["Ready"], times["ContainersReady"], times["Initialized"]) == ("2026-01-01T12:00:00Z",) * 2 + (old,)


def test_transition_times_are_kept() -> None:
    first = status_of(pod(), seen(sandbox(), ran()))
    old = "2025-01-01T00:00:00Z"
    for condition in first["conditions"]:
        condition["lastTransitionTime"] = old
    memory = Memory(health={"web-0": Health(ready=False)})
    again = status_of(pod(status=first), seen(sandbox(), ran()), memory)
    times = {c["type"]: c["lastTransitionTime"] for c in again["conditions"]}
    assert (times["Ready"], times["PodScheduled"]) == ("2026-01-01T12:00:00Z", old)


def test_deleting_a_pod_ends_in_a_final_phase() -> None:
    gone = {"deletionTimestamp": "2026-01-01T12:00:30Z"}
    running = status_of(pod(), seen(sandbox(), ran()))
    p = pod(metadata=gone, status=running)
    assert status_of(p, seen(sandbox(), ran()))["phase"] == "Running"
    assert status_of(p, seen(ran(state="exited", exit_code=143)))["phase"] == "Failed"
    assert status_of(p, seen(ran(state="exited")))["phase"] == "Succeeded"


# --- the patch ------------------------------------------------------------------------------------------------------------


def test_a_pod_deleted_before_it_began_has_failed() -> None:
    """Or its Job, if it replaces failed pods only, would wait for its end for ever."""
    begun = pod(status={"phase": "Pending"})
    begun["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert status_of(begun, NOTHING)["phase"] == "Failed"


def test_nothing_to_say() -> None:
    status = status_of(pod(), seen(sandbox(), ran()))
    assert status_patch(status, status_of(pod(status=status), seen(sandbox(), ran()))) == {}
    assert status_patch({"conditions": [{"type": "A"}]}, {"conditions": [{"type": "A", "lastProbeTime": None}]}) == {}


def test_what_others_say_of_its_claims_is_left_alone() -> None:
    """Or the node and the controller of claims would undo one another for ever."""
    others = {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]}
    status = status_of(pod(status=others), seen(sandbox(), ran()))
    assert "resourceClaimStatuses" not in status_patch(others, status)


def test_only_changed_conditions_are_sent_and_what_is_gone_is_unset() -> None:
    old = {
        "phase": "Pending",
        "message": "m",
        "conditions": [{"type": "Ready", "status": "False", "reason": "R"}, {"type": "PodScheduled", "status": "True"}],
    }
    new = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
    }
    assert status_patch(old, new) == {
        "phase": "Running",
        "message": None,
        "conditions": [{"type": "Ready", "status": "True", "reason": None}],
    }


def test_another_address_replaces_the_old_one() -> None:
    assert status_patch({"podIPs": [{"ip": "a"}]}, {"podIPs": [{"ip": "b"}]}) == {
        "podIPs": [{"ip": "b"}, {"ip": "a", "$patch": "delete"}]
    }
