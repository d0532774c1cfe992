"""CustomResourceDefinitions themselves: what is valid, names and conditions, being served and no longer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from minik.api import meta
from minik.api.apiextensions_v1.customresourcedefinition import RESOURCE
from minik.api.apiextensions_v1.names import FINALIZER, plan_status
from minik.api.builtin import builtin_registry
from minik.server.crd.kinds import follow
from minik.server.local import LocalTransport
from minik.server.request import Request
from minik.storage.cache import Cache
from tests.support.apiserver import ADMIN, Running, running
from tests.unit.server.crd.conftest import CRDS, MERGE, Obj, crd, path, version, widget


def conditions(obj: Any) -> dict[str, str]:
    return {c["type"]: f"{c['status']} {c['reason']}" for c in obj["status"]["conditions"]}


async def test_a_kind_is_served_once_its_definition_is_created(
    api: LocalTransport, refused: Callable[..., Any]
) -> None:
    assert (await refused(api, "GET", path())).code == 404
    made = await api.request("POST", CRDS, body=crd(shortNames=["wd"], categories=["all"]))
    assert conditions(made) == {"NamesAccepted": "True NoConflicts", "Established": "True InitialNamesAccepted"}
    assert made["status"]["storedVersions"] == ["v1"]
    assert made["spec"]["names"]["singular"] == "widget"
    assert made["spec"]["names"]["listKind"] == "WidgetList"
    assert made["spec"]["conversion"] == {"strategy": "None"}
    assert (await api.request("GET", path()))["kind"] == "WidgetList"
    found = await api.request("GET", "/apis/example.com/v1")
    assert [(r["name"], r["shortNames"], r["categories"]) for r in found["resources"]] == [("widgets", ["wd"], ["all"])]
    assert "example.com" in [group["name"] for group in (await api.request("GET", "/apis"))["groups"]]


async def test_taken_names_are_not_given_twice(api: LocalTransport, refused: Callable[..., Any]) -> None:
    await api.request("POST", CRDS, body=crd(shortNames=["w"]))
    second = await api.request("POST", CRDS, body=crd("wheels", kind="Widget", shortNames=["w"]))
    assert conditions(second) == {"NamesAccepted": "False ListKindConflict", "Established": "False NotAccepted"}
    assert (await refused(api, "GET", path("wheels"))).code == 404
    elsewhere = await api.request("POST", CRDS, body=crd(shortNames=["w"], group="other.example.com"))
    assert conditions(elsewhere)["Established"] == "True InitialNamesAccepted"
    own = plan_status(second, [second], now="t")
    assert own["acceptedNames"]["kind"] == "Widget"  # once the first is gone


async def test_groups_of_kubernetes_need_approval(api: LocalTransport, refused: Callable[..., Any]) -> None:
    error = await refused(api, "POST", CRDS, crd(group="things.k8s.io"))
    assert (
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have" in error.message
    )
    approved = crd(group="things.k8s.io")
    approved["metadata"]["annotations"] = {
        "api-approved.kubernetes.io": "https://github.com/kubernetes/kubernetes/pull/1"
    }
    made = await api.request("POST", CRDS, body=approved)
    assert conditions(made)["KubernetesAPIApprovalPolicyConformant"] == "True ApprovedAnnotation"


def spec(at: str, value: Any) -> Callable[[Obj], None]:
    """Sets a dotted path below spec; `[i]` are numbers."""

    def change(obj: Obj) -> None:
        *parents, last = at.split(".")
        part: Any = obj["spec"]
        for parent in parents:
            part = part[int(parent)] if parent.isdigit() else part.setdefault(parent, {})
        part[last] = value

    return change


FIELD = "versions.0.schema.openAPIV3Schema.properties.spec.properties.f"
SHOWN = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[f]"
TEXT = {"type": "string"}
LIST_MAP = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (spec("names.plural", "others"), 'metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group'),
        (spec("group", "example"), 'spec.group: Invalid value: "example": should be a domain with at least one dot'),
        (spec("scope", "World"), 'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'),
        (spec("names.kind", "A B"), 'spec.names.kind: Invalid value: "A B": may have mixed case, but should otherwise match: '),
        (spec("names.listKind", "Widget"), 'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same'),
        (spec("names.shortNames", ["W"]), 'spec.names.shortNames[0]: Invalid value: "W": a DNS-1035 label must'),
        (spec("versions.0.storage", False), "must have exactly one version marked as storage version"),
        (spec("versions.0.name", "V1"), 'spec.versions[0].name: Invalid value: "V1": a DNS-1035 label must'),
        (spec("versions.0.schema", {}), "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"),
        (spec("versions.0.schema.openAPIV3Schema", {}), "openAPIV3Schema.type: Required value: must not be empty at the root"),
        (spec("conversion", {"strategy": "Magic"}), 'spec.conversion.strategy: Unsupported value: "Magic"'),
        (spec("conversion", {"strategy": "Webhook"}), "Required value: required when strategy is set to Webhook"),
        (spec("versions.0.subresources", {"scale": {"specReplicasPath": ".status.x", "statusReplicasPath": ".status.y"}}),
         'spec.versions[0].subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec'),
        (spec("versions.0.additionalPrinterColumns", [{"name": "A", "type": "text", "jsonPath": ".x"}]),
         'type: Invalid value: "text": must be one of boolean,date,integer,number,string'),
        (spec("versions.0.selectableFields", [{"jsonPath": ".spec.none"}]), "must point to a field of type string, boolean or integer"),
        (spec(FIELD, {}), f"{SHOWN}.type: Required value: must not be empty for specified object fields"),
        (spec(FIELD, {"type": "array"}), f"{SHOWN}.items: Required value: must be specified"),
        (spec(FIELD, {"type": "array", "items": {}}), f"{SHOWN}.items.type: Required value: must not be empty for specified array items"),
        (spec(FIELD, {"type": "text"}), f'{SHOWN}.type: Unsupported value: "text": supported values: "array"'),
        (spec(FIELD, {"type": "string", "pattern": "("}), f'{SHOWN}.pattern: Invalid value: "(": must be a valid regular expression'),
        (spec(FIELD, {"type": "object", "properties": {"a": TEXT}, "additionalProperties": TEXT}),
         f"{SHOWN}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"),
        (spec(FIELD, {"type": "string", "anyOf": [TEXT]}), f"{SHOWN}.anyOf[0].type: Forbidden: must be empty to be structural"),
        (spec(FIELD, {"type": "object", "oneOf": [{"properties": {"z": {"minimum": 1}}}]}),
         f"{SHOWN}.properties[z]: Required value: because it is defined in {SHOWN}.oneOf[0].properties[z]"),
        (spec(FIELD, {"type": "integer", "default": "x"}), f'{SHOWN}.default: Invalid value: "string":'),
        (spec(FIELD, {"type": "object", "default": {"z": 1}}), f'{SHOWN}.default: Invalid value: {{"z":1}}: must not have unknown fields'),
        (spec(FIELD, {"type": "string", "uniqueItems": True}), f"{SHOWN}.uniqueItems: Forbidden: uniqueItems cannot be set to true"),
        (spec(FIELD, {**LIST_MAP, "items": {"type": "object", "properties": {"n": {"type": "string"}}}}),
         f"{SHOWN}.items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default"),
        (spec(FIELD, {"type": "string", "x-kubernetes-int-or-string": True}),
         f"{SHOWN}.type: Forbidden: must be empty if x-kubernetes-int-or-string is true"),
        (spec(FIELD, {"type": "object", "x-kubernetes-embedded-resource": True}),
         f"{SHOWN}.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without"),
        (spec("versions.0.schema.openAPIV3Schema.properties.metadata", {"type": "object", "properties": {"labels": {"type": "object"}}}),
         "properties[metadata]: Forbidden: must not specify anything other than name and generateName"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_definition(
    api: LocalTransport, refused: Callable[..., Any], change: Callable[[Obj], None], says: str
) -> None:
    wrong = crd()
    change(wrong)
    error = await refused(api, "POST", CRDS, wrong)
    assert error.code == 422
    assert says in error.message


async def test_group_scope_kind_and_stored_versions_stay(api: LocalTransport, refused: Callable[..., Any]) -> None:
    made = await api.request("POST", CRDS, body=crd())
    name = f"{CRDS}/widgets.example.com"
    error = await refused(
        api, "PATCH", name, {"spec": {"scope": "Cluster", "names": {"kind": "Other"}}}, content_type=MERGE
    )
    assert 'spec.scope: Invalid value: "Cluster": field is immutable' in error.message
    assert 'spec.names.kind: Invalid value: "Other": field is immutable' in error.message
    other = version("v2")
    changed = await api.request(
        "PATCH", name, body={"spec": {"versions": [{**version(), "storage": False}, other]}}, content_type=MERGE
    )
    assert changed["status"]["storedVersions"] == ["v1", "v2"]
    error = await refused(api, "PATCH", name, {"spec": {"versions": [other]}}, content_type=MERGE)
    assert 'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions' in error.message
    migrated = {"status": {"storedVersions": ["v2"]}}
    await api.request("PATCH", f"{name}/status", body=migrated, content_type=MERGE)
    last = await api.request("PATCH", name, body={"spec": {"versions": [other]}}, content_type=MERGE)
    assert last["status"]["storedVersions"] == ["v2"]
    assert meta.uid(last) == meta.uid(made)


async def test_a_definition_without_its_revision_is_not_replaced(
    api: LocalTransport, refused: Callable[..., Any]
) -> None:
    await api.request("POST", CRDS, body=crd())
    error = await refused(api, "PUT", f"{CRDS}/widgets.example.com", crd())
    assert "metadata.resourceVersion: Invalid value: 0" in error.message


async def test_one_that_is_being_deleted_takes_nothing_new(api: LocalTransport, refused: Callable[..., Any]) -> None:
    await api.request("POST", CRDS, body=crd())
    await api.request("POST", path(), body=widget("before"))
    gone = await api.request("DELETE", f"{CRDS}/widgets.example.com")
    assert meta.finalizers(gone) == [FINALIZER]
    error = await refused(api, "POST", path(), widget("after"))
    assert error.code == 405
    assert "create not allowed while custom resource definition is terminating" in error.message
    assert meta.name(await api.request("GET", path(name="before"))) == "before"
    await api.request(
        "PATCH", f"{CRDS}/widgets.example.com", body={"metadata": {"finalizers": None}}, content_type=MERGE
    )
    assert (await refused(api, "GET", path())).code == 404
    assert "example.com" not in [group["name"] for group in (await api.request("GET", "/apis"))["groups"]]


async def test_definitions_are_served_again_after_a_restart(run: Running, api: LocalTransport) -> None:
    await api.request("POST", CRDS, body=crd())
    await api.request("POST", path(), body=widget(a="1"))
    cache, registry = Cache(run.store), builtin_registry()
    follow(cache, registry)
    await cache.start()
    kind = registry["widgets.example.com"]
    assert (kind.kind, kind.namespaced) == ("Widget", True)
    await cache.close()
    async with running(store=run.store, namespaces=()) as again:
        assert (await again.local().request("GET", path(name="w")))["spec"] == {"a": "1"}


async def test_a_definition_in_disorder_stops_nothing(run: Running, api: LocalTransport) -> None:
    """What no version of this server would have stored."""
    from minik.api.codec import encode
    from minik.storage.base import ABSENT, Op

    odd = crd("odds")
    odd["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
    await run.store.commit(
        [Op("customresourcedefinitions.apiextensions.k8s.io//odds.example.com", encode(odd), ABSENT)]
    )
    await api.request("POST", CRDS, body=crd())
    assert (await api.request("GET", path()))["items"] == []


async def test_openapi_follows_the_definition(run: Running, api: LocalTransport) -> None:
    async def types(document: str) -> set[str]:
        answer = await api.request("GET", document)
        return {
            name
            for name in answer.get("components", {}).get("schemas", answer.get("definitions", {}))
            if "example" in name
        }

    two = crd(
        "widgets",
        version("v1"),
        version("v2", storage=False, spec={"n": {"type": "integer", "description": "How many."}}),
    )
    await api.request("POST", CRDS, body=two)
    assert await types("/openapi/v3/apis/example.com/v2") == {"com.example.v2.Widget", "com.example.v2.WidgetList"}
    assert await types("/openapi/v2") == {f"com.example.{v}.Widget{s}" for v in ("v1", "v2") for s in ("", "List")}
    hashes = {p: v["serverRelativeURL"] for p, v in (await api.request("GET", "/openapi/v3"))["paths"].items()}
    renamed = copy.deepcopy(two["spec"]["versions"])
    renamed[1]["name"] = "v3"
    name = f"{CRDS}/widgets.example.com"
    await api.request("PATCH", name, body={"spec": {"versions": renamed}}, content_type=MERGE)
    assert "com.example.v2.Widget" not in await types("/openapi/v2")
    assert "com.example.v3.Widget" in await types("/openapi/v2")
    renamed[1]["served"] = False
    renamed[0]["schema"]["openAPIV3Schema"]["description"] = "Changed."
    await api.request("PATCH", name, body={"spec": {"versions": renamed}}, content_type=MERGE)
    assert await types("/openapi/v2") == {"com.example.v1.Widget", "com.example.v1.WidgetList"}
    after = {p: v["serverRelativeURL"] for p, v in (await api.request("GET", "/openapi/v3"))["paths"].items()}
    assert "apis/example.com/v2" not in after
    assert after["apis/example.com/v1"] != hashes["apis/example.com/v1"]
    assert after["apis/apps/v1"] == hashes["apis/apps/v1"]


async def test_two_at_once_do_not_get_the_same_name(
    run: Running, api: LocalTransport, refused: Callable[..., Any]
) -> None:
    release = run.server.core.reserved.hold(RESOURCE, "example.com Widget=wheels.example.com")  # a write under way
    error = await refused(api, "POST", CRDS, crd())
    assert (error.code, error.details["retryAfterSeconds"]) == (429, 1)
    release()
    await api.request("POST", CRDS, body=crd())
    await api.request("POST", CRDS, body=crd("wheels"))
    assert not run.server.core.reserved.held(RESOURCE)


def with_rules(*rules: Obj, **fields: Any) -> Obj:
    made = version(spec={"a": {"type": "string"}, **fields})
    made["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = list(rules)
    return crd("widgets", made)


async def test_rules_that_cannot_be_enforced_are_named_in_a_warning(run: Running, refused: Callable[..., Any]) -> None:
    async def warnings(definition: Obj) -> list[str]:
        body = orjson.dumps(definition)
        asked = {"dryRun": ("All",)}
        certificate = {"cn": ADMIN.name, "o": ["system:masters"], "der": b""}
        request = Request("POST", CRDS, asked, {}, body, False, "application/json", ADMIN, certificate=certificate)
        response = await run.server.handler(request)
        assert response.status == 201, response.obj
        return request.warnings

    assert await warnings(with_rules({"rule": "self.a == 'x'"})) == []
    (said,) = await warnings(
        with_rules({"rule": "url(self.l[0]).getPort() == 80"}, l={"type": "array", "items": {"type": "string"}})
    )
    where = "spec.versions[0].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0]"
    assert said.startswith(f'{where}: this rule is not enforced: "url(self.l[0]).getPort() == 80":')
    dated = {"type": "string", "format": "date-time"}
    (said,) = await warnings(with_rules({"rule": "self.when > timestamp('2020-01-01T00:00:00Z')"}, when=dated))
    assert "fields of formats date, date-time" in said
    wrong = await refused(run.local(), "POST", CRDS, with_rules({"rule": "self.a =="}))
    assert f"{where}.rule: Invalid value:" in wrong.message
    assert "compilation failed: " in wrong.message


async def test_names_may_be_narrowed(api: LocalTransport, refused: Callable[..., Any]) -> None:
    made = version(spec={"a": {"type": "string"}})
    name = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}}
    made["schema"]["openAPIV3Schema"]["properties"]["metadata"] = name
    await api.request("POST", CRDS, body=crd("widgets", made))
    await api.request("POST", path(), body=widget("abc"))
    assert "metadata.name: Too long" in (await refused(api, "POST", path(), widget("abcd"))).message
