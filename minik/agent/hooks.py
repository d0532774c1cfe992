"""Lifecycle hooks: postStart and preStop by exec, httpGet or sleep (kubelet `pkg/kubelet/lifecycle`)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Protocol

from minik.agent import httpget
from minik.agent.containers.base import ContainerRuntime, RuntimeFailure
from minik.agent.network.base import NetworkError, PodNetwork
from minik.agent.probes import Target, http_headers, http_url, run_command
from minik.clock import Clock

USER_AGENT = "kube-lifecycle/1.36"


class HookRunner(Protocol):
    async def __call__(self, hook: Mapping[str, Any], target: Target) -> None:
        """Run one hook to its end. Raises HookFailure."""
        ...


class HookFailure(Exception):
    """A hook that failed. The message is for the event."""


def hook_of(container: Mapping[str, Any], which: str) -> Mapping[str, Any] | None:
    """`postStart` or `preStop` of a container, or None."""
    return (container.get("lifecycle") or {}).get(which)


class HostHooks:
    """Runs hooks in real containers. Bounding their time is the caller's. See `HookRunner`."""

    def __init__(self, runtime: ContainerRuntime, network: PodNetwork, clock: Clock) -> None:
        self._runtime, self._network, self._clock = runtime, network, clock

    async def __call__(self, hook: Mapping[str, Any], target: Target) -> None:
        try:
            if "exec" in hook:
                await self._exec(hook["exec"].get("command") or (), target)
            elif "httpGet" in hook:
                await self._http(hook["httpGet"], target)
            elif "sleep" in hook:
                await self._clock.sleep(float(hook["sleep"].get("seconds") or 0))
        except (RuntimeFailure, NetworkError, httpget.HttpFailure, OSError, ValueError) as error:
            raise HookFailure(str(error)) from error

    async def _exec(self, command: Any, target: Target) -> None:
        code, output = await run_command(self._runtime, target.info.id, command)
        if code != 0:
            shown = " ".join(command)
            raise HookFailure(f"command '{shown}' exited with {code}: {output}")

    async def _http(self, action: Mapping[str, Any], target: Target) -> None:
        def make() -> socket.socket:
            if not target.pid:
                return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            return self._network.socket(target.pid, socket.AF_INET, socket.SOCK_STREAM)

        answer = await httpget.get(
            make,
            http_url(action, target.container, target.host),
            headers=http_headers(action),
            user_agent=USER_AGENT,
        )
        if not 200 <= answer.status < 400:
            raise HookFailure(f"unexpected status code {answer.status}")


async def no_hook(hook: Mapping[str, Any], target: Target) -> None:
    """For simulated containers: every hook is done at once."""
