"""Containers that die, agents that start anew, and what `kubectl delete` and `minik reset` leave behind: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import OneNode, one_node, pod, skip_without_engines, unmounted_after, web
from tests.support.docker import run
from tests.support.images import busybox_archive
from tests.support.kubectl import Kubectl
from tests.support.process import inside, run_minik, started, until
from tests.support.rig import Rig

pytestmark = [pytest.mark.docker, pytest.mark.root, pytest.mark.kubectl]


def containers(node: OneNode, *filters: str) -> set[str]:
    """Ids of the running containers of minik's."""
    words = [word for text in ("minik.pod.uid", *filters) for word in ("--filter", f"label={text}")]
    return set(node.docker("ps", "--no-trunc", "-q", *words).split())


def links(node: OneNode) -> set[str]:
    """The network interfaces of pods on the host."""
    lines = run(*inside(node.host.netns), "ip", "-o", "link").splitlines()
    return {name for line in lines if (name := line.split()[1].split("@")[0]).startswith("mk-") and name != "mk-svc"}


def test_a_killed_container_is_restarted(kubectl: Kubectl, one: OneNode, namespace: str) -> None:
    kubectl.apply(pod("p", "sleep 1d"))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    before = kubectl.get("pod", "p")
    for count in ("1", "2"):
        (container,) = containers(one, f"minik.pod.namespace={namespace}", "minik.kind=container")
        one.docker("kill", container)
        kubectl.eventually(count, "get", "pod", "p", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
        kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    after = kubectl.get("pod", "p")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["podIP"] == before["status"]["podIP"]
    assert after["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    kubectl.eventually(lambda out: "RESTARTS" in out and "2 (" in out, "get", "pod", "p")


def test_crash_loop_backs_off(kubectl: Kubectl) -> None:
    kubectl.apply(pod("p", "exit 4"))
    kubectl.eventually(
        "CrashLoopBackOff", "get", "pod", "p", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    )
    kubectl.eventually(lambda out: "Back-off restarting failed container" in out, "get", "events")
    status = kubectl.get("pod", "p")["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 4


def test_an_image_that_cannot_be_had(kubectl: Kubectl) -> None:
    broken = pod("p", "true")
    broken["spec"]["containers"][0]["image"] = "127.0.0.1:9/nothing:1"  # type: ignore[index]  # a plain dict
    kubectl.apply(broken)
    path = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    kubectl.eventually(lambda out: out in ("ErrImagePull", "ImagePullBackOff"), "get", "pod", "p", "-o", path)
    kubectl.eventually(lambda out: "Failed to pull image" in out, "get", "events")


def test_delete_leaves_nothing(kubectl: Kubectl, one: OneNode, namespace: str) -> None:
    kubectl("create", "configmap", "page", "--from-literal=a=1")
    volumes = [{"name": "v", "configMap": {"name": "page"}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": "m", "mountPath": "/m"}]
    before = links(one)
    kubectl.apply(pod("p", "sleep 1d", volumes=volumes, volumeMounts=mounts))
    kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    uid = kubectl.get("pod", "p")["metadata"]["uid"]
    folder = one.server.data_dir / "agent" / "pods" / uid
    assert folder.is_dir()
    assert links(one) - before
    kubectl("delete", "pod", "p")
    left = lambda: one.docker("ps", "-aq", "--filter", f"label=minik.pod.uid={uid}").strip()  # noqa: E731  # used twice below
    until(lambda: not left(), "its containers are gone")
    until(lambda: not folder.exists(), "its directory is gone")
    until(lambda: links(one) <= before, "its network interface is gone")
    assert uid not in Path("/proc/mounts").read_text()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OneNode]:
    """A host with minik that a test may break."""
    skip_without_engines()
    with unmounted_after(tmp_path), Rig(1, images=[busybox_archive()]) as rig:
        node = one_node(rig[1], tmp_path)
        with started(node.server):
            yield node


def test_killed_server_finds_its_pods_again(own: OneNode, tmp_path: Path) -> None:
    kubectl = own.kubectl(tmp_path)
    kubectl.apply(web("web", 3))
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    before, pods = containers(own), kubectl.get("pods")["items"]
    assert len(before) == 6
    own.server.kill()
    assert containers(own) == before, "containers go on without minik"
    (killed, *_) = containers(own, "minik.kind=container")
    own.docker("kill", killed)
    own.server.start()
    kubectl.eventually(lambda _: True, "wait", "--for=condition=Ready", "node/one", "--timeout=60s")
    until(lambda: len(containers(own)) == 6, "the one that died meanwhile is started again")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    after = kubectl.get("pods")["items"]
    uids = [{p["metadata"]["uid"]: p["status"]["podIP"] for p in some} for some in (pods, after)]
    assert uids[0] == uids[1]
    assert len(before & containers(own)) == 5, "the others were left alone"
    restarts = sorted(p["status"]["containerStatuses"][0]["restartCount"] for p in after)
    assert restarts == [0, 0, 1]


def test_reset_leaves_nothing(own: OneNode, tmp_path: Path) -> None:
    own.docker("run", "-d", "--name", "bystander", "--network=none", "minik.test/busybox:1", "sleep", "1d")
    kubectl = own.kubectl(tmp_path)
    kubectl.apply(web("web", 2))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    own.server.stop()
    assert len(containers(own)) == 4
    under = inside(own.host.netns)
    words = ("reset", "--yes", "--data-dir", str(own.server.data_dir), "--docker", own.host.url)
    run_minik(*words, prefix=under)
    assert own.docker("ps", "-a", "--format", "{{.Names}}").split() == ["bystander"]
    assert not own.server.data_dir.exists()
    assert "mk-" not in run(*under, "ip", "-o", "link")
    assert "10.244." not in run(*under, "ip", "route")
    assert "minik" not in run(*under, "nft", "list", "ruleset")
    assert str(own.server.data_dir) not in Path("/proc/mounts").read_text()
    run_minik(*words, prefix=under)  # twice is fine
