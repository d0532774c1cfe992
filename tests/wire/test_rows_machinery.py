"""Rows of sig-api-machinery about the API itself: watches, chunks of lists, discovery, Tables, the check of fields. The calls of
`test/e2e/apimachinery/{watch,chunking,discovery,aggregated_discovery,table_conversion,server_version,field_validation}.go`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.support.e2e import Client, Obj, row
from tests.support.process import Answer, Server, until
from tests.wire.test_rows_objects import IMAGE

LABEL = "watch-this-configmap"
MAPS = "configmaps"
AGGREGATED = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
EXPECTED = """
admissionregistration.k8s.io/v1/validatingwebhookconfigurations apiextensions.k8s.io/v1/customresourcedefinitions apps/v1/deployments
apiregistration.k8s.io/v1/apiservices authentication.k8s.io/v1/tokenreviews authorization.k8s.io/v1/selfsubjectaccessreviews
autoscaling/v1/horizontalpodautoscalers autoscaling/v2/horizontalpodautoscalers batch/v1/jobs coordination.k8s.io/v1/leases
certificates.k8s.io/v1/certificatesigningrequests discovery.k8s.io/v1/endpointslices events.k8s.io/v1/events policy/v1/poddisruptionbudgets
networking.k8s.io/v1/ingresses node.k8s.io/v1/runtimeclasses scheduling.k8s.io/v1/priorityclasses storage.k8s.io/v1/csinodes
"""


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def read(api: Client, path: str, accept: Mapping[str, str] | None = None) -> Any:
    answer = api.server.request("GET", path, headers=accept)
    assert answer.status == 200, (path, answer.body)
    return answer.obj


def config_map(api: Client, name: str, value: str) -> Obj:
    made: Obj = api.create(MAPS, {"metadata": {"name": name, "labels": {LABEL: value}}})
    return made


def mutate(api: Client, name: str, number: str) -> Obj:
    changed: Obj = api.change(MAPS, name, lambda obj: obj.setdefault("data", {}).update(mutation=number))
    return changed


def relabel(api: Client, name: str, value: str) -> Obj:
    changed: Obj = api.change(MAPS, name, lambda obj: obj["metadata"]["labels"].update({LABEL: value}))
    return changed


# --- watches ------------------------------------------------------------------------------------------------------


@row("watch-configmaps-with-multiple-watchers")
def test_who_watches_sees_what_is_selected(api: Client) -> None:
    revision = api.page(MAPS)["metadata"]["resourceVersion"]
    with (
        api.watch(MAPS, revision, f"{LABEL}=A") as a,
        api.watch(MAPS, revision, f"{LABEL}=B") as b,
        api.watch(MAPS, revision, f"{LABEL} in (A, B)") as both,
    ):
        made = config_map(api, "a", "A")
        for watch in (a, both):
            assert watch.next() == ("ADDED", made)
        for number in ("1", "2"):
            changed = mutate(api, "a", number)
            for watch in (a, both):
                assert watch.next() == ("MODIFIED", changed)
        api.delete(MAPS, "a")
        for watch in (a, both):
            type_, obj = watch.next()
            assert (type_, obj["data"]) == ("DELETED", {"mutation": "2"})
        made = config_map(api, "b", "B")
        for watch in (b, both):
            assert watch.next() == ("ADDED", made)
        api.delete(MAPS, "b")
        for watch in (b, both):
            assert watch.next()[0] == "DELETED"


@row("watch-configmaps-from-resource-version")
def test_a_watch_starts_at_a_revision(api: Client) -> None:
    config_map(api, "a", "A")
    first = mutate(api, "a", "1")
    second = mutate(api, "a", "2")
    api.delete(MAPS, "a")
    with api.watch(MAPS, first["metadata"]["resourceVersion"], f"{LABEL}=A") as watch:
        assert watch.next() == ("MODIFIED", second)
        assert watch.next()[0] == "DELETED"


@row("watch-configmaps-closed-and-restarted")
def test_a_watch_goes_on_where_another_ended(api: Client) -> None:
    revision = api.page(MAPS)["metadata"]["resourceVersion"]
    with api.watch(MAPS, revision, f"{LABEL}=A") as watch:
        config_map(api, "a", "A")
        mutate(api, "a", "1")
        assert watch.next()[0] == "ADDED"
        last = watch.next()[1]["metadata"]["resourceVersion"]
    second = mutate(api, "a", "2")
    api.delete(MAPS, "a")
    with api.watch(MAPS, last, f"{LABEL}=A") as watch:
        assert watch.next() == ("MODIFIED", second)
        assert watch.next()[0] == "DELETED"


@row("watch-configmaps-label-changed")
def test_what_is_selected_no_more_is_gone(api: Client) -> None:
    revision = api.page(MAPS)["metadata"]["resourceVersion"]
    with api.watch(MAPS, revision, f"{LABEL}=A") as watch:
        config_map(api, "a", "A")
        mutate(api, "a", "1")
        relabel(api, "a", "other")
        assert [watch.next()[0] for _ in range(2)] == ["ADDED", "MODIFIED"]
        type_, obj = watch.next()
        assert (type_, obj["data"]) == ("DELETED", {"mutation": "1"})
        mutate(api, "a", "2")
        relabel(api, "a", "A")
        type_, obj = watch.next()
        assert (type_, obj["data"]) == ("ADDED", {"mutation": "2"})
        third = mutate(api, "a", "3")
        assert watch.next() == ("MODIFIED", third)
        api.delete(MAPS, "a")
        assert watch.next()[0] == "DELETED"


@row("watch-consistency")
def test_every_watch_has_the_same_order(api: Client) -> None:
    revision = api.page(MAPS)["metadata"]["resourceVersion"]
    for number in range(20):
        config_map(api, f"cm-{number}", "A")
        if number % 2:
            mutate(api, f"cm-{number}", "1")
            api.delete(MAPS, f"cm-{number - 1}")
    with api.watch(MAPS, revision) as watch:
        order = [watch.next()[1]["metadata"]["resourceVersion"] for _ in range(40)]
    for start in range(0, 40, 5):
        with api.watch(MAPS, order[start]) as watch:
            assert [watch.next()[1]["metadata"]["resourceVersion"] for _ in order[start + 1 :]] == order[start + 1 :]


# --- lists in chunks ----------------------------------------------------------------------------------------------


@row("API Chunking, server should return chunks of results for list calls")
def test_chunks_of_a_list(api: Client) -> None:
    total = 60
    template = {"spec": {"containers": [{"name": "test", "image": IMAGE}]}}
    for number in range(total):
        api.create("podtemplates", {"metadata": {"name": f"template-{number:04}"}, "template": template})
    for limit in (1, 7, 25):
        found: list[str] = []
        token, revision = "", ""
        while True:
            query = {"limit": limit} | ({"continue": token} if token else {})
            page = api.do("GET", f"{api.path('podtemplates')}?{urlencode(query)}")
            found += [item["metadata"]["name"] for item in page["items"]]
            revision = revision or page["metadata"]["resourceVersion"]
            assert page["metadata"]["resourceVersion"] == revision
            token = page["metadata"].get("continue", "")
            assert page["metadata"].get("remainingItemCount", 0) == total - len(found)
            if not token:
                break
        assert found == [f"template-{number:04}" for number in range(total)]
    assert len(api.do("GET", f"{api.path('podtemplates')}?limit={total + 1}")["items"]) == total


# --- discovery, Tables --------------------------------------------------------------------------------------------


def discovered(api: Client) -> set[str]:
    """`group/version/resource` of everything in the aggregated documents."""
    groups = [item for path in ("/api", "/apis") for item in read(api, path, AGGREGATED)["items"]]
    return {
        f"{group['metadata'].get('name', '')}/{version['version']}/{resource['resource']}"
        for group in groups for version in group["versions"] for resource in version["resources"]
    }  # fmt: skip


@row("Aggregated Discovery Endpoint Accept Headers", "Aggregated Discovery Interface")
def test_aggregated_discovery(api: Client) -> None:
    assert {*EXPECTED.split(), "/v1/namespaces"} <= discovered(api)


@row("Aggregated Discovery Endpoint Accept Headers CRDs", "Aggregated Discovery Interface CRDs")
def test_custom_kinds_are_discovered(api: Client) -> None:
    definition = define(
        api, "testcrd", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, versions=("v1",)
    )
    assert f"{definition['spec']['group']}/v1/testcrds" in discovered(api)


@row(
    "Discovery, confirm the PreferredVersion for each api group",
    "Discovery, confirm the groupVerion and a resourcefrom each apiGroup",
)
def test_discovery(api: Client) -> None:
    for listed in read(api, "/apis")["groups"]:
        group = read(api, f"/apis/{listed['name']}")
        assert group["preferredVersion"] in group["versions"]
        for version in group["versions"]:
            found = read(api, f"/apis/{version['groupVersion']}")
            assert found["groupVersion"] == version["groupVersion"] and found["resources"]


@row("API metadata HTTP return")
def test_what_is_no_object_is_no_table(api: Client) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}},
    }  # fmt: skip
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert api.server.request("POST", path, review, headers=TABLE).status == 406
    assert read(api, "/api/v1/nodes", TABLE)["rows"]


@row("Confirm a server version")
def test_a_version(api: Client) -> None:
    version = read(api, "/version")
    assert version["major"] == "1" and version["minor"].isdigit()


# --- the check of fields ------------------------------------------------------------------------------------------

PORT = {"containerPort": {"type": "integer", "format": "int32"}, "hostIP": {"type": "string"},
        "hostPort": {"type": "integer", "format": "int32"}, "name": {"type": "string"}, "protocol": {"type": "string"}}  # fmt: skip
SPEC: Obj = {
    "type": "object",
    "properties": {
        "foo": {"type": "string"},
        "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
        "ports": {
            "type": "array", "x-kubernetes-list-map-keys": ["containerPort", "protocol"], "x-kubernetes-list-type": "map",
            "items": {"type": "object", "required": ["containerPort", "protocol"], "properties": PORT},
        },
    },
}  # fmt: skip
SUBOBJECT = {
    "type": "object", "x-kubernetes-embedded-resource": True,
    "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string"}}}, "spec": {"type": "object"}},
}  # fmt: skip
PRESERVING: Obj = {
    **SPEC, "x-kubernetes-preserve-unknown-fields": True, "properties": {**SPEC["properties"], "template": SUBOBJECT},
}  # fmt: skip
HEAD = "metadata:\n  name: mytest\n  finalizers:\n  - test-finalizer\n"
PORTS = '  cronSpec: "* * * * */5"\n  ports:\n  - name: x\n    containerPort: 80\n    protocol: TCP\n'


def define(api: Client, name: str, schema: Obj, versions: tuple[str, ...] = ("v1beta1", "v1beta2")) -> Any:
    """A cluster-scoped custom kind that is served."""
    group = f"{api.namespace}.example.com"
    served = [
        {"name": version, "served": True, "storage": version == versions[-1], "schema": {"openAPIV3Schema": schema}}
        for version in versions
    ]
    names = {"plural": f"{name}s", "singular": name, "kind": name.capitalize()}
    spec = {"group": group, "scope": "Cluster", "names": names, "versions": served}
    api.create("customresourcedefinitions", {"metadata": {"name": f"{name}s.{group}"}, "spec": spec})
    until(
        lambda: (
            (api.condition("customresourcedefinitions", f"{name}s.{group}", "Established") or {}).get("status")
            == "True"
        ),
        name,
    )
    return api.get("customresourcedefinitions", f"{name}s.{group}")


def apply(api: Client, schema: Obj, text: str) -> Answer:
    """Server-side apply of a custom object under a schema of its spec."""
    whole = (
        {"type": "object", "properties": {"spec": schema}}
        if schema
        else {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    )
    group = define(api, "noxu", whole)["spec"]["group"]
    path = f"/apis/{group}/v1beta1/noxus/mytest?fieldManager=field_validation_mgr&fieldValidation=Strict"
    body = f"apiVersion: {group}/v1beta1\nkind: Noxu\n{text}"
    answer = api.ask("PATCH", path, f"\n{body}".encode(), "application/apply-patch+yaml")
    if answer.status == 201:
        api.do("PATCH", path.partition("?")[0], {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    return answer


@row("Server side field validation, typed object", "Server side field validation, typed unknown metadata")
@pytest.mark.parametrize(
    ("metadata", "spec", "why"),
    [
        (
            "",
            '"unknownField": "foo", "replicas": 2, "replicas": 3,',
            'unknown field "spec.unknownField", duplicate field "spec.replicas"',
        ),
        ('"unknownMeta": "foo",', "", 'unknown field "metadata.unknownMeta"'),
    ],
)
def test_fields_of_built_in_kinds(api: Client, metadata: str, spec: str, why: str) -> None:
    body = f"""{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "my-dep", {metadata} "labels": {{"app": "nginx"}}}},
        "spec": {{{spec} "selector": {{"matchLabels": {{"app": "nginx"}}}}, "template": {{"metadata": {{"labels": {{"app": "nginx"}}}},
        "spec": {{"containers": [{{"name": "nginx", "image": "nginx:latest"}}]}}}}}}}}"""
    refused = api.ask(
        "POST", f"{api.path('deployments')}?fieldManager=field_validation_mgr&fieldValidation=Strict", body.encode()
    )
    assert refused.status == 400 and f"strict decoding error: {why}" in refused.obj["message"]


@row(
    "Server side field validation, valid CR with validation schema",
    "Server side field validation, unknown fields CR no validation schema",
)
@pytest.mark.parametrize(("schema", "spec"), [(SPEC, "  foo: foo1\n"), ({}, "  unknown: uk1\n")])
def test_fields_of_custom_kinds(api: Client, schema: Obj, spec: str) -> None:
    assert apply(api, schema, f"{HEAD}spec:\n{spec}{PORTS}").status == 201


@row(
    "Server side field validation, unknown fields CR fails validation", "Server side field validation, CR duplicates",
    "Server side field validation, unknown metadata",
)  # fmt: skip
@pytest.mark.parametrize(
    ("schema", "text", "why"),
    [
        (
            SPEC,
            f"{HEAD}unknownField: unknown\nspec:\n  foo: foo1\n{PORTS}",
            ".unknownField: field not declared in schema",
        ),
        (
            PRESERVING,
            "metadata:\n  name: mytest\n  unknownMeta: unknown\nspec:\n  template:\n    apiversion: foo/v1\n    kind: Sub\n"
            f"    metadata:\n      unknownSubMeta: unknown\n      name: subobject\n  foo: foo1\n{PORTS}",
            ".spec.template.metadata.unknownSubMeta: field not declared in schema",
        ),
        (
            PRESERVING,
            f"{HEAD}spec:\n  unknown: uk1\n  foo: foo1\n  foo: foo2\n{PORTS}",
            'line 11: key "foo" already set in map',
        ),
    ],
)
def test_wrong_fields_of_custom_kinds(api: Client, schema: Obj, text: str, why: str) -> None:
    refused = apply(api, schema, text)
    assert refused.status == 400 and why in refused.obj["message"], refused.body


@row("custom-resource-definition-field-selectors-list-watch-register-informers")
def test_selectable_fields_of_custom_kinds(api: Client) -> None:
    schema = {"type": "object", "properties": {"host": {"type": "string"}, "port": {"type": "string"}}}
    definition = define(api, "field", schema, versions=("v1", "v2"))
    versions = definition["spec"]["versions"]
    for version, fields in zip(versions, ((".host",), (".host", ".port")), strict=True):
        version["selectableFields"] = [{"jsonPath": field} for field in fields]
    api.put("customresourcedefinitions", definition)
    path = f"/apis/{definition['spec']['group']}/v2/fields"
    for number in (1, 2):
        obj = {
            "apiVersion": path[6:-7],
            "kind": "Field",
            "metadata": {"name": f"test-{number}"},
            "host": f"host{number}",
            "port": "80",
        }
        api.do("POST", path, obj)
    for selector, count in (("host=host1", 1), ("host=host1,port=80", 1), ("port=80", 2), ("host=host3", 0)):
        assert len(api.do("GET", f"{path}?fieldSelector={quote(selector)}")["items"]) == count
    assert api.ask("GET", f"{path.replace('/v2/', '/v1/')}?fieldSelector=port%3D80").status == 400
    assert api.ask("DELETE", f"{path}?fieldSelector=host%3Dhost1").status == 200
    assert [item["metadata"]["name"] for item in api.do("GET", path)["items"]] == ["test-2"]
