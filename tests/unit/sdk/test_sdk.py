"""`minik.sdk` and `minik.testing`: the example's controller on a cluster in memory, the helpers, files that are loaded, kubeconfigs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from minik import sdk
from minik.client.kubeconfig import KubeconfigError, from_kubeconfig
from minik.clock import Entropy, SystemClock
from minik.metrics import Metrics
from minik.sdk.helpers import is_within, plan_ensure
from minik.sdk.hosting import Host
from minik.sdk.loading import ControllerFileError, Loaded, load, load_all
from minik.sdk.rights import rbac
from minik.testing import Cluster, cluster

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "scripts" / "examples" / "website.py"
WEBSITES = "websites.example.com"


@pytest.fixture(scope="module")
def example() -> Loaded:
    return load(EXAMPLE)


async def site(c: Cluster, **spec: Any) -> sdk.ROObj:
    return await c.create(WEBSITES, {"metadata": {"name": "w"}, "spec": {"html": "hi", **spec}})


async def test_the_example_makes_corrects_and_reports(example: Loaded) -> None:
    async with cluster(*example.controllers, crds=example.crds) as c:
        made = await site(c, replicas=0)
        deployment = await c.eventually(lambda: c.get("deployments.apps", "w"))
        assert sdk.meta.is_controlled_by(deployment, made)

        async def ready() -> sdk.ROObj | None:
            found = await c.get(WEBSITES, "w")
            return found if found is not None and sdk.is_true(found, "Ready") else None

        assert (await c.eventually(ready))["status"]["ready"] == 0
        await c.client.patch("configmaps", "w", "default", {"data": {"index.html": "forged"}})

        async def corrected() -> bool:
            found = await c.get("configmaps", "w")
            return found is not None and found["data"] == {"index.html": "hi"}

        await c.eventually(corrected)
        await c.client.patch(WEBSITES, "w", "default", {"spec": {"replicas": 3}})

        async def scaled() -> bool:
            found, up = await c.get("deployments.apps", "w"), await c.get(WEBSITES, "w")
            return (
                found is not None and up is not None and found["spec"]["replicas"] == 3 and not sdk.is_true(up, "Ready")
            )

        await c.eventually(scaled)
        await c.client.delete(WEBSITES, "w", "default")

        async def gone() -> bool:
            return await c.get("deployments.apps", "w") is None and await c.get("services", "w") is None

        await c.eventually(gone)


async def test_somebody_elses_object_is_left_alone(example: Loaded) -> None:
    async with cluster(*example.controllers, crds=example.crds) as c:
        await c.create("configmaps", {"metadata": {"name": "w"}, "data": {"mine": "yes"}})
        await site(c)
        controller = c.host.manager.statistics

        async def tried() -> bool:
            return bool(controller()["controllers"]["website"]["retries"] > 0)

        await with_timeout(tried)
        found = await c.get("configmaps", "w")
        assert found is not None and found["data"] == {"mine": "yes"}


async def with_timeout(check: Any) -> None:
    async with asyncio.timeout(20):
        while not await check():  # noqa: ASYNC110  # what is asked is a server, which sets no event
            await asyncio.sleep(0.01)


async def test_finalizers_hold_and_let_go() -> None:
    held: list[str] = []

    async def reconcile(ctx: sdk.Context, key: sdk.Key) -> sdk.Result:
        obj = ctx.cache("configmaps").get(key)
        if obj is None or key.name != "held":
            return sdk.DONE
        if sdk.meta.is_deleting(obj):
            held.append("cleaned")
            await sdk.drop_finalizer(ctx, "configmaps", obj, "example.com/clean")
        else:
            await sdk.add_finalizer(ctx, "configmaps", obj, "example.com/clean")
        return sdk.DONE

    async with cluster(sdk.Controller("holder", primary="configmaps", reconcile=reconcile)) as c:
        await c.create("configmaps", {"metadata": {"name": "held"}})

        async def is_held() -> bool:
            obj = await c.get("configmaps", "held")
            return obj is not None and "example.com/clean" in sdk.meta.finalizers(obj)

        await c.eventually(is_held)
        await c.client.delete("configmaps", "held", "default")

        async def gone() -> bool:
            return await c.get("configmaps", "held") is None

        await c.eventually(gone)
        assert held == ["cleaned"]


@pytest.mark.parametrize(
    ("wanted", "current", "within"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"l": [{"n": 1}]}, {"l": [{"n": 1, "default": True}]}, True),
        ({"l": [1]}, {"l": [1, 2]}, False),
        ({"a": None}, {"b": 1}, True),
        ({"a": None}, {"a": 1}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": {}}, {}, False),
    ],
)
def test_what_is_within(wanted: Any, current: Any, within: bool) -> None:
    assert is_within(wanted, current) is within


def test_a_correction_says_only_what_differs() -> None:
    current = {
        "metadata": {"name": "a", "labels": {"x": "1", "other": "2"}},
        "spec": {"n": 1, "more": 2},
        "data": {"k": "v"},
    }
    wanted = {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"n": 2}, "data": {"k": "v"}}
    assert plan_ensure(wanted, current) == {"spec": {"n": 2}}
    assert plan_ensure({**wanted, "spec": {"n": 1}}, current) is None


def write(directory: Path, text: str, name: str = "mine.py") -> Path:
    path = directory / name
    path.write_text(text)
    return path


GOOD = """
from minik import sdk
from beside import NAME
async def reconcile(ctx, key):
    return sdk.DONE
CONTROLLER = sdk.Controller(NAME, primary="configmaps", reconcile=reconcile)
"""


def test_a_file_is_loaded_with_the_modules_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "NAME = 'besides'", "beside.py")
    assert [controller.name for controller in load(write(tmp_path, GOOD)).controllers] == ["besides"]
    with pytest.raises(ControllerFileError, match="there is another controller called 'besides'"):
        load_all([tmp_path / "mine.py"], taken=["besides"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = (", "SyntaxError"),
        ("def f():\n    raise ValueError('why')\nf()\n", "line 2, in f\n    raise ValueError('why')\nValueError: why"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "defines neither CONTROLLER nor CONTROLLERS"),
        ("CONTROLLER = 1", "a controller must be a minik.sdk.Controller, not int"),
        ("CONTROLLERS = 1", "CONTROLLERS must be a list, not int"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_own_lines(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ControllerFileError) as caught:
        load(write(tmp_path, text))
    assert says in str(caught.value)
    assert "importlib" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ControllerFileError, match="there is no such file"):
        load(tmp_path / "none.py")


def test_rights_name_each_resource_once(example: Loaded) -> None:
    account, role, binding = rbac(example.controllers, namespace="prod")
    assert account["metadata"] == {"name": "website", "namespace": "prod"}
    assert binding["subjects"][0]["namespace"] == "prod"
    rules = {(r["apiGroups"][0], r["resources"][0]): r["verbs"] for r in role["rules"]}
    assert len(rules) == len(role["rules"])
    assert rules["apps", "deployments"] == ["get", "list", "watch", "create", "patch"]
    assert rules["example.com", "websites/status"] == ["patch"]
    assert rules["", "events"] == ["create", "patch"]


KUBECONFIG = """
current-context: one
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443", insecure-skip-tls-verify: true}}]
contexts: [{name: one, context: {cluster: c, user: u, namespace: n}}, {name: exec, context: {cluster: c, user: e}},
           {name: none, context: {cluster: nothing}}]
users: [{name: u, user: {tokenFile: token}}, {name: e, user: {exec: {command: x}}}]
"""


def test_kubeconfigs(tmp_path: Path) -> None:
    path = write(tmp_path, KUBECONFIG, "config")
    token = write(tmp_path, "first\n", "token")
    access = from_kubeconfig(path)
    assert (access.server, access.namespace, access.token()) == ("https://192.0.2.1:6443", "n", "first")
    token.write_text("second")
    os.utime(token, (1, 1))
    assert access.token() == "second"
    for context, says in (
        ("exec", "another program"),
        ("none", "has no cluster 'nothing'"),
        ("odd", "has no context 'odd'"),
    ):
        with pytest.raises(KubeconfigError, match=says):
            from_kubeconfig(path, context)
    with pytest.raises(KubeconfigError, match="cannot be read"):
        from_kubeconfig(tmp_path / "nowhere")


async def test_a_definition_that_is_refused_is_said_and_one_that_changed_is_corrected(
    example: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster(*example.controllers, crds=example.crds) as c:
        refused = sdk.meta.draft(example.crds[0])
        refused["metadata"]["name"] = "odd.example.com"
        changed = sdk.meta.draft(example.crds[0])
        del changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["replicas"]
        clock, entropy = SystemClock(), Entropy(2)
        host = Host(
            (), (refused, changed), c.plane.transport("test"), c.plane.registry,
            clock=clock, entropy=entropy, metrics=Metrics(),
        )  # fmt: skip
        await host.start()
        try:

            async def corrected() -> bool:
                found = await c.get("customresourcedefinitions.apiextensions.k8s.io", WEBSITES)
                assert found is not None
                schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
                return "replicas" not in schema["properties"]["spec"]["properties"]

            await c.eventually(corrected)
        finally:
            await host.close()
    said = [record for record in caplog.records if record.getMessage() == "a definition was refused"]
    assert [record.__dict__["definition"] for record in said] == ["odd.example.com"]
