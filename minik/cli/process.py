"""Running a long-lived command: event loop, signals, orderly end, and errors as one clear line."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

import click
import uvloop

from minik import memory
from minik.clock import Entropy, SystemClock
from minik.config import AgentConfig, ServerConfig


class _Process(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


_Ended = Callable[[], Awaitable[str]]


def run_server(config: ServerConfig, *, controller_files: Sequence[Path] = ()) -> None:
    """`minik server` until SIGTERM or SIGINT. `controller_files`: users' own controllers. A file that is no use ends the program with
    a message and status 2 before anything is started."""
    from minik.cli.compose import Server

    own = None
    if controller_files:
        from minik.sdk.loading import ControllerFileError, load_all

        try:
            own = load_all(controller_files, taken=built_in_names())
        except ControllerFileError as error:
            raise _UnusableFile(f"--controller {error}") from None
    server = Server(config, clock=SystemClock(), entropy=Entropy(), own=own)

    async def announce() -> None:
        click.echo(f"minik is ready at {server.url}", err=True)
        click.echo(f"  kubectl --kubeconfig {server.files.kubeconfig_path} get nodes", err=True)
        click.echo("  or merge it into your own kubeconfig: minik kubeconfig --merge", err=True)

    run(server, announce, ended=server.ended)


class _UnusableFile(click.ClickException):
    """Something given on the command line that cannot be used."""

    exit_code = 2


def built_in_names() -> list[str]:
    """The names of the server's own controllers, which a user's may not have."""
    from minik.controllers import built_in

    return [controller.name for controller in built_in(ca_certificate="")]


def run_agent(config: AgentConfig) -> None:
    """`minik agent` until SIGTERM or SIGINT."""
    from minik.cli.compose_agent import AgentProcess

    agent = AgentProcess(config, clock=SystemClock(), entropy=Entropy())

    async def announce() -> None:
        assert agent.identity is not None
        click.echo(f"node {config.name} of {agent.identity.server}", err=True)

    run(agent, announce)


def run(process: _Process, announce: Callable[[], Awaitable[None]], *, ended: _Ended | None = None) -> None:
    """Start, announce, wait for a signal, close. What cannot start, or ends by itself, ends the program with a message and status 1.

    `ended` waits until the process is of no use any more, and says why."""
    gc.set_threshold(*memory.COLLECT)
    try:
        uvloop.run(_main(process, announce, ended))
    except KeyboardInterrupt:
        return


async def _main(process: _Process, announce: Callable[[], Awaitable[None]], ended: _Ended | None) -> None:
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
        await _unless_stopped(_fail_after(ended) if ended is not None else _forever(), stop)
    finally:
        await process.close()


async def _fail_after(ended: _Ended) -> None:
    raise click.ClickException(await ended())


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


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
