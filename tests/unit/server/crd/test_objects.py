"""Custom objects: fields, versions, defaults from storage, subresources, selectors, watches."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

from minik.api import meta
from minik.server.local import LocalTransport
from minik.server.request import Request
from tests.support.apiserver import ADMIN, Running
from tests.unit.server.crd.conftest import CRDS, MERGE, crd, path, version, widget

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
NAME = f"{CRDS}/widgets.example.com"


async def post(run: Running, to: str, body: bytes, **query: str) -> tuple[int, Any, list[str]]:
    """A request as from outside, where unknown fields are looked at: (status, answer, warnings)."""
    given = {name: (value,) for name, value in query.items()}
    request = Request("POST", to, given, {}, body, False, "application/json", ADMIN, certificate=ADMIN_CERTIFICATE)
    response = await run.server.handler(request)
    answer = response.entry.obj if response.entry is not None else response.obj
    return response.status, answer, request.warnings


ADMIN_CERTIFICATE = {"cn": ADMIN.name, "o": ["system:masters"], "der": b""}


async def test_unknown_and_repeated_fields(run: Running, api: LocalTransport) -> None:
    await api.request("POST", CRDS, body=crd())
    body = b'{"metadata":{"name":"w","odd":1},"spec":{"a":"1","a":"2","b":1}}'
    status, answer, _ = await post(run, path(), body, fieldValidation="Strict")
    assert status == 400
    assert answer["message"].endswith(
        'strict decoding error: duplicate field "spec.a", unknown field "spec.b", unknown field "metadata.odd"'
    )
    status, answer, warnings = await post(run, path(), body)
    assert (status, answer["spec"]) == (201, {"a": "2"})
    assert warnings == ['duplicate field "spec.a"', 'unknown field "spec.b"', 'unknown field "metadata.odd"']
    assert "odd" not in answer["metadata"]


async def test_defaults_for_requests_and_from_storage(api: LocalTransport) -> None:
    """The conformance row: what was stored before a default came has it when it is read; what was stored with it keeps it."""
    fields = {"a": STRING, "b": STRING}
    await api.request("POST", CRDS, body=crd("widgets", version(spec=fields)))
    await api.request("POST", path(), body=widget("old"))
    with_a = crd("widgets", version(spec={"a": {**STRING, "default": "A"}, "b": STRING}))
    await api.request("PATCH", NAME, body={"spec": with_a["spec"]}, content_type=MERGE)
    old = await api.request("GET", path(name="old"))
    assert old["spec"] == {"a": "A"}
    assert (await api.request("GET", path()))["items"] == [old]
    new = await api.request("POST", path(), body=widget("new"))
    assert new["spec"] == {"a": "A"}
    with_b = crd("widgets", version(spec={"a": STRING, "b": {**STRING, "default": "B"}}))
    await api.request("PATCH", NAME, body={"spec": with_b["spec"]}, content_type=MERGE)
    assert (await api.request("GET", path(name="new")))["spec"] == {"a": "A", "b": "B"}
    assert (await api.request("GET", path(name="old")))["spec"] == {"b": "B"}
    assert (await api.request("GET", path(name="old")))["metadata"]["resourceVersion"] == old["metadata"][
        "resourceVersion"
    ]


async def test_versions_show_the_same_objects_each_in_its_own_way(api: LocalTransport) -> None:
    one = version("v1", {"a": STRING})
    two = version("v2", {"a": STRING, "n": {**INTEGER, "default": 5}}, storage=False)
    await api.request("POST", CRDS, body=crd("widgets", one, two))
    await api.request("POST", path(), body=widget(a="x"))
    seen = await api.request("GET", path(name="w", version="v2"))
    assert (seen["apiVersion"], seen["spec"]) == ("example.com/v2", {"a": "x", "n": 5})
    written = await api.request("PATCH", path(name="w", version="v2"), body={"spec": {"n": 6}}, content_type=MERGE)
    assert (written["apiVersion"], written["spec"]) == ("example.com/v2", {"a": "x", "n": 6})
    assert (await api.request("GET", path(name="w")))["spec"] == {"a": "x"}  # v1 knows no n
    groups = {g["name"]: g for g in (await api.request("GET", "/apis"))["groups"]}
    assert groups["example.com"]["preferredVersion"]["version"] == "v2"
    stored = [{**one, "storage": False}, {**two, "storage": True}]
    await api.request("PATCH", NAME, body={"spec": {"versions": stored}}, content_type=MERGE)
    before = await api.request("GET", path(name="w"))
    same = await api.request(
        "PUT", path(name="w"), body=meta.draft(before)
    )  # an update that changes nothing is what migrates
    assert meta.revision(same) > meta.revision(before)
    again = await api.request("PUT", path(name="w"), body=meta.draft(same))
    assert meta.revision(again) == meta.revision(same)


async def test_subresources(api: LocalTransport, refused: Callable[..., Any]) -> None:
    parts = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.n",
            "statusReplicasPath": ".status.n",
            "labelSelectorPath": ".status.selector",
        },
    }
    made = version(spec={"n": {**INTEGER, "minimum": 0}}, subresources=parts)
    status = {"type": "object", "properties": {"n": INTEGER, "selector": STRING}}
    made["schema"]["openAPIV3Schema"]["properties"]["status"] = status
    await api.request("POST", CRDS, body=crd("widgets", made))
    created = await api.request("POST", path(), body={**widget(n=2), "status": {"n": 9}})
    assert "status" not in created
    changed = await api.request(
        "PATCH",
        path(name="w") + "/status",
        body={"spec": {"n": 7}, "status": {"n": 1, "selector": "a=b"}},
        content_type=MERGE,
    )
    assert (changed["spec"], changed["status"]) == ({"n": 2}, {"n": 1, "selector": "a=b"})
    assert meta.generation(changed) == 1
    kept = await api.request("PATCH", path(name="w"), body={"spec": {"n": 3}, "status": {"n": 8}}, content_type=MERGE)
    assert (kept["spec"], kept["status"]["n"], meta.generation(kept)) == ({"n": 3}, 1, 2)
    error = await refused(api, "PATCH", path(name="w") + "/status", {"status": {"n": "x"}}, content_type=MERGE)
    assert 'status.n: Invalid value: "string": status.n in body must be of type integer' in error.message
    scale = await api.request("GET", path(name="w") + "/scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 3},
        {"replicas": 1, "selector": "a=b"},
    )
    await api.request("PATCH", path(name="w") + "/scale", body={"spec": {"replicas": 4}}, content_type=MERGE)
    assert (await api.request("GET", path(name="w")))["spec"] == {"n": 4}
    assert (
        await refused(api, "PATCH", path(name="w") + "/scale", {"spec": {"replicas": -1}}, content_type=MERGE)
    ).code == 422


async def test_without_the_subresource_status_is_a_field_like_others(
    api: LocalTransport, refused: Callable[..., Any]
) -> None:
    made = version(spec={"a": STRING})
    made["schema"]["openAPIV3Schema"]["properties"]["status"] = {"type": "object", "properties": {"n": INTEGER}}
    await api.request("POST", CRDS, body=crd("widgets", made))
    created = await api.request("POST", path(), body={**widget(), "status": {"n": 1}})
    assert created["status"] == {"n": 1}
    changed = await api.request("PATCH", path(name="w"), body={"status": {"n": 2}}, content_type=MERGE)
    assert meta.generation(changed) == 2
    assert (await refused(api, "GET", path(name="w") + "/status")).code == 404


async def test_patches(api: LocalTransport, refused: Callable[..., Any]) -> None:
    await api.request("POST", CRDS, body=crd("widgets", version(spec={"l": {"type": "array", "items": STRING}})))
    await api.request("POST", path(), body=widget(l=["a", "b"]))
    patch = [{"op": "add", "path": "/spec/l/-", "value": "c"}]
    patched = await api.request("PATCH", path(name="w"), body=patch, content_type="application/json-patch+json")
    assert patched["spec"]["l"] == ["a", "b", "c"]
    error = await refused(api, "PATCH", path(name="w"), {}, content_type="application/strategic-merge-patch+json")
    assert error.code == 415
    assert "application/json-patch+json, application/merge-patch+json" in error.message
    unconditional = meta.draft(patched)
    del unconditional["metadata"]["resourceVersion"]
    error = await refused(api, "PUT", path(name="w"), unconditional)
    assert "metadata.resourceVersion: Invalid value: 0" in error.message


async def test_columns(run: Running, api: LocalTransport) -> None:
    columns = [
        {"name": "A", "type": "string", "jsonPath": ".spec.a"},
        {"name": "Ports", "type": "string", "jsonPath": ".spec.l[*].port", "priority": 1},
        {"name": "Second", "type": "integer", "jsonPath": '.spec.l[?(@.name=="b")].port'},
        {"name": "Noted", "type": "string", "jsonPath": r".metadata.annotations.example\.com/note"},
        {"name": "When", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    items = {"type": "object", "properties": {"name": STRING, "port": INTEGER}}
    fields = {"a": STRING, "l": {"type": "array", "items": items}}
    await api.request("POST", CRDS, body=crd("widgets", version(spec=fields, additionalPrinterColumns=columns)))
    obj = widget(l=[{"name": "a", "port": 1}, {"name": "b", "port": 2}])
    obj["metadata"]["annotations"] = {"example.com/note": "yes"}
    await api.request("POST", path(), body=obj)
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    request = Request("GET", path(), {}, headers, None, False, "", ADMIN, certificate=ADMIN_CERTIFICATE)
    table = (await run.server.handler(request)).obj
    assert table is not None
    assert [(c["name"], c["type"], c["priority"]) for c in table["columnDefinitions"]] == [
        ("Name", "string", 0), ("A", "string", 0), ("Ports", "string", 1), ("Second", "integer", 0), ("Noted", "string", 0),
        ("When", "date", 0),
    ]  # fmt: skip
    assert table["rows"][0]["cells"][:5] == ["w", None, "1 2", 2, "yes"]
    assert table["rows"][0]["cells"][5].endswith("s")


async def test_selectable_fields_in_lists_watches_and_deletions(
    api: LocalTransport, refused: Callable[..., Any]
) -> None:
    colour, size = {"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}
    one = version("v1", {"color": STRING, "size": INTEGER}, selectableFields=[colour])
    two = version("v2", {"color": STRING, "size": INTEGER}, selectableFields=[colour, size], storage=False)
    await api.request("POST", CRDS, body=crd("widgets", one, two))
    events: list[tuple[str, str]] = []

    async def follow() -> None:
        async for event in api.watch(path(version="v2"), query={"fieldSelector": "spec.color=blue,spec.size!=3"}):
            events.append((event.type, f"{meta.name(event.object)} {event.object['apiVersion']}"))

    watching = asyncio.create_task(follow())
    await asyncio.sleep(0)
    for name, color, number in (("a", "blue", 1), ("b", "green", 1), ("c", "blue", 3)):
        await api.request("POST", path(), body=widget(name, color=color, size=number))

    async def names(selector: str, of: str = "v2") -> list[str]:
        found = await api.request("GET", path(version=of), query={"fieldSelector": selector})
        return [meta.name(item) for item in found["items"]]

    assert await names("spec.color=blue", "v1") == ["a", "c"]
    assert await names("spec.color=blue,spec.size=3") == ["c"]
    error = await refused(api, "GET", path(), query={"fieldSelector": "spec.size=3"})
    assert (error.code, error.message) == (400, "field label not supported: spec.size")
    await api.request("PATCH", path(name="c"), body={"spec": {"size": 4}}, content_type=MERGE)
    await api.request("PATCH", path(name="a"), body={"spec": {"color": "green"}}, content_type=MERGE)
    await api.request("DELETE", path(), query={"fieldSelector": "spec.color=blue"})
    assert [meta.name(item) for item in (await api.request("GET", path()))["items"]] == ["a", "b"]
    await asyncio.sleep(0.01)
    watching.cancel()
    of = "example.com/v2"
    assert events == [("ADDED", f"a {of}"), ("ADDED", f"c {of}"), ("DELETED", f"a {of}"), ("DELETED", f"c {of}")]


async def test_watches_end_when_the_definition_changes_and_go_on_from_there(api: LocalTransport) -> None:
    await api.request("POST", CRDS, body=crd("widgets", version(spec={"a": STRING})))
    seen = []

    async def follow() -> None:
        async for event in api.watch(path()):
            seen.append(event)

    watching = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await api.request("POST", path(), body=widget(a="1"))
    changed = copy.deepcopy(crd("widgets", version(spec={"a": {**STRING, "default": "x"}})))
    await api.request("PATCH", NAME, body={"spec": changed["spec"]}, content_type=MERGE)
    await asyncio.wait_for(watching, 5)  # not cancelled: it ended by itself, after what it had to say
    assert [event.type for event in seen] == ["ADDED"]


async def test_cluster_scoped_kinds_and_generated_names(api: LocalTransport, refused: Callable[..., Any]) -> None:
    definition = crd("widgets", version(spec={"a": STRING}))
    definition["spec"]["scope"] = "Cluster"
    await api.request("POST", CRDS, body=definition)
    made = await api.request(
        "POST", "/apis/example.com/v1/widgets", body={"metadata": {"generateName": "w-"}, "spec": {}}
    )
    assert meta.name(made).startswith("w-")
    assert meta.namespace(made) == ""
    assert (await refused(api, "GET", path())).code == 404


async def test_a_deprecated_version_warns(run: Running, api: LocalTransport) -> None:
    old = version("v1", {"a": STRING}, deprecated=True, deprecationWarning="use something newer")
    await api.request("POST", CRDS, body=crd("widgets", old))
    _, _, warnings = await post(run, path(), b'{"metadata":{"name":"w"}}')
    assert warnings == ["use something newer"]
