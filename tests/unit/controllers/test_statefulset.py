"""StatefulSets against the running control plane, in simulated time."""

from __future__ import annotations

from typing import Any

import pytest

from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import Obj, ROObj
from minik.controllers import claimprotection, garbagecollector, persistentvolume, persistentvolumeclaim, statefulset
from tests.support.cluster import ControlPlane, control_plane, named
from tests.support.kubelet import Exit, Hang, Kubelet, Outcome, Run

pytestmark = pytest.mark.looptime
SETS, REVISIONS, CLAIMS = "statefulsets.apps", "controllerrevisions.apps", "persistentvolumeclaims"


def a_set(name: str = "web", *, image: str = "a:1", **spec: Any) -> Obj:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    body = {"selector": {"matchLabels": labels}, "template": template, "serviceName": "hosts", "replicas": 3, **spec}
    return named(name, "default", spec=body)


async def _set(c: ControlPlane) -> ROObj:
    return await c.client.get(SETS, "web", "default")


async def _pods(c: ControlPlane) -> dict[str, ROObj]:
    found = (await c.client.list("pods", "default")).items
    return {meta.name(pod): pod for pod in sorted(found, key=meta.name)}


async def _images(c: ControlPlane) -> str:
    return " ".join(p["spec"]["containers"][0]["image"].removeprefix("a:") for p in (await _pods(c)).values())


async def _patch(c: ControlPlane, **spec: Any) -> None:
    await c.client.patch(SETS, "web", "default", {"spec": spec})


async def _new_image(c: ControlPlane, tag: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"a:{tag}"}]}}}}
    await c.client.patch(SETS, "web", "default", patch, type="strategic")


def tag_of(pod: ROObj) -> str:
    return str(pod["spec"]["containers"][0]["image"]).removeprefix("a:")


async def test_pods_come_in_order_with_names_that_stay() -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet(lambda _pod: Run(ready_after=5)).controller) as c:
        await c.create(SETS, a_set())
        await c.settle(3)
        assert list(await _pods(c)) == ["web-0"]
        await c.settle(6)
        assert list(await _pods(c)) == ["web-0", "web-1"]
        await c.settle(10)
        found = await _pods(c)
        assert list(found) == ["web-0", "web-1", "web-2"]
        for ordinal, pod in enumerate(found.values()):
            assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == (f"web-{ordinal}", "hosts")
            assert pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == f"web-{ordinal}"
            assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == str(ordinal)
        status = (await _set(c))["status"]
        revision = (await c.names(REVISIONS, "default"))[0]
        assert status == {
            "availableReplicas": 3, "collisionCount": 0, "currentReplicas": 3, "currentRevision": revision,
            "observedGeneration": 1, "readyReplicas": 3, "replicas": 3, "updateRevision": revision, "updatedReplicas": 3,
        }  # fmt: skip
        assert meta.labels(found["web-0"])["controller-revision-hash"] == revision
        before = (await _set(c))["metadata"]["resourceVersion"]
        await c.settle(3600)
        assert (await _set(c))["metadata"]["resourceVersion"] == before


async def test_scaling_goes_down_from_the_top_and_halts_at_unhealthy_pods() -> None:
    kubelet = Kubelet(stops_after=2)
    async with control_plane(statefulset.CONTROLLER, kubelet.controller) as c:
        await c.create(SETS, a_set())
        await c.settle(5)
        await _patch(c, replicas=1)
        await c.settle(1)
        found = await _pods(c)
        assert [name for name, pod in found.items() if meta.is_deleting(pod)] == ["web-2"]
        await c.settle(10)
        assert list(await _pods(c)) == ["web-0"]
        await _patch(c, replicas=3)
        await c.settle(10)
        unready = {"conditions": [{"type": "Ready", "status": "False"}]}
        for name in ("web-0", "web-1"):
            await c.client.patch_status("pods", name, "default", {"status": unready}, type="strategic")
        kubelet.plays = lambda _pod: Hang()
        await _patch(c, replicas=0)
        await c.settle(60)
        assert list(await _pods(c)) == ["web-0", "web-1"], "web-1 does not go while web-0 is unhealthy"
        kubelet.plays = lambda _pod: Run()
        await kubelet.again(c)
        await c.settle(30)
        assert await _pods(c) == {}


async def test_scaling_is_in_order_and_halts_while_all_are_unhealthy() -> None:
    """Scaling should happen in predictable order and halt if any stateful pod is unhealthy, step by step."""
    kubelet = Kubelet()
    broken = {"conditions": [{"type": "Ready", "status": "False"}]}
    async with control_plane(statefulset.CONTROLLER, kubelet.controller) as c:

        async def break_all(ready: int) -> None:
            kubelet.plays = lambda _pod: Run(ready_after=None)
            for name in await _pods(c):
                await c.client.patch_status("pods", name, "default", {"status": broken}, type="strategic")
            await c.settle(5)
            assert (await _set(c))["status"].get("readyReplicas", 0) == ready

        async def mend_all() -> None:
            kubelet.plays = lambda _pod: Run()
            await kubelet.again(c)
            await c.settle(10)

        await c.create(SETS, a_set(replicas=1))
        await c.settle(5)
        await break_all(0)
        await _patch(c, replicas=3)
        await c.settle(10)
        assert list(await _pods(c)) == ["web-0"]
        await mend_all()
        assert list(await _pods(c)) == ["web-0", "web-1", "web-2"]
        await break_all(0)
        await _patch(c, replicas=0)
        await c.settle(10)
        assert list(await _pods(c)) == ["web-0", "web-1", "web-2"]
        await mend_all()
        assert await _pods(c) == {}
        born = sorted(kubelet.created.values(), key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
        assert [meta.name(pod) for pod in born] == ["web-0", "web-1", "web-2"]


async def test_growth_halts_while_a_pod_is_not_ready() -> None:
    kubelet = Kubelet(lambda pod: Run(ready_after=None) if meta.name(pod) == "web-1" else Run())
    async with control_plane(statefulset.CONTROLLER, kubelet.controller) as c:
        await c.create(SETS, a_set())
        await c.settle(60)
        assert list(await _pods(c)) == ["web-0", "web-1"]
        kubelet.plays = lambda _pod: Run()
        await kubelet.again(c)
        assert list(await _pods(c)) == ["web-0", "web-1", "web-2"]


async def test_parallel_sets_burst() -> None:
    kubelet = Kubelet(lambda _pod: Run(ready_after=None), stops_after=2)
    async with control_plane(statefulset.CONTROLLER, kubelet.controller) as c:
        await c.create(SETS, a_set(podManagementPolicy="Parallel"))
        await c.settle(2)
        assert list(await _pods(c)) == ["web-0", "web-1", "web-2"]
        await _patch(c, replicas=5)
        await c.settle(1)
        assert len(await _pods(c)) == 5
        await _patch(c, replicas=0)
        await c.settle(1)
        assert all(map(meta.is_deleting, (await _pods(c)).values()))
        await c.settle(5)
        assert await _pods(c) == {}


async def test_a_pod_that_ended_is_made_again_under_its_name() -> None:
    kubelet = Kubelet()
    async with control_plane(statefulset.CONTROLLER, kubelet.controller) as c:
        await c.create(SETS, a_set())
        await c.settle(5)
        before = {name: meta.uid(pod) for name, pod in (await _pods(c)).items()}
        kubelet.plays = lambda pod: Exit(1) if meta.uid(pod) == before["web-0"] else Run()
        await c.client.patch_status("pods", "web-0", "default", {"status": {"phase": "Failed"}})
        await c.client.delete("pods", "web-2", "default")
        await c.settle(10)
        after = {name: meta.uid(pod) for name, pod in (await _pods(c)).items()}
        assert after.keys() == before.keys() and [n for n in after if after[n] != before[n]] == ["web-0", "web-2"]
        assert (await _set(c))["status"]["readyReplicas"] == 3


async def test_ordinals_may_start_elsewhere() -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, a_set(replicas=2, ordinals={"start": 5}))
        await c.settle(5)
        assert list(await _pods(c)) == ["web-5", "web-6"]
        await _patch(c, ordinals={"start": 6})
        await c.settle(20)
        assert list(await _pods(c)) == ["web-6", "web-7"]


async def test_a_rolling_update_goes_down_one_by_one_and_back_again() -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet(lambda _pod: Run(ready_after=2)).controller) as c:
        await c.create(SETS, a_set(minReadySeconds=1))
        await c.settle(30)
        await _new_image(c, "2")
        seen: list[str] = []
        for _ in range(100):
            await c.settle(0.25)
            found = await _pods(c)
            assert sum(pods.is_ready(pod) and not meta.is_deleting(pod) for pod in found.values()) >= 2
            shown = " ".join(tag_of(found[n]) if (n := f"web-{o}") in found else "-" for o in range(3))
            if not seen or seen[-1] != shown:
                seen.append(shown)
        assert [s for s in seen if "-" not in s] == ["1 1 2", "1 2 2", "2 2 2"]
        status = (await _set(c))["status"]
        assert status["currentRevision"] == status["updateRevision"] and status["currentReplicas"] == 3
        await _new_image(c, "1")
        await c.settle(40)
        assert await _images(c) == "1 1 1"
        numbers = sorted(r["revision"] for r in (await c.client.list(REVISIONS, "default")).items)
        assert numbers == [2, 3], "a rollback takes the first revision up again"


async def test_a_partition_holds_the_update_back_also_for_pods_made_anew() -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, a_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}))
        await c.settle(5)
        await _new_image(c, "2")
        await c.settle(10)
        assert await _images(c) == "1 1 1"
        status = (await _set(c))["status"]
        assert status["currentRevision"] != status["updateRevision"] and "updatedReplicas" not in status
        await _patch(c, updateStrategy={"rollingUpdate": {"partition": 2}})
        await c.settle(10)
        assert await _images(c) == "1 1 2"
        for name in ("web-0", "web-2"):
            await c.client.delete("pods", name, "default")
        await c.settle(10)
        assert await _images(c) == "1 1 2", "each at its own revision"
        await _patch(c, updateStrategy={"rollingUpdate": {"partition": 0}})
        await c.settle(10)
        assert await _images(c) == "2 2 2"
        status = (await _set(c))["status"]
        assert status["currentRevision"] == status["updateRevision"]


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
async def test_max_unavailable_updates_several_at_once(policy: str) -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet(lambda _pod: Run(ready_after=2)).controller) as c:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
        await c.create(SETS, a_set(replicas=5, podManagementPolicy=policy, updateStrategy=strategy))
        await c.settle(30)
        await _new_image(c, "2")
        fewest = 5
        for _ in range(200):
            await c.settle(0.25)
            fewest = min(fewest, sum(map(pods.is_ready, (await _pods(c)).values())))
        assert fewest == 3 and await _images(c) == "2 2 2 2 2"


async def test_on_delete_waits_for_somebody_to_delete() -> None:
    async with control_plane(statefulset.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, a_set(updateStrategy={"type": "OnDelete"}))
        await c.settle(5)
        await _new_image(c, "2")
        await c.settle(10)
        assert await _images(c) == "1 1 1"
        await c.client.delete("pods", "web-1", "default")
        await c.settle(10)
        assert await _images(c) == "1 2 1"


@pytest.mark.parametrize(("policy", "stuck"), [("OrderedReady", True), ("Parallel", False)])
async def test_a_broken_update_is_undone_by_itself_only_in_parallel(policy: str, stuck: bool) -> None:
    def plays(pod: ROObj) -> Outcome:
        return Run(ready_after=None) if tag_of(pod) == "broken" else Run()

    async with control_plane(statefulset.CONTROLLER, Kubelet(plays).controller) as c:
        await c.create(SETS, a_set(podManagementPolicy=policy))
        await c.settle(5)
        await _new_image(c, "broken")
        await c.settle(30)
        assert await _images(c) == "1 1 broken"
        await _new_image(c, "1")
        await c.settle(60)
        if stuck:  # known of Kubernetes: somebody has to delete the pod
            assert await _images(c) == "1 1 broken"
            await c.client.delete("pods", "web-2", "default")
            await c.settle(10)
        assert await _images(c) == "1 1 1" and (await _set(c))["status"]["readyReplicas"] == 3


async def test_pods_are_adopted_by_name_and_released() -> None:
    async with control_plane(statefulset.CONTROLLER, garbagecollector.CONTROLLER, Kubelet().controller) as c:
        await c.create(SETS, a_set())
        await c.settle(5)
        await c.client.delete(SETS, "web", "default", propagation="Orphan")
        await c.settle(5)
        kept = {name: meta.uid(pod) for name, pod in (await _pods(c)).items()}
        assert len(kept) == 3
        await c.create(SETS, a_set())
        await c.settle(10)
        assert {name: meta.uid(pod) for name, pod in (await _pods(c)).items()} == kept
        assert (await _set(c))["status"]["updatedReplicas"] == 3 and len(await c.names(REVISIONS, "default")) == 1
        await c.client.patch("pods", "web-1", "default", {"metadata": {"labels": {"app": "other"}}})
        await c.settle(5)
        assert not meta.owners((await _pods(c))["web-1"])


# --- claims --------------------------------------------------------------------------------------------------------------


def with_claims(**spec: Any) -> Obj:
    template = {
        "metadata": {"name": "data", "labels": {"tier": "x"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    return a_set(volumeClaimTemplates=[template], **spec)


def _claims_plane(kubelet: Kubelet) -> Any:
    return control_plane(
        statefulset.CONTROLLER, garbagecollector.CONTROLLER, kubelet.controller, persistentvolumeclaim.CONTROLLER,
        persistentvolume.CONTROLLER, claimprotection.CONTROLLER,
    )  # fmt: skip


async def test_claims_are_made_and_outlive_the_set() -> None:
    async with _claims_plane(Kubelet()) as c:
        await c.create(SETS, with_claims())
        await c.settle(5)
        assert sorted(await c.names(CLAIMS, "default")) == ["data-web-0", "data-web-1", "data-web-2"]
        claim = await c.client.get(CLAIMS, "data-web-1", "default")
        assert claim["metadata"]["labels"] == {"tier": "x", "app": "web"} and not meta.owners(claim)
        volume = (await _pods(c))["web-1"]["spec"]["volumes"][0]
        assert volume == {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}}
        uid = meta.uid(claim)
        await _patch(c, replicas=1)
        await c.settle(10)
        await _patch(c, replicas=2)
        await c.settle(10)
        assert meta.uid(await c.client.get(CLAIMS, "data-web-1", "default")) == uid
        await c.client.delete(SETS, "web", "default")
        await c.settle(20)
        assert await _pods(c) == {} and len(await c.names(CLAIMS, "default")) == 3


async def test_claims_go_as_the_retention_policy_says() -> None:
    async with _claims_plane(Kubelet()) as c:
        policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
        await c.create(SETS, with_claims(persistentVolumeClaimRetentionPolicy=policy))
        await c.settle(5)
        claim = await c.client.get(CLAIMS, "data-web-2", "default")
        assert meta.is_controlled_by(claim, await _set(c))
        await _patch(c, replicas=1)
        await c.settle(20)
        assert await c.names(CLAIMS, "default") == ["data-web-0"]
        await _patch(c, replicas=2)
        await c.settle(10)
        assert sorted(await c.names(CLAIMS, "default")) == ["data-web-0", "data-web-1"]
        await _patch(c, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
        await c.settle(5)
        assert not meta.owners(await c.client.get(CLAIMS, "data-web-1", "default"))
        await _patch(c, persistentVolumeClaimRetentionPolicy=policy)
        await c.settle(5)
        await c.client.delete(SETS, "web", "default")
        await c.settle(20)
        assert await c.names(CLAIMS, "default") == [] and await _pods(c) == {}


async def test_a_claim_that_was_deleted_comes_back_with_its_pod() -> None:
    kubelet = Kubelet()
    async with _claims_plane(kubelet) as c:
        await c.create(SETS, with_claims(replicas=1))
        await c.settle(5)
        first = meta.uid(await c.client.get(CLAIMS, "data-web-0", "default"))
        await c.client.delete(CLAIMS, "data-web-0", "default")
        await c.client.delete("pods", "web-0", "default")
        await c.settle(10)
        assert meta.uid(await c.client.get(CLAIMS, "data-web-0", "default")) != first
