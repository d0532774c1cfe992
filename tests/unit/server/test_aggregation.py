"""Groups behind an APIService: requests, who asks, discovery, OpenAPI, and whether it is available. The other server is a real one, over
TLS in both directions."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from minik import pki
from minik.api import meta
from minik.api.apiregistration_v1.apiservice import RESOURCE
from minik.api.errors import Invalid, NotFound, ServiceUnavailable
from minik.api.meta import Obj
from minik.client.client import Client
from minik.client.manager import Manager
from minik.clock import SystemClock
from minik.controllers import apiserviceavailability, apiserviceregistration
from minik.metrics import Metrics
from minik.server.aggregation import FrontProxy, authentication, identity
from minik.server.request import User
from tests.support.apiserver import Running, serving
from tests.support.backends import listening, put_behind_service, server_tls
from tests.support.forwarding import forwarding

GROUP, VERSION = "wardle.example.com", "v1alpha1"
NAME = f"{VERSION}.{GROUP}"
PATH = f"/apis/{GROUP}/{VERSION}"
IP = "10.42.0.9"
RESOURCES = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "verbs": ["get", "list"],
         "shortNames": ["fl"]},
        {"name": "flunders/status", "singularName": "", "namespaced": True, "kind": "Flunder", "verbs": ["get"]},
    ],
}  # fmt: skip
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass
class Other:
    """The other API server: what it was asked, and by whom."""

    asked: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    """(method, path and query, identity headers, common name of the certificate)."""
    is_ill: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        names = [v for part in (certificate or {}).get("subject", ()) for k, v in part if k == "commonName"]
        who = {n: ", ".join(request.headers.getall(n)) for n in request.headers if n.startswith("X-Remote-")}
        self.asked.append((request.method, request.raw_path, who, "".join(names)))
        if self.is_ill:
            return web.Response(status=500, text="ill")
        paths: dict[str, Any] = {
            PATH: RESOURCES,
            "/openapi/v3": {"paths": {PATH[1:]: {"serverRelativeURL": f"/openapi/v3{PATH}?hash=AB"}, "other": {}}},
            f"/openapi/v3{PATH}": {"openapi": "3.0.0", "from": "other"},
        }
        if request.path in paths:
            return web.json_response(paths[request.path])
        if request.path.endswith("/pods"):
            return web.json_response(
                {"kind": "PodMetricsList", "metadata": {}, "items": [{"metadata": {"name": "theirs"}}]}
            )
        if request.path.endswith("/missing"):
            status = NotFound('flunders.wardle.example.com "missing" not found').to_status()
            return web.json_response(status, status=404)
        return web.json_response(
            {"kind": "Flunder", "said": (await request.read()).decode(), "type": request.content_type}
        )


@dataclass
class World:
    run: Running
    client: Client
    session: aiohttp.ClientSession
    base: str
    other: Other
    bundle: str
    """Of the other's certificate authority, in base64."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    now = SystemClock().now()
    front_ca = pki.new_ca(now=now, common_name="front")
    shown = pki.new_client_certificate(front_ca, now=now, user="front-proxy-client")
    for name, content in (
        ("front.crt", shown.certificate), ("front.key", shown.key), ("front-ca.crt", front_ca.certificate),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
    tls, bundle = server_tls(tmp_path, "api.default.svc")
    tls.load_verify_locations(tmp_path / "front-ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    front = FrontProxy(front_ca.certificate, tmp_path / "front.crt", tmp_path / "front.key")
    other = Other()
    async with (
        listening(other.answer, tls) as port,
        serving(tmp_path, front_proxy=front) as (run, base),
        forwarding(run, "n1"),
    ):
        client = Client(run.local(), run.server.registry)
        await put_behind_service(client, "api", IP, port)
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        trust.load_cert_chain(tmp_path / "admin.crt", tmp_path / "admin.key")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            yield World(run, client, session, base, other, bundle)


def apiservice(bundle: str, **spec: object) -> Obj:
    return {
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP, "version": VERSION, "groupPriorityMinimum": 2000, "versionPriority": 200, "caBundle": bundle,
            "service": {"name": "api", "namespace": "default"}, **spec,
        },
    }  # fmt: skip


async def test_requests_go_there_with_the_user_and_nothing_else_does(world: World) -> None:
    with pytest.raises(NotFound):
        await world.client.transport.request("GET", f"{PATH}/flunders")
    await world.client.create(RESOURCE, apiservice(world.bundle))
    headers = {"X-Remote-User": "root", "X-Remote-Extra-scopes": "all", "Content-Type": "application/json"}
    url = f"{world.base}{PATH}/namespaces/default/flunders?x=%20"
    async with world.session.post(url, data=b"{}", headers=headers) as answer:
        assert (await answer.json())["said"] == "{}"
    method, path, who, name = world.other.asked[-1]
    assert (method, path, name) == ("POST", f"{PATH}/namespaces/default/flunders?x=%20", "front-proxy-client")
    assert who == {"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:authenticated, system:masters"}
    asked = len(world.other.asked)
    await world.client.list("pods")
    assert len(world.other.asked) == asked
    await world.client.delete(RESOURCE, NAME)
    with pytest.raises(NotFound):
        await world.client.transport.request("GET", f"{PATH}/flunders")


async def test_clients_in_the_process_too(world: World) -> None:
    await world.client.create(RESOURCE, apiservice(world.bundle))
    transport = world.client.transport
    assert (await transport.request("GET", f"{PATH}/a b/*", query={"q": "1&2"}))["kind"] == "Flunder"
    assert world.other.asked[-1][1] == f"{PATH}/a%20b/*?q=1%262"
    patched = await transport.request("PATCH", f"{PATH}/x", body={"a": 1}, content_type="application/merge-patch+json")
    assert (patched["said"], patched["type"]) == ('{"a":1}', "application/merge-patch+json")
    with pytest.raises(NotFound, match="not found"):
        await transport.request("GET", f"{PATH}/missing")


async def test_lists_of_others_kinds_for_clients_in_the_process(world: World) -> None:
    """An autoscaler lists pods.metrics.k8s.io, whoever serves it."""
    wanted = apiservice(world.bundle, group="metrics.k8s.io", version="v1beta1")
    wanted["metadata"]["name"] = "v1beta1.metrics.k8s.io"
    await world.client.create(RESOURCE, wanted)
    found = await world.client.list("pods.metrics.k8s.io", "default", label_selector="a=b")
    assert [each["metadata"]["name"] for each in found.items] == ["theirs"]
    assert world.other.asked[-1][1].endswith("/namespaces/default/pods?labelSelector=a%3Db")


async def test_roles_are_asked_before(world: World) -> None:
    await world.client.create(RESOURCE, apiservice(world.bundle))
    token = await world.client.transport.request(
        "POST", "/api/v1/namespaces/default/serviceaccounts/default/token", body={"spec": {}}
    )
    headers = {"Authorization": f"Bearer {token['status']['token']}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session:
        url = f"{world.base}{PATH}/namespaces/default/flunders"
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 403
        rule = {"apiGroups": [GROUP], "resources": ["flunders"], "verbs": ["list"]}
        roles, bindings = "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"
        where = {"name": "r", "namespace": "default"}
        await world.client.create(roles, {"metadata": where, "rules": [rule]})
        who = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
        await world.client.create(bindings, {"metadata": where, "roleRef": reference, "subjects": [who]})
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 200
    assert world.other.asked[-1][2]["X-Remote-User"] == "system:serviceaccount:default:default"
    assert len(world.other.asked) == 1


async def test_a_certificate_that_is_not_the_right_one_is_not_believed(world: World) -> None:
    wrong = base64.b64encode(pki.new_ca(now=SystemClock().now()).certificate).decode()
    await world.client.create(RESOURCE, apiservice(wrong))
    with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
        await world.client.transport.request("GET", PATH)
    assert not world.other.asked
    await world.client.patch(RESOURCE, NAME, "", {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}})
    assert (await world.client.transport.request("GET", PATH))["kind"] == "APIResourceList"


@pytest.mark.parametrize(
    ("group", "version", "is_theirs"),
    [("apps", "v1", False), ("apps", "v9", True), ("metrics.k8s.io", "v1beta1", True)],
)
async def test_what_minik_serves_stays_its_own(world: World, group: str, version: str, is_theirs: bool) -> None:
    wanted = apiservice(world.bundle, group=group, version=version)
    wanted["metadata"]["name"] = f"{version}.{group}"
    await world.client.create(RESOURCE, wanted)
    answer = await world.client.transport.request("GET", f"/apis/{group}/{version}")
    assert (answer["kind"] == "Flunder") == is_theirs


async def test_discovery_tells_of_both(world: World) -> None:
    async def get(path: str, accept: str = "application/json") -> tuple[Any, str]:
        async with world.session.get(world.base + path, headers={"Accept": accept}) as answer:
            assert answer.status == 200
            return orjson.loads(await answer.read()), answer.headers.get("ETag", "")

    own, before = await get("/apis", AGGREGATED)
    await world.client.create(RESOURCE, apiservice(world.bundle))
    group = next(g for g in (await get("/apis"))[0]["groups"] if g["name"] == GROUP)
    assert group["preferredVersion"] == {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    assert (await get(f"/apis/{GROUP}"))[0]["versions"] == group["versions"]
    assert (await get(PATH))[0] == RESOURCES
    both, after = await get("/apis", AGGREGATED)
    assert before != after and both["items"][:-1] == own["items"]
    kind = {"group": GROUP, "version": VERSION, "kind": "Flunder"}
    assert both["items"][-1] == {
        "metadata": {"name": GROUP},
        "versions": [{
            "version": VERSION, "freshness": "Current",
            "resources": [{
                "resource": "flunders", "responseKind": kind, "scope": "Namespaced", "singularResource": "flunder",
                "verbs": ["get", "list"], "shortNames": ["fl"],
                "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
            }],
        }],
    }  # fmt: skip
    asked = len(world.other.asked)
    await get("/apis", AGGREGATED)
    assert len(world.other.asked) == asked, "an answer counts for a while"
    paths = (await get("/openapi/v3"))[0]["paths"]
    assert paths[PATH[1:]] == {"serverRelativeURL": f"/openapi/v3{PATH}?hash=AB"} and "apis/apps/v1" in paths
    assert (await get(f"/openapi/v3{PATH}?hash=AB"))[0]["from"] == "other"


async def test_discovery_of_a_server_that_does_not_answer_is_stale(world: World) -> None:
    world.other.is_ill = True
    await world.client.create(RESOURCE, apiservice(world.bundle))
    async with world.session.get(f"{world.base}/apis", headers={"Accept": AGGREGATED}) as answer:
        versions = (await answer.json(content_type=None))["items"][-1]["versions"]
    assert versions == [{"version": VERSION, "resources": [], "freshness": "Stale"}]


async def test_a_server_that_is_known_to_be_ill_is_not_asked_what_it_serves(world: World) -> None:
    await world.client.create(RESOURCE, apiservice(world.bundle))
    condition = {"type": "Available", "status": "False", "reason": "MissingEndpoints", "message": ""}
    await world.client.patch_status(RESOURCE, NAME, "", {"status": {"conditions": [condition]}})
    async with world.session.get(f"{world.base}/apis", headers={"Accept": AGGREGATED}) as answer:
        assert (await answer.json(content_type=None))["items"][-1]["versions"][0]["freshness"] == "Stale"
    assert not world.other.asked


async def test_availability(world: World) -> None:
    client, run = world.client, world.run
    controllers = (apiserviceavailability.CONTROLLER, apiserviceregistration.CONTROLLER)
    manager = Manager(
        controllers, run.local(), run.server.registry, clock=run.clock, entropy=run.entropy, metrics=Metrics()
    )
    await manager.start()
    try:
        await _until(client, NAME, lambda found: found is None)
        await client.create(RESOURCE, apiservice(world.bundle))
        await _until(client, NAME, _is("True", "Passed"))
        await client.delete("endpoints", "api", "default")
        await _until(client, NAME, _is("False", "EndpointsNotFound"))
        await client.create("endpoints", {"metadata": {"name": "api", "namespace": "default"}})
        await _until(client, NAME, _is("False", "MissingEndpoints"))
        await client.patch(RESOURCE, NAME, "", {"spec": {"service": {"port": 444}}})
        await _until(client, NAME, _is("False", "ServicePortError"))
        await client.delete("services", "api", "default")
        await _until(client, NAME, _is("False", "ServiceNotFound"))
        core = await _until(client, "v1.", _is("True", "Local"))
        assert core["spec"] == {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 15}
        assert core["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
        await client.delete(RESOURCE, "v1.apps")
        await _until(client, "v1.apps", _is("True", "Local"))
    finally:
        await manager.close()


async def test_a_server_that_recovers_is_noticed(world: World) -> None:
    run = world.run
    world.other.is_ill = True
    manager = Manager(
        (apiserviceavailability.CONTROLLER,), run.local(), run.server.registry, clock=run.clock, entropy=run.entropy,
        metrics=Metrics(),
    )  # fmt: skip
    await manager.start()
    try:
        await world.client.create(RESOURCE, apiservice(world.bundle))
        ill = await _until(world.client, NAME, _is("False", "FailedDiscoveryCheck"))
        assert "ill" in ill["status"]["conditions"][0]["message"]
        world.other.is_ill = False
        await _until(world.client, NAME, _is("True", "Passed"))
    finally:
        await manager.close()


def _is(status: str, reason: str) -> Any:
    def holds(found: Obj | None) -> bool:
        condition = meta.condition(found or {}, "Available") or {}
        return (condition.get("status"), condition.get("reason")) == (status, reason)

    return holds


async def _until(client: Client, name: str, holds: Any) -> Any:
    """Watch an APIService until it is as wanted; `holds(None)`: it is not there."""
    async with asyncio.timeout(20):
        while True:
            try:
                found: Any = await client.get(RESOURCE, name)
            except NotFound:
                found = None
            if holds(found):
                return found
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"groupPriorityMinimum": 0},
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
        ),
        ({"versionPriority": 1001}, "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000"),
        (
            {"insecureSkipTLSVerify": True},
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
        ),
        ({"service": None}, "local APIServices may not have a caBundle"),
        ({"service": {"name": "api"}}, "spec.service.namespace: Required value"),
        ({"service": {"name": "a", "namespace": "b", "port": 70000}}, "spec.service.port: Invalid value: 70000"),
        (
            {"version": "v2"},
            'metadata.name: Invalid value: "v1alpha1.wardle.example.com": must be `spec.version+"."+spec.group`',
        ),
    ],
)
async def test_bad_ones_are_refused(world: World, change: Obj, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        await world.client.create(RESOURCE, apiservice(world.bundle, **change))
    assert words in refused.value.message


def test_who_asks() -> None:
    user = User("jane", frozenset({"b", "a"}), "u1", {"Scopes/x": ["1", "2"]})
    assert identity(user) == {
        "X-Remote-User": ["jane"], "X-Remote-Group": ["a", "b"], "X-Remote-Uid": ["u1"], "X-Remote-Extra-scopes%2Fx": ["1", "2"],
    }  # fmt: skip


def test_what_the_others_are_told() -> None:
    data = authentication(b"ca", FrontProxy(b"front", Path("c"), Path("k")))
    assert (data["client-ca-file"], data["requestheader-client-ca-file"]) == ("ca", "front")
    assert all(isinstance(orjson.loads(data[f"requestheader-{what}"]), list) for what in (
        "allowed-names", "extra-headers-prefix", "group-headers", "uid-headers", "username-headers",
    ))  # fmt: skip
