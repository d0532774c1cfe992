"""`DockerRuntime`: sandboxes and containers on the Docker engine that is on the host already.

Implements `base.ContainerRuntime`; `docker_api.py` says what is sent and what answers mean, `docker_client.py` holds the connection,
`docker_streams.py` the hijacked ones, `docker_images.py` has what is done with images. What matters here:
* The engine finishes what it was asked even if nobody waits any more. So every change is shielded: a caller that is cancelled goes,
  the request goes on. Names are deterministic, and a name that is taken is adopted.
* `list` asks Docker for its list and inspects only what it does not know yet in that state.
* Events are hints: the stream begins again by itself, and each beginning is told as `resync`.
How many starts run at once is the caller's business (`agent/context.py`).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar

import orjson
from aiodocker.execs import Exec
from aiodocker.stream import Stream
from yarl import URL

from minik.agent import pauseimage
from minik.agent.containers import docker_api as api
from minik.agent.containers import docker_images
from minik.agent.containers.base import (
    ContainerInfo,
    ContainerRuntime,
    ContainerSpec,
    EngineInfo,
    ImageFailure,
    ImageInfo,
    Limits,
    LogOptions,
    NoSuchContainer,
    RuntimeEvent,
    RuntimeFailure,
    SandboxSpec,
    Session,
)
from minik.agent.containers.docker_client import Engine, EngineError, quoted
from minik.agent.containers.docker_remove import remove, remove_everything
from minik.agent.containers.docker_streams import Chunk, DockerSession, Frames, begin
from minik.aio import Tasks
from minik.clock import Clock

__all__ = ["DockerRuntime", "remove_everything"]

log = logging.getLogger("minik.agent.docker")

_INSPECTS_AT_ONCE = 8
_FIRST_RECONNECT, _LAST_RECONNECT = 0.1, 3.0
_NAME_TAKEN_TRIES = 100
_POLL_SECONDS = 0.05

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


async def _outcome(coro: Coroutine[Any, Any, _T]) -> _T | _Failed:
    """An expected failure as a value: the task it runs in may have nobody left who waits for it."""
    try:
        return await coro
    except (RuntimeFailure, EngineError) as error:
        return _Failed(error)


class DockerRuntime:
    """The Docker engine at `url` ("": what DOCKER_HOST says, or the default socket), as far as node `node` uses it."""

    def __init__(self, node: str, *, url: str = "", clock: Clock) -> None:
        self.node = node
        self._clock = clock
        self._engine = Engine(url)
        self._tasks = Tasks(f"docker {node}")
        self._known: dict[str, tuple[str, ContainerInfo]] = {}
        """What was inspected, by id, with the state that Docker's list named it by."""
        self._pause = ""
        self._pause_lock = asyncio.Lock()

    async def close(self) -> None:
        await self._tasks.close()
        await self._engine.close()

    async def _shielded(self, name: str, coro: Coroutine[Any, Any, _T]) -> _T:
        """The result of `coro`, which goes on even if the caller is cancelled."""
        outcome: _T | _Failed = await asyncio.shield(self._tasks.start(name, _outcome(coro)))
        if isinstance(outcome, _Failed):
            raise outcome.error
        return outcome

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            return await self._engine.ask(method, path, **options)
        except EngineError as error:
            raise error.meaning() from error

    # --- what there is ---------------------------------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        return api.parse_engine(await self._ask("GET", "info"))

    async def list(self) -> Sequence[ContainerInfo]:
        filters = orjson.dumps({"label": [f"{api.NODE_LABEL}={self.node}"]}).decode()
        rows = await self._ask("GET", "containers/json", params={"all": "1", "filters": filters})
        states: dict[str, str] = {row["Id"]: row["State"] for row in rows}
        for gone in [known for known in self._known if known not in states]:
            del self._known[gone]
        limit = asyncio.Semaphore(_INSPECTS_AT_ONCE)

        async def find(container: str, state: str) -> ContainerInfo | None:
            known = self._known.get(container)
            if known is not None and known[0] == state:
                return known[1]
            async with limit:
                try:
                    return await self.inspect(container)
                except NoSuchContainer:
                    return None

        found = await asyncio.gather(*(find(container, state) for container, state in states.items()))
        return [info for info in found if info is not None]

    async def inspect(self, container: str) -> ContainerInfo:
        inspected = await self._inspect(container)
        info = api.parse_container(inspected)
        if inspected["State"]["Status"] in ("running", "exited"):  # the others are on their way to something
            self._known[info.id] = (inspected["State"]["Status"], info)
        else:
            self._known.pop(info.id, None)
        return info

    async def _inspect(self, container: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self._ask("GET", f"containers/{quoted(container)}/json")
        return answer

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        delay = _FIRST_RECONNECT
        while True:
            try:
                # a second back: Docker subscribes only after it has begun to answer
                query = api.event_query(self.node, self._clock.now() - timedelta(seconds=1))
                params = {"since": query["since"], "filters": orjson.dumps(query["filters"]).decode()}
                async with self._engine.open("GET", "events", params=params, total=None) as response:
                    delay = _FIRST_RECONNECT
                    self._known = {key: known for key, known in self._known.items() if known[0] == "exited"}
                    yield RuntimeEvent(kind="resync")
                    async for line in response.content:
                        event = api.parse_event(orjson.loads(line))
                        if event is not None:
                            self._known.pop(event.container, None)
                            yield event
            except (RuntimeFailure, EngineError, ValueError) as error:
                log.info("lost the container engine's events", extra={"node": self.node, "error": str(error)})
            await self._clock.sleep(delay)
            delay = min(delay * 2, _LAST_RECONNECT)

    # --- life ------------------------------------------------------------------------------------------------------------

    async def run_sandbox(self, spec: SandboxSpec) -> ContainerInfo:
        return await self._shielded(f"sandbox {spec.name}", self._run_sandbox(spec))

    async def _run_sandbox(self, spec: SandboxSpec) -> ContainerInfo:
        image = self._pause or await self._load_pause()
        try:
            made = await self._create(spec.name, api.sandbox_body(spec, image))
        except ImageFailure:  # somebody removed it
            self._pause = ""
            made = await self._create(spec.name, api.sandbox_body(spec, await self._load_pause()))
        info = made if isinstance(made, ContainerInfo) else None
        if info is not None and info.state == "running":
            return info
        return await self._start(info.id if info is not None else str(made))

    async def _load_pause(self) -> str:
        """The tag of the pause image, which is there then."""
        async with self._pause_lock:
            if not self._pause:
                machine = (await self.info()).architecture
                try:
                    tag, archive = pauseimage.archive(pauseimage.architecture(machine))
                except LookupError:
                    raise RuntimeFailure(f"there is no pause process for architecture {machine!r}") from None
                if await self.image(tag) is None:
                    await self.load(archive)
                self._pause = tag
            return self._pause

    async def create_container(self, spec: ContainerSpec) -> ContainerInfo:
        return await self._shielded(f"create {spec.name}", self._create_container(spec))

    async def _create_container(self, spec: ContainerSpec) -> ContainerInfo:
        made = await self._create(spec.name, api.container_body(spec))
        return made if isinstance(made, ContainerInfo) else await self.inspect(made)

    async def _create(self, name: str, body: dict[str, Any]) -> str | ContainerInfo:
        """The id of the new container, or what there is already under this name."""
        for _ in range(_NAME_TAKEN_TRIES):
            try:
                answer = await self._engine.ask("POST", "containers/create", params={"name": name}, body=body)
                return str(answer["Id"])
            except EngineError as error:
                if error.status != 409:
                    raise error.meaning() from error
            try:
                inspected = await self._inspect(name)
                if inspected["State"]["Status"] != "removing":
                    return await self.inspect(inspected["Id"])
            except NoSuchContainer:
                pass  # it is being made, or being removed: soon the name is somebody's or free
            await self._clock.sleep(_POLL_SECONDS)
        raise RuntimeFailure(f"the container name {name} stays taken")

    async def start(self, container: str) -> ContainerInfo:
        return await self._shielded(f"start {container}", self._start(container))

    async def _start(self, container: str) -> ContainerInfo:
        try:
            await self._engine.ask("POST", f"containers/{quoted(container)}/start")
        except EngineError as error:
            if error.status not in (400, 500):
                raise error.meaning() from error
            raise api.start_failure(error.status, error.message, await self.inspect(container)) from error
        return await self.inspect(container)

    async def stop(self, container: str, grace: float, *, signal: str = "") -> None:
        await self._shielded(f"stop {container}", self._stop(container, max(grace, 0.0), signal))

    async def _stop(self, container: str, grace: float, signal: str) -> None:
        path = f"containers/{quoted(container)}"
        total = grace + 60.0
        try:
            if not signal:
                await self._engine.ask("POST", f"{path}/stop", params={"t": str(math.ceil(grace))}, total=total)
                return
            await self._engine.ask("POST", f"{path}/kill", params={"signal": signal})
            try:
                async with asyncio.timeout(grace):
                    await self._engine.ask("POST", f"{path}/wait", total=total)
            except TimeoutError:
                await self._engine.ask("POST", f"{path}/kill")
                await self._engine.ask("POST", f"{path}/wait")
        except EngineError as error:
            if error.status not in (404, 409):  # gone, or not running
                raise error.meaning() from error

    async def remove(self, container: str) -> None:
        await self._shielded(f"remove {container}", remove(self._engine, container, self._clock))
        self._known.pop(container, None)

    async def update_limits(self, container: str, limits: Limits) -> None:
        await self._ask("POST", f"containers/{quoted(container)}/update", body=api.limits_body(limits))

    # --- streams ---------------------------------------------------------------------------------------------------------

    async def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool = False,
        tty: bool = False,
        size: tuple[int, int] | None = None,
    ) -> Session:
        body = {
            "Cmd": list(command),
            "AttachStdin": stdin,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": tty,
            "DetachKeys": api.DETACH_KEYS,
        }
        made = await self._ask("POST", f"containers/{quoted(container)}/exec", body=body)
        execution = Exec(self._engine.docker, made["Id"], tty=tty)
        session = await self._session(
            execution.start(detach=False),
            resize=f"exec/{made['Id']}/resize",
            exit_code=lambda: self._exec_code(made["Id"]),
        )
        if tty and size is not None:
            await session.resize(*size)
        return session

    async def _exec_code(self, execution: str) -> int | None:
        for _ in range(_NAME_TAKEN_TRIES):
            state = await self._ask("GET", f"exec/{execution}/json")
            if not state["Running"]:
                return None if state["ExitCode"] is None else int(state["ExitCode"])
            await self._clock.sleep(_POLL_SECONDS)  # it has closed its output and goes on
        return None

    async def attach(self, container: str, *, stdin: bool, tty: bool) -> Session:
        """`tty` is taken from the container: its output has frames or has not, whatever the caller thinks."""
        config = (await self._inspect(container))["Config"]
        is_tty = bool(config["Tty"])
        query = {
            "stream": "1",
            "stdin": str(int(stdin and bool(config["OpenStdin"]))),
            "stdout": "1",
            "stderr": str(int(not is_tty)),
            "detachKeys": api.DETACH_KEYS,
        }
        url = URL(f"containers/{quoted(container)}/attach").with_query(query)

        async def request() -> tuple[URL, bytes | None, bool]:
            return url, None, is_tty

        return await self._session(
            Stream(self._engine.docker, request),
            resize=f"containers/{quoted(container)}/resize",
            exit_code=lambda: self._attach_code(container),
        )

    async def _attach_code(self, container: str) -> int | None:
        for _ in range(4):  # the output ends a moment before the container is said to have ended
            info = await self.inspect(container)
            if info.state == "exited":
                return info.exit_code
            await self._clock.sleep(_POLL_SECONDS)
        return None

    async def _session(self, stream: Stream, *, resize: str, exit_code: Any) -> DockerSession:
        try:
            await begin(stream)
        except EngineError as error:
            raise error.meaning() from error

        async def resized(width: int, height: int) -> None:
            await self._ask("POST", resize, params={"w": str(width), "h": str(height)})

        return DockerSession(stream, resize=resized, exit_code=exit_code)

    async def logs(self, container: str, options: LogOptions) -> AsyncIterator[Chunk]:
        is_tty = bool((await self._inspect(container))["Config"]["Tty"])
        frames = Frames(dated=options.timestamps)
        path, query = f"containers/{quoted(container)}/logs", api.log_query(options)
        stdout: Literal[1] = 1
        try:
            async with self._engine.open("GET", path, params=query, total=None) as response:
                async for data in response.content.iter_any():
                    if is_tty:
                        yield stdout, data
                        continue
                    for chunk in frames.feed(data):
                        yield chunk
        except EngineError as error:
            raise error.meaning() from error

    # --- images ----------------------------------------------------------------------------------------------------------

    async def image(self, reference: str) -> ImageInfo | None:
        return await docker_images.find(self._engine, reference)

    async def images(self) -> Sequence[ImageInfo]:
        return [api.parse_image(row) for row in await self._ask("GET", "images/json")]

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> ImageInfo:
        return await docker_images.pull(self._engine, reference, auth)

    async def load(self, archive: bytes) -> None:
        await docker_images.load(self._engine, archive)


_: type[ContainerRuntime] = DockerRuntime
