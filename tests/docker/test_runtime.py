"""`DockerRuntime` on a real engine: what the contract suite cannot ask of a simulated one."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from minik.agent.containers.base import (
    ContainerInfo,
    ContainerSpec,
    ImageFailure,
    Limits,
    LogOptions,
    Mount,
    RuntimeEvent,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxSpec,
    Security,
    Session,
    StartFailure,
)
from minik.agent.containers.docker import DockerRuntime, remove_everything
from minik.clock import SystemClock
from tests.support.docker import Daemon, DockerHost, own_daemon, why_no_daemon
from tests.support.images import BUSYBOX, busybox_archive, busybox_layer, busybox_missing
from tests.support.registry import Registry

pytestmark = pytest.mark.docker

T = TypeVar("T")
_numbers = itertools.count(1)


class Node:
    """A runtime and short ways to make things on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"d{os.getpid()}-{next(_numbers)}"
        self.labels = {"minik.node": self.name}
        self.runtime = DockerRuntime(self.name, url=url, clock=SystemClock())

    async def sandbox(self, **more: Any) -> ContainerInfo:
        spec = SandboxSpec(name=f"mk_POD_{self.name}", labels=self.labels, **more)
        return await self.runtime.run_sandbox(spec)

    async def create(self, *command: str, sandbox: ContainerInfo | None = None, **more: Any) -> ContainerInfo:
        name = f"mk_app{next(_numbers)}_{self.name}"
        joined = (sandbox or await self.sandbox()).id
        spec = ContainerSpec(name=name, image=BUSYBOX, sandbox=joined, labels=self.labels, command=command)
        return await self.runtime.create_container(replace(spec, **more))

    async def app(self, *command: str, **more: Any) -> ContainerInfo:
        return await self.runtime.start((await self.create(*command, **more)).id)

    async def ended(self, container: str) -> ContainerInfo:
        async def look() -> ContainerInfo | None:
            info = await self.runtime.inspect(container)
            return info if info.state == "exited" else None

        return await eventually(look)

    async def prints(self, *command: str, **more: Any) -> str:
        """What a container of this command writes until it ends."""
        app = await self.app(*command, **more)
        await self.ended(app.id)
        return (b"".join([data async for _, data in self.runtime.logs(app.id, LogOptions())])).decode()

    async def close(self) -> None:
        await self.runtime.close()
        await remove_everything(self.url, self.name)


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 20) -> T:
    """What `look` gives once it gives something."""
    async with asyncio.timeout(seconds):
        while (found := await look()) is None:  # noqa: ASYNC110  # what is looked at is another process
            await asyncio.sleep(0.02)
    return found


def inode(path: str) -> int:
    return Path(path).stat().st_ino


def namespace(pid: int | str, kind: str) -> int:
    """The identity of a process's namespace."""
    return inode(f"/proc/{pid}/ns/{kind}")


async def output(session: Session) -> bytes:
    async with asyncio.timeout(20):
        return b"".join([data async for _, data in session.output()])


@pytest.fixture
async def node(docker_engine: str) -> AsyncIterator[Node]:
    made = Node(docker_engine)
    try:
        yield made
    finally:
        await made.close()


# --- namespaces, mounts, limits, security ------------------------------------------------------------------------------


async def test_sandbox_has_an_empty_network_of_its_own(node: Node) -> None:
    sandbox = await node.sandbox(hostname="web-0")
    shown = await node.prints("sh", "-c", "hostname; ls /sys/class/net; ip route", sandbox=sandbox)
    assert shown.split() == ["web-0", "lo"]


async def test_containers_of_a_pod_share_network_and_ipc_but_not_processes(node: Node) -> None:
    sandbox = await node.sandbox()
    apps = [await node.app("sleep", "1000", sandbox=sandbox) for _ in range(2)]

    def namespaces(kind: str) -> set[int]:
        return {namespace(info.pid, kind) for info in (sandbox, *apps)}

    assert len(namespaces("net")) == 1 and len(namespaces("ipc")) == 1
    assert len(namespaces("pid")) == 3 and len(namespaces("mnt")) == 3


async def test_shared_process_namespace_and_its_reaper(node: Node) -> None:
    sandbox = await node.sandbox()
    app = await node.app("sh", "-c", "(sleep 0.01 &) ; exec sleep 1000", sandbox=sandbox, share_pid=True)
    assert namespace(app.pid, "pid") == namespace(sandbox.pid, "pid")

    async def look() -> bool | None:
        session = await node.runtime.exec(app.id, ["ps", "-o", "pid,stat,comm"])
        listed = await output(session)
        await session.close()
        lines = [line.split() for line in listed.decode().splitlines()[1:]]
        assert lines[0][0] == "1" and lines[0][2] == "pause"
        return [line[2] for line in lines[1:] if line[2] != "ps"] == ["sleep"] or None

    await eventually(look)


async def test_namespaces_of_the_host(node: Node, docker_host: DockerHost) -> None:
    sandbox = await node.sandbox(host_network=True, host_pid=True, host_ipc=True)
    app = await node.app("sleep", "1000", sandbox=sandbox, host_network=True, host_pid=True, host_ipc=True)
    network = inode(docker_host.netns or "/proc/self/ns/net")
    for info in (sandbox, app):
        assert namespace(info.pid, "net") == network
        for kind in ("pid", "ipc"):
            assert namespace(info.pid, kind) == namespace("self", kind)


async def test_sandbox_ends_at_once_when_told(node: Node) -> None:
    sandbox = await node.sandbox()
    async with asyncio.timeout(5):
        await node.runtime.stop(sandbox.id, 30)
    assert (await node.runtime.inspect(sandbox.id)).exit_code == 0


async def test_mounts(node: Node, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    mounts = [
        Mount(source=str(tmp_path), target="/rw"),
        Mount(source=str(tmp_path / "file"), target="/etc/hosts", read_only=True),
    ]
    shown = await node.prints(
        "sh",
        "-c",
        "cat /etc/hosts; echo new > /rw/new; echo x 2>/dev/null > /etc/hosts || echo ' refused'",
        mounts=mounts,
    )
    assert "text" in shown and shown.endswith("refused\n")
    assert (tmp_path / "new").read_text() == "new\n"
    with pytest.raises(RuntimeFailure, match="does not exist"):
        await node.create("true", mounts=[Mount(source=str(tmp_path / "missing"), target="/m")])
    assert not (tmp_path / "missing").exists()


async def test_environment_directory_and_security(node: Node) -> None:
    shown = await node.prints(
        "sh",
        "-c",
        'echo "$A"; pwd; id -u; id -g; id -G; grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status; touch /x 2>&1 || true',
        env=[("A", "b=c d")],
        working_dir="/w/here",
        security=Security(
            user="1000:1001", groups=[2000], cap_drop=["ALL"], no_new_privileges=True, read_only_root=True,
            seccomp="unconfined",
        ),
    )  # fmt: skip
    lines = shown.splitlines()
    assert lines[:4] == ["b=c d", "/w/here", "1000", "1001"]
    assert set(lines[4].split()) == {"1001", "2000"}
    fields = {line.split(":")[0]: line.split()[1] for line in lines[5:8]}
    assert fields == {"CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "0"}
    assert "Read-only file system" in lines[8]


async def test_out_of_memory(node: Node) -> None:
    app = await node.app("sh", "-c", "tail /dev/zero; exit $?", limits=Limits(memory=16 << 20))
    info = await node.ended(app.id)
    assert info.oom_killed and info.exit_code == 137


async def test_limits_can_be_changed_while_it_runs(node: Node) -> None:
    app = await node.app("sleep", "1000", limits=Limits(memory=64 << 20, cpu_shares=100))
    await node.runtime.update_limits(
        app.id, Limits(memory=32 << 20, cpu_shares=200, cpu_quota=50_000, cpu_period=100_000)
    )
    inspected = await node.runtime._inspect(app.id)
    host = inspected["HostConfig"]
    assert (host["Memory"], host["CpuShares"], host["CpuQuota"]) == (32 << 20, 200, 50_000)


async def test_user_that_does_not_exist_is_a_start_failure(node: Node) -> None:
    made = await node.create("true", security=Security(user="nosuchuser"))
    with pytest.raises(StartFailure) as caught:
        await node.runtime.start(made.id)
    assert caught.value.exit_code == 128
    assert (await node.runtime.inspect(made.id)).error


async def test_stop_signals(node: Node) -> None:
    script = "trap 'exit 10' TERM; trap 'exit 11' USR1; echo ready; while :; do sleep 0.02; done"

    async def code(signal_name: str, **more: Any) -> int:
        app = await node.app("sh", "-c", script, **more)
        async for _ in node.runtime.logs(app.id, LogOptions(follow=True)):
            break
        await node.runtime.stop(app.id, 20, signal=signal_name)
        return (await node.runtime.inspect(app.id)).exit_code

    assert await code("") == 10
    assert await code("SIGUSR1") == 11
    assert await code("", stop_signal="SIGUSR1") == 11
    stubborn = await node.app("sh", "-c", "trap '' TERM; sleep 1000")
    await node.runtime.stop(stubborn.id, 0.05, signal="SIGTERM")
    assert (await node.runtime.inspect(stubborn.id)).exit_code == 137


# --- streams ------------------------------------------------------------------------------------------------------------


async def test_log_of_a_terminal_has_no_frames(node: Node) -> None:
    app = await node.app("sh", "-c", "echo out; echo err >&2", tty=True)
    await node.ended(app.id)
    assert b"".join([data async for _, data in node.runtime.logs(app.id, LogOptions())]) == b"out\r\nerr\r\n"


async def test_streams_of_a_log(node: Node) -> None:
    app = await node.app("sh", "-c", "echo a; echo b >&2")
    await node.ended(app.id)
    chunks = [chunk async for chunk in node.runtime.logs(app.id, LogOptions())]
    assert sorted(chunks) == [(1, b"a\n"), (2, b"b\n")]


async def test_long_line_is_dated_once(node: Node) -> None:
    app = await node.app("sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo short")
    await node.ended(app.id)
    log = b"".join([data async for _, data in node.runtime.logs(app.id, LogOptions(timestamps=True))])
    lines = [line.split(b" ", 1)[1] for line in log.splitlines()]
    assert lines == [b"x" * 40000, b"short"]


async def test_resize_and_terminal_of_exec(node: Node) -> None:
    app = await node.app("sleep", "1000")
    session = await node.runtime.exec(app.id, ["sh", "-c", "read line; stty size"], stdin=True, tty=True, size=(80, 24))
    await session.resize(111, 33)
    await session.write(b"\n")
    assert b"33 111" in await output(session)
    assert await session.exit_code() == 0
    await session.resize(1, 1)  # too late, and no matter
    with pytest.raises(ConnectionError):
        await session.write(b"too late")
    await session.close()


async def test_ctrl_p_is_not_held_back(node: Node) -> None:
    app = await node.app("sleep", "1000")
    session = await node.runtime.exec(
        app.id, ["sh", "-c", "stty raw -echo; echo r; head -c1 | od -An -tx1"], stdin=True, tty=True
    )
    chunks = session.output()
    async with asyncio.timeout(20):
        await anext(chunks)
        await session.write(b"\x10")
        rest = b"".join([data async for _, data in chunks])
    assert b"10" in rest
    await session.close()


async def test_large_streams_both_ways(node: Node) -> None:
    app = await node.app("sleep", "1000")
    session = await node.runtime.exec(app.id, ["sha256sum"], stdin=True)
    block = bytes(range(256)) * 1024
    for _ in range(16):
        await session.write(block)
    await session.close_stdin()
    assert (await output(session)).split()[0].decode() == hashlib.sha256(block * 16).hexdigest()
    await session.close()
    session = await node.runtime.exec(app.id, ["sh", "-c", "head -c 4194304 /dev/zero"])
    assert len(await output(session)) == 4 << 20
    await session.close()


async def test_attach(node: Node) -> None:
    made = await node.create("sh", "-c", "read a; echo got $a; exit 4", stdin=True, stdin_once=True)
    await node.runtime.start(made.id)
    session = await node.runtime.attach(made.id, stdin=True, tty=False)
    await session.write(b"word\n")
    assert await output(session) == b"got word\n"
    assert await session.exit_code() == 4
    await session.close()


async def test_attach_leaves_a_running_container_running(node: Node) -> None:
    app = await node.app("sh", "-c", "while :; do echo tick; sleep 0.05; done")
    session = await node.runtime.attach(
        app.id, stdin=False, tty=True
    )  # what the caller believes of the terminal is wrong
    async with asyncio.timeout(20):
        assert await anext(session.output()) == (1, b"tick\n")
    await session.close()
    assert (await node.runtime.inspect(app.id)).state == "running"


async def test_abandoned_streams_give_their_connections_back(node: Node) -> None:
    app = await node.app("sh", "-c", "echo x; exec sleep 1000")

    async def follow() -> None:
        async for _ in node.runtime.logs(app.id, LogOptions(follow=True)):
            pass

    following = [asyncio.ensure_future(follow()) for _ in range(120)]  # more than aiohttp's own limit
    await node.runtime.inspect(app.id)
    connector = node.runtime._engine.docker.connector

    async def all_there() -> bool | None:
        return len(connector._acquired) >= 120 or None

    await eventually(all_there)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    session = await node.runtime.exec(app.id, ["sleep", "1000"])
    await session.close()
    assert len(connector._acquired) == 0


# --- images -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def registry(docker_host: DockerHost) -> AsyncIterator[tuple[Registry, str]]:
    if not docker_host.netns and not docker_host.url.startswith("unix://"):
        pytest.skip("the engine cannot reach a registry of this process")
    made = Registry()
    async with made.listening(netns=docker_host.netns) as address:
        yield made, address


async def test_pull(node: Node, registry: tuple[Registry, str]) -> None:
    images, address = registry
    digest = images.add("team/app", "1", busybox_layer(), {"Cmd": ["true"], "User": "1000"})
    info = await node.runtime.pull(f"{address}/team/app:1")
    assert info.tags == (f"{address}/team/app:1",) and info.digests == (f"{address}/team/app@{digest}",)
    assert info.user == "1000" and info.cmd == ("true",)
    assert (await node.runtime.pull(f"{address}/team/app@{digest}")).id == info.id
    assert info.id in [image.id for image in await node.runtime.images()]


async def test_pull_with_login(node: Node, registry: tuple[Registry, str]) -> None:
    images, address = registry
    images.add("team/secret", "latest", busybox_layer(), {"Cmd": ["true"], "Labels": {"a": "b"}})
    images.login = "user:pass"
    with pytest.raises(ImageFailure) as caught:
        await node.runtime.pull(f"{address}/team/secret")
    assert caught.value.reason == "ErrImagePull" and "auth" in str(caught.value)
    with pytest.raises(ImageFailure):
        await node.runtime.pull(f"{address}/team/secret", auth={"username": "user", "password": "wrong"})
    info = await node.runtime.pull(f"{address}/team/secret", auth={"username": "user", "password": "pass"})
    assert info.tags == (f"{address}/team/secret:latest",)


@pytest.mark.parametrize("fault", [403, 404, 429])
async def test_pull_failures(node: Node, registry: tuple[Registry, str], fault: int) -> None:
    images, address = registry
    images.fault = fault
    with pytest.raises(ImageFailure) as caught:
        await node.runtime.pull(f"{address}/team/app:{fault}")
    assert caught.value.reason == "ErrImagePull" and str(caught.value)


async def test_invalid_name(node: Node) -> None:
    with pytest.raises(ImageFailure) as caught:
        await node.runtime.pull("Not/A/Name")
    assert caught.value.reason == "InvalidImageName"


async def test_pull_that_hangs_can_be_given_up(node: Node, registry: tuple[Registry, str]) -> None:
    images, address = registry
    images.fault = "hang"
    pulling = asyncio.ensure_future(node.runtime.pull(f"{address}/team/slow:1"))
    async with asyncio.timeout(20):
        await images.hanging.wait()
    pulling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pulling
    assert (await node.runtime.info()).name == "docker"


# --- an engine that goes away ---------------------------------------------------------------------------------------------


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """An engine of the test's own, because it is stopped and started."""
    reason = why_no_daemon() or busybox_missing()
    if reason:
        pytest.skip(reason)
    with own_daemon() as made:
        made.load(busybox_archive())
        yield made


async def test_engine_restarts(daemon: Daemon) -> None:
    node = Node(daemon.url)
    events: list[RuntimeEvent] = []

    async def follow() -> None:
        async for event in node.runtime.events():
            events.append(event)

    async def count(kind: str, number: int) -> None:
        async def look() -> bool | None:
            return sum(event.kind == kind for event in events) >= number or None

        await eventually(look)

    following = asyncio.ensure_future(follow())
    try:
        await count("resync", 1)
        app = await node.app("sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.02; done")
        log = node.runtime.logs(app.id, LogOptions(follow=True))
        assert await anext(log) == (1, b"ready\n")
        daemon.stop()
        with pytest.raises(RuntimeUnavailable):
            await anext(log)
        with pytest.raises(RuntimeUnavailable):
            await node.runtime.list()
        os.kill(app.pid, signal.SIGTERM)  # ends while nobody looks
        await asyncio.to_thread(daemon.start)
        await count("resync", 2)
        states = {info.id: (info.state, info.exit_code) for info in await node.runtime.list()}
        assert states[app.id] == ("exited", 42)
        await node.app("true")
        await count("start", 3)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await node.close()


async def test_pause_image_comes_back_when_it_was_removed(daemon: Daemon) -> None:
    first, second = Node(daemon.url), Node(daemon.url)
    try:
        await first.sandbox()
        assert await remove_everything(daemon.url, second.name) == {"containers": 0, "images": 0}  # it is in use
        assert await remove_everything(daemon.url) == {"containers": 1, "images": 1}
        assert (await first.sandbox()).state == "running"
    finally:
        await first.close()
        await second.close()
