"""DaemonSets against the running control plane, in simulated time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.client.controller import DONE, Context, Controller, Key, Result
from minik.controllers import daemonset, garbagecollector
from minik.controllers.common.daemon_nodes import fit, target_node
from tests.support.cluster import ControlPlane, control_plane, named
from tests.support.dying import Dying, run_until_death
from tests.support.kubelet import Exit, Kubelet, Outcome, Run

pytestmark = pytest.mark.looptime
DAEMON_SETS, REVISIONS = "daemonsets.apps", "controllerrevisions.apps"


def a_set(name: str = "d", *, image: str = "a:1", pod: Obj | None = None, **spec: Any) -> Obj:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}], **(pod or {})}}
    return named(name, "default", spec={"selector": {"matchLabels": labels}, "template": template, **spec})


class Nodes(Kubelet):
    """Every node's kubelet at once: binds a daemon pod to the node that it is meant for."""

    def __init__(self, plays: Any = lambda _pod: Run()) -> None:
        super().__init__(plays)
        self.controller = Controller("kubelet", primary="pods", reconcile=self._place, workers=4)

    async def _place(self, ctx: Context, key: Key) -> Result:
        pod = ctx.cache("pods").get(key)
        if pod is None:
            return DONE
        self.node = target_node(pod) or "n1"
        if not pods.is_scheduled(pod) and not meta.is_deleting(pod):
            await ctx.client.bind(key, self.node, uid=meta.uid(pod))
        return await self._reconcile(ctx, key)


async def _nodes(c: ControlPlane, *names: str, **more: Any) -> None:
    for name in names:
        await c.create("nodes", named(name, **more))
    await c.settle()


async def _where(c: ControlPlane) -> list[str]:
    return sorted(target_node(p) for p in (await c.client.list("pods", "default")).items if not meta.is_deleting(p))


async def _images(c: ControlPlane) -> list[str]:
    return sorted(p["spec"]["containers"][0]["image"] for p in (await c.client.list("pods", "default")).items)


async def _set(c: ControlPlane) -> ROObj:
    return await c.client.get(DAEMON_SETS, "d", "default")


async def _new_image(c: ControlPlane, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}
    await c.client.patch(DAEMON_SETS, "d", "default", patch, type="strategic")


async def test_one_pod_on_each_node_and_a_new_one_for_each_that_goes() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a", "b")
        created = await c.create(DAEMON_SETS, a_set())
        assert created["metadata"]["annotations"]["deprecated.daemonset.template.generation"] == "1"
        await c.settle()
        assert await _where(c) == ["a", "b"]
        await _nodes(c, "c")
        assert await _where(c) == ["a", "b", "c"]
        await c.client.delete("pods", (await c.names("pods", "default"))[0], "default")
        await c.settle()
        assert await _where(c) == ["a", "b", "c"]
        status = (await _set(c))["status"]
        assert status == {
            "currentNumberScheduled": 3, "desiredNumberScheduled": 3, "numberAvailable": 3, "numberMisscheduled": 0,
            "numberReady": 3, "updatedNumberScheduled": 3, "observedGeneration": 1,
        }  # fmt: skip
        pod = (await c.client.list("pods", "default")).items[0]
        keys = {t["key"] for t in pod["spec"]["tolerations"]}
        assert keys == {f"node.kubernetes.io/{k}" for k in (
            "not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")}  # fmt: skip
        revision = (await c.client.list(REVISIONS, "default")).items[0]
        assert (
            pod["metadata"]["labels"]["controller-revision-hash"] == meta.labels(revision)["controller-revision-hash"]
        )
        before = (await _set(c))["metadata"]["resourceVersion"]
        await c.settle(3600)
        assert (await _set(c))["metadata"]["resourceVersion"] == before


async def test_a_released_pod_keeps_its_name_and_is_replaced() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a")
        await c.create(DAEMON_SETS, a_set())
        await c.settle()
        (name,) = await c.names("pods", "default")
        await c.client.patch("pods", name, "default", {"metadata": {"labels": {"app": "under-inspection"}}})
        await c.settle(5)
        found = {meta.name(pod): pod for pod in (await c.client.list("pods", "default")).items}
        assert len(found) == 2 and not meta.owners(found[name]) and (await _set(c))["status"]["numberReady"] == 1


async def test_it_follows_labels_of_nodes() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a", "b")
        await c.create(DAEMON_SETS, a_set(pod={"nodeSelector": {"color": "blue"}}))
        await c.settle()
        assert await _where(c) == [] and (await _set(c))["status"]["desiredNumberScheduled"] == 0
        await c.client.patch("nodes", "a", "", {"metadata": {"labels": {"color": "blue"}}})
        await c.settle()
        assert await _where(c) == ["a"]
        await c.client.patch("nodes", "a", "", {"metadata": {"labels": {"color": "green"}}})
        await c.settle()
        assert await _where(c) == []
        await c.client.patch(
            DAEMON_SETS, "d", "default", {"spec": {"template": {"spec": {"nodeSelector": {"color": "green"}}}}}
        )
        await c.settle()
        assert await _where(c) == ["a"]


async def test_taints_keep_it_away_and_only_no_execute_drives_it_out() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a")
        await c.create(DAEMON_SETS, a_set())
        await c.settle()
        taint = {"key": "special", "value": "x", "effect": "NoSchedule"}
        await c.client.patch("nodes", "a", "", {"spec": {"taints": [taint]}})
        await _nodes(c, "b", spec={"taints": [taint]})
        await c.create("nodes", named("cordoned", spec={"unschedulable": True, "taints": [
            {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}))  # fmt: skip
        await c.settle()
        assert await _where(c) == ["a", "cordoned"]
        assert (await _set(c))["status"]["numberMisscheduled"] == 1
        await c.client.patch("nodes", "a", "", {"spec": {"taints": [{**taint, "effect": "NoExecute"}]}})
        await c.settle()
        assert await _where(c) == ["cordoned"]


async def test_failed_pods_are_replaced_and_not_in_a_flood() -> None:
    nodes = Nodes(lambda _pod: Exit(1))
    async with control_plane(daemonset.CONTROLLER, nodes.controller) as c:
        await _nodes(c, "a")
        await c.create(DAEMON_SETS, a_set())
        await c.settle(60)
        assert 4 <= len(nodes.created) <= 8  # 1, 2, 4, 8, 16, 32 seconds
        nodes.plays = lambda _pod: Run()
        await c.settle(100)
        assert (await _set(c))["status"]["numberReady"] == 1


@pytest.mark.parametrize(("bound", "at_most"), [(1, 1), (2, 2), ("50%", 2)])
async def test_a_rolling_update_keeps_within_max_unavailable(bound: Any, at_most: int) -> None:
    nodes = Nodes(lambda _pod: Run(ready_after=3))
    async with control_plane(daemonset.CONTROLLER, nodes.controller) as c:
        await _nodes(c, "a", "b", "c", "d")
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": bound}}
        await c.create(DAEMON_SETS, a_set(updateStrategy=strategy, minReadySeconds=2))
        await c.settle(20)
        await _new_image(c, "a:2")
        worst = 0
        for _ in range(200):
            await c.settle(0.25)
            ready = [p for p in (await c.client.list("pods", "default")).items if pods.is_ready(p)]
            worst = max(worst, 4 - len(ready))
        assert worst == at_most
        assert await _images(c) == ["a:2"] * 4 and (await _set(c))["status"]["updatedNumberScheduled"] == 4


async def test_a_surge_never_takes_a_serving_pod_away() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes(lambda _pod: Run(ready_after=3)).controller) as c:
        await _nodes(c, "a", "b", "c")
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        await c.create(DAEMON_SETS, a_set(updateStrategy=strategy))
        await c.settle(20)
        await _new_image(c, "a:2")
        most = 0
        for _ in range(100):
            await c.settle(0.25)
            found = (await c.client.list("pods", "default")).items
            assert {target_node(p) for p in found if pods.is_ready(p)} == {"a", "b", "c"}
            most = max(most, len(found))
        assert most == 4 and await _images(c) == ["a:2"] * 3


async def test_on_delete_waits_for_somebody_to_delete() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a", "b")
        await c.create(DAEMON_SETS, a_set(updateStrategy={"type": "OnDelete"}))
        await c.settle()
        await _new_image(c, "a:2")
        await c.settle(30)
        assert await _images(c) == ["a:1", "a:1"] and "updatedNumberScheduled" not in (await _set(c))["status"]
        await c.client.delete("pods", (await c.names("pods", "default"))[0], "default")
        await c.settle()
        assert await _images(c) == ["a:1", "a:2"]


async def test_a_rollback_leaves_pods_of_the_old_template_alone() -> None:
    def plays(pod: ROObj) -> Outcome:
        return Run() if pod["spec"]["containers"][0]["image"] == "a:1" else Run(ready_after=None)

    async with control_plane(daemonset.CONTROLLER, Nodes(plays).controller) as c:
        await _nodes(c, "a", "b", "c")
        await c.create(DAEMON_SETS, a_set())
        await c.settle()
        first = {meta.uid(p) for p in (await c.client.list("pods", "default")).items}
        await _new_image(c, "a:broken")
        await c.settle(30)
        assert (await _images(c)).count("a:broken") == 1
        await _new_image(c, "a:1")
        await c.settle(30)
        found = {meta.uid(p) for p in (await c.client.list("pods", "default")).items}
        assert len(first & found) == 2 and await _images(c) == ["a:1"] * 3
        numbers = sorted(r["revision"] for r in (await c.client.list(REVISIONS, "default")).items)
        assert numbers == [2, 3]  # the first one is the third now


async def test_old_revisions_are_forgotten_beyond_the_limit() -> None:
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a")
        await c.create(DAEMON_SETS, a_set(revisionHistoryLimit=2))
        await c.settle()
        for number in range(2, 8):
            await _new_image(c, f"a:{number}")
            await c.settle(5)
        numbers = sorted(r["revision"] for r in (await c.client.list(REVISIONS, "default")).items)
        assert numbers == [5, 6, 7]
        assert (await _set(c))["metadata"]["annotations"]["deprecated.daemonset.template.generation"] == "7"


async def test_revisions_adopted_released_and_gone_with_their_set() -> None:
    async with control_plane(daemonset.CONTROLLER, garbagecollector.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a")
        await c.create(DAEMON_SETS, a_set())
        await c.settle()
        name = (await c.names(REVISIONS, "default"))[0]
        await c.client.patch(REVISIONS, name, "default", {"metadata": {"ownerReferences": None}})
        await c.settle()
        revision = await c.client.get(REVISIONS, name, "default")
        assert meta.is_controlled_by(revision, await _set(c)) and await c.names(REVISIONS, "default") == [name]
        await c.client.delete(REVISIONS, name, "default")
        await c.settle()
        assert await c.names(REVISIONS, "default") == [name], "made again"
        await c.client.delete(DAEMON_SETS, "d", "default")
        await c.settle(10)
        assert await c.names(REVISIONS, "default") == [] and await c.names("pods", "default") == []


def test_what_fits_a_node() -> None:
    node = {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"taints": []}}
    assert fit(a_set(), node).runs
    assert not fit(a_set(pod={"nodeName": "b"}), node).stays
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "x", "operator": "In", "values": ["2"]}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert not fit(a_set(pod={"affinity": affinity}), node).stays
    network = {"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}
    tainted = {**node, "spec": {"taints": [network]}}
    assert not fit(a_set(), tainted).runs and fit(a_set(pod={"hostNetwork": True}), tainted).runs


async def test_a_second_revision_of_the_same_data_restarts_nothing() -> None:
    """The life of a ControllerRevision as Kubernetes' conformance test has it."""
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a", "b")
        await c.create(DAEMON_SETS, a_set())
        await c.settle()
        first = (await c.client.list(REVISIONS, "default")).items[0]
        before = {meta.uid(p) for p in (await c.client.list("pods", "default")).items}
        labels = {**meta.labels(first), "controller-revision-hash": "another"}
        second = named("d-another", "default", labels=labels, ownerReferences=list(meta.owners(first)),
                       data=first["data"], revision=first["revision"] + 1)  # fmt: skip
        await c.create(REVISIONS, second)
        await c.settle(5)
        assert len(await c.names(REVISIONS, "default")) == 2
        await c.client.delete(REVISIONS, meta.name(first), "default")
        await c.settle(5)
        assert await c.names(REVISIONS, "default") == ["d-another"]
        assert {meta.uid(p) for p in (await c.client.list("pods", "default")).items} == before
        await c.client.patch(
            DAEMON_SETS, "d", "default", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
        )
        await c.settle(10)
        assert sorted(r["revision"] for r in (await c.client.list(REVISIONS, "default")).items) == [2, 3]


async def test_a_pod_is_not_made_again_under_its_name() -> None:
    """Whoever waits for a failed or deleted pod to be gone asks for its name, and not all the time."""
    async with control_plane(daemonset.CONTROLLER, Nodes().controller) as c:
        await _nodes(c, "a")
        await c.create(DAEMON_SETS, a_set())
        seen = []
        for _ in range(4):
            await c.settle(5)
            (name,) = await c.names("pods", "default")
            seen.append(name)
            await c.client.patch_status("pods", name, "default", {"status": {"phase": "Failed"}}, type="merge")
            await c.settle(900)
        assert len(set(seen)) == 4


@pytest.mark.parametrize(("before", "late"), [(True, 0.0), (False, 0.0), (False, 0.5)])
async def test_no_node_gets_two_pods_wherever_the_controller_dies(before: bool, late: float) -> None:
    fatal, died = 1, True
    while died:
        nodes = Nodes(lambda _pod: Run(ready_after=1))
        async with control_plane(nodes.controller) as c:
            await _nodes(c, "a", "b")
            await c.create(DAEMON_SETS, a_set())
            dying = Dying(c.server.local(), fatal, before=before, late=late)
            died = await run_until_death(c, daemonset.CONTROLLER, dying, seconds=20)
            await _new_image(c, "a:2")
            died = died or await run_until_death(c, daemonset.CONTROLLER, dying, seconds=20)
            await run_until_death(c, daemonset.CONTROLLER, Dying(c.server.local(), 0, before=True), seconds=60)
            assert await _where(c) == ["a", "b"] and await _images(c) == ["a:2", "a:2"]
            made = Counter((target_node(p), p["spec"]["containers"][0]["image"]) for p in nodes.created.values())
            assert set(made.values()) == {1} and len(await c.names(REVISIONS, "default")) <= 2
        fatal += 1
    assert fatal > 8
