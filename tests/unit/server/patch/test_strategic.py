"""Strategic merge patch: golden pairs on real kinds, as kubectl makes them."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.errors import BadRequest
from minik.api.schema import schema_of
from minik.server.patch.strategic import apply_strategic_merge_patch

DEPLOYMENT = "io.k8s.api.apps.v1.Deployment"


def deployment(containers: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": containers, **spec}}}}


def patched(obj: dict[str, Any], patch: dict[str, Any], schema: str = DEPLOYMENT) -> dict[str, Any]:
    return apply_strategic_merge_patch(obj, patch, schema_of(schema))


def pod_spec(obj: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = obj["spec"]["template"]["spec"]
    return spec


A = {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}
B = {"name": "b", "image": "b:1"}


def test_set_image_merges_the_container_by_name_and_touches_nothing_else() -> None:
    before = deployment([A, B])
    after = patched(before, deployment([{"name": "a", "image": "a:2"}]))
    assert pod_spec(after)["containers"] == [{**A, "image": "a:2"}, B]
    assert before == deployment([A, B])


def test_new_items_come_first_and_deleted_ones_go() -> None:
    """As upstream has it, and its conformance tests rely on it: without `$setElementOrder` the patch's own order holds, and what the
    server alone has comes after what is new."""
    after = patched(deployment([A, B]), deployment([{"name": "c", "image": "c"}, {"name": "a", "$patch": "delete"}]))
    assert [c["name"] for c in pod_spec(after)["containers"]] == ["c", "b"]
    after = patched(deployment([A, B]), deployment([{"name": "b", "image": "b:2"}]))
    assert [c["name"] for c in pod_spec(after)["containers"]] == ["a", "b"]


def test_an_environment_variable_is_removed_as_apply_does() -> None:
    patch = deployment(
        [{"name": "a", "$setElementOrder/env": [{"name": "Y"}], "env": [{"name": "X", "$patch": "delete"}]}]
    )
    assert pod_spec(patched(deployment([A]), patch))["containers"][0]["env"] == [{"name": "Y", "value": "2"}]


def test_set_element_order_puts_items_in_order_and_keeps_the_servers_own() -> None:
    live = deployment([{"name": n, "image": n} for n in ("injected", "a", "b")])
    patch = deployment([{"name": "c", "image": "c"}])
    pod_spec(patch)["$setElementOrder/containers"] = [{"name": "b"}, {"name": "a"}, {"name": "c"}]
    names = [c["name"] for c in pod_spec(patched(live, patch))["containers"]]
    assert [n for n in names if n != "injected"] == ["b", "a", "c"]
    assert names[0] == "injected"


def test_null_removes_and_atomic_lists_are_replaced() -> None:
    live = deployment([{**A, "args": ["1", "2"]}], nodeSelector={"x": "y"}, hostname="h")
    after = pod_spec(patched(live, deployment([{"name": "a", "args": ["3"]}], nodeSelector={"x": None}, hostname=None)))
    assert after["containers"][0]["args"] == ["3"]
    assert "hostname" not in after
    assert after["nodeSelector"] == {}


def test_ports_merge_by_container_port() -> None:
    live = deployment([{"name": "a", "ports": [{"containerPort": 80, "name": "http"}, {"containerPort": 443}]}])
    after = patched(live, deployment([{"name": "a", "ports": [{"containerPort": 80, "name": "web"}]}]))
    assert pod_spec(after)["containers"][0]["ports"] == [{"containerPort": 80, "name": "web"}, {"containerPort": 443}]


def test_retain_keys_drop_the_other_members_of_a_union() -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert patched(live, patch) == {"spec": {"strategy": {"type": "Recreate"}}}


def test_primitive_lists_with_merge_strategy_unite_and_can_lose_items() -> None:
    live = {"metadata": {"finalizers": ["a", "b"]}}
    assert patched(live, {"metadata": {"finalizers": ["c", "a"]}})["metadata"]["finalizers"] == ["c", "a", "b"]
    less = patched(live, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
    assert less["metadata"]["finalizers"] == ["b"]


def test_replace_directive() -> None:
    live = deployment([A], nodeSelector={"x": "1", "y": "2"})
    after = patched(live, deployment([], nodeSelector={"$patch": "replace", "z": "3"}))
    assert pod_spec(after)["nodeSelector"] == {"z": "3"}
    after = patched(live, deployment([{"$patch": "replace"}, {"name": "z", "image": "z"}]))
    assert pod_spec(after)["containers"] == [{"name": "z", "image": "z"}]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (deployment([{"image": "x"}]), "merge key: name"),
        ({"spec": {"$patch": "explode"}}, "unknown patch type"),
        ({"spec": {"strategy": {"$retainKeys": ["a"], "type": "Recreate"}}}, r"\$retainKeys"),
    ],
)
def test_patches_that_make_no_sense_are_refused(patch: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        patched(deployment([A]), patch)
