"""The scheduler's metrics, under kube-scheduler's names where they mean the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from minik.metrics import Metrics
from minik.sched.hints import Change
from minik.sched.queue import SchedulingQueue, State

_PENDING: Mapping[str, Sequence[State]] = {
    "active": ("ready", "trying", "binding"), "backoff": ("backing off",), "unschedulable": ("parked",), "gated": ("gated",),
}  # fmt: skip


class Figures:
    """What the loop counts; the numbers of waiting pods are taken from `queue` when somebody asks."""

    def __init__(self, metrics: Metrics, queue: SchedulingQueue) -> None:
        attempts = metrics.counter("scheduler_schedule_attempts_total", "Scheduling attempts by result.", ["result"])
        self.scheduled = attempts.labels("scheduled")
        self.unschedulable = attempts.labels("unschedulable")
        self.failed = attempts.labels("error")
        self._woken = metrics.counter(
            "scheduler_queue_incoming_pods_total", "Parked pods that a change of the cluster woke.", ["event"]
        )
        self.preemptions = metrics.counter("scheduler_preemption_attempts_total", "Preemptions carried out.").labels()
        self.victims = metrics.counter("scheduler_preemption_victims_total", "Pods they cost.").labels()
        pending = metrics.gauge("scheduler_pending_pods", "Pods that wait for a node, by where they wait.", ["queue"])

        def count() -> None:
            found = Counter(waiting.state for waiting in queue)
            for name, states in _PENDING.items():
                pending.labels(name).set(sum(found[state] for state in states))

        metrics.on_collect(count)

    def woken(self, change: Change, number: int) -> None:
        """`number` pods were woken by `change`."""
        self._woken.labels(change.kind.replace(" ", "-")).inc(number)
