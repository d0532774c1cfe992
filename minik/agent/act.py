"""Carry out what `plan.py` decided: the only part of a pod's way that touches engine, network and files.

Called by `podloop.py`, one action at a time for a pod. What fails in a way that trying again may mend is noted in the pod's
`Memory` (a delay with the reason that its status shows) and as an Event; nothing of that kind is raised. An action may be
cancelled at any moment: what the engine has begun is waited for, so nothing appears after its pod is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from minik.agent import env, names
from minik.agent.actions import (
    Action,
    Attach,
    Container,
    CreateSandbox,
    Delay,
    Finish,
    Memory,
    Prepare,
    Release,
    Remove,
    Resize,
    Start,
    Stop,
    StopPod,
)
from minik.agent.allotment import delay_key, resources_of
from minik.agent.containers.base import (
    ContainerInfo,
    ImageFailure,
    ImageInfo,
    NoSuchContainer,
    RuntimeFailure,
    RuntimeUnavailable,
    StartFailure,
)
from minik.agent.context import NodeContext
from minik.agent.hooks import HookFailure, hook_of
from minik.agent.network.base import NetworkError
from minik.agent.plan import all_containers, init_containers, is_sidecar
from minik.agent.probes import Target
from minik.agent.resources import container_limits
from minik.agent.sources import runtime_handler
from minik.agent.specs import container_spec, sandbox_spec
from minik.agent.volumes.payload import VolumeError
from minik.api import meta
from minik.api.errors import StatusError
from minik.api.meta import ROObj

_T = TypeVar("_T")
MIN_GRACE = 2.0
"""A container gets this many seconds after TERM even when its preStop hook used up the grace period (kubelet)."""
_LONGEST_CONFIG_DELAY = 10
_LONGEST_POD_DELAY = 30


async def _settled(coro: Coroutine[Any, Any, _T]) -> _T:
    """Await `coro`; when cancelled, wait until it has ended all the same (the engine would finish it anyway)."""
    task = asyncio.ensure_future(coro)  # its owner is this frame, which does not end before it
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_heard)
        await asyncio.wait({task})
        raise


def _heard(task: asyncio.Future[Any]) -> None:
    """How it ended is of no interest to whoever gave up; nobody else will ask."""
    if not task.cancelled():
        task.exception()


class Actor:
    """Carries out the actions of all pods of a node."""

    def __init__(self, ctx: NodeContext) -> None:
        self._ctx = ctx

    async def act(self, pod: ROObj, memory: Memory, action: Action) -> None:
        """One action. Raises RuntimeUnavailable and StatusError: try again later."""
        match action:
            case Prepare():
                await self._prepare(pod, memory)
            case CreateSandbox():
                await self._create_sandbox(pod, memory, action.attempt)
            case Attach():
                await self._attach(pod, memory, action.sandbox)
            case Start():
                await self._start(pod, memory, action)
            case Stop():
                if action.again:  # before it ends: nobody is to take that for the end of the pod
                    memory.again.add(action.container["name"])
                self._ctx.event(pod, "Normal", "Killing", action.message, container=action.container["name"])
                await self._stop(pod, action.container, action.id, action.grace)
            case Resize():
                await self._resize(pod, memory, action)
            case StopPod():
                await self._stop_pod(pod, action)
            case Remove():
                for container in action.ids:
                    await self._remove(container)
            case Release():
                await self._release(pod)
                memory.released = True
            case Finish():
                await self._finish(pod)

    # --- the pod as a whole ------------------------------------------------------------------------------------------

    async def _prepare(self, pod: ROObj, memory: Memory) -> None:
        ctx = self._ctx
        if pod["spec"].get("resourceClaims") and not ctx.has_devices:
            text = "Failed to prepare dynamic resources: no DRA driver can register with this node"
            self._delay_pod(pod, memory, "FailedPrepareDynamicResources", text)
            return
        memory.prepared = True  # first: a source that changes meanwhile takes it back
        try:
            memory.renew_at = await ctx.volumes.prepare(pod, ctx.facts(ctx.pod_ip(pod)))
        except NetworkError as error:
            memory.prepared = False
            self._delay_pod(pod, memory, "FailedCreatePodSandBox", f"Failed to set up the pod's network: {error}")
            return
        except VolumeError as error:
            memory.prepared = False
            self._delay_pod(pod, memory, "FailedMount", f"MountVolume.SetUp failed: {error}")
            return
        except BaseException:
            memory.prepared = False
            raise
        self._succeeded(memory, names.SANDBOX)

    async def _create_sandbox(self, pod: ROObj, memory: Memory, attempt: int) -> None:
        ctx = self._ctx
        try:
            runtime = await runtime_handler(ctx.client, pod)
        except RuntimeFailure as error:
            self._delay_pod(pod, memory, "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return
        sandbox = sandbox_spec(ctx, pod, attempt, runtime)
        try:
            async with ctx.starts:
                ctx.observations.put(await _settled(ctx.runtime.run_sandbox(sandbox)))
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            text = f"Failed to create pod sandbox: {error}"
            self._delay_pod(pod, memory, "FailedCreatePodSandBox", text)

    async def _attach(self, pod: ROObj, memory: Memory, sandbox: ContainerInfo) -> None:
        ctx, uid = self._ctx, meta.uid(pod)
        if not pod["spec"].get("hostNetwork"):
            address = ctx.pod_ip(pod)
            try:
                await _settled(ctx.network.attach(uid, address, sandbox.pid))
            except (NetworkError, OSError) as error:
                self._delay_pod(pod, memory, "FailedCreatePodSandBox", f"Failed to set up the pod's network: {error}")
                return
        memory.attached = sandbox.id
        self._succeeded(memory, names.SANDBOX)

    async def _stop_pod(self, pod: ROObj, action: StopPod) -> None:
        """App containers together, sidecars after them one by one from the last, then the sandbox."""
        ctx, uid = self._ctx, meta.uid(pod)
        began = ctx.clock.monotonic()
        if action.message:
            ctx.event(pod, "Normal", "SandboxChanged", action.message)
        containers = {container["name"]: container for container in all_containers(pod)}
        sidecars = [c["name"] for c in init_containers(pod) if is_sidecar(c)]
        running = ctx.observations.pod(uid).running()
        first = [info for info in running if info.labels.get(names.CONTAINER) not in sidecars]
        await asyncio.gather(*(self._stop_info(pod, containers, info, action.grace) for info in first))
        for name in reversed(sidecars):
            for info in running:
                if info.labels.get(names.CONTAINER) == name:
                    left = action.grace - (ctx.clock.monotonic() - began)
                    await self._stop_info(pod, containers, info, max(left, 0.0))
        sandbox = ctx.observations.pod(uid).sandbox
        if sandbox is not None:
            await self._remove(sandbox.id)

    async def _stop_info(
        self, pod: ROObj, containers: Mapping[str, Container], info: ContainerInfo, grace: float
    ) -> None:
        name = info.labels.get(names.CONTAINER, "")
        container = containers.get(name, {"name": name})
        self._ctx.event(pod, "Normal", "Killing", f"Stopping container {name}", container=name)
        await self._stop(pod, container, info.id, grace)

    async def _release(self, pod: ROObj) -> None:
        ctx, uid = self._ctx, meta.uid(pod)
        ctx.prober.forget(uid)
        if not pod["spec"].get("hostNetwork"):
            await _settled(ctx.network.detach(uid))
        await _settled(ctx.volumes.release(uid))

    async def _finish(self, pod: ROObj) -> None:
        ctx, uid = self._ctx, meta.uid(pod)
        for info in list(ctx.observations.pod(uid).everything()):
            await self._remove(info.id)
        await self._release(pod)
        await _settled(ctx.volumes.remove(uid))
        ctx.images.forget(uid)

    async def _remove(self, container: str) -> None:
        await _settled(self._ctx.runtime.remove(container))
        self._ctx.observations.drop(container)

    # --- starting a container ----------------------------------------------------------------------------------------

    async def _start(self, pod: ROObj, memory: Memory, action: Start) -> None:
        ctx, container = self._ctx, action.container
        name: str = container["name"]
        try:
            if action.existing:
                made = ctx.observations.get(action.existing)
                container_id = action.existing
            else:
                image = await self._image(pod, container)
                spec = await container_spec(ctx, pod, action, image)
                async with ctx.starts:
                    made = await _settled(ctx.runtime.create_container(spec))
                container_id = made.id
                ctx.event(pod, "Normal", "Created", "Container created", container=name)
            async with ctx.starts:
                info = await _settled(self._started(container_id, made))
        except RuntimeUnavailable:
            raise
        except ImageFailure as error:
            self._delay(pod, memory, container, error.reason, str(error), say=False)
        except (env.ConfigError, StatusError) as error:
            self._delay(pod, memory, container, "CreateContainerConfigError", str(error))
        except VolumeError as error:
            self._delay(pod, memory, container, "CreateContainerConfigError", str(error))
        except StartFailure as error:
            ctx.event(pod, "Warning", "Failed", f"Error: {error}", container=name)
            self._succeeded(memory, name)  # it counts as an attempt that ended; its back-off is that of a crash
        except NoSuchContainer:
            await ctx.observations.relist()
        except RuntimeFailure as error:
            self._delay(pod, memory, container, "CreateContainerError", str(error))
        else:
            self._succeeded(memory, name)
            memory.again.discard(name)
            memory.applied[name] = (info.id, resources_of(container))
            ctx.event(pod, "Normal", "Started", "Container started", container=name)
            await self._post_start(pod, container, info)

    async def _resize(self, pod: ROObj, memory: Memory, action: Resize) -> None:
        """A smaller memory limit is refused while more is in use: the kernel would kill or refuse."""
        ctx, container, name = self._ctx, action.container, action.container["name"]
        limits = container_limits(pod, container, node_memory=ctx.memory, min_oom_score=ctx.min_oom_score)
        try:
            info = ctx.observations.get(action.id)
            used = await ctx.memory_used(info) if limits.memory and info is not None else 0
            if used > limits.memory:
                raise RuntimeFailure(f"memory limit ({limits.memory}) below current usage ({used})")
            await _settled(ctx.runtime.update_limits(action.id, limits))
        except RuntimeUnavailable:
            raise
        except NoSuchContainer:
            await ctx.observations.look(action.id)
        except RuntimeFailure as error:
            text = f"Failed to resize container {name}: {error}"
            if delay_key(name) not in memory.delays:
                ctx.event(pod, "Warning", "ResizeError", text, container=name)
            self._note(memory, delay_key(name), "Error", text, _LONGEST_CONFIG_DELAY)
        else:
            self._succeeded(memory, delay_key(name))
            memory.applied[name] = (action.id, resources_of(container))

    async def _started(self, container_id: str, made: ContainerInfo | None) -> ContainerInfo:
        """Start it and enter what became of it, also when it could not be started."""
        ctx = self._ctx
        try:
            info = await ctx.runtime.start(container_id)
        except StartFailure:
            await ctx.observations.look(container_id)
            raise
        except RuntimeFailure:
            if made is not None:
                ctx.observations.put(made)
            raise
        ctx.observations.put(info)
        return info

    async def _image(self, pod: ROObj, container: Container) -> ImageInfo:
        def say(kind: str, reason: str, message: str) -> None:
            self._ctx.event(pod, kind, reason, message, container=container["name"])

        return await self._ctx.images.ensure(pod, container, say)

    async def _post_start(self, pod: ROObj, container: Container, info: ContainerInfo) -> None:
        hook = hook_of(container, "postStart")
        if hook is None:
            return
        try:
            await self._ctx.hook(hook, self._target(pod, container, info))
        except HookFailure as error:
            name = container["name"]
            self._ctx.event(pod, "Warning", "FailedPostStartHook", f"PostStartHook failed: {error}", container=name)
            self._ctx.event(pod, "Normal", "Killing", "FailedPostStartHook", container=name)
            await self._stop(pod, container, info.id, MIN_GRACE)

    def _target(self, pod: ROObj, container: Container, info: ContainerInfo) -> Target:
        sandbox = self._ctx.observations.pod(meta.uid(pod)).sandbox
        is_host = bool(pod["spec"].get("hostNetwork"))
        pid = 0 if is_host or sandbox is None else sandbox.pid
        return Target(pod, container, info, self._ctx.sandbox_ip(pod), pid)

    # --- stopping one --------------------------------------------------------------------------------------------------

    async def _stop(self, pod: ROObj, container: Container, container_id: str, grace: float) -> None:
        """preStop within the grace period, then TERM, then KILL when it is used up."""
        ctx = self._ctx
        began = ctx.clock.monotonic()
        hook, info = hook_of(container, "preStop"), ctx.observations.get(container_id)
        if hook is not None and info is not None and grace > 0:
            try:
                async with asyncio.timeout(grace):
                    await ctx.hook(hook, self._target(pod, container, info))
            except (HookFailure, TimeoutError) as error:
                text = f"PreStopHook failed: {error or 'it did not end within the grace period'}"
                ctx.event(pod, "Warning", "FailedPreStopHook", text, container=container["name"])
        left = grace - (ctx.clock.monotonic() - began)
        await ctx.runtime.stop(container_id, max(left, MIN_GRACE))
        await ctx.observations.look(container_id)

    # --- what is to be tried again --------------------------------------------------------------------------------------

    def _succeeded(self, memory: Memory, name: str) -> None:
        memory.delays.pop(name, None)
        memory.tries.pop(name, None)

    def _delay(
        self, pod: ROObj, memory: Memory, container: Container, reason: str, message: str, *, say: bool = True
    ) -> None:
        name = container["name"]
        if say:
            self._ctx.event(pod, "Warning", "Failed", f"Error: {message}", container=name)
        self._note(memory, name, reason, message, _LONGEST_CONFIG_DELAY)

    def _delay_pod(self, pod: ROObj, memory: Memory, reason: str, message: str) -> None:
        self._ctx.event(pod, "Warning", reason, message)
        self._note(memory, names.SANDBOX, reason, message, _LONGEST_POD_DELAY)

    def _note(self, memory: Memory, name: str, reason: str, message: str, longest: int) -> None:
        tries = memory.tries[name] = memory.tries.get(name, 0) + 1
        seconds = min(2 ** (tries - 1), longest)
        memory.delays[name] = Delay(self._ctx.clock.now() + timedelta(seconds=seconds), reason, message)
