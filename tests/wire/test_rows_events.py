"""Rows of sig-instrumentation: Events in both of their API groups, the calls of `test/e2e/instrumentation/{core_events,events}.go`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.e2e import PROTOBUF, STRATEGIC, Client, Obj, row
from tests.support.process import Server
from tests.support.protobuf import envelope

CORE, NEW = "v1", "events.k8s.io/v1"
WHEN = "2017-09-19T13:49:16.000000Z"
SERIES = {"count": 100, "lastObservedTime": "2014-01-01T00:00:00.000000Z"}


class Events:
    """Events of a namespace as one API group shows them."""

    def __init__(self, api: Client, version: str) -> None:
        self.api, self.version = api, version
        self.root = f"/{'apis' if '/' in version else 'api'}/{version}"
        self.path = f"{self.root}/namespaces/{api.namespace}/events"

    def found(self, query: Mapping[str, str], *, everywhere: bool = False) -> list[Obj]:
        path = f"{self.root}/events" if everywhere else self.path
        items: list[Obj] = self.api.do("GET", f"{path}?{urlencode(query)}")["items"]
        return items

    def send(self, method: str, obj: Obj, name: str = "") -> Any:
        path = f"{self.path}/{name}" if name else self.path
        return self.api.do(method, path, envelope(self.version, "Event", obj), PROTOBUF)

    def get(self, name: str) -> Any:
        return self.api.do("GET", f"{self.path}/{name}")

    def lifecycle(self, obj: Obj, patch: Obj, selection: Mapping[str, str]) -> None:
        """Created, found, patched, given a series, deleted."""
        name = obj["metadata"]["name"]
        self.send("POST", obj)
        for everywhere in (False, True):
            assert [o["metadata"]["name"] for o in self.found(selection, everywhere=everywhere)] == [name]
        self.api.do("PATCH", f"{self.path}/{name}", patch, STRATEGIC)
        patched = self.get(name)
        assert {field: patched[field] for field in patch} == patch
        self.send("PUT", {**patched, "series": SERIES}, name)
        updated = self.get(name)
        assert updated["series"] == SERIES
        assert {k: v for k, v in updated.items() if k not in ("series", "metadata")} == {
            k: v for k, v in patched.items() if k not in ("series", "metadata")
        }
        self.api.do("DELETE", f"{self.path}/{name}")
        assert self.found(selection) == self.found(selection, everywhere=True) == []

    def collection(self, new: dict[str, Obj], selector: str) -> None:
        for name, obj in new.items():
            labels = dict([selector.split("=")])
            self.send("POST", {**obj, "metadata": {"name": name, "namespace": self.api.namespace, "labels": labels}})
        assert {o["metadata"]["name"] for o in self.found({"labelSelector": selector})} == set(new)
        self.api.do("DELETE", f"{self.path}?{urlencode({'labelSelector': selector})}")
        assert self.found({"labelSelector": selector}) == []


@pytest.fixture
def api(server: Server, namespace: str) -> Client:
    return Client(server, namespace)


def core(api: Client) -> Obj:
    about = {"namespace": api.namespace}
    return {"message": "This is a test event", "reason": "Test", "type": "Normal", "count": 1, "involvedObject": about}


def new(api: Client, controller: str = "test-controller") -> Obj:
    return {
        "regarding": {"namespace": api.namespace},
        "eventTime": WHEN, "note": "This is a test event", "action": "Do", "reason": "Test", "type": "Normal",
        "reportingController": controller, "reportingInstance": "test-node",
    }  # fmt: skip


@row("Event, manage lifecycle of an Event")
def test_an_event_from_first_to_last(api: Client) -> None:
    labels = {"testevent-constant": api.namespace}
    obj = {"metadata": {"name": "event-test", "namespace": api.namespace, "labels": labels}, **core(api)}
    Events(api, CORE).lifecycle(
        obj, {"message": "This is a test event - patched"}, {"labelSelector": f"testevent-constant={api.namespace}"}
    )


@row("Event, delete a collection")
def test_a_collection_of_events(api: Client) -> None:
    names = {f"test-event-{number}": core(api) for number in (1, 2, 3)}
    Events(api, CORE).collection(names, "testevent-set=true")


@row("New Event resource lifecycle, testing a single event")
def test_a_new_event_from_first_to_last(api: Client) -> None:
    controller = f"test-{api.namespace}"
    events = Events(api, NEW)
    other = new(api, "another-controller")
    events.send("POST", {"metadata": {"name": "other", "namespace": api.namespace}, **other})
    obj = {"metadata": {"name": "event-test", "namespace": api.namespace}, **new(api, controller)}
    made = events.send("POST", obj)
    assert [o["metadata"]["uid"] for o in Events(api, CORE).found({"fieldSelector": f"source={controller}"})] == [
        made["metadata"]["uid"]
    ]
    events.api.do("DELETE", f"{events.path}/event-test")
    again = {"count": 2, "lastObservedTime": "2017-09-19T13:49:11.000000Z"}
    events.lifecycle(obj, {"series": again}, {"fieldSelector": f"reportingController={controller}"})
    assert [o["metadata"]["name"] for o in events.found({})] == ["other"]
    refused = api.ask("PATCH", f"{events.path}/other", {"note": "Something else"}, STRATEGIC)
    assert (refused.status, refused.obj["details"]["causes"][0]["field"]) == (422, "message")


@row("New Event resource lifecycle, testing a list of events")
def test_a_collection_of_new_events(api: Client) -> None:
    names = {f"test-event-{number}": new(api) for number in (1, 2, 3)}
    Events(api, NEW).collection(names, "testevent-set=true")
