"""A Job never counts a pod twice, and no two pods work on one index, at no revision. `monitors.py` tells it every event of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj

CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass
class _Seen:
    """What was published of one Job's pods so far, by uid."""

    known: set[str] = field(default_factory=set)
    succeeded: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    """Failed, or deleted before they had ended."""
    counted: tuple[int, int] = (0, 0)
    indexes: dict[str, set[str]] = field(default_factory=dict)
    """Completion index → the pods that are at work on it."""


class JobMonitor:
    """`problem(text)` is called for each count that cannot be."""

    def __init__(self, problem: Callable[[str], None]) -> None:
        self._problem = problem
        self._jobs: dict[str, _Seen] = {}

    def pod(self, pod: ROObj, *, is_gone: bool = False) -> None:
        """A state of a pod, or its last one."""
        job = meta.labels(pod).get(CONTROLLER_UID)
        if not job:
            return
        seen = self._jobs.setdefault(job, _Seen())
        seen.known.add(meta.uid(pod))
        self._index(job, seen, pod, is_at_work=pods.is_active(pod) and not is_gone)
        phase = pods.phase(pod)
        if phase == "Succeeded":
            seen.succeeded.add(meta.uid(pod))
        elif phase == "Failed" or meta.is_deleting(pod) or is_gone:
            seen.ended.add(meta.uid(pod))

    def _index(self, job: str, seen: _Seen, pod: ROObj, *, is_at_work: bool) -> None:
        index = meta.labels(pod).get(INDEX)
        if index is None:
            return
        at_work = seen.indexes.setdefault(index, set())
        (at_work.add if is_at_work else at_work.discard)(meta.uid(pod))
        if len(at_work) > 1:
            self._problem(f"pod {meta.key(pod)} is the {len(at_work)}th at work on index {index} of job {job}")

    def job(self, job: ROObj) -> None:
        """A state of a Job."""
        seen = self._jobs.setdefault(meta.uid(job), _Seen())
        status = job.get("status") or {}
        counted = (status.get("succeeded") or 0, status.get("failed") or 0)
        name = meta.key(job)
        if counted[0] > len(seen.succeeded):
            self._problem(f"job {name} says {counted[0]} succeeded, {len(seen.succeeded)} did")
        failing = any(c["type"] == "FailureTarget" for c in status.get("conditions") or ())
        if counted[1] > len(seen.ended) and not failing:  # a Job that fails takes its last pods for failed
            self._problem(f"job {name} says {counted[1]} failed, {len(seen.ended)} did")
        if sum(counted) > len(seen.known):
            self._problem(f"job {name} counts {counted}, and had {len(seen.known)} pods")
        if counted[0] < seen.counted[0] or counted[1] < seen.counted[1]:
            self._problem(f"job {name} counted {seen.counted}, and then {counted}")
        seen.counted = counted
