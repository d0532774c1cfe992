"""Jobs as kinds: defaults, generated labels, validation in upstream's words, columns, index sets."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from minik.api.batch_v1.indexes import Indexes, check_indexes, parse_indexes
from minik.api.errors import invalid_object
from minik.api.meta import Obj
from tests.unit.api.objects import REGISTRY, admitted, container, update_problems
from tests.unit.api.objects import problems as checked

JOB = REGISTRY["jobs.batch"]
SUFFIX = "batch.kubernetes.io/"


def job(**spec: Any) -> Obj:
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "default"},
            "spec": {"template": template, **spec}}  # fmt: skip


def made(**spec: Any) -> Obj:
    draft = admitted("jobs.batch", job(**spec))
    draft["metadata"]["uid"] = "u1"
    JOB.identify(draft)
    return draft


def problems(**spec: Any) -> list[str]:
    return [str(error) for error in JOB.validate(made(**spec))]


def test_defaults() -> None:
    spec = made()["spec"]
    labels = {"controller-uid": "u1", "job-name": "j", f"{SUFFIX}controller-uid": "u1", f"{SUFFIX}job-name": "j"}
    assert {k: v for k, v in spec.items() if k != "template"} == {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
        "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {f"{SUFFIX}controller-uid": "u1"}},
    }  # fmt: skip
    assert spec["template"]["metadata"]["labels"] == labels and made()["metadata"]["labels"] == labels
    assert "completions" not in made(parallelism=2)["spec"]
    policy = made(podFailurePolicy={"rules": [{"action": "Count", "onPodConditions": [{"type": "X"}]}]})["spec"]
    assert policy["podReplacementPolicy"] == "Failed"
    assert policy["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "X", "status": "True"}]


INDEXED = {"completionMode": "Indexed", "completions": 3}
ZERO = "must be greater than or equal to 0"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"parallelism": -1}, [f"spec.parallelism: Invalid value: -1: {ZERO}"]),
        ({"completionMode": "Indexed", "parallelism": 1}, ["spec.completions: Required value: when completion mode is Indexed"]),
        ({"backoffLimitPerIndex": 1}, ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"]),
        (INDEXED | {"maxFailedIndexes": 1}, ["spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"]),
        (
            INDEXED | {"maxFailedIndexes": 4, "backoffLimitPerIndex": 1},
            ["spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions"],
        ),
        ({"managedBy": "me"}, ['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")']),
        (
            {"podReplacementPolicy": "Never"},
            ['spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", "TerminatingOrFailed"'],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3, 0]}}]}},
            [
                "spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
                "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0]: must be ordered",
            ],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Ignore"}]}},
            ["spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required"],
        ),
        ({"successPolicy": {"rules": []}}, ['spec.successPolicy: Invalid value: {"rules":[]}: requires indexed completion mode']),
        (
            INDEXED | {"successPolicy": {"rules": [{"succeededIndexes": "0,5", "succeededCount": 1}]}},
            [
                'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0,5": error parsing succeededIndexes:'
                ' too large index: "5"',
                "spec.successPolicy.rules[0].succeededCount: Invalid value: 1: must be less than or equal to 0 (the number of"
                " indexes in the specified succeededIndexes field)",
            ],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_job(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(**spec) == expected


def test_labels_of_ones_own_must_agree_with_the_generated_ones() -> None:
    draft = made()
    draft["spec"]["template"]["metadata"]["labels"]["job-name"] = "other"
    found = invalid_object(group="batch", kind="Job", name="j", errors=JOB.validate(draft)).message
    assert "spec.template.metadata.labels[job-name]: Invalid value:" in found and "must be 'j'" in found


@pytest.mark.parametrize(
    ("spec", "change", "refused"),
    [
        ({}, {"parallelism": 5}, ""),
        ({}, {"completions": 5}, "spec.completions: Invalid value: 5: field is immutable"),
        (INDEXED, {"completions": 5, "parallelism": 5}, ""),
        (INDEXED, {"completions": 5}, "can only be modified in tandem with spec.parallelism"),
        ({}, {"backoffLimit": 9}, ""),
        ({}, {"managedBy": "a.b/c"}, "spec.managedBy: Invalid value"),
        ({}, {"selector": {"matchLabels": {"a": "b"}}}, "spec.selector: Invalid value"),
    ],
)
def test_what_an_update_may_change(spec: dict[str, Any], change: dict[str, Any], refused: str) -> None:
    old = made(**copy.deepcopy(spec))
    found = update_problems("jobs.batch", old, lambda draft: draft["spec"].update(change))
    assert bool(found) == bool(refused) and (not refused or any(refused in each for each in found)), found


def test_the_template_moves_only_while_the_job_never_started() -> None:
    def move(draft: Obj) -> None:
        draft["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}

    waiting = made(suspend=True)
    assert update_problems("jobs.batch", waiting, move) == []
    assert update_problems("jobs.batch", waiting | {"status": {"startTime": "2026-01-01T00:00:00Z"}}, move)
    assert update_problems("jobs.batch", made(), move)


DONE = [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}]
T0, T1 = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ({}, {"active": 1, "ready": 1, "startTime": T0}, ""),
        ({"failed": 2}, {"failed": 1}, "cannot decrease the failed counter"),
        ({}, {"conditions": DONE[1:], "startTime": T0, "completionTime": T1}, "without the SuccessCriteriaMet=true"),
        ({}, {"conditions": DONE, "startTime": T0, "completionTime": T1}, ""),
        ({}, {"conditions": DONE, "startTime": T0}, "completionTime is required for Complete jobs"),
        (
            {},
            {"conditions": DONE, "startTime": T1, "completionTime": T0},
            "completionTime cannot be set before startTime",
        ),
        ({"conditions": DONE}, {}, "cannot disable the terminal Complete=True condition"),
        ({}, {"conditions": [{"type": "Failed", "status": "True"}], "startTime": T0}, "without the FailureTarget=true"),
        ({}, {"ready": 2, "active": 1}, "cannot set more ready pods than active"),
        ({}, {"uncountedTerminatedPods": {"succeeded": ["a"], "failed": ["a"]}}, "Duplicate value"),
        ({"startTime": T0}, {"startTime": T1}, "startTime cannot be removed for unsuspended job"),
        ({}, {"completedIndexes": "1"}, "non-indexed completion mode"),
    ],
)
def test_what_a_status_may_say(before: dict[str, Any], after: dict[str, Any], refused: str) -> None:
    spec = made()
    found = [str(error) for error in JOB.validate_status({**spec, "status": after}, {**spec, "status": before})]
    assert bool(found) == bool(refused) and (not refused or any(refused in each for each in found)), found


def test_columns() -> None:
    draft = made(completions=3) | {"status": {"succeeded": 1, "startTime": T0}}
    now = datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)
    assert [column.value(draft, now) for column in JOB.columns[:3]] == ["Running", "1/3", "90s"]
    draft["status"] |= {"conditions": DONE, "completionTime": T1}
    assert [column.value(draft, now) for column in JOB.columns[:3]] == ["Complete", "1/3", "60s"]


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([3], "3"), ([1, 2], "1,2"), ([4, 1, 2, 3, 9], "1-4,9"), ([0, 2, 4], "0,2,4")]
)
def test_index_sets(numbers: list[int], text: str) -> None:
    found = Indexes.of(numbers)
    assert str(found) == text and parse_indexes(text, 10) == found and check_indexes(text, 10) == len(numbers)
    assert sorted(numbers) == list(found) and all((n in found) == (n in numbers) for n in range(12))
    assert (found | Indexes.of([5])).missing(100, 10) == [n for n in range(10) if n not in numbers and n != 5]


@pytest.mark.parametrize("text", ["a", "1,1", "3-2", "1-2-3", "0-10", "-1"])
def test_bad_index_sets(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_indexes(text, 10)


def cron_job(**spec: Any) -> Obj:
    body = {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job()["spec"]}, **spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "default"},
        "spec": body,
    }


def test_defaults_of_a_cron_job() -> None:
    spec = admitted("cronjobs.batch", cron_job())["spec"]
    assert {k: v for k, v in spec.items() if k != "jobTemplate"} == {
        "schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }  # fmt: skip
    assert spec["jobTemplate"]["spec"].keys() == {"template"}, "a Job's own defaults come with the Job"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"schedule": ""}, ["spec.schedule: Required value"]),
        (
            {"schedule": "TZ=UTC 0 * * * *"},
            [
                'spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field'
                " instead"
            ],
        ),
        (
            {"timeZone": "Mars/Olympus"},
            ['spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus'],
        ),
        ({"timeZone": "Europe/Berlin"}, []),
        (
            {"concurrencyPolicy": "Queue"},
            ['spec.concurrencyPolicy: Unsupported value: "Queue": supported values: "Allow", "Forbid", "Replace"'],
        ),
        (
            {"jobTemplate": {"spec": job(manualSelector=True)["spec"]}},
            ['spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "false", "nil"'],
        ),
        ({"failedJobsHistoryLimit": -1}, [f"spec.failedJobsHistoryLimit: Invalid value: -1: {ZERO}"]),
    ],
)
def test_what_is_wrong_with_a_cron_job(spec: dict[str, Any], expected: list[str]) -> None:
    assert checked("cronjobs.batch", cron_job(**spec)) == expected
