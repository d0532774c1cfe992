"""A minik server with its own node on real Docker, in the network namespace of a host of its own (`tests/support/rig.py`), shared by
all tests that do not break it; and kubectl on that host."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from minik.agent.volumes import mounting
from tests.support import kubectl as kubectls
from tests.support import netlab
from tests.support.docker import why_no_daemon
from tests.support.images import BUSYBOX, busybox_archive, busybox_missing
from tests.support.kubectl import Kubectl
from tests.support.process import Server, inside, started, until
from tests.support.rig import Host, Rig

_numbers = itertools.count(1)


@dataclass
class OneNode:
    """A host with Docker, and minik on it."""

    host: Host
    server: Server

    def docker(self, *words: str) -> str:
        """The docker command on this host; what it prints."""
        from tests.support.docker import run

        return run("docker", "--host", self.host.url, *words)

    def container(self, uid: str) -> str:
        """The id of the running container of the pod that has only one."""
        words = ("--filter", f"label=minik.pod.uid={uid}", "--filter", "label=minik.kind=container")
        return self.docker("ps", "-q", *words).strip()

    def netns(self, uid: str) -> str:
        """The path of that pod's network namespace."""
        return f"/proc/{self.docker('inspect', '--format', '{{.State.Pid}}', self.container(uid)).strip()}/ns/net"

    def kubectl(self, home: Path, *, namespace: str = "", binary: Path | None = None) -> Kubectl:
        path = binary or kubectls.any_binary().path
        return Kubectl(path, self.server.kubeconfig, home=home, namespace=namespace, prefix=inside(self.host.netns))


def skip_without_engines() -> None:
    """Skips unless hosts with Docker can be made here."""
    if reason := netlab.why_not() or why_no_daemon() or busybox_missing():
        pytest.skip(reason)


@contextlib.contextmanager
def unmounted_after(directory: Path) -> Iterator[Path]:
    """`directory`, below which pods may mount volumes; what they leave mounted there when their host is gone is unmounted."""
    try:
        yield directory
    finally:
        for point in mounting.mounts_below(directory):
            mounting.unmount(point)


def one_node(host: Host, root: Path) -> OneNode:
    """Not started yet."""
    options = ("--docker", host.url, "--node-name", "one")
    return OneNode(host, Server(root, *options, port=6443, address="0.0.0.0", netns=host.netns))


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    skip_without_engines()
    with unmounted_after(tmp_path_factory.mktemp("one")) as root, Rig(1, images=[busybox_archive()]) as rig:
        node = one_node(rig[1], root)
        with started(node.server):
            yield node


@pytest.fixture
def namespace(request: pytest.FixtureRequest, one: OneNode) -> Iterator[str]:
    """A namespace with its default service account, named after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.lower())[:40].strip("-") + f"-{next(_numbers)}"
    path = f"/api/v1/namespaces/{name}"
    assert one.server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
    until(lambda: one.server.request("GET", f"{path}/serviceaccounts/default").status == 200, "a service account")
    yield name
    one.server.request("DELETE", path)


@pytest.fixture
def kubectl(one: OneNode, namespace: str, tmp_path: Path) -> Kubectl:
    """Some kubectl, in the test's namespace."""
    return one.kubectl(tmp_path, namespace=namespace)


@pytest.fixture(params=[kubectls.OLDER, kubectls.NEWER])
def each_kubectl(request: pytest.FixtureRequest, one: OneNode, namespace: str, tmp_path: Path) -> Kubectl:
    """kubectl in each version, in the test's namespace."""
    return one.kubectl(tmp_path, namespace=namespace, binary=kubectls.pick(request.param).path)


@pytest.fixture(autouse=True)
def server_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the shared server logged during a test, in the captured output that a failure shows."""
    if "one" not in request.fixturenames:
        yield
        return
    log = request.getfixturevalue("one").server.log
    before = log.stat().st_size
    yield
    with log.open("rb") as file:
        file.seek(before)
        print(file.read()[-20_000:].decode(errors="replace"))


def pod(name: str, *command: str, **spec: object) -> dict[str, object]:
    """A Pod of one busybox container `c` that runs `sh -c COMMAND`."""
    container = {
        "name": "c", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", " ".join(command)],
        **{key: spec.pop(key) for key in ("env", "stdin", "tty", "ports", "readinessProbe", "volumeMounts") if key in spec},
    }  # fmt: skip
    labels = spec.pop("labels", {"app": name})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1, **spec},
    }


def web(name: str, replicas: int, **template_spec: object) -> dict[str, object]:
    """A Deployment whose pods answer on port 8080 with their own name."""
    serve = "mkdir -p /tmp/w && hostname > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w"
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    template = pod(name, serve, readinessProbe=probe, **template_spec)
    metadata = template["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": metadata, "spec": template["spec"]},
        },
    }


def get(host: str, port: int) -> tuple[str, ...]:
    """A command for `kubectl exec` that asks a web server for its page (Debian's static busybox has a wget that crashes)."""
    return ("sh", "-c", f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {host} {port}")
