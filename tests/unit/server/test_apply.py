"""Server-side apply without a server: field sets, merges, ownership and conflicts. Cases after structured-merge-diff's own."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api.builtin import BUILTIN
from minik.api.errors import Conflict
from minik.api.kind import Kind
from minik.api.structural import CustomSchema
from minik.server.apply.fieldset import FieldSet, field_set, from_fields_v1, path_text, to_fields_v1
from minik.server.apply.managers import Applied, applied, parse, tracked
from minik.server.apply.types import type_named, type_of_kind
from minik.server.apply.walk import check, compared, fields_of, merged, without

Obj = dict[str, Any]
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
DEPLOYMENT = next(kind for kind in BUILTIN if kind.kind == "Deployment")
CONFIG_MAP = next(kind for kind in BUILTIN if kind.kind == "ConfigMap")
POD_SPEC = type_named("io.k8s.api.core.v1.PodSpec")


def paths(fields: FieldSet) -> set[str]:
    return {path_text(path) for path in fields}


def config_map(data: dict[str, str], **metadata: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}, "data": data}


def deployment(spec: Obj, **metadata: Any) -> Obj:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", **metadata}, "spec": spec}


def apply(live: Obj | None, config: Obj, manager: str = "me", *, force: bool = False, now: str = NOW) -> Obj:
    """What a server would store."""
    kind = DEPLOYMENT if config["kind"] == "Deployment" else CONFIG_MAP
    made: Applied = applied(live, config, kind, manager=manager, subresource="", force=force, now=now)
    made.obj["metadata"] = {**made.obj["metadata"], "managedFields": made.entries}
    return made.obj


def update(
    live: Obj, new: Obj, manager: str, *, now: str = LATER, kind: Kind = CONFIG_MAP, subresource: str = ""
) -> Obj:
    draft = {**new, "metadata": {**new["metadata"], "managedFields": live["metadata"].get("managedFields")}}
    tracked(draft, live, kind, manager=manager, subresource=subresource, now=now)
    return draft


def owned(obj: Obj, manager: str) -> set[str]:
    return {
        path
        for who, each in parse(obj["metadata"].get("managedFields")).items()
        if who.manager == manager
        for path in paths(each.fields)
    }


# --- sets ---------------------------------------------------------------------------------------------------------


def test_the_form_in_which_sets_are_kept() -> None:
    text = {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}, "f:replicas": {}},
    }
    fields = from_fields_v1(text)
    assert to_fields_v1(fields) == text
    assert paths(fields) == {
        ".metadata.labels", ".metadata.labels.app", ".spec.replicas", '.spec.containers[name="web"]',
        '.spec.containers[name="web"].image', '.spec.containers[name="web"].name',
    }  # fmt: skip
    assert ("f:spec", "f:replicas") in fields and ("f:spec",) not in fields


@pytest.mark.parametrize("wrong", [[], {"replicas": {}}, {"f:a": 3}])
def test_what_is_no_set(wrong: Any) -> None:
    with pytest.raises(ValueError):
        from_fields_v1(wrong)


def test_sets_are_joined_and_taken_from_each_other() -> None:
    first, second = field_set("a", "b.c", "b.d.e"), field_set("b.c", "b.d", "f")
    assert paths(first | second) == {".a", ".b.c", ".b.d", ".b.d.e", ".f"}
    assert paths(first & second) == {".b.c"}
    assert paths(first - second) == {".a", ".b.d.e"}, "what is below a path is another path"
    assert paths(first.outside(second)) == {".a"}
    assert not first - first and not FieldSet() and first == from_fields_v1(to_fields_v1(first))


# --- walks --------------------------------------------------------------------------------------------------------


def test_what_is_owned_by_who_applies_it() -> None:
    spec = {
        "containers": [
            {"name": "web", "ports": [{"containerPort": 80}], "env": [], "args": ["a", "b"], "resources": {}}
        ],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a"}],
    }
    web = '.containers[name="web"]'
    port = f'{web}.ports[containerPort=80,protocol="TCP"]'
    assert paths(fields_of(spec, POD_SPEC)) == {
        web, f"{web}.name", port, f"{port}.containerPort", f"{web}.args", f"{web}.resources", ".nodeSelector", ".tolerations",
    }, "a key that is left out has its default, an empty map is a leaf, an atomic list and map are one"  # fmt: skip


def test_items_of_lists_are_merged_by_key_in_the_order_that_is_applied() -> None:
    live = {"containers": [{"name": name, "image": "old"} for name in ("a", "b", "c", "d")]}
    config = {"containers": [{"name": "new"}, {"name": "c", "image": "new"}, {"name": "a"}]}
    made = merged(live, config, POD_SPEC)
    assert [(c["name"], c.get("image")) for c in made["containers"]] == [
        ("b", "old"), ("new", None), ("c", "new"), ("d", "old"), ("a", "old"),
    ]  # fmt: skip
    assert [c["name"] for c in live["containers"]] == ["a", "b", "c", "d"]


def test_sets_are_joined_and_atomic_lists_replaced() -> None:
    meta_type = type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    assert merged({"finalizers": ["x/a", "x/b"]}, {"finalizers": ["x/c", "x/b"]}, meta_type) == {
        "finalizers": ["x/a", "x/c", "x/b"]
    }
    assert merged({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, POD_SPEC) == {
        "tolerations": [{"key": "b"}]
    }


def test_states_are_compared_by_their_leaves_and_what_they_make_up() -> None:
    old = {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "nodeName": "n"}
    new = {"containers": [{"name": "c"}, {"name": "a", "image": "2"}], "hostNetwork": True}
    found = compared(old, new, POD_SPEC)
    assert paths(found.added) == {'.containers[name="c"]', '.containers[name="c"].name', ".hostNetwork"}
    assert paths(found.modified) == {'.containers[name="a"].image'}
    assert paths(found.removed) == {'.containers[name="b"]', '.containers[name="b"].name', ".nodeName"}
    assert not compared(old, {**old, "containers": list(reversed(old["containers"]))}, POD_SPEC), "order is nobody's"


def test_fields_are_taken_away() -> None:
    spec = {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "nodeName": "n", "nodeSelector": {"a": "b"}}
    gone = FieldSet()
    gone.add("f:containers", 'k:{"name":"b"}')
    gone.add("f:containers", 'k:{"name":"a"}', "f:image")
    gone.add("f:nodeName")
    assert without(spec, gone, POD_SPEC) == {"containers": [{"name": "a"}], "nodeSelector": {"a": "b"}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"replica": 3}, ".spec.replica: field not declared in schema"),
        ({"replicas": "3"}, '.spec.replicas: expected numeric (int or float), got "3"'),
        ({"paused": 1}, ".spec.paused: expected boolean, got 1"),
        ({"template": []}, ".spec.template: expected map, got []"),
        ({"template": {"spec": {"containers": {}}}}, ".spec.template.spec.containers: expected list, got {}"),
        (
            {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a", "foo": 1}]}}},
            '.spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
    ],
)
def test_what_cannot_be_applied(spec: Obj, why: str) -> None:
    assert why in check(deployment(spec), type_of_kind(DEPLOYMENT))


def test_quantities_may_be_numbers_and_nulls_are_nothing() -> None:
    resources = {"limits": {"cpu": 1, "memory": "1Gi"}}
    template = {
        "metadata": {"creationTimestamp": None},
        "spec": {"containers": [{"name": "a", "resources": resources}]},
    }
    assert check(deployment({"template": template}), type_of_kind(DEPLOYMENT)) == []


# --- who owns what ------------------------------------------------------------------------------------------------


def test_a_first_apply_owns_what_it_says() -> None:
    made = apply(None, config_map({"a": "1"}, labels={"x": "y"}))
    entry = made["metadata"]["managedFields"]
    assert entry == [
        {
            "manager": "me", "operation": "Apply", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:x": {}}}},
        }
    ]  # fmt: skip


def test_what_is_applied_no_more_goes_unless_others_own_it() -> None:
    first = apply(None, config_map({"a": "1", "b": "2", "c": "3"}))
    second = apply(first, config_map({"b": "2"}), "you")
    third = apply(second, config_map({"a": "1"}), now=LATER)
    assert third["data"] == {"a": "1", "b": "2"}
    assert owned(third, "me") == {".data.a"} and owned(third, "you") == {".data.b"}


def test_conflicts_name_who_owns_what_and_may_be_forced() -> None:
    live = apply(None, config_map({"a": "1", "b": "1"}))
    with pytest.raises(Conflict) as caught:
        apply(live, config_map({"a": "2"}), "you")
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "me": .data.a'
    assert (caught.value.details or {})["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "me"', "field": ".data.a"}
    ]
    with pytest.raises(Conflict, match=r'Apply failed with 2 conflicts: conflicts with "me":\n- .data.a\n- .data.b'):
        apply(live, config_map({"a": "2", "b": "2"}), "you")
    forced = apply(live, config_map({"a": "2"}), "you", force=True)
    assert forced["data"] == {"a": "2", "b": "1"}
    assert owned(forced, "me") == {".data.b"} and owned(forced, "you") == {".data.a"}


def test_the_same_value_is_owned_together() -> None:
    live = apply(apply(None, config_map({"a": "1"})), config_map({"a": "1"}), "you", now=LATER)
    assert owned(live, "me") == owned(live, "you") == {".data.a"}
    again = apply(live, config_map({"a": "1"}), "you", now="2026-01-01T01:00:00Z")
    assert again == live, "an apply that changes nothing changes no time either"
    alone = apply(live, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}})
    assert alone["data"] == {"a": "1"} and owned(alone, "me") == set()


def test_what_was_there_before_the_first_apply_is_somebodys() -> None:
    live = config_map({"a": "1", "b": "1"}, uid="u", resourceVersion="4")
    with pytest.raises(Conflict, match=r'conflict with "before-first-apply" using v1: .data.a'):
        apply(live, config_map({"a": "2"}))
    made = apply(live, config_map({"a": "1", "c": "1"}))
    assert made["data"] == {"a": "1", "b": "1", "c": "1"}
    assert owned(made, "before-first-apply") == {".data", ".data.a", ".data.b"}


def test_kubectl_goes_over_from_applying_by_itself() -> None:
    config = config_map({"a": "1", "b": "1"})
    note = '{"apiVersion":"v1","data":{"a":"1","b":"1"},"kind":"ConfigMap","metadata":{"name":"c"}}'
    live = config_map({"a": "1", "b": "other"}, annotations={"kubectl.kubernetes.io/last-applied-configuration": note})
    with pytest.raises(Conflict, match=r"1 conflict: conflict with \"before-first-apply\" using v1: .data.b"):
        apply(live, config_map({"a": "2", "b": "1"}), "kubectl")
    made = apply(live, config_map({"a": "2"}), "kubectl")
    assert made["data"] == {"a": "2", "b": "other"}
    assert '"data":{"a":"2"}' in made["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    with pytest.raises(Conflict):
        apply({**live, "data": {"a": "1"}}, {**config, "data": {"a": "2"}}, "somebody")


def test_an_update_takes_over_what_it_changes() -> None:
    live = apply(None, config_map({"a": "1", "b": "1", "c": "1"}))
    made = update(live, config_map({"a": "2", "b": "1", "d": "1"}), "editor")
    assert owned(made, "me") == {".data.b"}, "what changed is another's, what is gone is nobody's"
    assert owned(made, "editor") == {".data.a", ".data.d"}
    assert [each.get("time") for each in made["metadata"]["managedFields"]] == [NOW, LATER]
    with pytest.raises(Conflict, match=r'conflict with "editor" using v1: .data.a'):
        apply(made, config_map({"a": "1", "b": "1"}))
    assert "managedFields" not in update(config_map({}), config_map({"a": "1"}), "editor")["metadata"], "never applied"


def test_a_status_is_not_what_the_main_resource_owns() -> None:
    live = apply(None, deployment({"replicas": 1}))
    new = {**live, "status": {"replicas": 1}, "metadata": dict(live["metadata"])}
    assert owned(update(live, new, "controller", kind=DEPLOYMENT, subresource="status"), "controller") == {
        ".status", ".status.replicas",
    }  # fmt: skip
    assert owned(update(live, new, "controller", kind=DEPLOYMENT), "controller") == set()


def test_tracking_ends_when_it_is_told_to_and_survives_nonsense() -> None:
    live = apply(None, config_map({"a": "1"}))
    for given, kept in (([{}], False), ([{"operation": "Nothing"}], True), (None, True)):
        draft = config_map({"a": "1"}, managedFields=given)
        tracked(draft, live, CONFIG_MAP, manager="editor", subresource="", now=LATER)
        assert bool(draft["metadata"].get("managedFields")) is kept


def test_the_eleventh_updater_makes_the_oldest_nameless() -> None:
    live = apply(None, config_map({"a": "1"}))
    for number in range(12):
        new = {**live, "data": {**live["data"], f"k{number:02}": "v"}}
        live = update(live, new, f"updater-{number:02}", now=f"2026-01-01T00:{number:02}:00Z")
    names = [each["manager"] for each in live["metadata"]["managedFields"]]
    assert len(names) == 11 and "ancient-changes" in names and "updater-00" not in names and "updater-11" in names
    assert owned(live, "ancient-changes") == {".data.k00", ".data.k01", ".data.k02"}


# --- custom kinds -------------------------------------------------------------------------------------------------


def test_custom_kinds_say_by_their_schemas_how_they_merge() -> None:
    item = {
        "type": "object",
        "properties": {
            "port": {"type": "integer"},
            "protocol": {"type": "string", "default": "TCP"},
            "note": {"type": "string"},
        },
    }
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                              "items": item},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                    "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "amount": {"x-kubernetes-int-or-string": True},
                },
            }
        },
    }  # fmt: skip
    kind = Kind(
        group="example.com", version="v1", kind="Thing", plural="things", singular="thing", namespaced=True, schema="",
        custom=CustomSchema(schema, storage_version="v1", has_status=False),
    )  # fmt: skip
    type_ = type_of_kind(kind)
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}}
    spec = {"ports": [{"port": 1}], "tags": ["a"], "whole": {"a": "b"}, "free": {"x": {"y": [1]}}, "amount": "3"}
    assert check({**thing, "spec": spec}, type_) == []
    assert check({**thing, "spec": {"other": 1}, "foo": 1}, type_) == [
        ".spec.other: field not declared in schema", ".foo: field not declared in schema",
    ]  # fmt: skip
    port = '.spec.ports[port=1,protocol="TCP"]'
    assert paths(fields_of({"spec": spec}, type_)) == {
        port, f"{port}.port", '.spec.tags[="a"]', ".spec.whole", ".spec.free.x", ".spec.free.x.y", ".spec.amount",
    }  # fmt: skip
    other = {
        "ports": [{"port": 1, "protocol": "TCP", "note": "n"}, {"port": 2}],
        "tags": ["b"],
        "whole": {"c": "d"},
        "free": {"x": {"z": 1}},
    }
    assert merged({"spec": spec}, {"spec": other}, type_)["spec"] == {
        "ports": [{"port": 1, "protocol": "TCP", "note": "n"}, {"port": 2}], "tags": ["a", "b"], "whole": {"c": "d"},
        "free": {"x": {"y": [1], "z": 1}}, "amount": "3",
    }  # fmt: skip
