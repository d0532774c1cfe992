"""Conversion webhooks: custom objects in the version that is asked for, whichever they are stored in; what a converter may not do."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from minik.api.errors import InternalError, Invalid, StatusError
from minik.api.meta import Obj
from minik.client.client import Client
from minik.server.request import User
from minik.server.webhooks.matching import Subject
from minik.server.webhooks.review import request_of
from tests.support.apiserver import running
from tests.support.backends import listening, server_tls
from tests.support.e2e import row

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
STATUS = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
V1 = {"type": "object", "properties": {"hostPort": {"type": "string"}, "status": STATUS}}
V2 = {
    "type": "object",
    "properties": {"host": {"type": "string"}, "port": {"type": "string"}, "mode": {"type": "string", "default": "plain"},
                   "status": STATUS},
}  # fmt: skip


def swap(obj: Obj, version: str) -> Obj:
    """What upstream's sample converter does."""
    made = {**obj, "apiVersion": version}
    if version.endswith("v2"):
        made["host"], _, made["port"] = made.pop("hostPort").partition(":")
    else:
        made["hostPort"] = f"{made.pop('host')}:{made.pop('port')}"
    return made


@dataclass
class World:
    """`convert`: (objects, desired version) → `response` of the review without its uid."""

    client: Client
    url: str = ""
    bundle: str = ""
    calls: list[list[Any]] = field(default_factory=list)
    """The objects of each call."""
    convert: Callable[[list[Obj], str], Obj] = lambda objects, version: {
        "result": {"status": "Success"}, "convertedObjects": [swap(obj, version) for obj in objects],
    }  # fmt: skip

    admit: Callable[[Obj], Obj] = lambda _request: {"allowed": True}
    """`request` of an AdmissionReview → `response` without its uid."""

    async def answer(self, request: web.Request) -> web.Response:
        review = await request.json()
        if request.path == "/admit":
            response = {"uid": review["request"]["uid"], **self.admit(review["request"])}
            return web.json_response({**review, "response": response})
        asked = review["request"]
        self.calls.append(asked["objects"])
        response = {"uid": asked["uid"], **self.convert(asked["objects"], asked["desiredAPIVersion"])}
        return web.json_response({"apiVersion": review["apiVersion"], "kind": "ConversionReview", "response": response})

    def crd(self, storage: str = "v1") -> Obj:
        served = {"served": True, "subresources": {"status": {}}}
        versions = [
            {**served, "name": name, "storage": name == storage, "schema": {"openAPIV3Schema": schema}}
            for name, schema in (("v1", V1), ("v2", V2))
        ]  # fmt: skip
        webhook = {
            "clientConfig": {"url": self.url, "caBundle": self.bundle},
            "conversionReviewVersions": ["v1", "v1beta1"],
        }
        names = {"plural": "things", "singular": "thing", "kind": "Thing"}
        return {
            "metadata": {"name": "things.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions,
                     "conversion": {"strategy": "Webhook", "webhook": webhook}},
        }  # fmt: skip

    async def request(self, method: str, version: str, path: str = "", body: Any = None, **more: Any) -> Any:
        return await self.client.transport.request(
            method, f"/apis/example.com/{version}/namespaces/default/things{path}", body=body, **more
        )

    async def make(self, name: str, version: str = "v1") -> Any:
        content = {"hostPort": "a:1"} if version == "v1" else {"host": "a", "port": "1"}
        obj = {"apiVersion": f"example.com/{version}", "kind": "Thing", "metadata": {"name": name}, **content}
        return await self.request("POST", version, body=obj)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    tls, bundle = server_tls(tmp_path, "127.0.0.1")
    async with running() as run:
        made = World(Client(run.local(), run.server.registry))
        async with listening(made.answer, tls) as port:
            made.url, made.bundle = f"https://127.0.0.1:{port}/convert", bundle
            await made.client.create(CRDS, made.crd())
            await _established(made.client)
            yield made


async def _established(client: Client) -> None:
    """What the controller does in a whole server: the names are accepted."""
    crd = await client.get(CRDS, "things.example.com")
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    now = "2026-01-01T00:00:00Z"
    conditions = [
        {"type": type_, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": now}
        for type_ in ("NamesAccepted", "Established")
    ]
    await client.update_status(CRDS, crd, {"acceptedNames": names, "conditions": conditions, "storedVersions": ["v1"]})


@row("Custom Resource Definition Conversion Webhook, conversion custom resource")
async def test_an_object_is_shown_in_each_version_and_converted_once(world: World) -> None:
    made = await world.make("t")
    assert made["hostPort"] == "a:1" and not world.calls, "it is stored as it came"
    for _ in range(2):
        shown = await world.request("GET", "v2", "/t")
        assert (shown["apiVersion"], shown["host"], shown["port"], shown["mode"]) == (
            "example.com/v2",
            "a",
            "1",
            "plain",
        )
        assert shown["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert len(world.calls) == 1
    assert (await world.request("GET", "v1", "/t"))["hostPort"] == "a:1"


async def test_writes_in_the_other_version_are_stored_converted(world: World) -> None:
    made = await world.make("t", "v2")
    assert made["host"] == "a" and made["mode"] == "plain"
    assert (await world.request("GET", "v1", "/t"))["hostPort"] == "a:1"
    calls = len(world.calls)
    patched = await world.request("PATCH", "v2", "/t", {"port": "2"}, content_type="application/merge-patch+json")
    assert (patched["port"], patched["metadata"]["generation"]) == ("2", 2)
    assert (await world.request("GET", "v1", "/t"))["hostPort"] == "a:2"
    assert len(world.calls) == calls + 1, "what was written is known, only its stored form was asked for"
    said = await world.request("PUT", "v2", "/t/status", {**patched, "status": {"ok": True}})
    assert said["status"] == {"ok": True}
    assert (await world.request("GET", "v1", "/t"))["status"] == {"ok": True}
    await world.request("DELETE", "v2", "/t")


@row("Custom Resource Definition Conversion Webhook, convert mixed version list")
async def test_a_list_of_objects_stored_in_several_versions_takes_one_call(world: World) -> None:
    for name in ("a", "b", "c"):
        await world.make(name)
    crd = await world.client.get(CRDS, "things.example.com")
    await world.client.update(CRDS, {**crd, "spec": world.crd("v2")["spec"]})
    await world.make("d", "v2")
    world.calls.clear()
    listed = await world.request("GET", "v2")
    assert [(obj["apiVersion"], obj["host"]) for obj in listed["items"]] == [("example.com/v2", "a")] * 4
    assert [[obj["metadata"]["name"] for obj in call] for call in world.calls] == [["a", "b", "c"]]
    assert {obj["hostPort"] for obj in (await world.request("GET", "v1"))["items"]} == {"a:1"}
    again = await world.request("PUT", "v2", "/a", listed["items"][0])
    assert again["metadata"]["resourceVersion"] != listed["items"][0]["metadata"]["resourceVersion"], (
        "stored anew, in the storage version"
    )


async def test_watches_show_their_version(world: World) -> None:
    await world.make("a")
    path = "/apis/example.com/v2/namespaces/default/things"
    events = world.client.transport.watch(path, query={"resourceVersion": "0"})
    seen = [await anext(events)]
    await world.request("PATCH", "v1", "/a", {"hostPort": "b:2"}, content_type="application/merge-patch+json")
    await world.request("DELETE", "v1", "/a")
    seen += [await anext(events), await anext(events)]
    assert [(each.type, each.object["host"], each.object["port"]) for each in seen] == [
        ("ADDED", "a", "1"), ("MODIFIED", "b", "2"), ("DELETED", "b", "2"),
    ]  # fmt: skip


def ok(*objects: Obj) -> Obj:
    return {"result": {"status": "Success"}, "convertedObjects": list(objects)}


def with_metadata(obj: Obj, version: str, **metadata: Any) -> Obj:
    return {**swap(obj, version), "metadata": {**obj["metadata"], **metadata}}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda o, v: {"result": {"status": "Failed", "message": "not today"}}, "failed: not today"),
        (lambda o, v: {"result": {"status": "Failed"}}, "failed: response.result.status was 'Failed', not 'Success'"),
        (lambda o, v: {**ok(), "uid": "other"}, "expected response.uid="),
        (lambda o, v: ok(), "returned 0 objects, expected 1"),
        (lambda o, v: ok(*o), "invalid groupVersion (expected example.com/v2, received example.com/v1)"),
        (lambda o, v: ok({**swap(o[0], v), "kind": "Other"}), "invalid kind (expected Thing, received Other)"),
        (lambda o, v: ok(with_metadata(o[0], v, name="x")), "must have the same name: t != x"),
        (lambda o, v: ok(with_metadata(o[0], v, labels={"a": 1})), "metadata.labels must map texts to texts"),
    ],
)  # fmt: skip
async def test_converters_that_fail(world: World, answer: Any, why: str) -> None:
    await world.make("t")
    world.convert = answer
    for path in ("/t", ""):
        with pytest.raises(InternalError) as caught:
            await world.request("GET", "v2", path)
        assert (
            "conversion webhook for example.com/v1, Kind=Thing" in caught.value.message and why in caught.value.message
        )
    assert (await world.request("GET", "v1", "/t"))["hostPort"] == "a:1"
    with pytest.raises(InternalError):
        await world.make("u", "v2")


async def test_only_labels_and_annotations_of_the_metadata_may_change(world: World) -> None:
    made = await world.make("t")

    def meddle(objects: list[Obj], version: str) -> Obj:
        metadata = {
            **objects[0]["metadata"],
            "labels": {"a": "b"},
            "finalizers": ["x/y"],
            "creationTimestamp": "2001-01-01T00:00:00Z",
        }
        return {
            "result": {"status": "Success"},
            "convertedObjects": [{**swap(objects[0], version), "metadata": metadata}],
        }

    world.convert = meddle
    shown = (await world.request("GET", "v2", "/t"))["metadata"]
    assert shown == {**made["metadata"], "labels": {"a": "b"}}


async def test_definitions_whose_conversion_makes_no_sense(world: World) -> None:
    live = await world.client.get(CRDS, "things.example.com")
    for change, where in (
        ({"clientConfig": {}}, "exactly one of url or service is required"),
        ({"clientConfig": {"url": "http://x"}}, "'https' is the only allowed URL scheme"),
        ({"conversionReviewVersions": ["v7"]}, "must include at least one of v1, v1beta1"),
        ({"conversionReviewVersions": []}, "spec.conversion.webhook.conversionReviewVersions: Required value"),
    ):  # fmt: skip
        crd = world.crd()
        crd["spec"]["conversion"]["webhook"] |= change
        with pytest.raises(Invalid, match=where):
            await world.client.update(CRDS, {**live, "spec": crd["spec"]})


async def test_a_definition_that_goes_needs_no_converter(world: World) -> None:
    await world.make("t")
    world.convert = lambda _objects, _version: {"result": {"status": "Failed"}}
    await world.client.delete(CRDS, "things.example.com")
    await world.request("DELETE", "v2", "/t")
    assert (await world.request("GET", "v2"))["items"] == []


async def test_admission_hooks_hear_in_the_version_that_they_want(world: World) -> None:
    """matchPolicy Equivalent: who names v2 hears of writes in v1 too, in v2, and what it changes is converted back."""
    heard: list[Obj] = []

    def admit(request: Obj) -> Obj:
        heard.append(request)
        patch = base64.b64encode(b'[{"op": "replace", "path": "/port", "value": "9"}]').decode()
        return {"allowed": request["object"]["host"] != "bad", "patchType": "JSONPatch", "patch": patch}

    world.admit = admit
    hook = {
        "name": "things.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": world.url.replace("/convert", "/admit"), "caBundle": world.bundle},
        "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": ["example.com"], "apiVersions": ["v2"], "resources": ["things"]}],
    }  # fmt: skip
    resource = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    await world.client.create(resource, {"metadata": {"name": "hooks"}, "webhooks": [hook]})
    made = await world.make("t")
    assert (made["apiVersion"], made["hostPort"]) == ("example.com/v1", "a:9")
    merge = "application/merge-patch+json"
    changed = await world.request("PATCH", "v1", "/t", {"hostPort": "b:2"}, content_type=merge)
    assert changed["hostPort"] == "b:9"
    first, second = heard
    assert (first["kind"]["version"], first["requestKind"]["version"]) == ("v2", "v1")
    assert (first["object"]["apiVersion"], first["object"]["host"], first["oldObject"]) == ("example.com/v2", "a", None)
    assert (second["object"]["host"], second["oldObject"]["host"], second["oldObject"]["port"]) == ("b", "a", "9")
    with pytest.raises(StatusError, match="denied the request"):
        await world.request("PATCH", "v1", "/t", {"hostPort": "bad:2"}, content_type=merge)
    world.convert = lambda _objects, _version: {"result": {"status": "Failed"}}
    with pytest.raises(InternalError, match="conversion webhook for "):
        await world.make("u")


async def test_validating_policies_hear_in_the_version_that_they_want(world: World) -> None:
    group = "admissionregistration.k8s.io"
    rule = {"operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["v2"], "resources": ["things"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.host != 'a'", "message": "a is taken"}],
    }
    await world.client.create(f"validatingadmissionpolicies.{group}", {"metadata": {"name": "p"}, "spec": spec})
    binding = {"policyName": "p", "validationActions": ["Deny"]}
    await world.client.create(
        f"validatingadmissionpolicybindings.{group}", {"metadata": {"name": "b"}, "spec": binding}
    )
    with pytest.raises(StatusError, match="a is taken"):
        await world.make("t")


def test_a_scale_is_a_scale_in_every_version() -> None:
    subject = Subject(
        operation="UPDATE", group="example.com", version="v1", resource="things", subresource="scale", kind="Scale",
        api_version="autoscaling/v1", is_namespaced=True, namespace="default", name="t", user=User("a"), options={},
        other_versions=("v2",),
    )  # fmt: skip
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "t"}, "spec": {"replicas": 1}}
    request = request_of(subject, "v2", "u", scale, scale)
    assert request["kind"] == request["requestKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (request["resource"]["version"], request["requestResource"]["version"]) == ("v2", "v1")
    assert request["object"] == request["oldObject"] == scale
