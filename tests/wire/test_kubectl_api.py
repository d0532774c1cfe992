"""Stock kubectl against the API server alone, over TLS: no controllers, so only what the server itself does."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.apiserver import serving

KUBECTL = shutil.which("kubectl")
pytestmark = [pytest.mark.kubectl, pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")]


class Kubectl:
    """kubectl with the server's kubeconfig."""

    def __init__(self, directory: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(directory / "kubeconfig"), "HOME": str(directory)}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        assert KUBECTL is not None
        pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        return await asyncio.create_subprocess_exec(
            KUBECTL, *arguments, env=self._environment, stdin=pipe, stdout=pipe, stderr=out
        )

    async def __call__(self, *arguments: str, stdin: str = "", fails: bool = False) -> str:
        """What it printed, both streams. An exit status other than 0 fails unless `fails` is set."""
        process = await self.start(*arguments)
        async with asyncio.timeout(20):
            out, _ = await process.communicate(stdin.encode())
        text = out.decode()
        assert (process.returncode != 0) == fails, f"kubectl {' '.join(arguments)}: {text}"
        return text


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with serving(tmp_path):
        yield Kubectl(tmp_path)


CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c, labels: {app: x}}
data: {a: "1", b: "2"}
"""


async def test_apply_changes_and_prunes(kubectl: Kubectl) -> None:
    assert "configmap/c created" in await kubectl("apply", "-f", "-", stdin=CONFIG)
    assert "configmap/c unchanged" in await kubectl("apply", "-f", "-", stdin=CONFIG)
    changed = CONFIG.replace('a: "1", ', "").replace('"2"', '"3"')
    assert "configmap/c configured" in await kubectl("apply", "-f", "-", stdin=changed)
    assert await kubectl("get", "cm", "c", "-o", "jsonpath={.data}") == '{"b":"3"}'


async def test_apply_warns_of_nothing_and_refuses_unknown_fields(kubectl: Kubectl) -> None:
    out = await kubectl("create", "-f", "-", stdin=CONFIG + "datas: {}\n", fails=True)
    assert 'strict decoding error: unknown field "datas"' in out
    out = await kubectl("create", "--validate=warn", "-f", "-", stdin=CONFIG + "datas: {}\n")
    assert 'Warning: unknown field "datas"' in out


async def test_deployment_verbs(kubectl: Kubectl) -> None:
    await kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2")
    await kubectl("scale", "deployment/web", "--replicas=3")
    await kubectl("set", "image", "deployment/web", "nginx=nginx:2")
    await kubectl("label", "deployment", "web", "tier=front")
    await kubectl("annotate", "deployment", "web", "note=x")
    await kubectl("patch", "deployment", "web", "-p", '{"spec":{"paused":true}}')
    await kubectl("patch", "deployment", "web", "--type=json", "-p", '[{"op":"remove","path":"/spec/paused"}]')
    columns = "R:.spec.replicas,I:.spec.template.spec.containers[0].image,L:.metadata.labels.tier"
    out = await kubectl("get", "deploy", "web", "--no-headers", "-o", f"custom-columns={columns}")
    assert out.split() == ["3", "nginx:2", "front"]
    await kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort")
    assert "NodePort" in await kubectl("get", "svc", "web")
    assert "Selector:" in await kubectl("describe", "deployment", "web")
    assert "nginx:2" in await kubectl("get", "deploy", "-o", "wide")
    await kubectl("delete", "deployment/web", "service/web", "--cascade=background")
    assert "NotFound" in await kubectl("get", "deploy", "web", fails=True)


async def test_errors_read_as_kubernetes(kubectl: Kubectl) -> None:
    assert 'Error from server (NotFound): pods "nope" not found' in await kubectl("get", "pod", "nope", fails=True)
    assert 'the server doesn\'t have a resource type "foos"' in await kubectl("get", "foos", fails=True)
    await kubectl("create", "cm", "a")
    assert 'configmaps "a" already exists' in await kubectl("create", "cm", "a", fails=True)


async def test_discovery_and_explain(kubectl: Kubectl) -> None:
    assert "deployments" in await kubectl("api-resources")
    assert "deployments" in await kubectl("api-resources", "--cached=false")
    assert "apps/v1" in await kubectl("api-versions")
    assert "dnsPolicy" in await kubectl("explain", "pod.spec.dnsPolicy")
    assert "v1.36.0+minik" in await kubectl("version")


async def test_identity(kubectl: Kubectl) -> None:
    assert "kubernetes-admin" in await kubectl("auth", "whoami")
    assert (await kubectl("auth", "can-i", "delete", "nodes")).strip().endswith("yes")
    token = (await kubectl("create", "token", "default")).strip()
    assert token.count(".") == 2


async def test_watch(kubectl: Kubectl) -> None:
    await kubectl("create", "cm", "w")
    watching = await kubectl.start("get", "cm", "-w", "--output-watch-events", "--no-headers")
    assert watching.stdout is not None
    lines = []
    async with asyncio.timeout(20):
        lines.append(await watching.stdout.readline())
        await kubectl("label", "cm", "w", "a=b")
        await kubectl("delete", "cm", "w")
        lines += [await watching.stdout.readline() for _ in range(2)]
    watching.terminate()
    await watching.communicate()
    assert [line.split()[:2] for line in lines] == [[b"ADDED", b"w"], [b"MODIFIED", b"w"], [b"DELETED", b"w"]]
