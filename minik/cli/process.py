"""Running a long-lived command: event loop, signals, orderly end, and errors as one clear line."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import click
import uvloop

from minik import memory
from minik.clock import Entropy, SystemClock
from minik.config import AgentConfig, ServerConfig


class _Process(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


def run_server(config: ServerConfig) -> None:
    """`minik server` until SIGTERM or SIGINT."""
    from minik.cli.compose import Server

    server = Server(config, clock=SystemClock(), entropy=Entropy())

    async def announce() -> None:
        click.echo(f"minik is ready at {server.url}", err=True)
        click.echo(f"  kubectl --kubeconfig {server.files.kubeconfig_path} get nodes", err=True)
        click.echo("  or merge it into your own kubeconfig: minik kubeconfig --merge", err=True)

    run(server, announce)


def run_agent(config: AgentConfig) -> None:
    """`minik agent` until SIGTERM or SIGINT."""
    from minik.cli.compose_agent import AgentProcess

    agent = AgentProcess(config, clock=SystemClock(), entropy=Entropy())

    async def announce() -> None:
        assert agent.identity is not None
        click.echo(f"node {config.name} of {agent.identity.server}", err=True)

    run(agent, announce)


def run(process: _Process, announce: Callable[[], Awaitable[None]]) -> None:
    """Start, announce, wait for a signal, close. What cannot start ends the program with a message and status 1."""
    gc.set_threshold(*memory.COLLECT)
    try:
        uvloop.run(_main(process, announce))
    except KeyboardInterrupt:
        return


async def _main(process: _Process, announce: Callable[[], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        try:
            if not await _unless_stopped(process.start(), stop):
                return
        except Exception as error:
            message = _explain(error)
            if message is None:
                raise
            raise click.ClickException(message) from error
        await announce()
        memory.settle()
        await stop.wait()
    finally:
        await process.close()


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Run `work` unless the stop comes first; whether it ran to its end."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.wait((working,))
    return False


def _explain(error: Exception) -> str | None:
    """A user's words for what a user can mend; None for anything else."""
    from minik.agent.join import JoinError
    from minik.cli.files import DataDirError
    from minik.sched.profiles import ConfigError
    from minik.storage.base import StoreError

    if isinstance(error, DataDirError | StoreError | JoinError | ConfigError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return None
