"""What is written so that an object is again as it was."""

from __future__ import annotations

from typing import Any

import pytest

from minik.cli.rewinding import CannotRewind, current_state, declared, plan_rewind, state_at


def obj(uid: str = "u", **fields: Any) -> dict[str, Any]:
    metadata = {"name": "a", "namespace": "default", "uid": uid, "creationTimestamp": "t", **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": fields.pop("kind", "Thing"), "metadata": metadata, **fields}


def put(revision: int, value: Any) -> dict[str, Any]:
    return {"revision": revision, "type": "PUT", "object": value}


def gone(revision: int) -> dict[str, Any]:
    return {"revision": revision, "type": "DELETE", "object": None}


def history(*versions: Any, oldest: int = 0, revision: int = 100) -> dict[str, Any]:
    return {"versions": list(versions), "oldest": oldest, "revision": revision}


@pytest.mark.parametrize(
    ("at", "state"),
    [(1, None), (10, "ten"), (19, "ten"), (20, "twenty"), (30, None), (39, None), (40, "forty"), (100, "forty")],
)
def test_the_state_at_a_revision_is_what_the_last_write_before_it_left(at: int, state: str | None) -> None:
    versions = history(put(10, "ten"), put(20, "twenty"), gone(30), put(40, "forty"))
    found: Any = state_at(versions, at)
    assert found == state


def test_before_the_history_only_what_its_base_says_is_known() -> None:
    versions = history(put(10, "ten"), put(70, "seventy"), oldest=50)
    base: Any = state_at(versions, 12)
    assert base == "ten"
    with pytest.raises(CannotRewind, match="oldest that is known is 50"):
        state_at(versions, 9)
    with pytest.raises(CannotRewind, match="not retained"):
        state_at(history(put(70, "seventy"), oldest=50), 49)
    assert state_at(history(put(70, "seventy"), oldest=50), 50) is None


def test_the_future_is_not_known() -> None:
    with pytest.raises(CannotRewind, match="yet to come: the last one is 100"):
        state_at(history(put(10, "ten")), 101)


def test_a_value_that_is_not_retained_is_said_so() -> None:
    with pytest.raises(CannotRewind, match="what revision 10 wrote"):
        state_at(history(put(10, None)), 10)


def test_what_is_there_now() -> None:
    assert current_state(history()) is None
    assert current_state(history(put(1, "a"), gone(2))) is None
    last: Any = current_state(history(put(1, "a"), put(2, "b")))
    assert last == "b"


def test_an_update_takes_what_was_declared_and_leaves_the_rest() -> None:
    then = obj(
        metadata={"resourceVersion": "1", "generation": 1, "labels": {"l": "old"}}, spec={"n": 1}, status={"s": 1}
    )
    now = obj(
        metadata={"resourceVersion": "9", "generation": 4, "labels": {"l": "new"}, "finalizers": ["f"], "annotations": {"a": "b"}},
        spec={"n": 2, "m": 3}, more=1, status={"s": 2},
    )  # fmt: skip
    plan = plan_rewind(now, then)
    assert plan.action == "update" and plan.obj == obj(
        metadata={"resourceVersion": "9", "generation": 4, "labels": {"l": "old"}, "finalizers": ["f"]},
        spec={"n": 1}, status={"s": 2},
    )  # fmt: skip
    assert not plan.notes


def test_what_controllers_count_in_annotations_stays() -> None:
    counted = "deployment.kubernetes.io/revision"
    then = obj(metadata={"annotations": {counted: "1", "mine": "old"}})
    plan = plan_rewind(obj(metadata={"annotations": {counted: "7"}}), then)
    assert plan.obj is not None and plan.obj["metadata"]["annotations"] == {counted: "7", "mine": "old"}


def test_nothing_is_done_if_only_the_status_was_another() -> None:
    assert plan_rewind(obj(spec={"n": 1}, status={"s": 2}), obj(spec={"n": 1}, status={"s": 1})).action == "nothing"
    assert plan_rewind(None, None).action == "nothing"


def test_what_was_not_there_is_deleted_if_it_still_is_the_same() -> None:
    plan = plan_rewind(obj(uid="x"), None)
    assert plan.action == "delete" and plan.obj is not None and plan.obj["preconditions"] == {"uid": "x"}


def test_what_was_made_anew_since_is_changed_and_that_is_said() -> None:
    plan = plan_rewind(obj(uid="new", spec={"n": 2}), obj(uid="old", spec={"n": 1}))
    assert plan.action == "update" and plan.obj is not None and plan.obj["metadata"]["uid"] == "new"
    assert any("created anew since" in note for note in plan.notes)


def test_what_is_being_deleted_is_said_to_be() -> None:
    plan = plan_rewind(obj(metadata={"deletionTimestamp": "t"}, spec={"n": 2}), obj(spec={"n": 1}))
    assert any("being deleted" in note for note in plan.notes)


def test_what_was_deleted_is_created_without_what_was_only_its_own() -> None:
    owner = {"kind": "ReplicaSet", "name": "r", "uid": "o"}
    then = obj(
        metadata={
            "resourceVersion": "1", "generation": 3, "labels": {"l": "x"}, "annotations": {"a": "b"}, "ownerReferences": [owner],
            "finalizers": ["f"], "deletionTimestamp": "t",
        },
        spec={"n": 1}, status={"s": 1},
    )  # fmt: skip
    plan = plan_rewind(None, then)
    metadata = {"name": "a", "namespace": "default", "labels": {"l": "x"}, "annotations": {"a": "b"}}
    assert plan.action == "create"
    assert plan.obj == {"apiVersion": "v1", "kind": "Thing", "metadata": metadata, "spec": {"n": 1}}
    assert any("new uid" in note for note in plan.notes) and any("ReplicaSet r" in note for note in plan.notes)


def test_a_pod_is_scheduled_anew() -> None:
    plan = plan_rewind(None, obj(kind="Pod", spec={"nodeName": "n", "containers": []}))
    assert plan.obj is not None and plan.obj["spec"] == {"containers": []}


def test_a_job_gets_a_selector_of_its_own_uid() -> None:
    labels = {"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u", "job-name": "a"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"x": 1}}}
    plan = plan_rewind(None, obj(kind="Job", metadata={"labels": labels}, spec=spec))
    assert plan.obj is not None
    assert plan.obj["spec"] == {"template": {"metadata": {"labels": {"job-name": "a"}}, "spec": {"x": 1}}}
    assert plan.obj["metadata"]["labels"] == {"job-name": "a"}
    own = plan_rewind(None, obj(kind="Job", spec={**spec, "manualSelector": True}))
    assert own.obj is not None and own.obj["spec"]["selector"] == {"matchLabels": labels}


def test_a_plan_outlives_what_controllers_write_and_nothing_else() -> None:
    one = obj(metadata={"resourceVersion": "1", "generation": 1}, spec={"n": 1}, status={"s": 1})
    counted = {"deployment.kubernetes.io/revision": "2"}
    same = obj(
        metadata={"resourceVersion": "2", "generation": 2, "annotations": counted}, spec={"n": 1}, status={"s": 2}
    )
    assert declared(one) == declared(same)
    assert declared(one) != declared(obj(spec={"n": 2}))
    assert declared(one) != declared(obj(uid="other", spec={"n": 1}))
    assert declared(one) != declared(None)
