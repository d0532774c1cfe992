from __future__ import annotations

import pytest

from minik.api.errors import ServiceUnavailable
from minik.client.recorder import BURST, QUEUE_LIMIT, Recorder
from tests.support.cluster import Cluster, cluster, named

pytestmark = pytest.mark.looptime


def _recorder(c: Cluster) -> Recorder:
    return Recorder(c.client, component="tester", clock=c.clock, entropy=c.entropy)


async def test_an_event_says_who_what_and_when() -> None:
    async with cluster() as c:
        pod = c.api.put("pods", named("web", "default"))
        recorder = _recorder(c)
        recorder.event(pod, "Warning", "BackOff", "no luck", field_path="spec.containers{web}")
        await c.settle()
        (event,) = c.api.all("events")
        about = event["involvedObject"]
        assert (about["kind"], about["name"], about["uid"]) == ("Pod", "web", pod["metadata"]["uid"])
        assert about["fieldPath"] == "spec.containers{web}"
        assert event["metadata"]["namespace"] == "default" and event["metadata"]["name"].startswith("web.")
        assert (event["type"], event["reason"], event["message"], event["count"]) == (
            "Warning",
            "BackOff",
            "no luck",
            1,
        )
        assert event["source"] == {"component": "tester"}
        await recorder.close()


async def test_events_of_cluster_scoped_objects_go_to_default() -> None:
    async with cluster() as c:
        recorder = _recorder(c)
        recorder.event(c.api.put("nodes", named("n1")), "Normal", "NodeReady", "it is")
        await c.settle()
        assert c.api.all("events")[0]["metadata"]["namespace"] == "default"
        await recorder.close()


async def test_the_same_event_is_counted_up() -> None:
    async with cluster() as c:
        pod = c.api.put("pods", named("web", "default"))
        recorder = _recorder(c)
        for _ in range(3):
            recorder.event(pod, "Warning", "BackOff", "no luck")
            await c.settle(10)
        (event,) = c.api.all("events")
        assert event["count"] == 3
        assert event["lastTimestamp"] > event["firstTimestamp"]
        c.api.remove("events", event["metadata"]["name"], "default")
        recorder.event(pod, "Warning", "BackOff", "no luck")
        await c.settle()
        assert c.api.all("events")[0]["count"] == 1
        await recorder.close()


async def test_many_similar_events_become_one() -> None:
    async with cluster() as c:
        pod = c.api.put("pods", named("web", "default"))
        recorder = _recorder(c)
        for number in range(20):
            recorder.event(pod, "Warning", "Unhealthy", f"try {number}")
        await c.settle()
        events = c.api.all("events")
        assert len(events) == 11
        combined = [e for e in events if e["message"].startswith("(combined from similar events): ")]
        assert [e["count"] for e in combined] == [10]
        assert combined[0]["message"].endswith("try 19")
        await recorder.close()


async def test_a_flood_about_one_object_is_cut_and_others_are_not() -> None:
    async with cluster() as c:
        loud, quiet = c.api.put("pods", named("loud", "default")), c.api.put("pods", named("quiet", "default"))
        recorder = _recorder(c)
        for number in range(100):
            recorder.event(loud, "Normal", f"R{number}", "x")
        recorder.event(quiet, "Normal", "Fine", "x")
        await c.settle()
        assert len(c.api.all("events")) == BURST + 1
        assert recorder.dropped == 100 - BURST
        await c.settle(301)
        recorder.event(loud, "Normal", "Later", "x")
        await c.settle()
        assert len(c.api.all("events")) == BURST + 2
        await recorder.close()


async def test_an_absent_server_neither_blocks_nor_fills_memory() -> None:
    async with cluster() as c:
        pods = [c.api.put("pods", named(f"p{n}", "default")) for n in range(QUEUE_LIMIT + 100)]
        recorder = _recorder(c)
        c.api.fail = lambda method, path: ServiceUnavailable("down")
        for pod in pods:
            recorder.event(pod, "Normal", "Started", "x")
        assert recorder.dropped == 100
        await c.settle()
        c.api.fail = lambda method, path: None
        await c.settle(30)
        assert len(c.api.all("events")) == QUEUE_LIMIT
        await recorder.close()
