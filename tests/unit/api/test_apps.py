"""DaemonSet, StatefulSet and ControllerRevision as kinds: defaults and validation in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.meta import Obj
from tests.unit.api.objects import REGISTRY, admitted, deployment, problems, update_problems

LABELS = {"app": "web"}


def daemon_set(**spec: Any) -> Obj:
    return deployment(**spec) | {"kind": "DaemonSet"}


def test_defaults_of_a_daemon_set() -> None:
    made = admitted("daemonsets.apps", daemon_set())
    assert made["spec"]["updateStrategy"] == {
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
    }  # fmt: skip
    assert made["spec"]["revisionHistoryLimit"] == 10
    assert made["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}
    assert admitted("daemonsets.apps", daemon_set(updateStrategy={"type": "OnDelete"}))["spec"]["updateStrategy"] == {
        "type": "OnDelete"
    }


def rolling(**bounds: Any) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": bounds}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        (rolling(maxUnavailable=0, maxSurge=1), []),
        (
            rolling(maxUnavailable=0),
            ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
        ),
        (
            rolling(maxSurge="10%"),
            [
                'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "10%": may not be set when maxUnavailable is'
                " non-zero"
            ],
        ),
        ({"minReadySeconds": -1}, ["spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"]),
    ],
)
def test_what_is_wrong_with_a_daemon_set(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems("daemonsets.apps", daemon_set(**spec)) == expected


def test_the_template_of_a_daemon_set_is_numbered() -> None:
    kind = REGISTRY["daemonsets.apps"]
    old = admitted("daemonsets.apps", daemon_set())
    new = admitted("daemonsets.apps", daemon_set(minReadySeconds=3))
    kind.prepare_update(new, old)
    assert new["metadata"]["annotations"]["deprecated.daemonset.template.generation"] == "1"
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    kind.prepare_update(new, old)
    assert new["metadata"]["annotations"]["deprecated.daemonset.template.generation"] == "2"


def revision(**more: Any) -> Obj:
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r", "namespace": "default"},
            "data": {"spec": {}}, "revision": 1, **more}  # fmt: skip


def test_revisions() -> None:
    resource = "controllerrevisions.apps"
    assert problems(resource, revision()) == []
    assert problems(resource, revision(data=None)) == ["data: Required value: data is mandatory"]
    assert problems(resource, revision(revision=-1))
    old = admitted(resource, revision())
    assert update_problems(resource, old, lambda draft: draft.update(revision=5)) == []
    assert update_problems(resource, old, lambda draft: draft.update(data={"x": 1}))


def stateful_set(**spec: Any) -> Obj:
    return deployment(**spec) | {"kind": "StatefulSet"}


def test_defaults_of_a_stateful_set() -> None:
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    spec = admitted("statefulsets.apps", stateful_set(volumeClaimTemplates=[claim]))["spec"]
    assert {k: v for k, v in spec.items() if k not in ("template", "selector", "volumeClaimTemplates")} == {
        "replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }  # fmt: skip
    made = spec["volumeClaimTemplates"][0]
    assert (made["kind"], made["spec"]["volumeMode"], made["status"]) == (
        "PersistentVolumeClaim", "Filesystem", {"phase": "Pending"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        (
            {"podManagementPolicy": "X"},
            ["spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'"],
        ),
        (
            rolling(maxUnavailable=0),
            ["spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"],
        ),
        (
            rolling(partition=-1),
            ["spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"],
        ),
        ({"ordinals": {"start": -1}}, ["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"]),
        (
            {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Keep"}},
            [
                'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Delete",'
                ' "Retain"'
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_stateful_set(spec: dict[str, Any], expected: list[str]) -> None:
    assert problems("statefulsets.apps", stateful_set(**spec)) == expected


def test_what_an_update_of_a_stateful_set_may_change() -> None:
    old = admitted("statefulsets.apps", stateful_set())

    def change(**fields: Any) -> list[str]:
        return update_problems("statefulsets.apps", old, lambda draft: draft["spec"].update(fields))

    assert change(replicas=5, minReadySeconds=3, ordinals={"start": 1}) == []
    assert change(serviceName="x")[0].startswith("spec: Forbidden: updates to statefulset spec for fields other than")
