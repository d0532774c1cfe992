"""Reading a Job's pods: index, failure, finish time, and what the Job's failure policy says of one (KEP-3329). All pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from minik.api import meta, times
from minik.api.batch_v1 import jobs
from minik.api.core_v1 import pods
from minik.api.meta import ROObj


def is_tracked(pod: ROObj) -> bool:
    """Whether it is still to be counted."""
    return jobs.TRACKING in meta.finalizers(pod)


def index_of(pod: ROObj) -> int | None:
    """Its completion index, or None."""
    return _number(meta.annotations(pod).get(jobs.COMPLETION_INDEX))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def failures_of_index(pod: ROObj) -> int:
    """How many pods of its index had failed, and counted, before it was created."""
    return _number(meta.annotations(pod).get(jobs.INDEX_FAILURES)) or 0


def ignored_failures_of_index(pod: ROObj) -> int:
    return _number(meta.annotations(pod).get(jobs.INDEX_IGNORED_FAILURES)) or 0


def is_terminating(pod: ROObj) -> bool:
    return meta.is_deleting(pod) and not pods.is_finished(pod)


def is_failed(job: ROObj, pod: ROObj) -> bool:
    """Failed; or being deleted, unless the Job waits for how that ends."""
    phase = pods.phase(pod)
    if phase == "Failed":
        return True
    return meta.is_deleting(pod) and phase != "Succeeded" and not jobs.replaces_failed_only(job)


def finished_at(pod: ROObj) -> datetime:
    """When its last container ended; else when it became unready, was to be deleted, or was created."""
    ended = [
        ((status.get("state") or {}).get("terminated") or {}).get("finishedAt")
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
    ]
    if ended and all(ended):
        return max(times.parse_time(each) for each in ended)
    ready = meta.condition(pod, "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return times.parse_time(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
        return times.parse_time(metadata["deletionTimestamp"]) - grace
    return times.parse_time(metadata["creationTimestamp"])


# --- podFailurePolicy -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """What the failure policy says of a failed pod. `action` "" if no rule matches: it counts."""

    action: str = ""
    message: str = ""
    """Why the Job fails, for FailJob."""

    @property
    def counts(self) -> bool:
        return self.action != "Ignore"


_COUNTS = FailureVerdict()


def judge_failure(job: ROObj, pod: ROObj) -> FailureVerdict:
    """The first rule of spec.podFailurePolicy that matches a failed pod."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    who = f"{meta.namespace(pod)}/{meta.name(pod)}"
    for number, rule in enumerate(rules):
        action = rule.get("action", "")
        if rule.get("onExitCodes") is not None:
            status = _matching_container(pod, rule["onExitCodes"])
            if status is None:
                continue
            code = status["state"]["terminated"].get("exitCode")
            text = f"Container {status['name']} for pod {who} failed with exit code {code}"
        else:
            condition = _matching_condition(pod, rule.get("onPodConditions") or ())
            if condition is None:
                continue
            text = f"Pod {who} has condition {condition}"
        message = f"{text} matching {action} rule at index {number}" if action == "FailJob" else ""
        return FailureVerdict(action, message)
    return _COUNTS


def _matching_container(pod: ROObj, requirement: Mapping[str, Any]) -> Mapping[str, Any] | None:
    name, values = requirement.get("containerName"), requirement.get("values") or ()
    wanted = requirement.get("operator") == "In"
    for container in pods.statuses(pod):
        terminated = (container.get("state") or {}).get("terminated")
        if terminated is None or not terminated.get("exitCode") or name not in (None, container.get("name")):
            continue
        if (terminated["exitCode"] in values) == wanted:
            return container
    return None


def _matching_condition(pod: ROObj, patterns: Iterable[Mapping[str, Any]]) -> str | None:
    for pattern in patterns:
        condition = meta.condition(pod, pattern.get("type", ""))
        if condition is not None and condition.get("status") == pattern.get("status", "True"):
            return str(condition["type"])
    return None
