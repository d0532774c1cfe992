"""What every `ContainerRuntime` promises, tried on the simulated one and on a real Docker engine."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from minik.agent.containers.base import (
    ContainerInfo,
    ContainerRuntime,
    ContainerSpec,
    ImageFailure,
    LogOptions,
    NoSuchContainer,
    RuntimeEvent,
    RuntimeFailure,
    SandboxSpec,
    Session,
    StartFailure,
)
from minik.agent.containers.docker import DockerRuntime, remove_everything
from minik.agent.containers.fake import FakeRuntime
from minik.clock import Entropy, SystemClock
from tests.support.images import BUSYBOX

T = TypeVar("T")
_numbers = itertools.count(1)


@dataclass
class Node:
    """A runtime under test, with short ways to make things on it."""

    name: str
    runtime: ContainerRuntime

    @property
    def labels(self) -> dict[str, str]:
        return {"minik.node": self.name, "minik.pod.uid": "u1"}

    async def sandbox(self, name: str = "POD") -> ContainerInfo:
        return await self.runtime.run_sandbox(
            SandboxSpec(name=f"mk_{name}_{self.name}", labels={**self.labels, "minik.kind": "sandbox"})
        )

    def spec(self, sandbox: ContainerInfo, *command: str, name: str = "app", image: str = BUSYBOX) -> ContainerSpec:
        return ContainerSpec(
            name=f"mk_{name}_{self.name}",
            image=image,
            sandbox=sandbox.id,
            labels={**self.labels, "minik.kind": "container"},
            command=command or ("sleep", "1000"),
        )

    async def app(self, *command: str, name: str = "app") -> ContainerInfo:
        made = await self.runtime.create_container(self.spec(await self.sandbox(), *command, name=name))
        return await self.runtime.start(made.id)

    async def ended(self, container: str) -> ContainerInfo:
        async def look() -> ContainerInfo | None:
            info = await self.runtime.inspect(container)
            return info if info.state == "exited" else None

        return await eventually(look)


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 20) -> T:
    """What `look` gives once it gives something."""
    async with asyncio.timeout(seconds):
        while (found := await look()) is None:  # noqa: ASYNC110  # what is looked at is another process
            await asyncio.sleep(0.02)
    return found


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    name = f"t{os.getpid()}-{next(_numbers)}"
    if request.param == "fake":
        fake = FakeRuntime(name, clock=SystemClock(), entropy=Entropy(1))
        yield Node(name, fake)
        await fake.close()
        return
    url: str = request.getfixturevalue("docker_engine")
    docker = DockerRuntime(name, url=url, clock=SystemClock())
    try:
        yield Node(name, docker)
    finally:
        await docker.close()
        await remove_everything(url, name)


async def output(session: Session) -> tuple[bytes, bytes]:
    streams = {1: b"", 2: b""}
    async with asyncio.timeout(20):
        async for stream, data in session.output():
            streams[stream] += data
    return streams[1], streams[2]


async def logged(runtime: ContainerRuntime, container: str, options: LogOptions) -> bytes:
    async with asyncio.timeout(20):
        return b"".join([data async for _, data in runtime.logs(container, options)])


def by_id(infos: Sequence[ContainerInfo]) -> dict[str, ContainerInfo]:
    return {info.id: info for info in infos}


async def test_engine_introduces_itself(node: Node) -> None:
    info = await node.runtime.info()
    assert info.name and info.version and info.architecture
    assert info.cpus > 0 and info.memory > 0


async def test_sandbox_runs_and_asking_again_gives_the_same(node: Node) -> None:
    first = await node.sandbox()
    assert first.state == "running" and first.pid > 0 and first.started_at is not None
    assert first.labels["minik.kind"] == "sandbox"
    assert (await node.sandbox()).id == first.id


async def test_stopped_sandbox_is_started_again(node: Node) -> None:
    first = await node.sandbox()
    await node.runtime.stop(first.id, 5)
    assert (await node.runtime.inspect(first.id)).state == "exited"
    again = await node.sandbox()
    assert again.id == first.id and again.state == "running"


async def test_container_is_created_then_started(node: Node) -> None:
    sandbox = await node.sandbox()
    spec = node.spec(sandbox)
    made = await node.runtime.create_container(spec)
    assert made.state == "created" and made.pid == 0 and made.name == spec.name and made.created_at is not None
    assert (await node.runtime.create_container(spec)).id == made.id
    started = await node.runtime.start(made.id)
    assert started.id == made.id and started.state == "running" and started.pid > 0
    assert (await node.runtime.start(made.id)).pid == started.pid  # running already: fine


async def test_exit_code_and_times(node: Node) -> None:
    app = await node.app("sh", "-c", "exit 3")
    info = await node.ended(app.id)
    assert info.exit_code == 3 and not info.oom_killed and info.pid == 0
    assert info.started_at is not None and info.finished_at is not None and info.started_at <= info.finished_at


async def test_command_that_does_not_exist_is_a_start_failure(node: Node) -> None:
    made = await node.runtime.create_container(node.spec(await node.sandbox(), "/nonexistent"))
    with pytest.raises(StartFailure) as caught:
        await node.runtime.start(made.id)
    assert caught.value.exit_code == 127
    info = await node.runtime.inspect(made.id)
    assert info.state == "created" and info.exit_code == 127 and info.error
    assert by_id(await node.runtime.list())[made.id] == info


async def test_no_container_starts_beside_a_dead_sandbox(node: Node) -> None:
    sandbox = await node.sandbox()
    made = await node.runtime.create_container(node.spec(sandbox))
    await node.runtime.stop(sandbox.id, 5)
    with pytest.raises(RuntimeFailure) as caught:
        await node.runtime.start(made.id)
    assert not isinstance(caught.value, StartFailure)


async def test_image_that_is_not_there(node: Node) -> None:
    reference = "registry.invalid/nothing:1"
    with pytest.raises(ImageFailure):
        await node.runtime.create_container(node.spec(await node.sandbox(), image=reference))
    assert await node.runtime.image(reference) is None
    with pytest.raises(ImageFailure) as caught:
        await node.runtime.pull(reference)
    assert caught.value.reason == "ErrImagePull"


async def test_local_image_can_be_named_by_its_id(node: Node) -> None:
    image = await node.runtime.image(BUSYBOX)
    assert image is not None and image.id.startswith("sha256:")
    made = await node.runtime.create_container(node.spec(await node.sandbox(), image=image.id))
    assert made.image_id == image.id


async def test_list_agrees_with_inspect(node: Node) -> None:
    assert await node.runtime.list() == []
    sandbox = await node.sandbox()
    app = await node.app()
    created = await node.runtime.create_container(node.spec(sandbox, name="created"))
    gone = await node.app("true", name="gone")
    await node.ended(gone.id)
    listed = by_id(await node.runtime.list())
    assert listed.keys() == {sandbox.id, app.id, created.id, gone.id}
    for container, info in listed.items():
        assert info == await node.runtime.inspect(container)
    await node.runtime.stop(app.id, 0)
    assert by_id(await node.runtime.list())[app.id].state == "exited"
    await node.runtime.remove(app.id)
    assert app.id not in by_id(await node.runtime.list())


async def test_stop_and_remove_do_not_mind_what_is_stopped_or_gone(node: Node) -> None:
    app = await node.app("sh", "-c", "sleep 1000")
    await node.runtime.stop(app.id, 0)
    await node.runtime.stop(app.id, 0)
    info = await node.runtime.inspect(app.id)
    assert info.state == "exited" and info.exit_code in (137, 143)
    await node.runtime.remove(app.id)
    await node.runtime.remove(app.id)
    await node.runtime.stop(app.id, 0)
    with pytest.raises(NoSuchContainer):
        await node.runtime.inspect(app.id)
    with pytest.raises(NoSuchContainer):
        await node.runtime.start(app.id)


async def test_removing_kills_and_frees_the_name(node: Node) -> None:
    app = await node.app()
    await asyncio.gather(node.runtime.remove(app.id), node.runtime.remove(app.id))
    again = await node.app()
    assert again.id != app.id and again.name == app.name


async def test_cancelled_create_leaves_nothing_that_cannot_be_found(node: Node) -> None:
    spec = node.spec(await node.sandbox())
    creating = asyncio.ensure_future(node.runtime.create_container(spec))
    await asyncio.sleep(0)
    creating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await creating
    made = await node.runtime.create_container(spec)
    assert [info.id for info in await node.runtime.list() if info.name == spec.name] == [made.id]


async def test_events_begin_with_resync_and_tell_lives(node: Node) -> None:
    seen: list[RuntimeEvent] = []
    started = asyncio.Event()

    async def follow() -> None:
        async for event in node.runtime.events():
            seen.append(event)
            started.set()

    following = asyncio.ensure_future(follow())
    try:
        async with asyncio.timeout(20):
            await started.wait()
        app = await node.app("true")
        await node.ended(app.id)
        await node.runtime.remove(app.id)

        async def all_seen() -> bool | None:
            return [e.kind for e in seen if e.container == app.id] == ["start", "die", "destroy"] or None

        await eventually(all_seen)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert seen[0].kind == "resync"
    assert all(event.labels["minik.pod.uid"] == "u1" for event in seen[1:])


async def test_logs(node: Node) -> None:
    app = await node.app("sh", "-c", "echo one; echo two; echo three")
    await node.ended(app.id)
    runtime = node.runtime
    assert await logged(runtime, app.id, LogOptions()) == b"one\ntwo\nthree\n"
    assert await logged(runtime, app.id, LogOptions(tail=1)) == b"three\n"
    assert await logged(runtime, app.id, LogOptions(tail=0)) == b""
    assert await logged(runtime, app.id, LogOptions(stdout=False)) == b""
    dated = (await logged(runtime, app.id, LogOptions(timestamps=True))).splitlines()
    assert [line.split(b" ", 1)[1] for line in dated] == [b"one", b"two", b"three"]
    # A line's time is when the engine read it, which may be after the container's end.
    times = [datetime.fromisoformat(line.split(b" ", 1)[0].decode()) for line in dated]
    since_third = b"".join(
        line + b"\n" for line, at in zip((b"one", b"two", b"three"), times, strict=True) if at >= times[2]
    )
    assert await logged(runtime, app.id, LogOptions(since=times[2])) == since_third
    assert await logged(runtime, app.id, LogOptions(since=times[2] + timedelta(milliseconds=1))) == b""
    info = await runtime.inspect(app.id)
    assert await logged(runtime, app.id, LogOptions(since=info.created_at)) == b"one\ntwo\nthree\n"
    assert await logged(runtime, app.id, LogOptions(follow=True)) == b"one\ntwo\nthree\n"


async def test_followed_log_ends_with_its_container(node: Node) -> None:
    app = await node.app("sh", "-c", "echo ready; sleep 1000")
    chunks = node.runtime.logs(app.id, LogOptions(follow=True))
    async with asyncio.timeout(20):
        assert await anext(chunks) == (1, b"ready\n")
        stopping = asyncio.ensure_future(node.runtime.stop(app.id, 0))
        assert [data async for _, data in chunks] == []
        await stopping


async def test_exec(node: Node) -> None:
    app = await node.app()
    session = await node.runtime.exec(app.id, ["echo", "hello"])
    assert await output(session) == (b"hello\n", b"")
    assert await session.exit_code() == 0
    await session.close()
    session = await node.runtime.exec(app.id, ["sh", "-c", "exit 7"])
    assert await output(session) == (b"", b"")
    assert await session.exit_code() == 7
    await session.close()


async def test_exec_stdin_half_close(node: Node) -> None:
    app = await node.app()
    session = await node.runtime.exec(app.id, ["cat"], stdin=True)
    await session.write(b"some ")
    await session.write(b"words")
    await session.close_stdin()
    assert await output(session) == (b"some words", b"")
    assert await session.exit_code() == 0
    await session.close()


async def test_exec_of_a_missing_command_ends_badly(node: Node) -> None:
    app = await node.app()
    session = await node.runtime.exec(app.id, ["/nonexistent"])
    out, err = await output(session)
    assert b"no such file" in out + err
    assert await session.exit_code() in (126, 127)
    await session.close()


async def test_exec_where_nothing_runs(node: Node) -> None:
    app = await node.app("true")
    await node.ended(app.id)
    with pytest.raises(RuntimeFailure):
        await node.runtime.exec(app.id, ["true"])
    with pytest.raises(NoSuchContainer):
        await node.runtime.exec("0" * 64, ["true"])
