"""List, watch, selectors, paging, representations, discovery."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from minik.api.errors import BadRequest, Expired, Timeout
from minik.server.local import LocalTransport
from minik.server.representation import negotiate
from minik.server.verbs.list import TOKEN_SECONDS, decode_token, encode_token
from minik.server.verbs.watch import Watching
from tests.support.apiserver import Running
from tests.unit.server.objects import CONFIGMAPS, MERGE, PODS, configmap, pod, send, status

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
PARTIAL_LIST = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}


async def fill(api: LocalTransport, count: int = 5) -> None:
    for number in range(count):
        labels = {"n": str(number), "odd": str(number % 2)}
        await api.request("POST", CONFIGMAPS, body={"metadata": {"name": f"c{number}", "labels": labels}})


def names(objects: Any) -> list[str]:
    return [o["metadata"]["name"] for o in objects]


async def test_selectors(api: LocalTransport) -> None:
    await fill(api)
    got = await api.list(CONFIGMAPS, query={"labelSelector": "odd=1"})
    assert names(got.items) == ["c1", "c3"]
    got = await api.list(CONFIGMAPS, query={"fieldSelector": "metadata.name=c2"})
    assert names(got.items) == ["c2"]
    got = await api.list("/api/v1/configmaps", query={"fieldSelector": "metadata.name=c2,metadata.namespace=default"})
    assert names(got.items) == ["c2"]
    got = await api.list(CONFIGMAPS, query={"fieldSelector": "metadata.name!=c2", "labelSelector": "odd in (0)"})
    assert names(got.items) == ["c0", "c4"]
    with pytest.raises(BadRequest):
        await api.list(CONFIGMAPS, query={"labelSelector": "a=b=c"})


async def test_pods_of_a_node(api: LocalTransport) -> None:
    for name, node in (("a", "n1"), ("b", "n2"), ("c", "n1")):
        await api.request("POST", PODS, body=pod(name, nodeName=node))
    got = await api.list("/api/v1/pods", query={"fieldSelector": "spec.nodeName=n1"})
    assert names(got.items) == ["a", "c"]


async def test_pages_show_one_revision(api: LocalTransport) -> None:
    await fill(api)
    first = await api.list(CONFIGMAPS, query={"limit": "2"})
    assert names(first.items) == ["c0", "c1"]
    await api.request("DELETE", CONFIGMAPS + "/c2")
    await api.request("POST", CONFIGMAPS, body=configmap("c5"))
    second = await api.list(CONFIGMAPS, query={"limit": "2", "continue": first.continue_})
    assert names(second.items) == ["c2", "c3"]
    assert second.resource_version == first.resource_version
    third = await api.list(CONFIGMAPS, query={"limit": "2", "continue": second.continue_})
    assert (names(third.items), third.continue_) == (["c4"], "")


async def test_a_list_can_be_continued_for_five_minutes(run: Running) -> None:
    api = run.local()
    await fill(api)
    first = await api.list(CONFIGMAPS, query={"limit": "2"})
    revision, key = decode_token(first.continue_, now=run.server.core.clock.now().timestamp() + TOKEN_SECONDS - 1)
    assert (str(revision), key) == (first.resource_version, "configmaps/default/c1")
    await api.request("DELETE", CONFIGMAPS + "/c2")
    long_ago = encode_token(revision, key, now=run.server.core.clock.now().timestamp() - TOKEN_SECONDS - 1)
    with pytest.raises(Expired, match="is too old to display a consistent list result") as caught:
        await api.list(CONFIGMAPS, query={"limit": "2", "continue": long_ago})
    assert caught.value.code == 410
    answer = await status(run, "GET", f"{CONFIGMAPS}?limit=2&continue={long_ago}")
    second = await api.list(CONFIGMAPS, query={"limit": "2", "continue": answer["metadata"]["continue"]})
    assert names(second.items) == ["c3", "c4"], "from the present state"
    assert second.resource_version != first.resource_version


async def test_exact_revision(api: LocalTransport) -> None:
    await fill(api, 2)
    old = (await api.list(CONFIGMAPS)).resource_version
    await fill_more(api)
    got = await api.list(CONFIGMAPS, query={"resourceVersion": old, "resourceVersionMatch": "Exact"})
    assert (names(got.items), got.resource_version) == (["c0", "c1"], old)
    got = await api.list(CONFIGMAPS, query={"resourceVersion": old, "resourceVersionMatch": "NotOlderThan"})
    assert len(got.items) == 3


async def fill_more(api: LocalTransport) -> None:
    await api.request("POST", CONFIGMAPS, body=configmap("more"))


async def test_future_revision(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minik.server.verbs.list._WAIT", 0.01)
    with pytest.raises(Timeout, match="Too large resource version: 100000"):
        await run.local().list(CONFIGMAPS, query={"resourceVersion": "100000"})


async def test_bad_options(run: Running) -> None:
    assert (await status(run, "GET", CONFIGMAPS + "?continue=x"))["code"] == 400
    assert (await status(run, "GET", CONFIGMAPS + "?resourceVersionMatch=Exact"))["code"] == 422
    assert (await status(run, "GET", CONFIGMAPS + "?resourceVersion=abc"))["code"] == 422
    assert (await status(run, "GET", CONFIGMAPS + "?watch=1&sendInitialEvents=true"))["code"] == 422


async def take(watch: Any, count: int) -> list[tuple[str, str]]:
    found = []
    async with asyncio.timeout(5):
        for _ in range(count):
            event = await anext(watch)
            found.append((event.type, event.object["metadata"].get("name", "")))
    return found


async def test_watch_from_a_revision(api: LocalTransport) -> None:
    await fill(api, 1)
    since = (await api.list(CONFIGMAPS)).resource_version
    watch = api.watch(CONFIGMAPS, query={"resourceVersion": since})
    await api.request("POST", CONFIGMAPS, body=configmap("x"))
    await api.request("PATCH", CONFIGMAPS + "/x", body={"data": {"a": "b"}}, content_type=MERGE)
    await api.request("DELETE", CONFIGMAPS + "/x")
    assert await take(watch, 3) == [("ADDED", "x"), ("MODIFIED", "x"), ("DELETED", "x")]
    await watch.aclose()


async def test_watch_without_a_revision_begins_with_what_is_there(api: LocalTransport) -> None:
    await fill(api, 2)
    watch = api.watch(CONFIGMAPS)
    assert await take(watch, 2) == [("ADDED", "c0"), ("ADDED", "c1")]
    await api.request("DELETE", CONFIGMAPS + "/c0")
    assert await take(watch, 1) == [("DELETED", "c0")]
    await watch.aclose()


async def test_watch_sees_objects_enter_and_leave_its_selection(api: LocalTransport) -> None:
    await fill(api, 1)
    since = (await api.list(CONFIGMAPS)).resource_version
    watch = api.watch(CONFIGMAPS, query={"resourceVersion": since, "labelSelector": "in=yes"})

    async def label(value: str | None, **more: str) -> str:
        body = {"metadata": {"labels": {"in": value}}, "data": more}
        got = await api.request("PATCH", CONFIGMAPS + "/c0", body=body, content_type=MERGE)
        return str(got["metadata"]["resourceVersion"])

    await label("no")
    await label("yes")
    await label("yes", a="b")
    left = await label(None)
    await label("no")
    assert await take(watch, 2) == [("ADDED", "c0"), ("MODIFIED", "c0")]
    event = await anext(watch)
    assert (event.type, event.object["metadata"]["labels"]["in"]) == ("DELETED", "yes")
    assert event.object["metadata"]["resourceVersion"] == left
    await watch.aclose()


async def test_streaming_list_ends_with_a_bookmark(api: LocalTransport) -> None:
    await fill(api, 1)
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    watch = api.watch(CONFIGMAPS, query=query)
    assert (await anext(watch)).type == "ADDED"
    end = await anext(watch)
    assert end.type == "BOOKMARK"
    assert end.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert end.object["metadata"]["resourceVersion"] == (await api.list(CONFIGMAPS)).resource_version
    await watch.aclose()


async def test_bookmarks_come_from_time_to_time(api: LocalTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minik.server.verbs.watch.BOOKMARK_SECONDS", 0.01)
    version = (await api.list(CONFIGMAPS)).resource_version
    watch = api.watch(CONFIGMAPS, query={"allowWatchBookmarks": "true", "resourceVersion": version})
    async with asyncio.timeout(5):
        event = await anext(watch)
    assert (event.type, event.object["metadata"]["resourceVersion"]) == ("BOOKMARK", version)
    await watch.aclose()


async def test_watch_from_a_forgotten_revision(run: Running) -> None:
    api = run.local()
    for number in range(10_200):
        await run.store.commit([_event(number)])
    watch = api.watch("/api/v1/events", query={"resourceVersion": "1"})
    assert (await anext(watch)).object["count"] == 0, "what the cache has forgotten comes from the store"
    await watch.aclose()  # type: ignore[attr-defined]  # the protocol promises an async generator
    await run.store.compact(await run.store.current_revision())
    with pytest.raises(Expired, match="too old resource version: 1 "):
        await anext(api.watch("/api/v1/events", query={"resourceVersion": "1"}))


def _event(number: int) -> Any:
    from minik.storage.base import Op

    value = b'{"apiVersion":"v1","kind":"Event","metadata":{"resourceVersion":"","name":"e"},"count":%d}' % number
    return Op("events/default/e", value)


async def test_watch_ends_after_its_time(run: Running) -> None:
    response, _ = await send(run, "GET", CONFIGMAPS + "?watch=1&resourceVersion=1&timeoutSeconds=1")
    assert isinstance(response.watch, Watching)
    response.watch._ends = 0.0
    chunks = [chunk async for chunk in response.watch.chunks()]
    assert chunks == []


async def test_watch_bytes(run: Running) -> None:
    response, _ = await send(run, "GET", CONFIGMAPS + "?watch=1&resourceVersion=1")
    assert response.watch is not None
    await fill(run.local(), 2)
    chunk = await anext(response.watch.chunks())
    events = [orjson.loads(line) for line in chunk.splitlines()]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", "c0"), ("ADDED", "c1")]
    await response.watch.aclose()


async def test_tables(run: Running) -> None:
    await run.local().request("POST", PODS, body=pod())
    response, _ = await send(run, "GET", PODS, headers=TABLE)
    table = response.obj
    assert table is not None
    assert table["kind"] == "Table"
    assert [c["name"] for c in table["columnDefinitions"]][:4] == ["Name", "Ready", "Status", "Restarts"]
    assert table["rows"][0]["cells"][:4] == ["web", "0/1", "Pending", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    response, _ = await send(run, "GET", PODS + "/web?includeObject=Object", headers=TABLE)
    assert response.obj is not None
    assert response.obj["rows"][0]["object"]["kind"] == "Pod"
    response, _ = await send(run, "GET", PODS + "?includeObject=None", headers=TABLE)
    assert response.obj is not None
    assert "object" not in response.obj["rows"][0]
    response, _ = await send(run, "GET", PODS + "?watch=1", headers=TABLE)
    assert response.watch is not None
    event = orjson.loads(await anext(response.watch.chunks()))
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table")
    assert event["object"]["columnDefinitions"]
    await response.watch.aclose()


async def test_metadata_only(run: Running) -> None:
    await run.local().request("POST", CONFIGMAPS, body=configmap(a="b"))
    response, _ = await send(run, "GET", CONFIGMAPS + "/c", headers=PARTIAL)
    assert response.obj is not None
    assert set(response.obj) == {"kind", "apiVersion", "metadata"}
    response, _ = await send(run, "GET", CONFIGMAPS, headers=PARTIAL_LIST)
    assert response.obj is not None
    assert response.obj["kind"] == "PartialObjectMetadataList"


def test_negotiation() -> None:
    kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
    assert negotiate(kubectl).as_ == "Table"
    assert negotiate("application/vnd.kubernetes.protobuf,application/json").is_plain
    assert negotiate("application/yaml").media_type == "application/yaml"
    assert negotiate("").is_plain


async def test_discovery(run: Running) -> None:
    response, _ = await send(run, "GET", "/apis")
    groups = orjson.loads(response.raw or b"")["groups"]
    assert {"apps", "coordination.k8s.io", "discovery.k8s.io"} <= {g["name"] for g in groups}
    response, _ = await send(run, "GET", "/api/v1")
    resources = {r["name"]: r for r in orjson.loads(response.raw or b"")["resources"]}
    assert resources["pods"]["shortNames"] == ["po"]
    assert resources["pods"]["storageVersionHash"] == "xPOwRZ+Yhw8="
    assert resources["pods/eviction"] == {
        "name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1",
        "kind": "Eviction", "verbs": ["create"],
    }  # fmt: skip
    aggregated = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    response, _ = await send(run, "GET", "/api", headers=aggregated)
    assert response.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    tag = response.headers["ETag"]
    response, _ = await send(run, "GET", "/api", headers={**aggregated, "If-None-Match": tag})
    assert response.status == 304


async def test_health_and_version(run: Running) -> None:
    response, _ = await send(run, "GET", "/readyz")
    assert (response.status, response.raw) == (200, b"ok")
    run.server.ready = False
    response, _ = await send(run, "GET", "/readyz?verbose=1")
    assert response.status == 500
    assert b"[-]poststarthook/start failed" in (response.raw or b"")
    response, _ = await send(run, "GET", "/version")
    assert response.obj is not None
    assert response.obj["gitVersion"] == "v1.36.0+minik"


async def test_metrics(run: Running) -> None:
    await fill(run.local(), 3)
    response, _ = await send(run, "GET", "/metrics")
    text = (response.raw or b"").decode()
    assert 'apiserver_storage_objects{resource="configmaps"} 3' in text
    assert 'verb="CREATE",group="",version="v1",resource="configmaps",subresource="",code="201"} 3' in text


async def test_methods(run: Running) -> None:
    assert (await status(run, "POST", "/api/v1/pods", pod()))["code"] == 405
    assert (await status(run, "PUT", CONFIGMAPS, configmap()))["code"] == 405
    assert (await status(run, "GET", PODS + "/web/nope"))["code"] == 404
    assert (await status(run, "GET", "/api/v1/namespaces/default/nodes"))["code"] == 404
    assert (await status(run, "DELETE", "/api/v1/namespaces"))["code"] == 405
