"""What to do next about one pod: pod object × what the engine has × what the worker remembers → actions. Pure.

`podloop.py` calls `plan_pod` after every change and hands the actions to `act.py`; it plans again afterwards, until nothing is
left to do. Planning never asks which event woke it. The rules are kubelet's `computePodActions`, with one difference: back-off
is derived from the containers themselves (`names.BACKOFF`), so it survives the agent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from minik.agent import names
from minik.agent.actions import (
    HEALTHY,
    Action,
    Attach,
    Container,
    CreateSandbox,
    Finish,
    Memory,
    Plan,
    Prepare,
    Release,
    Remove,
    Resize,
    Role,
    Start,
    Stop,
    StopPod,
    Waiting,
)
from minik.agent.allotment import applied, delay_key, needs_restart, resources_of
from minik.agent.containers.base import ContainerInfo
from minik.agent.observed import ObservedPod, attempt_of, backoff_of, ended_at, exit_code, has_ended, sandbox_of
from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.api.times import parse_time

BACKOFF_FIRST = 10
BACKOFF_MAX = 300
BACKOFF_RESET = timedelta(minutes=10)
DEFAULT_GRACE = 30


# --- small questions about a pod ----------------------------------------------------------------------------------


def init_containers(pod: ROObj) -> Sequence[Container]:
    return pod["spec"].get("initContainers") or ()


def app_containers(pod: ROObj) -> Sequence[Container]:
    return pod["spec"].get("containers") or ()


def ephemeral_containers(pod: ROObj) -> Sequence[Container]:
    """What was added for debugging (KEP-277): started once, never again, and of no weight for how the pod does."""
    return pod["spec"].get("ephemeralContainers") or ()


def all_containers(pod: ROObj) -> Sequence[Container]:
    return [*init_containers(pod), *app_containers(pod), *ephemeral_containers(pod)]


def is_sidecar(container: Container) -> bool:
    """An init container that keeps running (KEP-753). Only meaningful for init containers."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: ROObj) -> str:
    return pod["spec"].get("restartPolicy") or "Always"


def is_terminal(pod: ROObj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def grace_period(pod: ROObj) -> int:
    """Seconds between TERM and KILL: what the deletion asked for, else what the spec says."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if meta.is_deleting(pod) and asked is not None:
        return int(asked)
    own = pod["spec"].get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE if own is None else int(own)


def wants_restart(policy: str, container: Container, code: int) -> bool:
    """Whether an app container that ended with `code` is to run again (a container's own policy and rules: KEP-5307)."""
    for rule in container.get("restartPolicyRules") or ():
        on = rule.get("exitCodes") or {}
        listed = code in (on.get("values") or ())
        if rule.get("action") == "Restart" and listed == (on.get("operator") == "In"):
            return True
    policy = container.get("restartPolicy") or policy
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def next_backoff(previous: ContainerInfo | None) -> int:
    """The back-off that the attempt after `previous` carries: 0, then 10 s doubling to 300 s (flowcontrol.Backoff)."""
    if previous is None:
        return 0
    wait = current_backoff(previous)
    return min(wait * 2, BACKOFF_MAX) if wait else BACKOFF_FIRST


def current_backoff(ended: ContainerInfo) -> int:
    """Seconds from the end of `ended` to the next attempt. One that ran for ten minutes starts afresh."""
    if ended.started_at and ended.finished_at and ended.finished_at - ended.started_at >= BACKOFF_RESET:
        return 0
    return backoff_of(ended)


def next_attempt(pod: ROObj, name: str, observed: ObservedPod) -> int:
    """One more than the newest there is. When someone removed it behind our back, the status still knows how many there were."""
    latest = observed.latest(name)
    if latest is not None:
        return attempt_of(latest) + 1
    known = pods.status_of(pod, name)
    if known is not None and known.get("containerID"):
        return int(known.get("restartCount", 0)) + 1
    return 0


def deadline(pod: ROObj) -> datetime | None:
    seconds, started = pod["spec"].get("activeDeadlineSeconds"), (pod.get("status") or {}).get("startTime")
    return parse_time(started) + timedelta(seconds=seconds) if seconds is not None and started else None


# --- the plan -----------------------------------------------------------------------------------------------------


def plan_pod(pod: ROObj, observed: ObservedPod, memory: Memory, now: datetime) -> Plan:
    """What to do next about `pod`, which is bound to this node."""
    is_alive = observed.sandbox is not None or bool(observed.running())
    if meta.is_deleting(pod):
        return Plan([StopPod(grace_period(pod)) if is_alive else Finish()])
    due = deadline(pod)
    is_over = memory.failed is not None or is_terminal(pod)
    if not is_over and due is not None and due <= now:
        return Plan(fail=("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"))
    if is_over or has_finished(pod, observed, memory.again) or init_failed(pod, observed):
        if is_alive:
            return Plan([StopPod(grace_period(pod))])
        return Plan(() if memory.released else (Release(),))
    return _with_wake(_plan_live(pod, observed, memory, now), due)


def has_finished(pod: ROObj, observed: ObservedPod, again: Collection[str] = ()) -> bool:
    """Every app container has ended and none is to run again. `again`: names of those that are, whatever their policy says."""
    policy = restart_policy(pod)
    containers = app_containers(pod)
    for container in containers:
        code = _final_code(pod, container["name"], observed)
        if code is None or container["name"] in again or wants_restart(policy, container, code):
            return False
    return bool(containers)


def _final_code(pod: ROObj, name: str, observed: ObservedPod) -> int | None:
    """How the newest attempt ended; for a container removed behind our back, what the status remembers."""
    latest = observed.latest(name)
    if latest is not None:
        return exit_code(latest) if has_ended(latest) else None
    terminated = ((pods.status_of(pod, name) or {}).get("state") or {}).get("terminated")
    return None if terminated is None else int(terminated.get("exitCode", 0))


def init_failed(pod: ROObj, observed: ObservedPod) -> bool:
    """A plain init container ended badly in a pod that restarts nothing."""
    if restart_policy(pod) != "Never":
        return False
    for container in init_containers(pod):
        latest = observed.latest(container["name"])
        if not is_sidecar(container) and latest is not None and has_ended(latest) and exit_code(latest) != 0:
            return True
    return False


def _with_wake(plan: Plan, due: datetime | None) -> Plan:
    if due is None or (plan.wake_at is not None and plan.wake_at <= due):
        return plan
    return Plan(plan.actions, plan.waiting, due, plan.fail)


def _plan_live(pod: ROObj, observed: ObservedPod, memory: Memory, now: datetime) -> Plan:
    sandbox = observed.sandbox
    if sandbox is None and observed.running():
        return Plan([StopPod(grace_period(pod), "Pod sandbox changed, it will be killed and re-created.")])
    pause = memory.delays.get(names.SANDBOX)
    if pause is not None and pause.until > now:
        return Plan(wake_at=pause.until)
    if not memory.prepared or (memory.renew_at is not None and memory.renew_at <= now):
        return Plan([Prepare()])
    if sandbox is None:
        return Plan([CreateSandbox(next_sandbox(observed))])
    if memory.attached != sandbox.id:
        return Plan([Attach(sandbox)])
    planner = _Planner(pod, observed, memory, now, attempt_of(sandbox))
    planner.plan()
    stale = _stale(observed)
    if stale:
        planner.actions.append(Remove(stale))
    return _with_wake(Plan(tuple(planner.actions), planner.waiting, planner.wake_at), memory.renew_at)


def next_sandbox(observed: ObservedPod) -> int:
    """One more than any sandbox that is here or that a container here has joined."""
    attempts = [attempt_of(info) for info in observed.sandboxes]
    attempts += [sandbox_of(info) for infos in observed.containers.values() for info in infos]
    return max(attempts, default=-1) + 1


def _stale(observed: ObservedPod) -> tuple[str, ...]:
    """All but the newest sandbox, and of each container all but the newest two attempts (one for `logs --previous`)."""
    old = list(observed.sandboxes[1:])
    for attempts in observed.containers.values():
        old += [info for info in attempts[2:] if info.state != "running"]
    return tuple(info.id for info in old)


class _Planner:
    """The containers of a pod whose sandbox runs: ephemeral ones at any time; init containers one by one, then all the others."""

    def __init__(self, pod: ROObj, observed: ObservedPod, memory: Memory, now: datetime, sandbox: int) -> None:
        self.pod, self.observed, self.memory, self.now, self.sandbox = pod, observed, memory, now, sandbox
        self.policy = restart_policy(pod)
        self.actions: list[Action] = []
        self.waiting: dict[str, Waiting] = {}
        self.wake_at: datetime | None = None

    def plan(self) -> None:
        for container in ephemeral_containers(self.pod):
            self._plan_ephemeral(container)
        has_apps = any(self._here(c["name"]) is not None for c in app_containers(self.pod))
        for container in init_containers(self.pod):
            if is_sidecar(container):
                is_through = self._plan_sidecar(container)
            else:
                is_through = has_apps or self._plan_init(container)
            if not is_through and not has_apps:
                return
        for container in app_containers(self.pod):
            self._plan_app(container)

    def _here(self, name: str) -> ContainerInfo | None:
        """The newest attempt, if it was made in the sandbox that runs now."""
        latest = self.observed.latest(name)
        return latest if latest is not None and sandbox_of(latest) == self.sandbox else None

    def _plan_ephemeral(self, container: Container) -> None:
        name = container["name"]
        latest = self.observed.latest(name)
        if latest is None:
            is_begun = bool((pods.status_of(self.pod, name) or {}).get("containerID"))
        else:
            is_begun = latest.state != "created" or has_ended(latest)
        if not is_begun:
            self._start(container, "ephemeral", self._here(name))

    def _plan_init(self, container: Container) -> bool:
        """Whether the next init container may go on."""
        here = self._here(container["name"])
        if here is None or not has_ended(here):
            if here is None or here.state == "created":
                self._start(container, "init", here)
            return False
        if exit_code(here) == 0:
            return True
        self._restart(container, "init", here)
        return False

    def _plan_sidecar(self, container: Container) -> bool:
        here = self._here(container["name"])
        if here is not None and here.state == "running":
            if self._check_running(container, here):
                return self.memory.health.get(here.id, HEALTHY).started
            return False
        if here is not None and has_ended(here):
            self._restart(container, "sidecar", here)
        else:
            self._start(container, "sidecar", here)
        return False

    def _plan_app(self, container: Container) -> None:
        latest = self.observed.latest(container["name"])
        if latest is not None and latest.state == "running":
            self._check_running(container, latest)
        elif latest is not None and has_ended(latest):
            is_stopped = container["name"] in self.memory.again
            if is_stopped or wants_restart(self.policy, container, exit_code(latest)):
                self._restart(container, "app", latest)
        elif latest is None and self._ended_elsewhere(container):
            return
        else:
            self._start(container, "app", self._here(container["name"]))

    def _ended_elsewhere(self, container: Container) -> bool:
        """It was removed behind our back after it had ended for good."""
        code = _final_code(self.pod, container["name"], self.observed)
        return code is not None and not wants_restart(self.policy, container, code)

    def _check_running(self, container: Container, info: ContainerInfo) -> bool:
        """Stop a running container that is out of date or ill. True if it may stay."""
        name, grace = container["name"], grace_period(self.pod)
        made_from = info.labels.get(names.HASH)
        if made_from and made_from != names.container_hash(container):
            self.actions.append(
                Stop(container, info.id, grace, f"Container {name} definition changed, will be restarted")
            )
            return False
        health = self.memory.health.get(info.id, HEALTHY)
        if health.failed:
            self.actions.append(
                Stop(container, info.id, grace if health.grace is None else health.grace, health.failed)
            )
            return False
        return self._check_size(container, info)

    def _check_size(self, container: Container, info: ContainerInfo) -> bool:
        """Give a running container what was allotted to it since. True if it may stay."""
        name, wanted = container["name"], resources_of(container)
        has = applied(self.pod, self.memory, container, info)
        if has == wanted:
            return True
        if needs_restart(container, has, wanted):
            text = f"Container {name} resize requires restart"
            self.actions.append(Stop(container, info.id, grace_period(self.pod), text, again=True))
            return False
        delay = self.memory.delays.get(delay_key(name))
        if delay is not None and delay.until > self.now:
            self._wake(delay.until)
        else:
            self.actions.append(Resize(container, info.id))
        return True

    def _start(self, container: Container, role: Role, created: ContainerInfo | None) -> None:
        """Start one for the first time in this sandbox, or the one already created for it."""
        name = container["name"]
        if self._is_delayed(name):
            return
        if created is not None:
            self.actions.append(Start(container, role, attempt_of(created), backoff_of(created), created.id))
            return
        previous = self.observed.latest(name)
        attempt = next_attempt(self.pod, name, self.observed)
        backoff = next_backoff(previous) if previous is not None or attempt else 0
        if previous is None and attempt:
            backoff = BACKOFF_FIRST
        self.actions.append(Start(container, role, attempt, backoff))

    def _restart(self, container: Container, role: Role, ended: ContainerInfo) -> None:
        name = container["name"]
        if self._is_delayed(name):
            return
        wait = current_backoff(ended)
        end = ended_at(ended)
        if wait and end is not None and end + timedelta(seconds=wait) > self.now:
            where = f"{meta.name(self.pod)}_{meta.namespace(self.pod)}({meta.uid(self.pod)})"
            shown = f"{wait // 60}m{wait % 60}s" if wait >= 60 else f"{wait}s"
            self.waiting[name] = Waiting(
                "CrashLoopBackOff", f"back-off {shown} restarting failed container={name} pod={where}"
            )
            self._wake(end + timedelta(seconds=wait))
            return
        self.actions.append(Start(container, role, attempt_of(ended) + 1, next_backoff(ended)))

    def _is_delayed(self, name: str) -> bool:
        delay = self.memory.delays.get(name)
        if delay is None or delay.until <= self.now:
            return False
        self.waiting[name] = Waiting(delay.reason, delay.message)
        self._wake(delay.until)
        return True

    def _wake(self, at: datetime) -> None:
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at
