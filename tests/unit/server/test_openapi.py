from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from minik.api.builtin import builtin_registry
from minik.api.errors import NotFound
from minik.api.kind import Kind
from minik.server.openapi import OpenAPI
from minik.server.request import Request

APPS = "apis/apps/v1"
DEPLOYMENT = {"group": "apps", "version": "v1", "kind": "Deployment"}
WIDGET = Kind(
    group="example.com", version="v1", kind="Widget", plural="widgets", singular="widget", namespaced=True, schema="com.example.v1.Widget"
)  # fmt: skip


@pytest.fixture
def api() -> OpenAPI:
    return OpenAPI(builtin_registry())


def document(api: OpenAPI, path: str) -> Any:
    found = api.document(path)
    assert found is not None
    return orjson.loads(found)


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return {r for item in value for r in references(item)}
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own | {r for item in value.values() for r in references(item)}
    return set()


def test_the_root_lists_every_group_version_with_a_hash(api: OpenAPI) -> None:
    listed = orjson.loads(api.root())["paths"]
    assert {"api/v1", APPS, "apis/coordination.k8s.io/v1", "apis/discovery.k8s.io/v1"} <= set(listed)
    assert all(entry["serverRelativeURL"].startswith(f"/openapi/v3/{path}?hash=") for path, entry in listed.items())


@pytest.mark.parametrize("version", [2, 3])
def test_every_reference_is_there(api: OpenAPI, version: int) -> None:
    documents = [orjson.loads(api.v2())] if version == 2 else [document(api, path) for path in api.hashes()]
    for found in documents:
        known = found["definitions"] if version == 2 else found["components"]["schemas"]
        prefix = "#/definitions/" if version == 2 else "#/components/schemas/"
        assert {ref.removeprefix(prefix) for ref in references(found)} <= set(known)


def test_operations_say_what_kubectl_reads(api: OpenAPI) -> None:
    paths = document(api, APPS)["paths"]
    one = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert {"get", "put", "patch", "delete", "parameters"} == set(one)
    assert one["patch"]["operationId"] == "patchAppsV1NamespacedDeployment"
    assert one["patch"]["x-kubernetes-action"] == "patch"
    assert one["patch"]["x-kubernetes-group-version-kind"] == DEPLOYMENT
    assert {"dryRun", "fieldManager", "fieldValidation", "force"} == {p["name"] for p in one["patch"]["parameters"]}
    assert "application/strategic-merge-patch+json" in one["patch"]["requestBody"]["content"]
    many = paths["/apis/apps/v1/namespaces/{namespace}/deployments"]
    assert many["get"]["x-kubernetes-action"] == "list"
    assert many["delete"]["operationId"] == "deleteAppsV1CollectionNamespacedDeployment"
    assert paths["/apis/apps/v1/deployments"]["get"]["operationId"] == "listAppsV1DeploymentForAllNamespaces"
    scale = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
    assert scale["get"]["operationId"] == "readAppsV1NamespacedDeploymentScale"
    assert scale["put"]["x-kubernetes-group-version-kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def test_core_paths(api: OpenAPI) -> None:
    paths = document(api, "api/v1")["paths"]
    assert set(paths["/api/v1/nodes"]) == {"get", "post", "delete", "parameters"}
    assert paths["/api/v1/nodes/{name}"]["get"]["operationId"] == "readCoreV1Node"
    assert paths["/api/v1/namespaces/{namespace}/pods/{name}/log"]["get"]["operationId"] == "readCoreV1NamespacedPodLog"
    connect = paths["/api/v1/namespaces/{namespace}/pods/{name}/exec"]
    assert connect["post"]["operationId"] == "connectCoreV1PostNamespacedPodExec"
    assert "/api/v1/namespaces/{namespace}/pods/{name}/eviction" in paths


def test_schemas_carry_what_patches_and_explain_need(api: OpenAPI) -> None:
    schemas = document(api, APPS)["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]
    assert spec["properties"]["replicas"] == {"type": "integer", "format": "int32", "default": 1}
    assert spec["required"] == ["selector", "template"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }
    assert schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"] == [DEPLOYMENT]


def test_operation_ids_are_unique(api: OpenAPI) -> None:
    found = [
        operation["operationId"]
        for operations in orjson.loads(api.v2())["paths"].values()
        for method, operation in operations.items()
        if method != "parameters"
    ]
    assert len(found) == len(set(found))


def test_a_new_kind_appears_and_hashes_of_others_stay() -> None:
    registry = builtin_registry()
    api = OpenAPI(registry)
    before = dict(api.hashes())
    registry.add(WIDGET)
    assert {p: h for p, h in api.hashes().items() if p != "apis/example.com/v1"} == before
    found = document(api, "apis/example.com/v1")
    assert "/apis/example.com/v1/namespaces/{namespace}/widgets/{name}" in found["paths"]
    changed = api.hashes()["apis/example.com/v1"]
    registry.add(replace(WIDGET, verbs=("get",)))
    assert api.hashes()["apis/example.com/v1"] != changed
    registry.remove(WIDGET)
    assert api.document("apis/example.com/v1") is None


async def test_answers_may_be_cached_by_their_hash(api: OpenAPI) -> None:
    digest = api.hashes()[APPS]

    def get(path: str, **query: str) -> Request:
        return Request(method="GET", path=path, query={k: [v] for k, v in query.items()}, headers={})

    fresh = await api.handle(get(f"/openapi/v3/{APPS}", hash=digest))
    assert fresh.status == 200 and "immutable" in fresh.headers["Cache-Control"] and fresh.raw == api.document(APPS)
    stale = await api.handle(get(f"/openapi/v3/{APPS}", hash="OLD"))
    assert (stale.status, stale.headers["Location"]) == (301, f"/openapi/v3/{APPS}?hash={digest}")
    known = Request(method="GET", path=f"/openapi/v3/{APPS}", query={}, headers={"If-None-Match": f'"{digest}"'})
    assert (await api.handle(known)).status == 304
    assert (await api.handle(get("/openapi/v3"))).raw == api.root()
    assert (await api.handle(get("/openapi/v2"))).raw == api.v2()
    for path in ("/openapi/v3/apis/nope/v1", "/openapi/v4", f"/openapi/{APPS}"):
        with pytest.raises(NotFound):
            await api.handle(get(path))


async def test_the_second_version_is_another_when_kinds_come_and_go() -> None:
    """Clients that wait for a kind ask with the ETag of what they have."""
    registry = builtin_registry()
    api = OpenAPI(registry)

    async def status(etag: str) -> tuple[int, str]:
        request = Request(method="GET", path="/openapi/v2", query={}, headers={"If-None-Match": etag})
        answer = await api.handle(request)
        return answer.status, answer.headers["ETag"]

    _, first = await status("")
    assert await status(first) == (304, first)
    registry.add(WIDGET)
    code, second = await status(first)
    assert code == 200 and second != first
    registry.remove(WIDGET)
    assert await status(second) == (200, first)
