"""`PodWorker` over an engine and an API server in memory, in simulated time: pods run, crash, restart and go."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik.agent.act import Actor
from minik.agent.actions import Pending
from minik.agent.containers.base import ContainerInfo
from minik.agent.context import NodeContext
from minik.agent.etcfiles import ClusterDns
from minik.agent.hooks import HookFailure
from minik.agent.network.fake import FakeNetwork
from minik.agent.observe import Observations
from minik.agent.podloop import PodWorker, orphan
from minik.agent.probes import Prober, Target
from minik.agent.volumes.base import NoVolumes
from minik.agent.volumes.payload import VolumeError
from minik.aio import Tasks
from minik.api import meta
from minik.api.errors import conflict
from minik.api.meta import ROObj
from minik.client.client import Client
from minik.clock import LoopClock
from tests.unit.agent.builders import container, pod
from tests.unit.agent.engine import Api, Engine, Images


class Node:
    """A node with its workers."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.engine = Engine(self.clock)
        self.api = Api()
        self.network = FakeNetwork()
        self.tasks = Tasks("test")
        self.workers: dict[str, PodWorker] = {}
        self.events: list[str] = []
        self.answers: dict[str, bool] = {}
        self.hooks: list[str] = []
        self.hook_takes = 0.0
        self.volumes = NoVolumes()
        self.refusal: Pending | None = None
        """What a pod that is resized is told."""
        self.observations = Observations(self.engine.as_runtime(), self._wake)
        self.prober = Prober(clock=self.clock, ask=self._ask, on_change=self._wake, on_unhealthy=self._unhealthy)
        self.ctx = NodeContext(
            name="n1", node_ip="192.0.2.1", client=cast("Client", self.api), runtime=self.engine.as_runtime(),
            network=self.network, volumes=self.volumes, images=Images(self.engine), observations=self.observations,
            prober=self.prober, hook=self._hook, clock=self.clock, event=self._event, data_dir=Path("data"),
            dns=ClusterDns(), services=tuple, cpus=4000, memory=8 << 30,
        )  # fmt: skip
        self.actor = Actor(self.ctx)
        self.api.watchers.append(lambda obj: obj["kind"] == "Pod" and self._object(obj))

    async def _ask(self, probe: Any, target: Target) -> tuple[bool, str]:
        return self.answers.get(target.container["name"], True), "bad"

    async def _hook(self, hook: Any, target: Target) -> None:
        self.hooks.append(target.container["name"])
        await self.clock.sleep(self.hook_takes)
        if hook.get("fails"):
            raise HookFailure("no")

    def _event(self, pod: ROObj, kind: str, reason: str, message: str, *, container: str = "") -> None:
        self.events.append(reason)

    def _unhealthy(self, pod: ROObj, container: str, message: str) -> None:
        self.events.append("Unhealthy")

    def _wake(self, uid: str) -> None:
        if uid in self.workers:
            self.workers[uid].wake()

    def _object(self, obj: ROObj) -> None:
        if meta.uid(obj) in self.workers:
            self.workers[meta.uid(obj)].update(obj)

    async def start(self) -> None:
        await self.network.start(node_name="n1", pod_cidr="10.244.0.0/24", node_ip="192.0.2.1")
        self.tasks.start("events", self.observations.run())
        await self.observations.listed.wait()

    def add(self, obj: ROObj) -> PodWorker:
        stored = self.api.put("pods", obj)
        worker = PodWorker(
            self.ctx, self.actor, self.tasks, stored, on_done=self.workers.pop, fits=lambda _pod: self.refusal
        )
        self.workers[worker.uid] = worker
        worker.wake()
        return worker

    def mark_deleted(self, seconds: int = 30, name: str = "p") -> None:
        obj = meta.draft(self.api.pod(name))
        obj["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": seconds}
        self.api.put("pods", obj)

    def status(self, name: str = "p") -> dict[str, Any]:
        return cast("dict[str, Any]", self.api.pod(name)["status"])

    def state(self, index: int = 0) -> dict[str, Any]:
        return cast("dict[str, Any]", self.status()["containerStatuses"][index])

    async def run(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        for worker in self.workers.values():
            worker.close()
        await self.tasks.close()
        await self.prober.close()


def simulate(scenario: Callable[[Node], Awaitable[None]]) -> None:
    """Run `scenario` with a fresh node in a loop of simulated time."""

    async def run() -> None:
        node = Node()
        await node.start()
        try:
            await scenario(node)
        finally:
            await node.close()

    loop = looptime.new_event_loop(start=0)
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


def simulated(scenario: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test over a node in simulated time."""

    def test() -> None:
        simulate(scenario)

    functools.update_wrapper(test, scenario)
    del test.__wrapped__  # type: ignore[attr-defined]  # pytest would look for a fixture called node
    return test


@simulated
async def test_a_pod_comes_up_with_one_write(node: Node) -> None:
    node.add(pod(container("a"), container("b")))
    await node.run(0.1)
    assert node.engine.log == ["sandbox 0", "create a#0", "create b#0"]
    assert node.api.writes == ["status p"]
    status = node.status()
    assert (status["phase"], status["podIP"]) == ("Running", "10.244.0.2")
    assert all(c["status"] == "True" for c in status["conditions"])
    assert node.events == ["Created", "Started", "Created", "Started"]
    await node.run(3600)
    assert node.api.writes == ["status p"]


@simulated
async def test_crashes_back_off_and_the_count_grows(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    times = []
    for _ in range(5):
        node.engine.exit("web", 1)
        began = node.clock.monotonic()
        count = node.engine.find("web").labels["minik.attempt"]
        while node.engine.find("web").labels["minik.attempt"] == count:
            await node.run(0.5)
        times.append(round(node.clock.monotonic() - began))
        await node.run(1)
    assert times == [0, 10, 20, 40, 80]
    assert node.state()["restartCount"] == 5
    node.engine.exit("web", 1)
    await node.run(1)
    assert node.state()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert node.status()["phase"] == "Running"
    assert len(node.engine.containers) == 3  # sandbox and two attempts


@simulated
async def test_a_removed_container_is_made_again_and_counted(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    node.engine.vanish("web")
    await node.run(1)
    assert (node.state()["restartCount"], "running" in node.state()["state"]) == (1, True)


@simulated
async def test_an_ephemeral_container_is_told_of_apart(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    debugger = container("debugger", targetContainerName="web")
    obj = meta.draft(node.api.pod("p"))
    obj["spec"]["ephemeralContainers"] = [debugger, container("lost", targetContainerName="nobody")]
    node.api.put("pods", obj)
    await node.run(1)
    seen, lost = node.status()["ephemeralContainerStatuses"]
    assert "running" in seen["state"]
    assert (seen["ready"], seen["restartCount"], "started" in seen) == (False, 0, False)
    assert lost["state"]["waiting"] == {
        "reason": "CreateContainerConfigError",
        "message": 'unable to find target container "nobody"',
    }
    assert [c["name"] for c in node.status()["containerStatuses"]] == ["web"]
    assert all(c["status"] == "True" for c in node.status()["conditions"]), "it has no say in how the pod is"
    await node.engine.stop(seen["containerID"].partition("//")[2], 0)
    await node.run(600)
    seen, _ = node.status()["ephemeralContainerStatuses"]
    assert "terminated" in seen["state"] and seen["restartCount"] == 0


@simulated
async def test_a_dead_sandbox_is_replaced_and_keeps_the_address(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    address = node.status()["podIP"]
    node.engine.exit("POD", 255)
    await node.run(2)
    assert node.engine.log[2:] == ["stop web 30", "sandbox 1", "create web#1", "remove POD#0"]
    assert (node.status()["podIP"], node.state()["restartCount"]) == (address, 1)


@simulated
async def test_a_job_like_pod_succeeds_and_lets_go(node: Node) -> None:
    node.add(pod(restartPolicy="Never"))
    await node.run(1)
    node.engine.exit("web", 0)
    await node.run(1)
    assert (node.status()["phase"], node.state()["state"]["terminated"]["reason"]) == ("Succeeded", "Completed")
    assert "POD" not in {i.labels["minik.container"] for i in node.engine.containers.values()}
    assert await node.network.attached() == {}
    await node.run(100)
    assert node.engine.log.count("create web#0") == 1


@simulated
async def test_deletion_leaves_nothing_and_reports_the_end_first(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    node.mark_deleted()
    await node.run(1)
    assert (node.engine.containers, await node.network.attached(), node.api.objects) == ({}, {}, {})
    assert node.api.writes[-2:] == ["status p", "delete p"]
    assert "stop web 30" in node.engine.log
    assert node.workers == {}


def before_the_next_report(node: Node, happens: Callable[[], object]) -> None:
    """While the pod's next status is on its way; the watch lags behind, so what it tells later is no newer than the answer."""
    node.api.watchers.clear()
    patch_status, left = node.api.patch_status, [happens]

    async def raced(*args: Any, **options: Any) -> ROObj:
        if left:
            left.pop()()
        return await patch_status(*args, **options)

    node.api.patch_status = raced  # type: ignore[method-assign]  # for this test


def probed() -> dict[str, Any]:
    return pod(container("web", readinessProbe={"exec": {"command": ["x"]}, "periodSeconds": 1, "failureThreshold": 1}))


@simulated
async def test_a_deletion_that_its_own_write_tells_of_is_carried_out(node: Node) -> None:
    node.add(probed())
    await node.run(5)
    before_the_next_report(node, node.mark_deleted)
    node.answers["web"] = False  # a report that no event of the engine goes with
    await node.run(60)
    assert (node.engine.containers, node.api.objects, node.workers) == ({}, {}, {})


@simulated
async def test_a_status_that_others_changed_is_put_right_by_what_its_own_write_tells(node: Node) -> None:
    node.add(probed())
    await node.run(5)

    def others_write() -> None:
        status = node.status()
        conditions = [
            {**c, "status": "False" if c["type"] == "Initialized" else c["status"]} for c in status["conditions"]
        ]
        node.api.put("pods", {**node.api.pod(), "status": {**status, "conditions": conditions}})

    before_the_next_report(node, others_write)
    node.answers["web"] = False
    await node.run(60)
    initialized = meta.condition(node.api.pod(), "Initialized")
    assert initialized is not None
    assert initialized["status"] == "True"
    assert len(node.api.writes) < 6


@simulated
async def test_a_conflict_does_not_keep_a_finished_pod_from_being_deleted(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    delete, conflicts = node.api.delete, [1, 2]

    async def contended(*args: Any, **options: Any) -> ROObj:
        if conflicts:
            conflicts.pop()
            raise conflict("pods", "", "p")
        return await delete(*args, **options)

    node.api.delete = contended  # type: ignore[method-assign]  # for this test
    node.mark_deleted()
    await node.run(30)
    assert (node.api.objects, node.workers) == ({}, {})


@simulated
async def test_a_shorter_grace_period_cuts_the_wait_short(node: Node) -> None:
    node.engine.stubborn.add("web")
    node.add(pod())
    await node.run(1)
    node.mark_deleted(600)
    await node.run(5)
    assert "p" in str(node.api.objects)
    node.mark_deleted(1)
    await node.run(4)
    assert node.engine.containers == {}


@simulated
async def test_an_object_that_vanishes_takes_its_containers_with_it(node: Node) -> None:
    worker = node.add(pod())
    await node.run(1)
    worker.vanish(node.api.objects.pop(("pods", "default", "p")))
    await node.run(1)
    assert (node.engine.containers, node.workers) == ({}, {})
    assert "delete p" not in node.api.writes


@simulated
async def test_pre_stop_runs_within_the_grace_period(node: Node) -> None:
    node.hook_takes = 100
    node.add(pod(container(lifecycle={"preStop": {"exec": {}}}), container("b")))
    await node.run(1)
    node.mark_deleted(10)
    await node.run(5)
    assert "stop b 10" in node.engine.log and "stop web" not in str(node.engine.log)
    await node.run(10)
    assert "stop web 2" in node.engine.log
    assert "FailedPreStopHook" in node.events


@simulated
async def test_a_failing_post_start_hook_kills_the_container(node: Node) -> None:
    node.add(pod(container(lifecycle={"postStart": {"fails": True}})))
    await node.run(5)
    assert "FailedPostStartHook" in node.events
    assert node.state()["state"]["waiting"]["reason"] == "CrashLoopBackOff"


@simulated
async def test_a_missing_image_is_said_and_tried_again(node: Node) -> None:
    node.engine.missing_images.add("img")
    node.add(pod())
    await node.run(1)
    assert node.state()["state"]["waiting"] == {"reason": "ErrImagePull", "message": "no image img"}
    assert node.status()["phase"] == "Pending"
    node.engine.missing_images.clear()
    await node.run(20)
    assert node.status()["phase"] == "Running"


@simulated
async def test_a_missing_config_map_is_said_and_awaited(node: Node) -> None:
    ref = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}
    node.add(pod(container(env=[ref])))
    await node.run(1)
    assert node.state()["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert node.state()["state"]["waiting"]["message"] == 'configmap "cm" not found'
    node.api.put(
        "configmaps", {"kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "v"}}
    )
    await node.run(15)
    assert ("A", "v") in node.engine.specs[node.engine.find("web").id].env


@simulated
async def test_a_command_that_cannot_be_started(node: Node) -> None:
    node.engine.broken_commands.add("web")
    node.add(pod())
    await node.run(5)
    assert node.state()["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert node.state()["lastState"]["terminated"]["reason"] == "ContainerCannotRun"
    assert node.state()["lastState"]["terminated"]["exitCode"] == 127


@simulated
async def test_volumes_that_show_the_pod_are_written_again_when_it_changes(node: Node) -> None:
    written: list[Any] = []

    async def note(pod: ROObj) -> None:
        written.append((pod["metadata"].get("labels"), pod["metadata"].get("annotations")))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NoVolumes, "prepare", lambda self, pod, facts: note(pod))
        item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels['a']"}}
        shows = {"name": "down", "projected": {"sources": [{"downwardAPI": {"items": [item]}}]}}
        node.add(pod(volumes=[shows]))
        await node.run(1)
        for metadata in ({"annotations": {"x": "y"}}, {"labels": {"a": "b"}}):
            obj = meta.draft(node.api.pod("p"))
            obj["metadata"] |= metadata
            node.api.put("pods", obj)
            await node.run(1)
    assert written[1:] == [({"a": "b"}, {"x": "y"})], "of what it does not show it takes no notice"


@simulated
async def test_volumes_that_fail_hold_the_pod_back(node: Node) -> None:
    async def fail(pod: ROObj, facts: Any) -> None:
        raise VolumeError('configmap "cm" not found')

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NoVolumes, "prepare", lambda self, pod, facts: fail(pod, facts))
        worker = node.add(pod())
        await node.run(10)
        assert node.engine.log == []
        assert "FailedMount" in node.events
    worker.sources_changed()
    await node.run(0.1)
    assert node.status()["phase"] == "Running"


@simulated
async def test_a_pod_with_devices_waits_and_says_why(node: Node) -> None:
    p = pod()
    p["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimName": "gpu"}]
    node.add(p)
    await node.run(10)
    assert node.engine.log == []
    assert "FailedPrepareDynamicResources" in node.events


READINESS = {"readinessProbe": {"periodSeconds": 2, "failureThreshold": 2}}
LIVENESS = {"livenessProbe": {"periodSeconds": 2, "failureThreshold": 2, "initialDelaySeconds": 5}}


def is_ready(node: Node) -> bool:
    return next(c["status"] for c in node.status()["conditions"] if c["type"] == "Ready") == "True"


@simulated
async def test_readiness_follows_its_probe(node: Node) -> None:
    node.answers["web"] = False
    node.add(pod(container(**READINESS)))
    await node.run(1)
    assert not is_ready(node)
    node.answers["web"] = True
    await node.run(2.5)
    assert is_ready(node)
    node.answers["web"] = False
    await node.run(1)
    assert is_ready(node)
    await node.run(2)
    assert not is_ready(node)
    assert "Unhealthy" in node.events


@simulated
async def test_a_failed_liveness_probe_restarts_the_container(node: Node) -> None:
    node.add(pod(container(**LIVENESS)))
    await node.run(10)
    node.answers["web"] = False
    await node.run(4.5)
    assert node.state()["restartCount"] == 1
    assert "Killing" in node.events


@simulated
async def test_liveness_waits_for_startup(node: Node) -> None:
    slow = {"startupProbe": {"periodSeconds": 1, "failureThreshold": 30}, **LIVENESS}
    node.answers["web"] = False
    node.add(pod(container(**slow)))
    await node.run(20)
    assert (node.state()["restartCount"], node.state()["started"]) == (0, False)
    node.answers["web"] = True
    await node.run(2)
    assert (node.state()["started"], is_ready(node)) == (True, True)


@simulated
async def test_an_agent_that_starts_anew_leaves_a_running_pod_alone(node: Node) -> None:
    node.add(pod(container(**READINESS)))
    await node.run(3)
    assert is_ready(node)
    log, writes = list(node.engine.log), list(node.api.writes)
    other = Node()
    other.engine.containers = dict(node.engine.containers)
    other.api.objects = node.api.objects
    await other.start()
    worker = PodWorker(
        other.ctx, other.actor, other.tasks, node.api.pod(), on_done=other.workers.pop, fits=lambda _: None
    )
    other.workers["u1"] = worker
    worker.wake()
    await other.run(20)
    assert other.engine.log == []
    assert (node.engine.log, node.api.writes, other.api.writes) == (log, writes, [])
    await other.close()


@simulated
async def test_orphans_are_cleared_away(node: Node) -> None:
    node.add(pod())
    await node.run(1)
    worker = node.workers.pop("u1")
    worker.close()
    stand_in = orphan(node.observations.pod("u1"))
    cleaner = PodWorker(node.ctx, node.actor, node.tasks, stand_in, on_done=lambda uid: None, fits=lambda _: None)
    cleaner.vanish(stand_in)
    await node.run(1)
    assert node.engine.containers == {}


@simulated
async def test_an_engine_that_is_away_is_waited_for(node: Node) -> None:
    node.engine.down = "no engine"
    node.add(pod())
    await node.run(5)
    assert "FailedCreatePodSandBox" in node.events
    node.engine.down = ""
    await node.run(30)
    assert node.status()["phase"] == "Running"


@simulated
async def test_the_deadline_ends_the_pod(node: Node) -> None:
    node.add(pod(activeDeadlineSeconds=30))
    await node.run(29)
    assert node.status()["phase"] == "Running"
    await node.run(3)
    assert (node.status()["phase"], node.status()["reason"]) == ("Failed", "DeadlineExceeded")


# --- plans converge -----------------------------------------------------------------------------------------------------------

_POLICY = st.sampled_from(["Always", "OnFailure", "Never"])
_INIT = st.lists(st.booleans(), max_size=3)
_STEP = st.tuples(
    st.sampled_from(["exit", "vanish", "wait"]), st.integers(0, 5), st.sampled_from([0, 1, 137]), st.integers(0, 700)
)


@settings(max_examples=60, deadline=None)
@given(
    policy=_POLICY, sidecars=_INIT, apps=st.integers(1, 3), steps=st.lists(_STEP, max_size=12), deleted=st.booleans()
)
def test_whatever_happens_the_pod_settles_where_it_should(
    policy: str, sidecars: list[bool], apps: int, steps: list[tuple[str, int, int, int]], deleted: bool
) -> None:
    async def scenario(node: Node) -> None:
        init = [container(f"i{n}", **({"restartPolicy": "Always"} if s else {})) for n, s in enumerate(sidecars)]
        node.add(pod(*(container(f"a{n}") for n in range(apps)), init=init, restartPolicy=policy))
        await node.run(1)
        for what, which, code, seconds in steps:
            running = [i for i in node.engine.containers.values() if i.state == "running"]
            if running and what != "wait":
                name = running[which % len(running)].labels["minik.container"]
                if what == "exit":
                    node.engine.exit(name, code)
                else:
                    node.engine.vanish(name)
            await node.run(seconds)
        if deleted:
            node.mark_deleted()
            await node.run(120)
            assert node.engine.containers == {}
            assert node.api.objects == {}
        else:
            for _ in range(10):  # plain init containers end well from now on
                for info in list(node.engine.containers.values()):
                    name = info.labels["minik.container"]
                    if info.state == "running" and name.startswith("i") and not sidecars[int(name[1:])]:
                        node.engine.exit(name, 0)
                await node.run(400)
            phase = node.status()["phase"]
            names = {i.labels["minik.container"] for i in node.engine.containers.values() if i.state == "running"}
            if phase in ("Succeeded", "Failed"):
                assert names == set()
                assert policy != "Always"
            else:
                assert phase == "Running"
                assert "POD" in names
                if policy == "Always":
                    assert {f"a{n}" for n in range(apps)} <= names
            for container_name in {i.labels["minik.container"] for i in node.engine.containers.values()}:
                attempts = [i for i in node.engine.containers.values() if i.labels["minik.container"] == container_name]
                assert len(attempts) <= 2
                assert sum(i.state == "running" for i in attempts) <= 1

    simulate(scenario)


# --- resizing in place ------------------------------------------------------------------------------------------------


def sized(cpu: str = "1", memory: str = "64Mi", **more: Any) -> dict[str, Any]:
    amounts = {"cpu": cpu, "memory": memory}
    return container(resources={"requests": amounts, "limits": amounts}, **more)


async def resize(node: Node, *containers: dict[str, Any]) -> None:
    obj = meta.draft(node.api.pod("p"))
    obj["spec"]["containers"] = list(containers)
    node.api.put("pods", obj)
    await node.run(1)


def resize_conditions(node: Node) -> dict[str, tuple[str, str]]:
    return {
        c["type"]: (c.get("reason", ""), c.get("message", ""))
        for c in node.status()["conditions"]
        if c["type"].startswith("PodResize")
    }


@simulated
async def test_a_container_is_resized_where_it_runs(node: Node) -> None:
    node.add(pod(sized()))
    await node.run(1)
    assert node.state()["resources"] == sized()["resources"]
    assert node.state()["allocatedResources"] == {"cpu": "1", "memory": "64Mi"}
    await resize(node, sized("2", "128Mi"))
    assert node.engine.log[-1] == f"resize web shares=2048 memory={128 << 20}"
    assert node.state()["resources"] == sized("2", "128Mi")["resources"]
    assert (node.state()["restartCount"], resize_conditions(node)) == (0, {})
    assert node.events[-1] == "ResizeStarted"
    count = len(node.engine.log)
    await node.run(600)
    assert len(node.engine.log) == count, "once"


@simulated
async def test_a_resize_that_wants_a_restart_gets_one(node: Node) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    node.add(pod(sized(resizePolicy=policy), restartPolicy="OnFailure"))
    await node.run(1)
    await resize(node, sized("2", resizePolicy=policy))
    assert node.engine.log[-1].startswith("resize web shares=2048"), "its cpu needs none"
    await resize(node, sized("2", "128Mi", resizePolicy=policy))
    assert node.engine.log[-1] == "create web#1", "also of a container that then ended well"
    assert node.engine.specs[node.engine.find("web").id].limits.memory == 128 << 20
    assert (node.state()["restartCount"], node.state()["resources"]) == (1, sized("2", "128Mi")["resources"])
    assert node.status()["phase"] == "Running"
    node.engine.exit("web", 0)
    await node.run(1)
    assert node.status()["phase"] == "Succeeded", "from then on its policy holds again"


@simulated
async def test_a_container_that_is_stopped_to_be_resized_has_not_ended(node: Node) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    node.add(pod(sized(resizePolicy=policy), restartPolicy="OnFailure"))
    await node.run(1)
    create = node.engine.create_container

    async def slowly_created(spec: Any) -> Any:
        await node.clock.sleep(20)
        return await create(spec)

    async def slowly_stopped(container: str, grace: float, *, signal: str = "") -> None:
        del container, grace, signal
        node.engine.exit("web", 0)  # as a program that ends well when it is asked to
        await node.clock.sleep(20)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(node.engine, "create_container", slowly_created)
        patched.setattr(node.engine, "stop", slowly_stopped)
        await resize(node, sized("1", "128Mi", resizePolicy=policy))
        for _ in range(30):
            await node.run(1)
            assert node.status()["phase"] == "Running" and "terminated" not in node.state()["state"]
        await node.run(20)
    assert (node.status()["phase"], node.state()["restartCount"]) == ("Running", 1)
    assert "running" in node.state()["state"] and "terminated" in node.state()["lastState"]


@simulated
async def test_a_resize_waits_for_room(node: Node) -> None:
    node.add(pod(sized()))
    await node.run(1)
    node.refusal = Pending("Deferred", "not now")
    await resize(node, sized("2"))
    assert resize_conditions(node) == {"PodResizePending": ("Deferred", "not now")}
    assert node.state()["resources"] == sized()["resources"] and node.events[-1] == "ResizeDeferred"
    node.engine.exit("web", 1)
    await node.run(1)
    assert node.engine.specs[node.engine.find("web").id].limits.cpu_shares == 1024, "it starts with what it was given"
    node.refusal = None
    node.workers["u1"].wake()
    await node.run(1)
    assert node.engine.log[-1].startswith("resize web shares=2048") and resize_conditions(node) == {}


@simulated
async def test_a_resize_that_fails_says_so_and_is_tried_again(node: Node) -> None:
    node.add(pod(sized()))
    await node.run(1)
    node.engine.unresizable = "the engine is tired"
    await resize(node, sized("2"))
    why = "Failed to resize container web: the engine is tired"
    assert resize_conditions(node) == {"PodResizeInProgress": ("Error", why)}
    assert node.state()["resources"] == sized()["resources"]
    assert node.state()["allocatedResources"] == {"cpu": "2", "memory": "64Mi"}
    node.engine.unresizable = ""
    await node.run(20)
    assert node.state()["resources"] == sized("2")["resources"] and resize_conditions(node) == {}
    assert node.events.count("ResizeError") == 1


@simulated
async def test_a_memory_limit_below_what_is_used_is_not_tried(node: Node) -> None:
    async def used(_container: ContainerInfo) -> int:
        return 50 << 20

    node.ctx.memory_used = used
    node.add(pod(sized()))
    await node.run(1)
    await resize(node, sized("1", "10Mi"))
    ((reason, message),) = resize_conditions(node).values()
    assert (reason, f"memory limit ({10 << 20}) below current usage ({50 << 20})" in message) == ("Error", True)
    assert not [line for line in node.engine.log if line.startswith("resize")]
    await resize(node, sized("1", "60Mi"))
    assert resize_conditions(node) == {} and node.state()["resources"] == sized("1", "60Mi")["resources"]


@simulated
async def test_an_agent_that_starts_anew_knows_what_was_allotted(node: Node) -> None:
    node.add(pod(sized()))
    await node.run(1)
    node.refusal = Pending("Deferred", "not now")
    await resize(node, sized("2"))
    worker = PodWorker(
        node.ctx, node.actor, node.tasks, node.api.pod(), on_done=node.workers.pop, fits=lambda _: node.refusal
    )
    node.workers["u1"].close()
    node.workers["u1"] = worker
    worker.wake()
    await node.run(1)
    assert not [line for line in node.engine.log if line.startswith("resize")]
    assert resize_conditions(node) == {"PodResizePending": ("Deferred", "not now")}
    assert node.state()["allocatedResources"] == {"cpu": "1", "memory": "64Mi"}
