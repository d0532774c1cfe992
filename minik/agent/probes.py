"""Startup, liveness and readiness probes: when to ask, what the answers come to, and how one asks.

`Prober.sync` is called by the pod's worker with what runs; it keeps one sleeping task per probe of a running container and tells
the worker when a verdict changes. Asking (`ProbeRunner`) is separate, so that simulated containers can answer for themselves.
Rules: kubelet `pkg/kubelet/prober`. gRPC probes are asked with `grpcprobe.py`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from minik.agent import grpcprobe, httpget
from minik.agent.actions import Health
from minik.agent.containers.base import ContainerInfo, ContainerRuntime, RuntimeFailure
from minik.agent.network.base import NetworkError, PodNetwork
from minik.agent.observed import ObservedPod
from minik.agent.plan import all_containers
from minik.aio import Tasks
from minik.api import meta
from minik.api.core_v1 import pods
from minik.api.meta import ROObj
from minik.clock import Clock

Kind = Literal["Startup", "Liveness", "Readiness"]
FIELDS: Mapping[Kind, str] = {"Startup": "startupProbe", "Liveness": "livenessProbe", "Readiness": "readinessProbe"}
USER_AGENT = "kube-probe/1.36"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask. `host` is the pod's address (the node's for pods of the host network)."""

    pod: ROObj
    container: Mapping[str, Any]
    info: ContainerInfo
    host: str
    pid: int
    """Of the sandbox; 0 for pods of the host network."""


class ProbeRunner(Protocol):
    async def __call__(self, probe: Mapping[str, Any], target: Target) -> tuple[bool, str]:
        """Ask once: (well, what was said). Never raises but for cancellation; the caller bounds the time."""
        ...


async def always_well(probe: Mapping[str, Any], target: Target) -> tuple[bool, str]:
    """The runner for simulated containers."""
    return True, ""


# --- verdicts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers of one probe: the run of equal ones, and the verdict they came to so far (None: none yet)."""

    verdict: bool | None = None
    last: bool | None = None
    run: int = 0

    def add(self, is_well: bool, probe: Mapping[str, Any]) -> Tally:
        """With one more answer: a verdict changes after successThreshold or failureThreshold equal answers. Pure."""
        run = self.run + 1 if self.last == is_well else 1
        needed = probe.get("successThreshold") or 1 if is_well else probe.get("failureThreshold") or 3
        return Tally(is_well if run >= needed else self.verdict, is_well, run)


def initial_health(pod: ROObj, container: Mapping[str, Any], info: ContainerInfo) -> Health:
    """The verdict before anybody asked. What the API server was told about this very container still holds (an agent that
    starts anew does not make its pods unready)."""
    known = pods.status_of(pod, container["name"]) or {}
    if known.get("containerID") == info.uri and "running" in (known.get("state") or {}):
        return Health(started=bool(known.get("started")), ready=bool(known.get("ready")))
    return Health(started="startupProbe" not in container, ready="readinessProbe" not in container)


class Prober:
    """The probes of all pods of a node."""

    def __init__(
        self,
        *,
        clock: Clock,
        ask: ProbeRunner,
        on_change: Callable[[str], None],
        on_unhealthy: Callable[[ROObj, str, str], None],
    ) -> None:
        """`on_change(pod uid)` when a verdict changed; `on_unhealthy(pod, container, message)` on each bad answer."""
        self._clock, self._ask, self._on_change, self._on_unhealthy = clock, ask, on_change, on_unhealthy
        self._tasks = Tasks("probes")
        self._running: dict[str, dict[str, list[asyncio.Task[None]]]] = {}
        self._health: dict[str, Health] = {}

    def sync(self, pod: ROObj, observed: ObservedPod, health: dict[str, Health], host: str) -> None:
        """Ask exactly those that run, and put the verdicts on them into `health` (by container id)."""
        uid = meta.uid(pod)
        have = self._running.get(uid)
        wanted: dict[str, tuple[Mapping[str, Any], ContainerInfo]] = {}
        for container in all_containers(pod):
            if any(field in container for field in FIELDS.values()):
                latest = observed.latest(container["name"])
                if latest is not None and latest.state == "running":
                    wanted[latest.id] = (container, latest)
        if have is None and not wanted:
            health.clear()
            return
        have = self._running.setdefault(uid, {})
        for gone in [id_ for id_ in have if id_ not in wanted]:
            self._stop(have.pop(gone))
            self._health.pop(gone, None)
        sandbox = observed.sandbox
        is_host = bool(pod["spec"].get("hostNetwork"))
        for id_, (container, info) in wanted.items():
            if id_ not in have and sandbox is not None and not meta.is_deleting(pod):
                self._health[id_] = initial_health(pod, container, info)
                target = Target(pod, container, info, host, 0 if is_host else sandbox.pid)
                have[id_] = self._start(uid, target)
        health.clear()
        health.update({id_: self._health[id_] for id_ in wanted if id_ in self._health})

    def _start(self, uid: str, target: Target) -> list[asyncio.Task[None]]:
        return [
            self._tasks.start(
                f"{meta.name(target.pod)}/{target.container['name']}/{kind}", self._probe(uid, kind, target)
            )
            for kind, field in FIELDS.items()
            if field in target.container
        ]

    def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()

    def forget(self, pod_uid: str) -> None:
        for id_, tasks in self._running.pop(pod_uid, {}).items():
            self._stop(tasks)
            self._health.pop(id_, None)

    async def close(self) -> None:
        await self._tasks.close()

    async def _probe(self, uid: str, kind: Kind, target: Target) -> None:
        probe, id_ = target.container[FIELDS[kind]], target.info.id
        period = probe.get("periodSeconds") or 10
        delay = float(probe.get("initialDelaySeconds") or 0)
        if target.info.started_at is not None:
            delay -= (self._clock.now() - target.info.started_at).total_seconds()
        tally = Tally()
        await self._clock.sleep(max(0.0, delay))
        while True:
            if kind == "Startup" or self._health[id_].started:
                is_well, said = await self._ask_in_time(probe, target)
                tally = tally.add(is_well, probe)
                if not is_well:
                    self._on_unhealthy(target.pod, target.container["name"], f"{kind} probe failed: {said}")
                if tally.verdict is not None:
                    self._settle(uid, kind, target, tally.verdict)
                    if kind == "Startup" or (kind == "Liveness" and not tally.verdict):
                        return
            await self._clock.sleep(period)

    async def _ask_in_time(self, probe: Mapping[str, Any], target: Target) -> tuple[bool, str]:
        timeout = probe.get("timeoutSeconds") or 1
        try:
            async with asyncio.timeout(
                timeout
            ):  # not wait_for: in Python 3.11 it loses a cancellation that meets an answer
                return await self._ask(probe, target)
        except TimeoutError:
            if "exec" in probe:
                return (
                    False,
                    f'command timed out: "{" ".join(probe["exec"].get("command") or ())}" timed out after {timeout}s',
                )
            return False, _while_asking(probe, target, "context deadline exceeded (Client.Timeout exceeded)")

    def _settle(self, uid: str, kind: Kind, target: Target, verdict: bool) -> None:
        id_ = target.info.id
        before = self._health.get(id_)
        if before is None:
            return
        name = target.container["name"]
        after = before
        if kind == "Readiness":
            after = replace(before, ready=verdict)
        elif verdict:
            after = replace(before, started=True)
        else:
            grace = target.container[FIELDS[kind]].get("terminationGracePeriodSeconds")
            after = replace(
                before, failed=f"Container {name} failed {kind.lower()} probe, will be restarted", grace=grace
            )
        if after != before:
            self._health[id_] = after
            self._on_change(uid)


# --- asking -------------------------------------------------------------------------------------------------------


def port_number(port: Any, container: Mapping[str, Any]) -> int:
    """A port given as a number or by the name of one of the container's ports. ValueError if there is none."""
    if isinstance(port, int):
        return port
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    return int(port)


def http_url(action: Mapping[str, Any], container: Mapping[str, Any], host: str) -> str:
    """The URL of an httpGet action."""
    port = port_number(action.get("port"), container)
    path = action.get("path") or "/"
    return f"{(action.get('scheme') or 'HTTP').lower()}://{action.get('host') or host}:{port}/{path.lstrip('/')}"


def http_headers(action: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(header["name"], header.get("value") or "") for header in action.get("httpHeaders") or ()]


def _while_asking(probe: Mapping[str, Any], target: Target, why: str) -> str:
    if "httpGet" in probe:
        return f'Get "{http_url(probe["httpGet"], target.container, target.host)}": {why}'
    return why


class HostProbes:
    """Asks real containers: from inside the pod's network namespace, or by exec. See `ProbeRunner`."""

    def __init__(self, runtime: ContainerRuntime, network: PodNetwork) -> None:
        self._runtime, self._network = runtime, network

    async def __call__(self, probe: Mapping[str, Any], target: Target) -> tuple[bool, str]:
        """Ask once."""
        try:
            if "exec" in probe:
                return await self._exec(target, probe["exec"].get("command") or ())
            if "httpGet" in probe:
                return await self._http(probe, target)
            if "tcpSocket" in probe:
                action = probe["tcpSocket"]
                port = port_number(action.get("port"), target.container)
                sock = await httpget.connect(self._maker(target), action.get("host") or target.host, port)
                sock.close()
                return True, ""
            if "grpc" in probe:
                action = probe["grpc"]
                return await grpcprobe.check(
                    self._maker(target), target.host, action["port"], action.get("service") or "", USER_AGENT
                )
        except httpget.HttpFailure as error:
            return False, _while_asking(probe, target, str(error))
        except (RuntimeFailure, NetworkError, OSError, ValueError) as error:
            return False, str(error)
        return False, "missing probe handler"

    def _maker(self, target: Target) -> httpget.MakeSocket:
        if not target.pid:
            return lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        return lambda: self._network.socket(target.pid, socket.AF_INET, socket.SOCK_STREAM)

    async def _exec(self, target: Target, command: Any) -> tuple[bool, str]:
        code, output = await run_command(self._runtime, target.info.id, command)
        return code == 0, output

    async def _http(self, probe: Mapping[str, Any], target: Target) -> tuple[bool, str]:
        action = probe["httpGet"]
        url = http_url(action, target.container, target.host)
        answer = await httpget.get(self._maker(target), url, headers=http_headers(action), user_agent=USER_AGENT)
        if 200 <= answer.status < 400:
            return True, ""
        return False, f"HTTP probe failed with statuscode: {answer.status}"


async def run_command(runtime: ContainerRuntime, container: str, command: Any) -> tuple[int, str]:
    """Run `command` in a container: (exit code, the first 10 KiB of what it wrote). RuntimeFailure if it cannot be run."""
    session = await runtime.exec(container, list(command))
    output = bytearray()
    try:
        async for _, data in session.output():
            if len(output) < httpget.MAX_BODY:
                output += data
        code = await session.exit_code()
    finally:
        await session.close()
    return (-1 if code is None else code), output[: httpget.MAX_BODY].decode(errors="replace")
