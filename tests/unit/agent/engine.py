"""A container engine in memory that a test steers: containers run until it says otherwise. And an API server of pods alone."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, cast

from minik.agent import names
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
    StartFailure,
)
from minik.api import meta
from minik.api.errors import conflict, not_found
from minik.api.meta import Obj, ROObj
from minik.clock import Clock


class Engine:
    """What the agent needs of a `ContainerRuntime`. `log` lists what was asked of it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.containers: dict[str, ContainerInfo] = {}
        self.specs: dict[str, ContainerSpec] = {}
        self.log: list[str] = []
        self.missing_images: set[str] = set()
        self.broken_commands: set[str] = set()
        self.stubborn: set[str] = set()
        """Containers (by container name) that use up their whole grace period."""
        self.down = ""
        self.unresizable = ""
        """Why no container's limits can be changed."""
        self._events: list[asyncio.Queue[RuntimeEvent]] = []

    # --- steering ------------------------------------------------------------------------------------------------------------

    def find(self, name: str) -> ContainerInfo:
        """The newest attempt of the container called `name`."""
        found = [i for i in self.containers.values() if i.labels[names.CONTAINER] == name]
        return max(found, key=lambda i: int(i.labels[names.ATTEMPT]))

    def exit(self, name: str, code: int = 0, *, oom: bool = False) -> None:
        self._set(
            replace(
                self.find(name), state="exited", pid=0, exit_code=code, oom_killed=oom, finished_at=self.clock.now()
            )
        )

    def vanish(self, name: str) -> None:
        info = self.find(name)
        del self.containers[info.id]
        self._tell("destroy", info)

    def _set(self, info: ContainerInfo) -> None:
        self.containers[info.id] = info
        self._tell("start" if info.state == "running" else "die", info)

    def _tell(self, kind: str, info: ContainerInfo) -> None:
        for queue in self._events:
            queue.put_nowait(RuntimeEvent(kind=cast("Any", kind), container=info.id, labels=info.labels))

    def _check(self) -> None:
        if self.down:
            raise RuntimeFailure(self.down)

    # --- the protocol --------------------------------------------------------------------------------------------------------

    async def info(self) -> EngineInfo:
        return EngineInfo(name="docker", version="0", cpus=4, memory=8 << 30, architecture="x86_64")

    async def list(self) -> list[ContainerInfo]:
        self._check()
        return [*self.containers.values()]

    async def inspect(self, container: str) -> ContainerInfo:
        if container not in self.containers:
            raise NoSuchContainer(container)
        return self.containers[container]

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._events.append(queue)
        yield RuntimeEvent(kind="resync")
        while True:
            yield await queue.get()

    async def run_sandbox(self, spec: SandboxSpec) -> ContainerInfo:
        self._check()
        self.log.append(f"sandbox {spec.labels[names.ATTEMPT]}")
        info = ContainerInfo(
            id=f"{spec.name}-id", name=spec.name, labels=spec.labels, state="running", pid=1000 + len(self.log)
        )
        self._set(info)
        return info

    async def create_container(self, spec: ContainerSpec) -> ContainerInfo:
        self._check()
        self.log.append(f"create {spec.labels[names.CONTAINER]}#{spec.labels[names.ATTEMPT]}")
        info = ContainerInfo(
            id=f"{spec.name}-id", name=spec.name, labels=spec.labels, state="created", created_at=self.clock.now()
        )
        self.specs[info.id] = spec
        self.containers[info.id] = info
        return info

    async def start(self, container: str) -> ContainerInfo:
        info = self.containers[container]
        if info.labels[names.CONTAINER] in self.broken_commands:
            self.containers[container] = replace(info, exit_code=127, error="no such file")
            raise StartFailure("no such file", 127)
        self._set(replace(info, state="running", pid=7, started_at=self.clock.now()))
        return self.containers[container]

    async def stop(self, container: str, grace: float, *, signal: str = "") -> None:
        info = self.containers.get(container)
        if info is None or info.state != "running":
            return
        name = info.labels[names.CONTAINER]
        self.log.append(f"stop {name} {grace:g}")
        code = 143
        if name in self.stubborn:
            await self.clock.sleep(grace)
            code = 137
        self._set(replace(info, state="exited", pid=0, exit_code=code, finished_at=self.clock.now()))

    async def update_limits(self, container: str, limits: Limits) -> None:
        self._check()
        if self.unresizable:
            raise RuntimeFailure(self.unresizable)
        name = self.containers[container].labels[names.CONTAINER]
        self.log.append(f"resize {name} shares={limits.cpu_shares} memory={limits.memory}")

    async def remove(self, container: str) -> None:
        info = self.containers.pop(container, None)
        if info is not None:
            self.log.append(f"remove {info.labels[names.CONTAINER]}#{info.labels[names.ATTEMPT]}")
            self._tell("destroy", info)

    async def logs(self, container: str, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]:
        yield 1, b"last words\n"

    def as_runtime(self) -> ContainerRuntime:
        return cast("ContainerRuntime", self)


class Images:
    """Every image is there but those the engine is told to miss."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ensure(self, pod: ROObj, container: Mapping[str, Any], say: Any) -> ImageInfo:
        if container["image"] in self._engine.missing_images:
            raise ImageFailure("ErrImagePull", f"no image {container['image']}")
        return ImageInfo(id="sha256:0a", digests=(f"{container['image']}@sha256:0b",), user="1000")

    def forget(self, pod_uid: str) -> None:
        pass


class Api:
    """The calls of `client.Client` that pod workers make, on pods (and other objects) in a dict."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Obj] = {}
        self.writes: list[str] = []
        self.watchers: list[Any] = []
        self._revision = 100

    def put(self, resource: str, obj: ROObj) -> Obj:
        self._revision += 1
        stored = copy.deepcopy(dict(obj))
        stored["metadata"]["resourceVersion"] = str(self._revision)
        self.objects[resource, meta.namespace(obj), meta.name(obj)] = stored
        for watcher in self.watchers:
            watcher(stored)
        return stored

    def pod(self, name: str = "p") -> Obj:
        return self.objects["pods", "default", name]

    async def get(self, resource: str, name: str, namespace: str = "") -> ROObj:
        try:
            return self.objects[resource, namespace, name]
        except KeyError:
            raise not_found(resource, "", name) from None

    async def patch_status(self, resource: str, name: str, namespace: str, patch: Any, *, type: str) -> ROObj:  # noqa: A002  # as the client has it
        obj = copy.deepcopy(dict(await self.get(resource, name, namespace)))
        if patch["metadata"]["uid"] != meta.uid(obj):
            raise conflict(resource, "", name)
        self.writes.append(f"status {name}")
        status = obj.setdefault("status", {})
        for key, value in patch["status"].items():
            if value is None:
                status.pop(key, None)
            elif key == "conditions":
                merged = {c["type"]: c for c in status.get(key, ())}
                for condition in value:
                    if condition.get("$patch") == "delete":
                        merged.pop(condition["type"], None)
                        continue
                    both = {**merged.get(condition["type"], {}), **condition}
                    merged[condition["type"]] = {k: v for k, v in both.items() if v is not None}
                status[key] = list(merged.values())
            else:
                status[key] = value
        return self.put(resource, obj)

    async def delete(self, resource: str, name: str, namespace: str, *, uid: str, grace_seconds: int) -> ROObj:
        assert meta.uid(self.objects[resource, namespace, name]) == uid
        self.writes.append(f"delete {name}")
        return self.objects.pop((resource, namespace, name))
