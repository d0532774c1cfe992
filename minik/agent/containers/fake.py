"""`FakeRuntime`: containers that exist only in memory, for `--containers fake`, simulations and scale tests.

Behaves like an engine where the agent can tell: states, exit codes, names that are taken, joiners of dead sandboxes, events, logs.
Commands are understood as far as tests need them (`fake_script.py`); anything else runs until it is stopped. Images are all there,
except those of registries in the domain `.invalid` (RFC 6761), which can never be pulled. Costs no task and no timer for a container
that does not end by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

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
    RuntimeUnavailable,
    SandboxSpec,
    Session,
    StartFailure,
)
from minik.agent.containers.fake_container import Attached, Echo, FakeContainer, Said, format_line
from minik.agent.containers.fake_script import Load, interpret
from minik.aio import Tasks
from minik.clock import Clock, Entropy
from minik.link.samples import Usage

NODE_LABEL = "minik.node"
_MAX_EVENTS = 4096


class FakeRuntime:
    """A container engine of one node. Faults are injected through the methods below `faults`."""

    def __init__(
        self,
        node: str = "",
        *,
        clock: Clock,
        entropy: Entropy,
        start_seconds: float = 0.0,
        cpus: int = 32,
        memory: int = 256 << 30,
        info: EngineInfo | None = None,
    ) -> None:
        """`start_seconds`: how long starting a sandbox or container takes. `info`: what the engine says of itself and its host,
        instead of `cpus` and `memory` alone."""
        self.node = node
        self._clock, self._entropy = clock, entropy
        self._start_seconds = start_seconds
        self._info = info or EngineInfo(
            name="fake", version="1.0", os_image="simulated", kernel="0.0", architecture="x86_64",
            cpus=cpus, memory=memory, cgroup_driver="none",
        )  # fmt: skip
        self._containers: dict[str, FakeContainer] = {}
        self._names: dict[str, str] = {}
        self._events: asyncio.Queue[RuntimeEvent] | None = None
        self._tasks: Tasks | None = None
        self._pid = 1000
        self._since: datetime | None = None
        self._gone = 0
        """Nanoseconds of cpu that removed containers used."""
        self._available = True
        self._fail_pull: dict[str, str] = {}
        self._fail_start: dict[str, str] = {}

    # --- the engine --------------------------------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        self._check()
        return self._info

    async def list(self) -> Sequence[ContainerInfo]:
        self._check()
        return [container.info for container in self._containers.values()]

    async def inspect(self, container: str) -> ContainerInfo:
        return self._get(container).info

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        queue = self._events = asyncio.Queue(_MAX_EVENTS)
        yield RuntimeEvent(kind="resync")
        while True:
            yield await queue.get()

    def _say(
        self, kind: Literal["start", "die", "oom", "destroy", "resync"], container: FakeContainer | None = None
    ) -> None:
        if self._events is None:
            return
        if self._events.full():  # what is lost is made good by one resync
            while not self._events.empty():
                self._events.get_nowait()
            kind, container = "resync", None
        if container is None:
            self._events.put_nowait(RuntimeEvent(kind=kind))
        else:
            self._events.put_nowait(RuntimeEvent(kind=kind, container=container.info.id, labels=container.info.labels))

    def _check(self) -> None:
        if not self._available:
            raise RuntimeUnavailable("the container engine does not answer (simulated)")

    def _get(self, container: str) -> FakeContainer:
        self._check()
        found = self._containers.get(container) or self._containers.get(self._names.get(container, ""))
        if found is None:
            raise NoSuchContainer(f"No such container: {container}")
        return found

    def _add(self, name: str, labels: Mapping[str, str], image: str) -> FakeContainer:
        identity = f"{self._entropy.rng.getrandbits(256):064x}"
        info = ContainerInfo(
            id=identity,
            name=name,
            labels={NODE_LABEL: self.node, **labels},
            state="created",
            image=image,
            image_id=image if image.startswith("sha256:") else _image_id(image),
            created_at=self._clock.now(),
            engine=self._info.name,
        )
        made = self._containers[identity] = FakeContainer(info)
        self._names[name] = identity
        return made

    # --- life --------------------------------------------------------------------------------------------------------

    async def run_sandbox(self, spec: SandboxSpec) -> ContainerInfo:
        self._check()
        known = self._names.get(spec.name)
        container = self._containers[known] if known else self._add(spec.name, spec.labels, "pause")
        if container.info.state != "running":
            await self._pause()
            self._run(container)
        return container.info

    async def create_container(self, spec: ContainerSpec) -> ContainerInfo:
        self._check()
        known = self._names.get(spec.name)
        if known:
            return self._containers[known].info
        if _never_there(spec.image):
            raise ImageFailure("ErrImagePull", f"No such image: {spec.image}")
        container = self._add(spec.name, spec.labels, spec.image)
        container.sandbox = spec.sandbox
        try:
            container.script = interpret([*(spec.command or ()), *(spec.args or ())])
        except LookupError:
            container.missing = True
        return container.info

    async def start(self, container: str) -> ContainerInfo:
        found = self._get(container)
        if found.info.state == "running":
            return found.info
        sandbox = self._containers.get(found.sandbox)
        if sandbox is None or sandbox.info.state != "running":
            raise RuntimeFailure("cannot join network of a non running container")
        await self._pause()
        self._check()
        why = self._fail_start.get(found.info.name) or ("no such file or directory" if found.missing else "")
        if why:
            found.info = replace(found.info, exit_code=127, error=why)
            raise StartFailure(why, 127)
        self._run(found)
        if found.script.output:
            self.write_log(found.info.id, found.script.output)
        if found.script.seconds is not None:
            if self._tasks is None:
                self._tasks = Tasks(f"fake runtime {self.node}")
            self._tasks.start(f"run {found.info.name}", self._end(found, found.script.seconds, found.script.code))
        return found.info

    async def _pause(self) -> None:
        if self._start_seconds:
            await self._clock.sleep(self._start_seconds)

    def _run(self, container: FakeContainer) -> None:
        self._pid += 1
        container.used, container.counted = 0.0, self._clock.now()
        container.load = container.script.load or (Load() if container.sandbox else Load(0, 256 << 10))
        container.info = replace(
            container.info, state="running", pid=self._pid, started_at=self._clock.now(), finished_at=None, exit_code=0
        )
        self._say("start", container)

    async def _end(self, container: FakeContainer, seconds: float, code: int) -> None:
        pid = container.info.pid
        await self._clock.sleep(seconds)
        if container.info.pid == pid:
            self._exit(container, code)

    def _exit(self, container: FakeContainer, code: int, *, oom: bool = False) -> None:
        if container.info.state != "running":
            return
        container.count(self._clock.now())
        container.info = replace(
            container.info, state="exited", pid=0, exit_code=code, oom_killed=oom, finished_at=self._clock.now()
        )
        container.notify()
        self._say("die", container)

    async def stop(self, container: str, grace: float, *, signal: str = "") -> None:
        del grace, signal
        try:
            found = self._get(container)
        except NoSuchContainer:
            return
        self._exit(found, 143)

    async def remove(self, container: str) -> None:
        try:
            found = self._get(container)
        except NoSuchContainer:
            return
        self._exit(found, 137)
        self._gone += found.count(self._clock.now())
        del self._containers[found.info.id]
        if self._names.get(found.info.name) == found.info.id:
            del self._names[found.info.name]
        self._say("destroy", found)

    async def update_limits(self, container: str, limits: Limits) -> None:
        del limits
        self._get(container)

    # --- streams -----------------------------------------------------------------------------------------------------

    async def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        stdin: bool = False,
        tty: bool = False,
        size: tuple[int, int] | None = None,
    ) -> Session:
        del tty, size
        found = self._get(container)
        if found.info.state != "running":
            raise RuntimeFailure(f"Container {container} is not running")
        if list(command[:1]) == ["cat"] and stdin:
            return Echo()
        try:
            script = interpret(command)
        except LookupError:
            return Said(b"", f'exec: "{command[0]}": no such file or directory\n'.encode(), 127)
        if script.load is not None:
            self.set_load(container, script.load)
        return Said(script.output, b"", script.code)

    async def attach(self, container: str, *, stdin: bool, tty: bool) -> Session:
        del stdin, tty
        return Attached(self, self._get(container))

    async def logs(self, container: str, options: LogOptions) -> AsyncIterator[tuple[Literal[1, 2], bytes]]:
        found = self._get(container)
        wanted = {stream for stream, on in ((1, options.stdout), (2, options.stderr)) if on}
        lines = [
            line for line in found.log if line[1] in wanted and (options.since is None or line[0] >= options.since)
        ]
        if options.tail is not None:
            lines = lines[max(0, len(lines) - options.tail) :]
        shown = found.written
        for line in lines:
            yield line[1], format_line(line, timestamps=options.timestamps)
        while options.follow:
            if found.changed is None:
                found.changed = asyncio.Event()
            new = found.written - shown
            if new:
                shown = found.written
                for line in list(found.log)[-new:]:
                    if line[1] in wanted:
                        yield line[1], format_line(line, timestamps=options.timestamps)
                continue
            if found.info.state != "running":
                return
            found.changed.clear()
            await found.changed.wait()

    # --- usage ---------------------------------------------------------------------------------------------------------

    def set_load(self, container: str, load: Load) -> None:
        """The container uses this much from now on."""
        found = self._get(container)
        found.count(self._clock.now())
        found.load = load

    async def usage(self, containers: Sequence[ContainerInfo]) -> Mapping[str, Usage]:
        now = self._clock.now()
        known = [self._containers[info.id] for info in containers if info.id in self._containers]
        return {each.info.id: Usage(each.count(now), each.load.memory) for each in known}

    async def host(self) -> Usage:
        """A twentieth of a core and half a gibibyte, and what the containers that run use."""
        now = self._clock.now()
        if self._since is None:
            self._since = now
        ran = [(each, each.count(now)) for each in self._containers.values()]
        own = int((now - self._since).total_seconds() * 5e7)
        memory = sum(each.load.memory for each, _ in ran if each.info.state == "running")
        return Usage(own + sum(used for _, used in ran) + self._gone, (512 << 20) + memory)

    # --- images ------------------------------------------------------------------------------------------------------

    async def image(self, reference: str) -> ImageInfo | None:
        self._check()
        if _never_there(reference) or reference in self._fail_pull:
            return None
        return ImageInfo(id=_image_id(reference), tags=(reference,))

    async def images(self) -> Sequence[ImageInfo]:
        return ()

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> ImageInfo:
        del auth
        self._check()
        if reference in self._fail_pull:
            raise ImageFailure("ErrImagePull", self._fail_pull[reference])
        if _never_there(reference):
            host = reference.split("/", 1)[0]
            raise ImageFailure(
                "ErrImagePull", f'failed to resolve reference "{reference}": lookup {host}: no such host'
            )
        return ImageInfo(id=_image_id(reference), tags=(reference,))

    async def load(self, archive: bytes) -> None:
        del archive

    async def close(self) -> None:
        if self._tasks is not None:
            await self._tasks.close()

    # --- faults ------------------------------------------------------------------------------------------------------

    def kill(self, container: str, code: int = 137, *, oom: bool = False) -> None:
        """A container ends from outside, as by `docker kill` or for want of memory."""
        self._exit(self._get(container), code, oom=oom)

    def set_available(self, available: bool) -> None:
        """The engine stops answering, or answers again; containers run on meanwhile."""
        self._available = available
        if available:
            self._say("resync")

    def power_loss(self) -> None:
        """Every container ends with 255 and no event, as after a reboot of the host."""
        for container in self._containers.values():
            if container.info.state == "running":
                container.info = replace(
                    container.info, state="exited", pid=0, exit_code=255, finished_at=self._clock.now()
                )
        self._say("resync")

    def fail_pull(self, reference: str, message: str = "") -> None:
        """Pulling `reference` fails from now on with `message`; "" lets it work again."""
        if message:
            self._fail_pull[reference] = message
        else:
            self._fail_pull.pop(reference, None)

    def fail_start(self, name: str, message: str = "") -> None:
        """Starting the container called `name` fails from now on with `message`; "" lets it work again."""
        if message:
            self._fail_start[name] = message
        else:
            self._fail_start.pop(name, None)

    def write_log(self, container: str, data: bytes, stream: Literal[1, 2] = 1) -> None:
        """The container prints `data`."""
        found = self._get(container)
        for line in data.splitlines(keepends=True):
            found.log.append((self._clock.now(), stream, line))
            found.written += 1
        found.notify()


def _image_id(reference: str) -> str:
    """A made-up identity that says which image it stands for."""
    return reference if reference.startswith("sha256:") else "sha256:" + reference.encode().hex()[:64].ljust(64, "0")


def _never_there(reference: str) -> bool:
    return reference.split("/", 1)[0].endswith(".invalid")


_: type[ContainerRuntime] = FakeRuntime
