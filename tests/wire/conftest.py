"""A server with simulated containers on three nodes, shared by all tests here, and kubectl in two versions, each test in a namespace
of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import kubectl as kubectls
from tests.support.kubectl import Kubectl
from tests.support.process import Server, started

NODES = ("sim-0", "sim-1", "sim-2")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    process = Server(tmp_path_factory.mktemp("wire"), "--containers", "fake", "--nodes", "3", "--node-name", "sim")
    with started(process):
        yield process


@pytest.fixture
def namespace(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """A namespace with its default service account, named after the test."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.lower())[:40].strip("-") + f"-{next(_numbers)}"
    made = server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.status == 201, made.body
    yield name
    server.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(params=[kubectls.OLDER, kubectls.NEWER])
def kubectl(request: pytest.FixtureRequest, server: Server, namespace: str, tmp_path: Path) -> Kubectl:
    """kubectl in each version, in the test's namespace."""
    binary = kubectls.pick(request.param)
    return Kubectl(binary.path, server.kubeconfig, home=tmp_path, namespace=namespace)


@pytest.fixture(autouse=True)
def server_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the server logged during a test, in the captured output that a failure shows."""
    if "server" not in request.fixturenames:
        yield
        return
    server: Server = request.getfixturevalue("server")
    before = server.log.stat().st_size
    yield
    with server.log.open("rb") as log:
        log.seek(before)
        print(log.read()[-20_000:].decode(errors="replace"))
