"""A container's entry in its pod's status. Pure; called by `status.py`.

Rules: kubelet's `convertToAPIContainerStatuses`. A container that the engine no longer has keeps what was last said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from minik.agent import allotment, names
from minik.agent.actions import HEALTHY, Memory, Waiting
from minik.agent.containers.base import ContainerInfo
from minik.agent.observed import ObservedPod, attempt_of, ended_at, exit_code, has_ended
from minik.agent.plan import is_terminal
from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.api.times import format_time

EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status needs besides the pod and its containers."""

    node_ip: str
    pod_ip: str = ""
    """"" until the network is attached."""
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)
    """Termination messages by container id."""


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment is not None else EPOCH


def terminated_state(info: ContainerInfo, message: str) -> Obj:
    """`state.terminated` of a container that has ended."""
    code = exit_code(info)
    if info.state == "created":
        reason = "ContainerCannotRun"
    elif code == 0:
        reason = "Completed"
    else:
        reason = "OOMKilled" if info.oom_killed else "Error"
    state: Obj = {"exitCode": code, "reason": reason}
    text = message or (info.error if code != 0 else "")
    if text:
        state["message"] = text
    ended = ended_at(info)
    state["startedAt"] = _time(info.started_at or (ended if info.state == "created" else None))
    state["finishedAt"] = _time(ended)
    state["containerID"] = info.uri
    return state


def container_status(
    pod: ROObj,
    container: Mapping[str, Any],
    observed: ObservedPod,
    memory: Memory,
    facts: Facts,
    default: Waiting,
    now: datetime,
    *,
    is_init: bool,
) -> Obj:
    """Its entry in the status. `default`: what it waits for before it is first made. `is_init`: it is ready once it has ended well."""
    name: str = container["name"]
    attempts = observed.containers.get(name, ())
    shown = [info for info in attempts if info.state != "created" or has_ended(info)]
    waiting = facts.waiting.get(name)
    status: Obj = {"name": name}
    if not shown:
        return _unseen_status(pod, container, waiting or default, now)
    newest = shown[0]
    messages = facts.messages
    last = next((info for info in shown[1:] if has_ended(info)), None)
    is_ready, is_started = False, False
    if newest.state == "running":
        health = memory.health.get(newest.id, HEALTHY)
        is_started, is_ready = health.started, health.ready and health.started
        status["state"] = {"running": {"startedAt": _time(newest.started_at)}}
    elif waiting is not None or name in memory.again:
        status["state"] = {"waiting": _waiting(waiting or Waiting("ContainerCreating"))}
        last = newest
    else:
        status["state"] = {"terminated": terminated_state(newest, messages.get(newest.id, ""))}
        is_ready = is_init and exit_code(newest) == 0
    if last is not None:
        status["lastState"] = {"terminated": terminated_state(last, messages.get(last.id, ""))}
    else:
        status["lastState"] = _told_last(pods.status_of(pod, name), newest.uri, now)
    status["ready"] = is_ready
    status["restartCount"] = attempt_of(newest)
    status["image"] = container.get("image", "")
    status["imageID"] = newest.labels.get(names.IMAGE_ID) or newest.image_id
    status["containerID"] = newest.uri
    status["started"] = is_started
    allotted = (memory.allotted or {}).get(name, allotment.resources_of(container))
    if allotted.get("requests"):
        status["allocatedResources"] = allotted["requests"]
    is_running = newest.state == "running"
    status["resources"] = allotment.applied(pod, memory, container, newest) if is_running else allotted
    return status


def never_ready(status: Obj) -> Obj:
    """Of an ephemeral container: nobody asks whether it is, so it is not (as kubelet says it)."""
    return {key: value for key, value in status.items() if key != "started"} | {"ready": False}


def _told_last(known: Mapping[str, Any] | None, current: str, now: datetime) -> Any:
    """`lastState` of a container whose predecessor the engine no longer has: what was said of that one stays."""
    if known is None or not known.get("containerID"):
        return {}
    if known["containerID"] == current:
        return known.get("lastState") or {}
    return _end_of(known, now)


def _end_of(known: Mapping[str, Any], now: datetime) -> Any:
    """How a container that the engine no longer has ended, by what was last said of it (kubelet's ContainerStatusUnknown)."""
    state = known.get("state") or {}
    if state.get("terminated"):
        return state
    if not state.get("running"):
        return known.get("lastState") or {}
    return {
        "terminated": {
            "exitCode": 137,
            "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was deleted.  The container used to be Running",
            "startedAt": state["running"].get("startedAt") or EPOCH,
            "finishedAt": format_time(now),
            "containerID": known["containerID"],
        }
    }


def _waiting(waiting: Waiting) -> Obj:
    return {"reason": waiting.reason, **({"message": waiting.message} if waiting.message else {})}


def _unseen_status(pod: ROObj, container: Mapping[str, Any], waiting: Waiting, now: datetime) -> Obj:
    """Of a container the engine knows nothing of: never made, or removed behind our back."""
    known = pods.status_of(pod, container["name"])
    blank: Obj = {
        "name": container["name"],
        "state": {"waiting": _waiting(waiting)},
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": container.get("image", ""),
        "imageID": "",
        "started": False,
    }
    if known is None or not known.get("containerID"):
        return blank
    state = known.get("state") or {}
    if state.get("terminated"):
        return meta.draft(known)
    last = _end_of(known, now)
    if state.get("running") and (meta.is_deleting(pod) or is_terminal(pod)):
        return {**meta.draft(known), "ready": False, "started": False, "state": last, "lastState": {}}
    return {
        **blank,
        "lastState": last,
        "restartCount": known.get("restartCount", 0),
        "imageID": known.get("imageID", ""),
        "containerID": known["containerID"],
    }
