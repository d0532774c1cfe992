"""Replicas from metrics: the cases of kubernetes' own `replica_calculator_test.go`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from minik.api.meta import Obj
from minik.api.times import format_time
from minik.controllers.common.hpa_metrics import (
    NO_PODS,
    NOT_READY,
    MetricError,
    PodMetric,
    Proposal,
    Readiness,
    Tolerances,
    per_pod_replicas,
    plain_replicas,
    requests_of,
    resource_replicas,
    value_replicas,
)
from minik.controllers.common.hpa_sources import container_metrics, pod_metrics

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
COOL, HOT = NOW - timedelta(minutes=3), NOW
READINESS = Readiness(timedelta(minutes=2), timedelta(seconds=10))
T, F = True, False


def pod(
    number: int, *, ready: bool = True, start: datetime = COOL, phase: str = "Running", request: int | None = 1000
) -> Obj:
    requests = {} if request is None else {"cpu": f"{request}m"}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": format_time(start)}
    return {
        "metadata": {"name": f"pod-{number}"},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]},
        "status": {"phase": phase, "startTime": format_time(start), "conditions": [condition]},
    }


@dataclass(frozen=True)
class Case:
    """Pods `0…`, of which the first have the values `levels`, in order."""

    current: int
    expected: int
    target: int
    levels: tuple[int, ...]
    utilization: int | None = None
    value: int = 0
    requests: tuple[int | None, ...] = ()
    ready: tuple[bool, ...] = ()
    starts: tuple[datetime, ...] = ()
    phases: tuple[str, ...] = ()

    def pods(self) -> list[Obj]:
        count = max(self.current, *map(len, (self.requests, self.ready, self.starts, self.phases)))

        def at(values: tuple, number: int, default: object) -> object:  # type: ignore[type-arg]  # of any one type
            return values[number] if number < len(values) else default

        return [
            pod(
                n,
                ready=at(self.ready, n, True),  # type: ignore[arg-type]  # of the field's own type
                start=at(self.starts, n, COOL),  # type: ignore[arg-type]  # of the field's own type
                phase=at(self.phases, n, "Running"),  # type: ignore[arg-type]  # of the field's own type
                request=at(self.requests, n, 1000),  # type: ignore[arg-type]  # of the field's own type
            )
            for n in range(count)
        ]

    def metrics(self) -> dict[str, PodMetric]:
        return {f"pod-{n}": PodMetric(level, NOW, 60.0) for n, level in enumerate(self.levels)}


RESOURCE = {
    "scale up": Case(3, 5, 30, (300, 500, 700), 50, 500),
    "unready counts less": Case(3, 4, 30, (300, 500, 700), 60, 600, ready=(F, T, T)),
    "hot cpu counts less": Case(3, 4, 30, (300, 500, 700), 60, 600, starts=(HOT, COOL, COOL)),
    "unready: no scale": Case(3, 3, 30, (400, 500, 700), 40, 400, ready=(T, F, F)),
    "hot cpu: no scale": Case(3, 3, 30, (400, 500, 700), 40, 400, ready=(T, F, F), starts=(COOL, HOT, HOT)),
    "failed pods are ignored": Case(
        2, 4, 30, (500, 700), 60, 600, ready=(T, T, F, F), phases=("Running", "Running", "Failed", "Failed")
    ),
    "pending pods hold back": Case(
        3, 3, 50, (650, 650), 65, 650, ready=(T, T, F), phases=("Running", "Running", "Pending")
    ),
    "scale down": Case(5, 3, 50, (100, 300, 500, 250, 250), 28, 280),
    "scale down, unready": Case(5, 2, 50, (100, 300, 500, 250, 250), 30, 300, ready=(T, T, T, F, F)),
    "scale down, hot": Case(5, 2, 50, (100, 300, 500, 250, 250), 30, 300, starts=(COOL, COOL, COOL, HOT, HOT)),
    "tolerance": Case(3, 3, 100, (1010, 1030, 1020), 102, 1020, requests=(900, 1000, 1100)),
    "superfluous metrics": Case(4, 24, 100, (4000, 9500, 3000, 7000, 3200, 2000), 587, 5875),
    "missing metrics": Case(4, 3, 100, (400, 95), 24, 247),
    "missing, as much": Case(2, 2, 100, (1000,), 100, 1000),
    "missing, more": Case(2, 2, 100, (1900,), 190, 1900),
    "missing, less": Case(2, 2, 100, (600,), 60, 600),
    "missing and unready": Case(3, 3, 50, (100, 450), 45, 450, ready=(F, T, T)),
    "missing and hot": Case(3, 3, 50, (100, 450), 45, 450, starts=(HOT, COOL, COOL)),
    "missing and unready, up": Case(3, 4, 50, (100, 2000), 200, 2000, ready=(F, T, T)),
    "missing and hot, up": Case(3, 4, 50, (100, 2000), 200, 2000, starts=(HOT, COOL, COOL)),
    "missing and unready, down": Case(4, 3, 50, (100, 100, 100), 10, 100, ready=(F, T, T, T)),
    "a surge turns nothing round": Case(2, 2, 50, (100, 100), 10, 100, requests=(1000, 1000, 1000)),
}


@pytest.mark.parametrize("case", RESOURCE.values(), ids=RESOURCE)
def test_resource(case: Case) -> None:
    found = resource_replicas(
        case.current, case.target, "cpu", case.metrics(), case.pods(), tolerances=Tolerances(), now=NOW,
        readiness=READINESS,
    )  # fmt: skip
    assert found == Proposal(case.expected, case.value, case.utilization)


PLAIN = {
    "scale up": Case(3, 4, 15000, (20000, 10000, 30000), value=20000),
    "readiness is for cpu": Case(3, 6, 15000, (50000, 10000, 30000), value=30000, ready=(T, F, T), starts=(COOL, COOL, HOT)),
    "all of them": Case(3, 7, 15000, (50000, 15000, 30000), value=31666, ready=(F, T, F), starts=(HOT, COOL, HOT)),
    "scale down": Case(5, 3, 20000, (12000,) * 5, value=12000),
    "tolerance": Case(3, 3, 20000, (20000, 21000, 21000), value=20666),
    "a surge turns nothing round": Case(2, 2, 17000, (10000, 10000), value=10000, requests=(1000,) * 3),
}  # fmt: skip


@pytest.mark.parametrize("case", PLAIN.values(), ids=PLAIN)
def test_plain(case: Case) -> None:
    found = plain_replicas(
        case.current,
        case.target,
        "",
        case.metrics(),
        case.pods(),
        tolerances=Tolerances(),
        now=NOW,
        readiness=READINESS,
    )
    assert found == Proposal(case.expected, case.value)


@pytest.mark.parametrize(
    ("current", "target", "usage", "ready", "expected"),
    [
        (3, 15000, 20000, (T, T, T), 4),
        (3, 10000, 50000, (T, F, F), 5),
        (3, 4400, 8600, (T, F, F), 2),
        (1, 4400, 8600, (T,), 2),
        (3, 4400, 4334, (T, T, T), 3),
        (0, 1000, 2500, (), 3),
        (0, 1000, 0, (), 0),
        (1, 1, 2**62, (T,), 2**31 - 1),
    ],
)
def test_whole_values(current: int, target: int, usage: int, ready: tuple[bool, ...], expected: int) -> None:
    some = [pod(n, ready=value) for n, value in enumerate(ready)]
    assert value_replicas(current, target, usage, some, tolerances=Tolerances()) == Proposal(expected, usage)


@pytest.mark.parametrize(
    ("replicas", "target", "usage", "expected"),
    [(3, 10000, 40000, Proposal(4, 13334)), (3, 2150, 8600, Proposal(4, 2867)), (3, 2150, 6600, Proposal(3, 2200)),
     (0, 1000, 2500, Proposal(3, 2500))],
)  # fmt: skip
def test_per_pod_values(replicas: int, target: int, usage: int, expected: Proposal) -> None:
    assert per_pod_replicas(replicas, target, usage, tolerances=Tolerances()) == expected


def test_tolerances_of_their_own() -> None:
    case = Case(10, 10, 50, (520,) * 10)
    for tolerances, expected in ((Tolerances(), 10), (Tolerances(up=0.03), 11), (Tolerances(down=0.0), 10)):
        found = resource_replicas(10, 50, "cpu", case.metrics(), case.pods(), tolerances=tolerances, now=NOW)
        assert found.replicas == expected


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (Case(1, 0, 100, (100,), requests=(None,)), "missing request for cpu in container c of Pod pod-0"),
        (Case(2, 0, 100, ()), NOT_READY),
        (Case(1, 0, 100, (100,), requests=(0,)), "no metrics returned matched known pods"),
    ],
)
def test_what_cannot_be_computed(case: Case, why: str) -> None:
    with pytest.raises(MetricError, match=f"^{why}$".replace("(", r"\(").replace(")", r"\)")):
        resource_replicas(
            case.current, case.target, "cpu", case.metrics(), case.pods(), tolerances=Tolerances(), now=NOW
        )
    with pytest.raises(MetricError, match=NO_PODS):
        resource_replicas(1, 50, "cpu", {}, [], tolerances=Tolerances(), now=NOW)


def test_requests() -> None:
    one = pod(0)
    one["spec"]["initContainers"] = [
        {"name": "init", "resources": {}},
        {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "250m"}}},
    ]
    assert requests_of([one], "cpu") == {"pod-0": 1250}
    assert requests_of([one], "cpu", "side") == {"pod-0": 250}
    with pytest.raises(MetricError, match="container other not found in Pod pod-0"):
        requests_of([one], "cpu", "other")
    one["spec"]["resources"] = {"requests": {"memory": "1Ki"}}
    assert requests_of([one], "memory") == {"pod-0": 1024_000}


def test_metrics_of_pods() -> None:
    def metrics(name: str, **containers: dict[str, str]) -> Obj:
        listed = [{"name": n, "usage": usage} for n, usage in containers.items()]
        return {
            "metadata": {"name": name, "namespace": "ns"}, "timestamp": format_time(NOW), "window": "1m0.5s",
            "containers": listed,
        }  # fmt: skip

    both = metrics("a", x={"cpu": "250m", "memory": "1Ki"}, y={"cpu": "1500000n"})
    found = pod_metrics([both, metrics("b")], "cpu")
    assert found == {"a": PodMetric(252, NOW, 60.5)}
    assert pod_metrics([both], "memory") == {}, "a container without a value is no zero"
    assert container_metrics([both], "cpu", "y") == {"a": PodMetric(2, NOW, 60.5)}
    with pytest.raises(MetricError, match="container x not present in metrics for pod ns/b"):
        container_metrics([both, metrics("b")], "cpu", "x")
