"""events.k8s.io/v1 and core/v1: one set of Events in two wordings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik.api.builtin import builtin_registry
from minik.api.errors import Invalid, NotFound
from minik.api.meta import Obj
from minik.server.local import LocalTransport
from tests.unit.server.objects import MERGE

NEW, OLD = "/apis/events.k8s.io/v1/namespaces/default/events", "/api/v1/namespaces/default/events"
TIME = "2026-01-01T00:00:00.000001Z"


def new_event(name: str = "e", **more: Any) -> Obj:
    about = {"kind": "Pod", "namespace": "default", "name": "p", "apiVersion": "v1"}
    return {
        "metadata": {"name": name, "labels": {"testevent-set": "true"}}, "eventTime": TIME, "note": "it happened", "regarding": about,
        "type": "Normal", "action": "Do", "reason": "Test", "reportingController": "test-controller", "reportingInstance": "test-node",
        **more,
    }  # fmt: skip


async def test_each_sees_what_the_other_wrote(api: LocalTransport) -> None:
    made = await api.request("POST", NEW, body=new_event())
    assert (made["apiVersion"], made["note"], made["deprecatedSource"]) == ("events.k8s.io/v1", "it happened", {})
    old = await api.request("GET", f"{OLD}/e")
    assert (old["apiVersion"], old["message"], old["reportingComponent"]) == ("v1", "it happened", "test-controller")
    assert (old["involvedObject"]["name"], old["eventTime"], old["firstTimestamp"]) == ("p", TIME, None)
    about = {"kind": "Pod", "namespace": "default", "name": "q"}
    first = "2026-01-01T00:00:00Z"
    legacy = {
        "metadata": {"name": "old"}, "involvedObject": about, "message": "m", "count": 3, "firstTimestamp": first,
        "source": {"component": "kubelet"},
    }  # fmt: skip
    await api.request("POST", OLD, body=legacy)
    seen = await api.request("GET", f"{NEW}/old")
    assert (seen["note"], seen["deprecatedCount"], seen["eventTime"], seen["deprecatedSource"]["component"]) == (
        "m", 3, None, "kubelet",
    )  # fmt: skip
    assert seen["deprecatedFirstTimestamp"] == first and seen["metadata"]["uid"]
    names = [each["metadata"]["name"] for each in (await api.request("GET", "/apis/events.k8s.io/v1/events"))["items"]]
    assert sorted(names) == ["e", "old"]


async def test_selectors_watches_and_deletion(api: LocalTransport) -> None:
    for name in ("a", "b"):
        await api.request("POST", NEW, body=new_event(name))
    found = await api.request(
        "GET", NEW, query={"fieldSelector": "regarding.name=p,reportingController=test-controller,metadata.name=a"}
    )
    assert [each["metadata"]["name"] for each in found["items"]] == ["a"]
    stream = api.watch(NEW, query={"resourceVersion": found["metadata"]["resourceVersion"]})
    series = {"count": 100, "lastObservedTime": "2026-01-02T00:00:00.500000Z"}
    await api.request("PATCH", f"{NEW}/a", body={"series": series}, content_type=MERGE)
    assert (await api.request("GET", f"{OLD}/a"))["series"] == series
    told = await anext(stream)
    assert (told.type, told.object["series"], told.object["note"]) == ("MODIFIED", series, "it happened")
    current = dict(await api.request("GET", f"{NEW}/a"))
    await api.request("PUT", f"{NEW}/a", body={**current, "series": {**series, "count": 101}})
    await api.request("DELETE", f"{NEW}/a")
    with pytest.raises(NotFound, match=r'events "a" not found'):
        await api.request("GET", f"{OLD}/a")
    await api.request("DELETE", NEW, query={"labelSelector": "testevent-set=true"})
    assert (await api.request("GET", OLD))["items"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eventTime": None}, "eventTime: Required value"),
        ({"type": "Odd"}, 'type: Invalid value: "": has invalid value: Odd'),
        ({"reportingController": ""}, "reportingController: Required value"),
        ({"deprecatedCount": 2}, 'count: Invalid value: "": needs to be unset'),
        ({"deprecatedSource": {"component": "x"}}, 'source: Invalid value: "": needs to be unset'),
        ({"series": {"count": 1, "lastObservedTime": TIME}}, 'series.count: Invalid value: "": should be at least 2'),
        ({"note": "n" * 1025}, 'message: Invalid value: "": can have at most 1024 characters'),
    ],
)
async def test_new_ones_are_held_to_stricter_rules(api: LocalTransport, change: Obj, words: str) -> None:
    with pytest.raises(Invalid) as refused:
        await api.request("POST", NEW, body=new_event(**change))
    assert words in refused.value.message


async def test_what_has_happened_does_not_change(api: LocalTransport) -> None:
    await api.request("POST", NEW, body=new_event())
    with pytest.raises(Invalid, match=r"message: Invalid value.*field is immutable"):
        await api.request("PATCH", f"{NEW}/e", body={"note": "something else"}, content_type=MERGE)
    await api.request("PATCH", f"{OLD}/e", body={"message": "it may, in the old words"}, content_type=MERGE)
    assert (await api.request("GET", f"{NEW}/e"))["note"] == "it may, in the old words"


async def test_both_have_the_same_table(api: LocalTransport) -> None:
    await api.request("POST", NEW, body=new_event())
    registry, now = builtin_registry(), datetime(2026, 1, 1, 1, tzinfo=UTC)
    rows = []
    for group, path in (("events.k8s.io", NEW), ("", OLD)):
        kind, event = registry.by_plural(group, "v1", "events"), await api.request("GET", f"{path}/e")
        assert kind is not None
        rows.append([column.value(event, now) for column in kind.columns])
    assert rows[0] == rows[1] and "it happened" in rows[0]
