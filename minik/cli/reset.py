"""`minik reset`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from minik.agent.reset import Removed
from minik.paths import default_data_dir


@click.command("reset")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="The server's or agent's data directory."
)
@click.option(
    "--docker", default="", metavar="URL", help="The Docker engine. [default: DOCKER_HOST or the local socket]"
)
@click.option("--keep-data", is_flag=True, help="Keep the cluster's state: remove only what runs.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def command(data_dir: Path | None, docker: str, keep_data: bool, yes: bool) -> None:
    """Remove everything minik made on this host, and nothing else: containers, interfaces, rules, routes, mounts, files.

    Stop `minik server` or `minik agent` first. Images and volumes that pods used are not minik's and stay.
    """
    directory = (data_dir or default_data_dir()).absolute()
    if not yes:
        what = "all pods of this host" if keep_data else f"all pods of this host and {directory}"
        click.confirm(f"Remove {what}?", abort=True)
    if _is_in_use(directory):
        raise click.ClickException(f"a server is running on {directory}; stop it first")
    removed = asyncio.run(_reset(docker, directory, keep_data=keep_data))
    click.echo(
        f"removed {removed.containers} containers, {removed.interfaces} network objects, "
        f"{removed.mounts} mounts, {removed.directories} directories"
    )
    if removed.failures:
        raise click.ClickException("; ".join(removed.failures))


def _is_in_use(directory: Path) -> bool:
    from minik.storage.open import is_in_use

    return is_in_use(directory)


async def _reset(docker: str, directory: Path, *, keep_data: bool) -> Removed:
    from minik.agent.containers.base import RuntimeUnavailable
    from minik.agent.containers.docker import remove_everything
    from minik.agent.network.reset import reset as reset_network
    from minik.agent.reset import reset

    async def containers() -> int:
        try:
            return (await remove_everything(docker))["containers"]
        except RuntimeUnavailable:
            return 0  # no engine: then it holds nothing of ours that could be reached

    async def network() -> int:
        return sum((await reset_network()).values())

    return await reset(
        remove_containers=containers,
        remove_network=network if os.geteuid() == 0 else None,
        directories=[*own_pods(directory)] if keep_data else [directory],
    )


def own_pods(directory: Path) -> list[Path]:
    """Where pods keep their files, below the directory of a server or of an agent."""
    return [path for path in (directory / "agent" / "pods", directory / "pods") if path.is_dir()]
