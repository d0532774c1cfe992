"""`plan_pod`: what is to be done next, for every state a pod can be found in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from minik.agent import names
from minik.agent.actions import CreateSandbox, Delay, Health, Memory, Plan, Remove, Start, Stop, StopPod
from minik.agent.observed import NOTHING
from minik.agent.plan import next_backoff, plan_pod, wants_restart
from tests.unit.agent.builders import NOW, ago, container, pod, ran, sandbox, seen


def settled(**more: object) -> Memory:
    """The memory of a worker whose pod has its volumes and network."""
    memory = Memory(prepared=True, attached="sandbox-0")
    for key, value in more.items():
        setattr(memory, key, value)
    return memory


def brief(plan: Plan) -> list[str]:
    """The actions in a line each."""
    out = []
    for action in plan.actions:
        match action:
            case Start():
                out.append(f"start {action.role} {action.container['name']}#{action.attempt} backoff={action.backoff}")
            case Stop():
                out.append(f"stop {action.id}")
            case StopPod():
                out.append(f"stop pod {action.grace}")
            case Remove():
                out.append(f"remove {' '.join(action.ids)}")
            case CreateSandbox():
                out.append(f"sandbox {action.attempt}")
            case _:
                out.append(type(action).__name__.lower())
    return out


def test_a_new_pod_gets_volumes_then_sandbox_then_network_then_containers() -> None:
    p = pod(container("a"), container("b"))
    assert brief(plan_pod(p, NOTHING, Memory(), NOW)) == ["prepare"]
    assert brief(plan_pod(p, NOTHING, Memory(prepared=True), NOW)) == ["sandbox 0"]
    assert brief(plan_pod(p, seen(sandbox()), Memory(prepared=True), NOW)) == ["attach"]
    assert brief(plan_pod(p, seen(sandbox()), settled(), NOW)) == ["start app a#0 backoff=0", "start app b#0 backoff=0"]


def test_a_running_pod_is_left_alone() -> None:
    plan = plan_pod(pod(), seen(sandbox(), ran()), settled(), NOW)
    assert plan == Plan()


def test_an_ephemeral_container_is_started_once_whatever_the_others_do() -> None:
    p = pod(init=[container("setup")], ephemeralContainers=[container("debugger")])
    setting_up = seen(sandbox(), ran("setup"))
    assert brief(plan_pod(p, setting_up, settled(), NOW)) == ["start ephemeral debugger#0 backoff=0"]
    made = seen(sandbox(), ran("setup"), ran("debugger", "created"))
    (start,) = plan_pod(p, made, settled(), NOW).actions
    assert isinstance(start, Start) and start.existing == "debugger-0"
    for state in ("running", "exited"):
        assert plan_pod(p, seen(sandbox(), ran("setup"), ran("debugger", state)), settled(), NOW) == Plan()
    p["status"] = {"ephemeralContainerStatuses": [{"name": "debugger", "containerID": "docker://removed"}]}
    assert plan_pod(p, setting_up, settled(), NOW) == Plan()


def test_an_ephemeral_container_neither_ends_nor_keeps_a_pod() -> None:
    p = pod(restartPolicy="Never", ephemeralContainers=[container("debugger")])
    assert plan_pod(p, seen(sandbox(), ran(), ran("debugger", "exited")), settled(), NOW) == Plan()
    ended = seen(sandbox(), ran(state="exited"), ran("debugger"))
    assert brief(plan_pod(p, ended, settled(), NOW)) == ["stop pod 30"]


def test_an_agent_that_starts_anew_prepares_and_attaches_and_touches_nothing_else() -> None:
    observed = seen(sandbox(), ran())
    assert brief(plan_pod(pod(), observed, Memory(), NOW)) == ["prepare"]
    assert brief(plan_pod(pod(), observed, Memory(prepared=True), NOW)) == ["attach"]
    assert brief(plan_pod(pod(), observed, settled(), NOW)) == []


def test_a_created_container_is_started_not_made_again() -> None:
    plan = plan_pod(pod(), seen(sandbox(), ran(state="created", attempt=3, backoff=40)), settled(), NOW)
    assert brief(plan) == ["start app web#3 backoff=40"]
    assert isinstance(plan.actions[0], Start) and plan.actions[0].existing == "web-3"


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
        ("Never", 0, False), ("Never", 1, False),
    ],
)  # fmt: skip
def test_restart_policy(policy: str, code: int, expected: bool) -> None:
    assert wants_restart(policy, container(), code) is expected
    plan = plan_pod(
        pod(container(), container("other"), restartPolicy=policy),
        seen(sandbox(), ran(state="exited", exit_code=code), ran("other")),
        settled(),
        NOW,
    )
    assert brief(plan) == (["start app web#1 backoff=10"] if expected else [])


def test_a_containers_own_restart_rules_come_first() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    c = container(restartPolicy="Never", restartPolicyRules=rules)
    assert wants_restart("Always", c, 42)
    assert not wants_restart("Always", c, 1)


@pytest.mark.parametrize(("previous", "following"), [(0, 10), (10, 20), (160, 300), (300, 300)])
def test_back_off_doubles_up_to_five_minutes(previous: int, following: int) -> None:
    assert next_backoff(ran(state="exited", backoff=previous)) == following


def test_back_off_is_forgotten_after_ten_minutes_of_running() -> None:
    info = ran(state="exited", exit_code=1, backoff=160, started_at=ago(700), finished_at=ago(1))
    assert next_backoff(info) == 10
    assert brief(plan_pod(pod(), seen(sandbox(), info), settled(), NOW)) == ["start app web#1 backoff=10"]


def test_a_crash_loop_waits_and_says_so() -> None:
    info = ran(state="exited", exit_code=1, attempt=2, backoff=20, started_at=ago(9), finished_at=ago(8))
    plan = plan_pod(pod(), seen(sandbox(), info), settled(), NOW)
    assert brief(plan) == []
    assert plan.waiting["web"].reason == "CrashLoopBackOff"
    assert plan.waiting["web"].message == "back-off 20s restarting failed container=web pod=p_default(u1)"
    assert plan.wake_at == ago(8) + timedelta(seconds=20)
    assert brief(plan_pod(pod(), seen(sandbox(), info), settled(), plan.wake_at)) == ["start app web#3 backoff=40"]


def test_a_command_that_could_not_be_started_counts_as_a_crash() -> None:
    info = ran(state="created", error="no such file", exit_code=127, backoff=10, created_at=ago(2))
    plan = plan_pod(pod(), seen(sandbox(), info), settled(), NOW)
    assert plan.waiting["web"].reason == "CrashLoopBackOff"


def test_a_delay_is_kept_and_shown() -> None:
    memory = settled(delays={"web": Delay(NOW + timedelta(seconds=5), "ImagePullBackOff", "no")})
    plan = plan_pod(pod(), seen(sandbox()), memory, NOW)
    assert (brief(plan), plan.waiting["web"].reason) == ([], "ImagePullBackOff")
    assert plan.wake_at == NOW + timedelta(seconds=5)
    assert brief(plan_pod(pod(), seen(sandbox()), memory, plan.wake_at)) == ["start app web#0 backoff=0"]


def test_a_pod_whose_volumes_failed_waits() -> None:
    memory = Memory(delays={names.SANDBOX: Delay(NOW + timedelta(seconds=5), "FailedMount", "no")})
    assert plan_pod(pod(), NOTHING, memory, NOW) == Plan(wake_at=NOW + timedelta(seconds=5))


def test_a_token_is_renewed_when_it_is_time() -> None:
    at = NOW + timedelta(seconds=60)
    memory = settled(renew_at=at)
    assert plan_pod(pod(), seen(sandbox(), ran()), memory, NOW) == Plan(wake_at=at)
    assert brief(plan_pod(pod(), seen(sandbox(), ran()), memory, at)) == ["prepare"]


# --- init containers and sidecars -------------------------------------------------------------------------------------

INIT = (container("i1"), container("i2"))
SIDE = container("side", restartPolicy="Always")


def test_init_containers_run_one_by_one() -> None:
    p, memory = pod(init=INIT), settled()
    done = [ran("i1", "exited"), ran("i2", "exited")]
    assert brief(plan_pod(p, seen(sandbox()), memory, NOW)) == ["start init i1#0 backoff=0"]
    assert brief(plan_pod(p, seen(sandbox(), ran("i1")), memory, NOW)) == []
    assert brief(plan_pod(p, seen(sandbox(), done[0]), memory, NOW)) == ["start init i2#0 backoff=0"]
    assert brief(plan_pod(p, seen(sandbox(), *done), memory, NOW)) == ["start app web#0 backoff=0"]


def test_a_failed_init_container_is_run_again_or_ends_the_pod() -> None:
    observed = seen(sandbox(), ran("i1", "exited", exit_code=1))
    assert brief(plan_pod(pod(init=INIT), observed, settled(), NOW)) == ["start init i1#1 backoff=10"]
    assert brief(plan_pod(pod(init=INIT, restartPolicy="Never"), observed, settled(), NOW)) == ["stop pod 30"]


def test_init_containers_removed_behind_our_back_are_not_run_again() -> None:
    assert brief(plan_pod(pod(init=INIT), seen(sandbox(), ran()), settled(), NOW)) == []


def test_init_containers_run_again_in_a_new_sandbox() -> None:
    observed = seen(
        sandbox("exited"),
        sandbox(attempt=1),
        ran("i1", "exited"),
        ran("i2", "exited"),
        ran(state="exited", exit_code=255),
    )
    plan = plan_pod(pod(init=INIT), observed, settled(attached="sandbox-1"), NOW)
    assert brief(plan) == ["start init i1#1 backoff=10", "remove sandbox-0"]


def test_a_sidecar_must_have_started_before_the_next_goes_on() -> None:
    p = pod(init=(SIDE, container("i1")))
    assert brief(plan_pod(p, seen(sandbox()), settled(), NOW)) == ["start sidecar side#0 backoff=0"]
    waiting = settled(health={"side-0": Health(started=False)})
    assert brief(plan_pod(p, seen(sandbox(), ran("side")), waiting, NOW)) == []
    assert brief(plan_pod(p, seen(sandbox(), ran("side")), settled(), NOW)) == ["start init i1#0 backoff=0"]


def test_a_sidecar_is_restarted_even_when_it_ended_well_and_the_app_goes_on() -> None:
    observed = seen(sandbox(), ran("side", "exited"), ran())
    plan = plan_pod(pod(init=(SIDE,), restartPolicy="Never"), observed, settled(), NOW)
    assert brief(plan) == ["start sidecar side#1 backoff=10"]


def test_sidecars_are_stopped_when_the_app_containers_have_ended() -> None:
    observed = seen(sandbox(), ran("side"), ran(state="exited"))
    assert brief(plan_pod(pod(init=(SIDE,), restartPolicy="Never"), observed, settled(), NOW)) == ["stop pod 30"]


# --- sandboxes ------------------------------------------------------------------------------------------------------------


def test_a_dead_sandbox_ends_its_containers_and_is_made_anew() -> None:
    plan = plan_pod(pod(), seen(sandbox("exited"), ran()), settled(), NOW)
    assert brief(plan) == ["stop pod 30"]
    after = seen(sandbox("exited"), ran(state="exited", exit_code=137))
    assert brief(plan_pod(pod(), after, settled(), NOW)) == ["sandbox 1"]


def test_a_removed_sandbox_does_not_reuse_its_number() -> None:
    observed = seen(ran(state="exited", exit_code=137, in_sandbox=2))
    assert brief(plan_pod(pod(), observed, settled(), NOW)) == ["sandbox 3"]


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("Never", 255, ["release"]),
        ("OnFailure", 0, ["release"]),
        ("OnFailure", 255, ["sandbox 1"]),
        ("Always", 0, ["sandbox 1"]),
    ],
)
def test_after_a_reboot_pods_come_back_as_their_policy_says(policy: str, code: int, expected: list[str]) -> None:
    observed = seen(sandbox("exited"), ran(state="exited", exit_code=code))
    assert brief(plan_pod(pod(restartPolicy=policy), observed, settled(), NOW)) == expected


# --- ends ------------------------------------------------------------------------------------------------------------------


def deleted(seconds: int = 30) -> dict[str, object]:
    return {"deletionTimestamp": "2026-01-01T12:00:30Z", "deletionGracePeriodSeconds": seconds}


def test_deletion_stops_then_finishes() -> None:
    p = pod(metadata=deleted(7))
    assert brief(plan_pod(p, seen(sandbox(), ran()), settled(), NOW)) == ["stop pod 7"]
    assert brief(plan_pod(p, seen(sandbox(), ran(state="exited")), settled(), NOW)) == ["stop pod 7"]
    assert brief(plan_pod(p, seen(sandbox("exited"), ran(state="exited")), settled(), NOW)) == ["finish"]
    assert brief(plan_pod(p, NOTHING, Memory(), NOW)) == ["finish"]


def test_a_pod_that_has_ended_releases_what_it_held_once() -> None:
    p = pod(restartPolicy="Never")
    assert brief(plan_pod(p, seen(sandbox(), ran(state="exited")), settled(), NOW)) == ["stop pod 30"]
    observed = seen(ran(state="exited"))
    assert brief(plan_pod(p, observed, settled(), NOW)) == ["release"]
    assert brief(plan_pod(p, observed, settled(released=True), NOW)) == []


def test_the_deadline_of_a_pod() -> None:
    p = pod(activeDeadlineSeconds=60, status={"startTime": "2026-01-01T11:59:30Z"})
    plan = plan_pod(p, seen(sandbox(), ran()), settled(), NOW)
    assert (plan.fail, plan.wake_at) == (None, NOW + timedelta(seconds=30))
    assert plan_pod(p, seen(sandbox(), ran()), settled(), plan.wake_at).fail is not None
    assert brief(plan_pod(p, seen(sandbox(), ran()), settled(failed=("DeadlineExceeded", "")), NOW)) == ["stop pod 30"]


def test_a_container_removed_behind_our_back_keeps_its_count() -> None:
    known = {"name": "web", "containerID": "docker://x", "restartCount": 4, "state": {"running": {}}}
    plan = plan_pod(pod(status={"containerStatuses": [known]}), seen(sandbox()), settled(), NOW)
    assert brief(plan) == ["start app web#5 backoff=10"]


def test_a_finished_container_removed_behind_our_back_stays_finished() -> None:
    known = {"name": "web", "containerID": "docker://x", "state": {"terminated": {"exitCode": 0}}}
    p = pod(restartPolicy="Never", status={"containerStatuses": [known]})
    assert brief(plan_pod(p, NOTHING, settled(), NOW)) == ["release"]


# --- ill and outdated ---------------------------------------------------------------------------------------------------------


def test_a_failed_probe_stops_the_container_with_its_own_grace() -> None:
    memory = settled(health={"web-0": Health(failed="Container web failed liveness probe, will be restarted", grace=3)})
    plan = plan_pod(pod(), seen(sandbox(), ran()), memory, NOW)
    assert brief(plan) == ["stop web-0"]
    assert isinstance(plan.actions[0], Stop) and plan.actions[0].grace == 3


def test_another_image_restarts_the_container() -> None:
    plan = plan_pod(pod(container(image="new")), seen(sandbox(), ran(image="old")), settled(), NOW)
    assert brief(plan) == ["stop web-0"]


def test_all_but_two_attempts_are_removed() -> None:
    attempts = [ran(state="exited", attempt=n) for n in range(3)]
    plan = plan_pod(pod(), seen(sandbox(), *attempts, ran(attempt=3)), settled(), NOW)
    assert brief(plan) == ["remove web-1 web-0"]
